-- Of each stream that tells of a patient the last fact: within a stream its number says which is the last, whatever the
-- clock said, and clocks decide between streams alone. One row for both could not be right in whatever order they come.
ALTER TABLE patients.patient DROP CONSTRAINT patient_pkey;
ALTER TABLE patients.patient ADD PRIMARY KEY (tenant_id, person_id, stream_id);
