-- Urgent facts, each once, for people: as an early copy tells of it, or with its turn in the ledger, whichever comes first.
-- Nothing is counted from here.
CREATE TABLE ingest.alert (
    tenant_id text        NOT NULL,
    fact_id   uuid        NOT NULL,
    branch_id text        NOT NULL,
    device_id text        NOT NULL,
    kind      text        NOT NULL,
    message   text        NOT NULL,
    -- Whether a copy came before the ledger did.
    early     boolean     NOT NULL,
    at        timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, fact_id)
);
CREATE INDEX alert_recent ON ingest.alert (tenant_id, at);
SELECT public.pestle_guard('ingest.alert', 'SELECT, INSERT');
