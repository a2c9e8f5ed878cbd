-- Somebody has looked at it, and nobody else needs to. What comes once more is open once more.
ALTER TABLE ingest.quarantine ADD COLUMN closed_by text, ADD COLUMN closed_at timestamptz;

-- Of what is open the console shows the latest, and each device has a share.
DROP INDEX ingest.quarantine_recent;
CREATE INDEX quarantine_recent ON ingest.quarantine (tenant_id, last_at) WHERE booked_at IS NULL AND closed_at IS NULL;
CREATE INDEX quarantine_share ON ingest.quarantine (tenant_id, device_id) WHERE booked_at IS NULL AND closed_at IS NULL;
