-- With what the box signed a stream's head: the centre's witness that the history is the box's own. NULL for streams that
-- have not moved since.
ALTER TABLE ingest.stream ADD COLUMN head_key text;
ALTER TABLE ingest.stream ADD COLUMN head_signature bytea;
