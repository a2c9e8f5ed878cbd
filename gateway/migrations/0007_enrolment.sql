CREATE SCHEMA enrolment;
GRANT USAGE ON SCHEMA enrolment TO pestle_serve, pestle_system;

CREATE TABLE enrolment.claim (
    tenant_id   text NOT NULL,
    claim_id    uuid NOT NULL,
    branch_id   text NOT NULL,
    -- SHA-256 of the secret part; the secret itself is told once.
    code_hash   bytea NOT NULL UNIQUE CHECK (length(code_hash) = 32),
    issued_by   text NOT NULL,
    issued_at   timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    -- Once used: by which key, and what it was answered, so that a lost answer can be repeated.
    used_at     timestamptz,
    used_key_id text,
    device_id   text,
    certificate_pem     text,
    web_certificate_pem text,
    PRIMARY KEY (tenant_id, claim_id),
    FOREIGN KEY (tenant_id, branch_id) REFERENCES tenancy.branch,
    CHECK ((used_at IS NULL) = (used_key_id IS NULL))
);
SELECT public.pestle_guard('enrolment.claim', 'SELECT, INSERT, UPDATE');
-- Why: a box that enrols knows its code and nothing else.
SELECT public.pestle_system_reads('enrolment.claim');
