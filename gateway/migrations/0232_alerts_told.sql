-- Beside what is urgent, people are told of what can wait for its turn: a trouble that has ended, a device that needs a decision.
-- What earlier versions noted was urgent.
ALTER TABLE ingest.alert ADD COLUMN urgent boolean NOT NULL DEFAULT true;
