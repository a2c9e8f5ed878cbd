-- What a box says of itself that a person should act on, read from its facts:
--   space     how much room its disk had when that last got better or worse by a step, if it is not plenty
--   shed      readings that it did not record for want of room, within a day
--   books     facts that its own books lack
CREATE INDEX fact_of_box ON ingest.fact (tenant_id, kind, stream_id, seq DESC)
    WHERE kind IN ('box.space_low', 'box.shed', 'box.books_incomplete');

CREATE FUNCTION ingest.box_says()
    RETURNS TABLE (says text, branch_id text, device_id text, data jsonb, at timestamptz)
    LANGUAGE sql STABLE
    AS $$
        WITH said AS (
            SELECT f.kind, s.branch_id, s.device_id, s.term, s.epoch, f.seq,
                   convert_from(f.bytes, 'UTF8')::jsonb->'data' AS data,
                   -- A box's clock may be wrong, and even absurd: no alarm stands in the future.
                   to_timestamp(least(greatest(f.wall_ms, 0) / 1000.0, extract(epoch FROM now()))) AS at
            FROM ingest.fact f
            JOIN ingest.stream s ON (s.tenant_id, s.stream_id) = (f.tenant_id, f.stream_id)
            WHERE f.kind IN ('box.space_low', 'box.shed', 'box.books_incomplete')
              -- A box that was replaced says nothing any more.
              AND s.term = (SELECT max(latest.term) FROM ingest.stream latest
                            WHERE (latest.tenant_id, latest.branch_id) = (s.tenant_id, s.branch_id))
        ), space AS (
            SELECT DISTINCT ON (said.device_id) 'space'::text, said.branch_id, said.device_id, said.data, said.at
            FROM said WHERE said.kind = 'box.space_low'
            ORDER BY said.device_id, said.term DESC, said.epoch DESC, said.seq DESC
        )
        SELECT * FROM space WHERE space.data->>'level' <> 'plenty'
        UNION ALL
        SELECT 'shed', said.branch_id, said.device_id,
               jsonb_build_object('facts', sum((said.data->>'facts')::numeric)), max(said.at)
        FROM said WHERE said.kind = 'box.shed' AND said.at > now() - interval '1 day'
        GROUP BY said.branch_id, said.device_id
        UNION ALL
        SELECT 'books', said.branch_id, said.device_id, said.data, said.at
        FROM said WHERE said.kind = 'box.books_incomplete'
    $$;
