-- What a box says of itself that a person should act on, written when its facts are folded, from what they mean: a fact
-- that is stored without effect says nothing here, whatever its bytes are.

-- How much room its disk had when that last got better or worse by a step.
CREATE TABLE ingest.box_space (
    tenant_id text        NOT NULL,
    device_id text        NOT NULL,
    branch_id text        NOT NULL,
    term      bigint      NOT NULL,
    epoch     bigint      NOT NULL,
    seq       bigint      NOT NULL,
    level     text        NOT NULL,
    free_mib  bigint      NOT NULL,
    days_left bigint,
    at        timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, device_id)
);
SELECT public.pestle_guard('ingest.box_space', 'SELECT, INSERT, UPDATE');

-- Readings that it did not record for want of room; those of the last day are shown, older ones go.
CREATE TABLE ingest.box_shed (
    tenant_id text        NOT NULL,
    fact_id   uuid        NOT NULL,
    branch_id text        NOT NULL,
    device_id text        NOT NULL,
    term      bigint      NOT NULL,
    facts     bigint      NOT NULL,
    at        timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, fact_id)
);
CREATE INDEX box_shed_by_time ON ingest.box_shed (tenant_id, at);
SELECT public.pestle_guard('ingest.box_shed', 'SELECT, INSERT, DELETE');

-- Which facts of one life of its store its own books lack: a row for each life, whatever is said how often.
CREATE TABLE ingest.box_lacks (
    tenant_id text           NOT NULL,
    device_id text           NOT NULL,
    branch_id text           NOT NULL,
    term      bigint         NOT NULL,
    epoch     bigint         NOT NULL,
    lacks     int8multirange NOT NULL,
    at        timestamptz    NOT NULL,
    PRIMARY KEY (tenant_id, device_id, term, epoch)
);
SELECT public.pestle_guard('ingest.box_lacks', 'SELECT, INSERT, UPDATE, DELETE');

-- What was folded before these tables were there. Bytes that PostgreSQL cannot read as such a fact are passed over.
CREATE FUNCTION ingest.box_words_of_before() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    fact record;
    said jsonb;
BEGIN
    FOR fact IN
        SELECT f.tenant_id, f.fact_id, f.kind, f.bytes, f.seq, s.branch_id, s.device_id, s.term, s.epoch,
               to_timestamp(least(greatest(f.wall_ms, 0) / 1000.0, extract(epoch FROM now()))) AS at
        FROM ingest.fact f
        JOIN ingest.stream s ON (s.tenant_id, s.stream_id) = (f.tenant_id, f.stream_id)
        WHERE f.kind IN ('box.space_low', 'box.shed', 'box.books_incomplete') AND f.folded
        ORDER BY s.term, s.epoch, f.seq
    LOOP
        BEGIN
            said := convert_from(fact.bytes, 'UTF8')::jsonb -> 'data';
            CASE fact.kind
                WHEN 'box.space_low' THEN
                    INSERT INTO ingest.box_space
                    VALUES (fact.tenant_id, fact.device_id, fact.branch_id, fact.term, fact.epoch, fact.seq,
                            CASE WHEN said->>'level' IN ('plenty', 'low', 'shedding', 'full') THEN said->>'level' ELSE 'low' END,
                            (said->>'free_mib')::bigint, (said->>'days_left')::bigint, fact.at)
                    ON CONFLICT (tenant_id, device_id) DO UPDATE
                       SET (branch_id, term, epoch, seq, level, free_mib, days_left, at)
                         = (excluded.branch_id, excluded.term, excluded.epoch, excluded.seq, excluded.level,
                            excluded.free_mib, excluded.days_left, excluded.at);
                WHEN 'box.shed' THEN
                    INSERT INTO ingest.box_shed
                    VALUES (fact.tenant_id, fact.fact_id, fact.branch_id, fact.device_id, fact.term,
                            (said->>'facts')::bigint, fact.at);
                ELSE
                    INSERT INTO ingest.box_lacks AS l
                    VALUES (fact.tenant_id, fact.device_id, fact.branch_id, fact.term, (said->>'epoch')::bigint,
                            int8multirange(int8range((said->>'from')::bigint, (said->>'to')::bigint, '[]')), fact.at)
                    ON CONFLICT (tenant_id, device_id, term, epoch) DO UPDATE
                       SET lacks = l.lacks + excluded.lacks, at = excluded.at;
            END CASE;
        EXCEPTION WHEN data_exception OR not_null_violation OR program_limit_exceeded THEN
            NULL;
        END;
    END LOOP;
END
$$;
-- The owner of the tables reads and writes every tenant's rows this once.
ALTER TABLE ingest.fact NO FORCE ROW LEVEL SECURITY;
ALTER TABLE ingest.stream NO FORCE ROW LEVEL SECURITY;
ALTER TABLE ingest.box_space NO FORCE ROW LEVEL SECURITY;
ALTER TABLE ingest.box_shed NO FORCE ROW LEVEL SECURITY;
ALTER TABLE ingest.box_lacks NO FORCE ROW LEVEL SECURITY;
SELECT ingest.box_words_of_before();
ALTER TABLE ingest.fact FORCE ROW LEVEL SECURITY;
ALTER TABLE ingest.stream FORCE ROW LEVEL SECURITY;
ALTER TABLE ingest.box_space FORCE ROW LEVEL SECURITY;
ALTER TABLE ingest.box_shed FORCE ROW LEVEL SECURITY;
ALTER TABLE ingest.box_lacks FORCE ROW LEVEL SECURITY;
DROP FUNCTION ingest.box_words_of_before();
DROP INDEX ingest.fact_of_box;

-- As before, but a box's own books are one row, with all that they lack.
CREATE OR REPLACE FUNCTION ingest.box_says()
    RETURNS TABLE (says text, branch_id text, device_id text, data jsonb, at timestamptz)
    LANGUAGE sql STABLE
    AS $$
        WITH said AS (
            SELECT 'space' AS says, w.tenant_id, w.branch_id, w.device_id, w.term, w.at,
                   jsonb_build_object('level', w.level, 'free_mib', w.free_mib, 'days_left', w.days_left) AS data
            FROM ingest.box_space w WHERE w.level <> 'plenty'
            UNION ALL
            SELECT 'shed', w.tenant_id, w.branch_id, w.device_id, w.term, max(w.at),
                   jsonb_build_object('facts', sum(w.facts))
            FROM ingest.box_shed w WHERE w.at > now() - interval '1 day'
            GROUP BY w.tenant_id, w.branch_id, w.device_id, w.term
            UNION ALL
            SELECT 'books', w.tenant_id, w.branch_id, w.device_id, w.term, max(w.at),
                   jsonb_build_object('lacks', jsonb_agg(
                       jsonb_build_object('epoch', w.epoch, 'from', lower(gap), 'to', upper(gap) - 1)
                       ORDER BY w.epoch, gap))
            FROM ingest.box_lacks w CROSS JOIN LATERAL unnest(w.lacks) AS gap
            GROUP BY w.tenant_id, w.branch_id, w.device_id, w.term
        )
        SELECT s.says, s.branch_id, s.device_id, s.data, s.at FROM said s
        -- A box that was replaced says nothing any more.
        WHERE s.term = (SELECT max(latest.term) FROM ingest.stream latest
                        WHERE (latest.tenant_id, latest.branch_id) = (s.tenant_id, s.branch_id))
    $$;
