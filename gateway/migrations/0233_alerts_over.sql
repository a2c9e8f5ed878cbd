-- When an urgent fact happened, as its box's clock told it: a branch that was away reports it late. Which trouble it began, as a name that
-- the fact which ends it has, too; and when that ended, once it is known. What earlier versions noted has neither.
ALTER TABLE ingest.alert ADD COLUMN wall_ms bigint, ADD COLUMN trouble text, ADD COLUMN ended_ms bigint;
CREATE INDEX alert_goes_on ON ingest.alert (tenant_id, device_id, trouble) WHERE trouble IS NOT NULL AND ended_ms IS NULL;
GRANT UPDATE (ended_ms) ON ingest.alert TO pestle_serve;
