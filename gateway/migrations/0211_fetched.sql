-- Facts that a box lacked and that it has fetched back from here: what it said of them, and what the centre saw, is over.
CREATE INDEX fact_fetched ON ingest.fact (tenant_id, stream_id) WHERE kind = 'box.facts_fetched';

-- A number of a fact's data; NULL for whatever else a box may have written there.
CREATE FUNCTION ingest.number(value jsonb) RETURNS numeric
    LANGUAGE sql IMMUTABLE
    AS $$ SELECT CASE WHEN jsonb_typeof(value) = 'number' THEN value::numeric END $$;

-- Whether a branch's box has taken all of these facts of its ledger back into its books.
CREATE FUNCTION ingest.is_fetched(of_branch text, of_epoch numeric, first_seq numeric, last_seq numeric) RETURNS boolean
    LANGUAGE sql STABLE
    AS $$
        SELECT coalesce(range_agg(numrange(told.first, told.last + 1)) @> numrange(first_seq, last_seq + 1), false)
        FROM (SELECT ingest.number(data->'epoch') AS epoch, ingest.number(data->'from') AS first,
                     ingest.number(data->'to') AS last
              FROM (SELECT convert_from(f.bytes, 'UTF8')::jsonb->'data' AS data
                    FROM ingest.fact f
                    JOIN ingest.stream s ON (s.tenant_id, s.stream_id) = (f.tenant_id, f.stream_id)
                    WHERE f.kind = 'box.facts_fetched' AND s.branch_id = of_branch) AS said) AS told
        WHERE told.epoch = of_epoch AND told.first <= told.last AND first_seq <= last_seq
    $$;
