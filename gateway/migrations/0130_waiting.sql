-- What a box stated last: an array of {branch_id, term, lane, epoch, seq}, one for each of its streams.
ALTER TABLE fleet.presence ADD COLUMN stated jsonb;

-- Facts that still wait in a box: of what it stated last, what is not committed yet. So the number falls with each
-- commit, and not only when the box states its heads again.
CREATE FUNCTION fleet.waiting(box fleet.presence) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN box.stated IS NULL THEN box.waiting ELSE (
        SELECT coalesce(sum(greatest(said.seq - coalesce(stream.head_seq, 0), 0)), 0)::bigint
        FROM jsonb_to_recordset(box.stated) AS said (branch_id text, term bigint, lane text, epoch bigint, seq bigint)
        LEFT JOIN ingest.stream
          ON (stream.tenant_id, stream.device_id, stream.branch_id, stream.term, stream.lane, stream.epoch)
           = (box.tenant_id, box.device_id, said.branch_id, said.term, said.lane, said.epoch)
    ) END
$$;
