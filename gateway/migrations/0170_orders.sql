-- The second log: what the centre tells each branch to do, numbered and chained, and what the branches made of it.

CREATE SCHEMA orders;
GRANT USAGE ON SCHEMA orders TO pestle_serve, pestle_system;

-- An order as it was written, once, for all branches that it concerns.
CREATE TABLE orders.issued (
    tenant_id text        NOT NULL REFERENCES tenancy.tenant,
    order_id  uuid        NOT NULL,
    kind      text        NOT NULL,
    bytes     bytea       NOT NULL,
    -- As people call whoever wrote it; the bytes name them by their number.
    by_name   text        NOT NULL,
    -- Written anew by a person, after a restore had lost it.
    adopted   boolean     NOT NULL DEFAULT false,
    issued_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, order_id)
);
CREATE INDEX issued_latest ON orders.issued (tenant_id, issued_at);
SELECT public.pestle_guard('orders.issued', 'SELECT, INSERT');

-- The last order of each branch's log. Whoever holds the row's lock writes the next: so the chain has no fork.
CREATE TABLE orders.head (
    tenant_id   text   NOT NULL,
    branch_id   text   NOT NULL,
    incarnation bigint NOT NULL DEFAULT 0,
    seq         bigint NOT NULL DEFAULT 0,
    hash        bytea  NOT NULL DEFAULT decode(repeat('00', 32), 'hex'),
    PRIMARY KEY (tenant_id, branch_id),
    FOREIGN KEY (tenant_id, branch_id) REFERENCES tenancy.branch
);
SELECT public.pestle_guard('orders.head', 'SELECT, INSERT, UPDATE');
-- Why: the task that nudges boxes looks at all tenants' logs.
SELECT public.pestle_system_reads('orders.head');

CREATE TABLE orders.log (
    tenant_id    text    NOT NULL,
    branch_id    text    NOT NULL,
    seq          bigint  NOT NULL CHECK (seq > 0),
    incarnation  bigint  NOT NULL,
    hash         bytea   NOT NULL,
    order_id     uuid    NOT NULL,
    -- Whether a snapshot carries what it says: a box that is new in its branch needs it no more.
    in_snapshots boolean NOT NULL,
    PRIMARY KEY (tenant_id, branch_id, seq),
    UNIQUE (tenant_id, branch_id, order_id),
    FOREIGN KEY (tenant_id, order_id) REFERENCES orders.issued
);
SELECT public.pestle_guard('orders.log', 'SELECT, INSERT');

-- What a branch made of an order, as its facts say. An order that is not in the log was lost with a restore.
CREATE TABLE orders.outcome (
    tenant_id   text        NOT NULL,
    branch_id   text        NOT NULL,
    order_id    uuid        NOT NULL,
    kind        text        NOT NULL,
    -- contained: a box that is new in the branch took up the log behind it, its snapshot has it
    state       text        NOT NULL CHECK (state IN ('applied', 'refused', 'contained')),
    reason      text        NOT NULL DEFAULT '',
    detail      text        NOT NULL DEFAULT '',
    -- As the branch had it from the centre.
    bytes       bytea,
    incarnation bigint      NOT NULL,
    seq         bigint      NOT NULL,
    -- How often it was carried out, which must be once at most.
    done        int         NOT NULL DEFAULT 0,
    at          timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, branch_id, order_id)
);
CREATE INDEX outcome_troubled ON orders.outcome (tenant_id, at) WHERE state = 'refused' OR done > 1;
SELECT public.pestle_guard('orders.outcome', 'SELECT, INSERT, UPDATE');

-- Where each box said that it stands, and whether the branch's log has that place.
CREATE TABLE orders.place (
    tenant_id   text        NOT NULL,
    device_id   text        NOT NULL,
    branch_id   text        NOT NULL,
    incarnation bigint      NOT NULL,
    seq         bigint      NOT NULL,
    hash        bytea       NOT NULL,
    known       boolean     NOT NULL,
    at          timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, device_id)
);
SELECT public.pestle_guard('orders.place', 'SELECT, INSERT, UPDATE');

-- A recall may concern some branches alone; NULL means all.
ALTER TABLE catalogue.recall ADD COLUMN branches text[];
