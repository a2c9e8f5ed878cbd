CREATE SCHEMA staff;
GRANT USAGE ON SCHEMA staff TO pestle_serve;

-- People at counters. They sign in with a PIN, offline too; users of the console are in `identity`.
CREATE TABLE staff.member (
    tenant_id    text NOT NULL REFERENCES tenancy.tenant,
    staff_id     text NOT NULL,
    name         text NOT NULL,
    role         text NOT NULL,
    pin_verifier text NOT NULL,
    valid_until  date,
    active       boolean NOT NULL DEFAULT true,
    -- Where they may sign in; empty means every branch.
    branches     text[] NOT NULL DEFAULT '{}',
    PRIMARY KEY (tenant_id, staff_id)
);
SELECT public.pestle_guard('staff.member', 'SELECT, INSERT, UPDATE');
