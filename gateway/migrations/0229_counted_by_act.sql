-- As in 0226, but act by act, by the index that is there for it. Asked for all acts of a transaction at once, the planner may
-- find that a branch's facts are fewer, and read each of them for each transaction: with every day that takes longer.
CREATE OR REPLACE FUNCTION ingest.counted(branches text[], acts uuid[])
    RETURNS TABLE (branch_id text, act_id uuid, stream_id bigint, seq bigint)
    LANGUAGE plpgsql VOLATILE
    -- A plan that was made while the table was small would be kept by a connection for as long as nobody analyses it.
    SET plan_cache_mode = force_custom_plan
    SET enable_seqscan = off
    AS $$
#variable_conflict use_column
DECLARE
    branch text;
BEGIN
    FOR branch IN SELECT DISTINCT one FROM unnest(branches) AS one ORDER BY one LOOP
        PERFORM pg_advisory_xact_lock(
            hashtextextended(current_setting('pestle.tenant_id', true) || '/' || branch, 7311003));
    END LOOP;
    RETURN QUERY
        SELECT s.branch_id, f.act_id, f.stream_id, f.seq
        FROM unnest(acts) AS asked (act_id)
        -- OFFSET keeps it a question of its own.
        CROSS JOIN LATERAL (
            SELECT one.tenant_id, one.act_id, one.stream_id, one.seq
            FROM ingest.fact one
            WHERE one.act_id = asked.act_id
              AND one.kind IN ('sale.completed', 'till.paid_in', 'till.paid_out',
                               'stock.opened', 'stock.received', 'stock.adjusted', 'stock.counted')
              AND one.folded
              AND one.xid <> pg_current_xact_id()
            OFFSET 0
        ) f
        JOIN ingest.stream s USING (tenant_id, stream_id)
        WHERE s.branch_id = ANY (branches)
          AND NOT EXISTS (SELECT FROM ingest.repeat r
                          WHERE (r.tenant_id, r.stream_id) = (f.tenant_id, f.stream_id)
                            AND f.seq BETWEEN r.first_seq AND r.last_seq)
        ORDER BY f.stream_id, f.seq;
END
$$;
