-- Who a box was before, proved by the earlier key at enrolment: whose records it may deliver beside its own.
CREATE TABLE fleet.succession (
    tenant_id  text NOT NULL,
    device_id  text NOT NULL,
    earlier_id text NOT NULL,
    PRIMARY KEY (tenant_id, device_id, earlier_id),
    FOREIGN KEY (tenant_id, device_id) REFERENCES fleet.device,
    FOREIGN KEY (tenant_id, earlier_id) REFERENCES fleet.device,
    CHECK (device_id <> earlier_id)
);
SELECT public.pestle_guard('fleet.succession', 'SELECT, INSERT');
-- Why: a batch names its device before its tenant is known.
SELECT public.pestle_system_reads('fleet.succession');

-- A claim's answer is repeated when it was lost: so it is kept whole.
ALTER TABLE enrolment.claim ADD COLUMN first_epoch bigint NOT NULL DEFAULT 1;
ALTER TABLE enrolment.claim ADD COLUMN earlier text[] NOT NULL DEFAULT '{}';

-- Facts that an earlier version did not understand are folded by a later one.
GRANT UPDATE (folded, kind) ON ingest.fact TO pestle_serve;

-- Where a new life of a box's store does not begin where the one before it ended, as far as both are known here:
--   missing   the box recorded these facts and they have not come (yet)
--   lost      the box has lost these facts, which are here: its own books lack them
--   fork      the box has other bytes than the centre at this place
CREATE FUNCTION ingest.breaks()
    RETURNS TABLE (kind text, branch_id text, device_id text, lane text, epoch bigint, first_seq bigint, last_seq bigint,
                   at timestamptz)
    LANGUAGE sql STABLE
    AS $$
        WITH named AS (
            SELECT child.tenant_id, child.branch_id, child.device_id, child.lane, child.opened_at,
                   (child.parent->>'epoch')::bigint AS epoch,
                   least((child.parent->>'seq')::numeric, 9007199254740992)::bigint AS seq,
                   decode(child.parent->>'hash', 'hex') AS hash,
                   parent.stream_id, coalesce(parent.head_seq, 0) AS head_seq
            FROM ingest.stream child
            LEFT JOIN ingest.stream parent
              ON parent.tenant_id = child.tenant_id AND parent.lane = child.lane
             AND parent.store_id = (child.parent->>'store')::uuid
            WHERE child.parent IS NOT NULL
        ), judged AS (
            SELECT named.*,
                   CASE WHEN named.seq > named.head_seq THEN 'missing'
                        WHEN named.seq > 0 AND coalesce(f.hash, d.hash) <> named.hash THEN 'fork'
                        WHEN named.seq < named.head_seq THEN 'lost' END AS kind
            FROM named
            LEFT JOIN ingest.fact f
              ON (f.tenant_id, f.stream_id, f.seq) = (named.tenant_id, named.stream_id, named.seq)
            LEFT JOIN ingest.duplicate d
              ON (d.tenant_id, d.stream_id, d.seq) = (named.tenant_id, named.stream_id, named.seq)
        )
        SELECT j.kind, j.branch_id, j.device_id, j.lane, j.epoch,
               CASE j.kind WHEN 'missing' THEN j.head_seq + 1 WHEN 'lost' THEN j.seq + 1 ELSE j.seq END,
               CASE j.kind WHEN 'missing' THEN j.seq WHEN 'lost' THEN j.head_seq ELSE j.seq END,
               j.opened_at
        FROM judged j WHERE j.kind IS NOT NULL
        ORDER BY j.opened_at DESC
    $$;
