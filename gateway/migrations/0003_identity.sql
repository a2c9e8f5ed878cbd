CREATE SCHEMA identity;
GRANT USAGE ON SCHEMA identity TO pestle_serve, pestle_system;

CREATE TABLE identity.user_account (
    tenant_id         text NOT NULL REFERENCES tenancy.tenant,
    user_id           uuid NOT NULL,
    -- Unique over all tenants: it is asked for before a tenant is known.
    login             text NOT NULL UNIQUE,
    name              text NOT NULL,
    role              text NOT NULL,
    password_verifier text NOT NULL,
    active            boolean NOT NULL DEFAULT true,
    created_at        timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, user_id)
);
SELECT public.pestle_guard('identity.user_account', 'SELECT, INSERT, UPDATE');
-- Why: who signs in is found by login alone.
SELECT public.pestle_system_reads('identity.user_account');
