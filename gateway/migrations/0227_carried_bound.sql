-- As before (0201_carried.sql), but for numbers that are none: a box may say of what it carried that it began behind the
-- greatest bigint. Nobody's look at a chain's breaks ends at that.
CREATE OR REPLACE FUNCTION ingest.breaks()
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
            WHERE child.parent IS NOT NULL AND child.carried IS NULL
              -- Nor of one that was carried over itself since.
              AND NOT EXISTS (SELECT FROM ingest.stream k, jsonb_array_elements(k.carried) AS c (range)
                              WHERE (k.tenant_id, k.branch_id, k.device_id, k.lane)
                                  = (child.tenant_id, child.branch_id, child.device_id, child.lane)
                                AND (c.range->>'epoch')::bigint = child.epoch)
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
        ), carriers AS (
            -- Behind the fact that opens it stand all that were carried, but for those that opened the lives before.
            SELECT child.tenant_id, child.stream_id, child.branch_id, child.device_id, child.term, child.lane, child.opened_at,
                   (c.range->>'epoch')::bigint AS epoch,
                   least((c.range->>'first')::numeric, 9007199254740992)::bigint AS first,
                   child.head_seq >= (SELECT sum(greatest((r->>'last')::numeric - (r->>'first')::numeric, 0))
                                      FROM jsonb_array_elements(child.carried) r) AS whole
            FROM ingest.stream child, jsonb_array_elements(child.carried) AS c (range)
        ), lost AS (
            SELECT o.branch_id, o.device_id, o.lane, o.epoch, o.head_seq, c.opened_at,
                   greatest(c.first - 1, coalesce((
                       SELECT max(f.seq) FROM ingest.fact f
                       WHERE f.tenant_id = o.tenant_id AND f.stream_id = o.stream_id
                         AND EXISTS (SELECT FROM ingest.duplicate d
                                     WHERE d.tenant_id = f.tenant_id AND d.fact_id = f.fact_id
                                       AND d.stream_id = c.stream_id)), 0)) AS same_to
            FROM carriers c
            JOIN ingest.stream o
              ON o.tenant_id = c.tenant_id AND o.branch_id = c.branch_id AND o.device_id = c.device_id
             AND o.lane = c.lane AND o.epoch = c.epoch AND o.stream_id <> c.stream_id
            WHERE c.whole
        )
        SELECT j.kind, j.branch_id, j.device_id, j.lane, j.epoch,
               CASE j.kind WHEN 'missing' THEN j.head_seq + 1 WHEN 'lost' THEN j.seq + 1 ELSE j.seq END,
               CASE j.kind WHEN 'missing' THEN j.seq WHEN 'lost' THEN j.head_seq ELSE j.seq END,
               j.opened_at
        FROM judged j WHERE j.kind IS NOT NULL
        UNION ALL
        SELECT 'lost', l.branch_id, l.device_id, l.lane, l.epoch, l.same_to + 1, l.head_seq, l.opened_at
        FROM lost l WHERE l.same_to < l.head_seq
        ORDER BY 8 DESC
    $$;
