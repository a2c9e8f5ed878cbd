CREATE SCHEMA tenancy;
GRANT USAGE ON SCHEMA tenancy TO pestle_serve, pestle_system;

CREATE TABLE tenancy.tenant (
    tenant_id  text PRIMARY KEY,
    name       text NOT NULL,
    -- Rises with each change of what branches are told (catalogue, recalls, staff, profiles): the snapshot's version.
    revision   bigint NOT NULL DEFAULT 1,
    revised_at timestamptz NOT NULL DEFAULT now(),
    created_at timestamptz NOT NULL DEFAULT now()
);
SELECT public.pestle_guard('tenancy.tenant', 'SELECT, INSERT, UPDATE');
-- Why: work that runs for all tenants in turn starts from this list.
SELECT public.pestle_system_reads('tenancy.tenant');

CREATE TABLE tenancy.branch (
    tenant_id        text NOT NULL REFERENCES tenancy.tenant,
    branch_id        text NOT NULL,
    name             text NOT NULL,
    address          text[] NOT NULL DEFAULT '{}',
    tax_number       text NOT NULL DEFAULT '',
    currency         text NOT NULL,
    time_zone        text NOT NULL,
    cut_over_minutes int NOT NULL DEFAULT 0 CHECK (cut_over_minutes BETWEEN 0 AND 720),
    receipt_header   text[] NOT NULL DEFAULT '{}',
    receipt_footer   text[] NOT NULL DEFAULT '{}',
    created_at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, branch_id)
);
SELECT public.pestle_guard('tenancy.branch', 'SELECT, INSERT, UPDATE');
