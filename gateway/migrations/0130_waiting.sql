-- What a box stated last: an array of {device_id, branch_id, term, lane, epoch, seq}, one for each of its streams.
ALTER TABLE fleet.presence ADD COLUMN stated jsonb;

-- Facts that still wait in a box: of what it stated last, what is not committed yet. So the number falls with each
-- commit, and not only when the box states its heads again.
CREATE FUNCTION fleet.waiting(box fleet.presence) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN box.stated IS NULL THEN box.waiting ELSE (
        SELECT least(coalesce(sum(greatest(said.seq - coalesce(stream.head_seq, 0), 0)), 0), 9007199254740992)::bigint
        FROM jsonb_to_recordset(box.stated)
             AS said (device_id text, branch_id text, term bigint, lane text, epoch bigint, seq numeric)
        LEFT JOIN ingest.stream
          ON (stream.tenant_id, stream.device_id, stream.branch_id, stream.term, stream.lane, stream.epoch)
           = (box.tenant_id, said.device_id, said.branch_id, said.term, said.lane, said.epoch)
    ) END
$$;

-- Whether a box is there: it said so, and was heard within three of the intervals in which it states its heads (30 s).
-- A death can be lost with the broker that should have told it.
CREATE FUNCTION fleet.is_online(box fleet.presence) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT coalesce(box.online AND box.last_seen > now() - interval '95 s', false)
$$;
