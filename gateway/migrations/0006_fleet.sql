CREATE SCHEMA fleet;
GRANT USAGE ON SCHEMA fleet TO pestle_serve, pestle_system;

CREATE TABLE fleet.device (
    tenant_id      text NOT NULL,
    -- Unique over all tenants: it is the certificate's common name and stands in every topic.
    device_id      text NOT NULL UNIQUE,
    branch_id      text NOT NULL,
    -- The how-manieth writing device of its branch.
    term           int NOT NULL CHECK (term > 0),
    -- Of the key in use; earlier ones stay in fleet.device_key.
    key_id         text NOT NULL,
    hardware       jsonb NOT NULL DEFAULT '{}',
    enrolled_at    timestamptz NOT NULL,
    revoked_at     timestamptz,
    revoked_reason text,
    PRIMARY KEY (tenant_id, device_id),
    UNIQUE (tenant_id, branch_id, term),
    FOREIGN KEY (tenant_id, branch_id) REFERENCES tenancy.branch
);
SELECT public.pestle_guard('fleet.device', 'SELECT, INSERT, UPDATE');
-- Why: a batch names its device, and from it come tenant and branch; the broker asks who is revoked.
SELECT public.pestle_system_reads('fleet.device');

-- Every key a device ever signed with: what it signed must verify for ever.
CREATE TABLE fleet.device_key (
    tenant_id  text NOT NULL,
    key_id     text NOT NULL,
    device_id  text NOT NULL,
    -- Uncompressed P-256 point.
    public_key bytea NOT NULL CHECK (length(public_key) = 65),
    since      timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, key_id),
    FOREIGN KEY (tenant_id, device_id) REFERENCES fleet.device
);
CREATE INDEX device_key_by_device ON fleet.device_key (tenant_id, device_id);
SELECT public.pestle_guard('fleet.device_key', 'SELECT, INSERT');
SELECT public.pestle_system_reads('fleet.device_key');

-- Whether a box is there, and how much waits in it.
CREATE TABLE fleet.presence (
    tenant_id     text NOT NULL,
    device_id     text NOT NULL,
    online        boolean NOT NULL DEFAULT false,
    connection_id uuid,
    last_seen     timestamptz,
    agent         text,
    waiting       bigint,
    snapshot      bigint,
    PRIMARY KEY (tenant_id, device_id),
    FOREIGN KEY (tenant_id, device_id) REFERENCES fleet.device
);
SELECT public.pestle_guard('fleet.presence', 'SELECT, INSERT, UPDATE');
