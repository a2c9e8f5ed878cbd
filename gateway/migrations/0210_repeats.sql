-- An act that a page sent again after its box had lost it is recorded twice: the same act id, other facts. The first one
-- whose effects the centre wrote counts; what came after it is here. Its facts hold their place in the chain.
CREATE TABLE ingest.repeat (
    tenant_id      text        NOT NULL,
    stream_id      bigint      NOT NULL,
    -- The repeat's facts.
    first_seq      bigint      NOT NULL,
    last_seq       bigint      NOT NULL,
    act_id         uuid        NOT NULL,
    -- A fact of the act that counts.
    counted_stream bigint      NOT NULL,
    counted_seq    bigint      NOT NULL,
    at             timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, stream_id, first_seq)
);
SELECT public.pestle_guard('ingest.repeat', 'SELECT, INSERT');

-- One entry for nearly every act that adds to stock, cash or takings, and none for what boxes tell by themselves.
CREATE INDEX fact_of_act ON ingest.fact (tenant_id, act_id)
    WHERE kind IN ('sale.completed', 'till.paid_in', 'till.paid_out',
                   'stock.opened', 'stock.received', 'stock.adjusted', 'stock.counted');

-- Where other transactions have written effects of these acts of these branches. The branches are locked until the end of the
-- transaction, since an act may come by two streams of one branch through two gateways at once; each statement here sees what was
-- committed before it got the lock.
CREATE FUNCTION ingest.counted(branches text[], acts uuid[])
    RETURNS TABLE (branch_id text, act_id uuid, stream_id bigint, seq bigint)
    LANGUAGE plpgsql VOLATILE
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
        FROM ingest.fact f
        JOIN ingest.stream s USING (tenant_id, stream_id)
        WHERE f.act_id = ANY (acts)
          AND s.branch_id = ANY (branches)
          AND f.kind IN ('sale.completed', 'till.paid_in', 'till.paid_out',
                         'stock.opened', 'stock.received', 'stock.adjusted', 'stock.counted')
          AND f.folded
          AND f.xid <> pg_current_xact_id()
          AND NOT EXISTS (SELECT FROM ingest.repeat r
                          WHERE (r.tenant_id, r.stream_id) = (f.tenant_id, f.stream_id)
                            AND f.seq BETWEEN r.first_seq AND r.last_seq)
        ORDER BY f.stream_id, f.seq;
END
$$;
