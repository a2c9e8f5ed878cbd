-- Forks, and how people resolve them: a box whose records the centre cannot join appeals, a person rules.

CREATE SCHEMA appeals;
GRANT USAGE ON SCHEMA appeals TO pestle_serve;

-- Every number of a branch's epochs that was ever given out: none is given twice, whether its box ever opened it or not.
CREATE TABLE ingest.epoch_given (
    tenant_id text        NOT NULL,
    branch_id text        NOT NULL,
    epoch     bigint      NOT NULL,
    at        timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, branch_id, epoch),
    FOREIGN KEY (tenant_id, branch_id) REFERENCES tenancy.branch
);
SELECT public.pestle_guard('ingest.epoch_given', 'SELECT, INSERT');

-- One row for each running process of a box that asks.
CREATE TABLE appeals.appeal (
    tenant_id text        NOT NULL,
    appeal_id uuid        NOT NULL,
    device_id text        NOT NULL,
    branch_id text        NOT NULL,
    -- As the box said it last; pestle-domain's Appeal.
    said      jsonb       NOT NULL,
    -- From where it came last, as the centre saw it.
    seen_from text        NOT NULL,
    first_at  timestamptz NOT NULL DEFAULT now(),
    last_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, appeal_id),
    FOREIGN KEY (tenant_id, device_id) REFERENCES fleet.device,
    FOREIGN KEY (tenant_id, branch_id) REFERENCES tenancy.branch
);
CREATE INDEX appeal_recent ON appeals.appeal (tenant_id, last_at);
SELECT public.pestle_guard('appeals.appeal', 'SELECT, INSERT, UPDATE');

-- What was decided, by whom and when: once for each appeal, and never changed.
CREATE TABLE appeals.ruling (
    tenant_id text        NOT NULL,
    appeal_id uuid        NOT NULL,
    choice    text        NOT NULL CHECK (choice IN ('go_on', 'own_name')),
    -- Of the branch, where it goes on.
    branch_id text        NOT NULL,
    epoch     bigint,
    ruled_by  text        NOT NULL,
    by_name   text        NOT NULL,
    ruled_at  timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, appeal_id),
    FOREIGN KEY (tenant_id, appeal_id) REFERENCES appeals.appeal,
    UNIQUE (tenant_id, branch_id, epoch),
    CHECK ((choice = 'go_on') = (epoch IS NOT NULL))
);
SELECT public.pestle_guard('appeals.ruling', 'SELECT, INSERT');
