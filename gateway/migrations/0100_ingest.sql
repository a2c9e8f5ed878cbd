-- The event store: every fact of every branch, once, in its place, with the bytes that were hashed.

CREATE SCHEMA ingest;
GRANT USAGE ON SCHEMA ingest TO pestle_serve;

-- Every restore of this database raises it: SELECT ingest.raise_incarnation(). Acknowledgements carry it.
CREATE TABLE ingest.incarnation (
    only_row  boolean     PRIMARY KEY DEFAULT true CHECK (only_row),
    value     bigint      NOT NULL CHECK (value >= 1),
    raised_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO ingest.incarnation (value) VALUES (1);
GRANT SELECT ON ingest.incarnation TO pestle_serve;

CREATE FUNCTION ingest.raise_incarnation() RETURNS bigint
    LANGUAGE sql
    AS $$ UPDATE ingest.incarnation SET value = value + 1, raised_at = now() RETURNING value $$;
REVOKE EXECUTE ON FUNCTION ingest.raise_incarnation() FROM PUBLIC;

-- One stream and its head. Whoever holds the row's lock decides what is next: that is what makes each fact count once.
CREATE TABLE ingest.stream (
    tenant_id  text        NOT NULL,
    stream_id  bigint      NOT NULL GENERATED ALWAYS AS IDENTITY,
    branch_id  text        NOT NULL,
    term       bigint      NOT NULL,
    device_id  text        NOT NULL,
    lane       text        NOT NULL,
    epoch      bigint      NOT NULL,
    -- From epoch.opened: which life of the box's store this is, and what it descends from.
    store_id   uuid,
    parent     jsonb,
    head_seq   bigint      NOT NULL DEFAULT 0,
    head_hash  bytea       NOT NULL DEFAULT decode(repeat('00', 32), 'hex'),
    opened_at  timestamptz NOT NULL DEFAULT now(),
    changed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, stream_id),
    UNIQUE (tenant_id, device_id, branch_id, term, lane, epoch)
);
SELECT public.pestle_guard('ingest.stream', 'SELECT, INSERT, UPDATE');

-- Ids are drawn in runs by each connection; readers go by (xid, id), so holes and turns between connections are nothing.
CREATE SEQUENCE ingest.fact_id CACHE 256;

CREATE TABLE ingest.fact (
    tenant_id     text    NOT NULL,
    stream_id     bigint  NOT NULL,
    seq           bigint  NOT NULL,
    id            bigint  NOT NULL DEFAULT nextval('ingest.fact_id'),
    xid           xid8    NOT NULL DEFAULT pg_current_xact_id(),
    fact_id       uuid    NOT NULL,
    act_id        uuid    NOT NULL,
    -- As the device's clock told it, in milliseconds since 1970 UTC; may be wrong, and even absurd.
    wall_ms       bigint  NOT NULL,
    business_date date    NOT NULL,
    -- Whether this version understood it. What it did not waits here for one that does.
    folded        boolean NOT NULL,
    kind          text    NOT NULL,
    hash          bytea   NOT NULL,
    bytes         bytea   NOT NULL,
    PRIMARY KEY (tenant_id, stream_id, seq),
    UNIQUE (tenant_id, fact_id)
);
CREATE INDEX fact_unfolded ON ingest.fact (tenant_id, stream_id, seq) WHERE NOT folded;
ALTER SEQUENCE ingest.fact_id OWNED BY ingest.fact.id;
GRANT USAGE ON SEQUENCE ingest.fact_id TO pestle_serve;
SELECT public.pestle_guard('ingest.fact', 'SELECT, INSERT');

-- A fact that came again, with the same bytes, at another position (a store was restored from an old copy). It holds its
-- place in the chain and has no second effect.
CREATE TABLE ingest.duplicate (
    tenant_id text        NOT NULL,
    stream_id bigint      NOT NULL,
    seq       bigint      NOT NULL,
    fact_id   uuid        NOT NULL,
    hash      bytea       NOT NULL,
    at        timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, stream_id, seq)
);
SELECT public.pestle_guard('ingest.duplicate', 'SELECT, INSERT');

-- What was refused or needs a person's eye, with its bytes.
CREATE TABLE ingest.quarantine (
    tenant_id     text        NOT NULL,
    quarantine_id bigint      NOT NULL GENERATED ALWAYS AS IDENTITY,
    device_id     text        NOT NULL,
    channel       text        NOT NULL,
    batch_id      uuid,
    reason        text        NOT NULL,
    message       text        NOT NULL,
    bytes_hash    bytea       NOT NULL,
    -- NULL once the device has filled its share of this table: then only the hash is kept.
    bytes         bytea,
    times         bigint      NOT NULL DEFAULT 1,
    first_at      timestamptz NOT NULL DEFAULT now(),
    last_at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, quarantine_id),
    UNIQUE (tenant_id, device_id, reason, bytes_hash)
);
CREATE INDEX quarantine_recent ON ingest.quarantine (tenant_id, last_at);
SELECT public.pestle_guard('ingest.quarantine', 'SELECT, INSERT, UPDATE');
