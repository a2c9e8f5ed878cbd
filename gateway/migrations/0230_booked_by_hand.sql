-- A batch that came behind the place where its life of the store has ended, and that a person has booked all the same.
ALTER TABLE ingest.quarantine ADD COLUMN booked_by text, ADD COLUMN booked_at timestamptz;
