-- Patients (invariant I11): what facts tell of them stays sealed here too; the keys that open it stand beside it, wrapped
-- under a key-encryption key that is not in this database.

CREATE SCHEMA patients;
GRANT USAGE ON SCHEMA patients TO pestle_serve;

-- Destroying a person's rows here erases the person.
CREATE TABLE patients.person_key (
    tenant_id    text        NOT NULL REFERENCES tenancy.tenant,
    person_id    uuid        NOT NULL,
    -- The how-manieth key of the person, from 1.
    generation   bigint      NOT NULL CHECK (generation >= 1),
    -- Which key-encryption key wrapped it: authority/personal/<kek>.key.
    kek          text        NOT NULL,
    nonce        bytea       NOT NULL CHECK (length(nonce) = 12),
    wrapped      bytea       NOT NULL,
    branch_id    text        NOT NULL,
    device_id    text        NOT NULL,
    deposited_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, person_id, generation)
);
SELECT public.pestle_guard('patients.person_key', 'SELECT, INSERT, DELETE');

-- Which branch may have a person's key, and until when it may keep it. One whose time is over may be fetched anew: the
-- row says that the branch may, until the person is erased.
CREATE TABLE patients.lease (
    tenant_id text        NOT NULL REFERENCES tenancy.tenant,
    person_id uuid        NOT NULL,
    branch_id text        NOT NULL,
    until     timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, person_id, branch_id)
);
SELECT public.pestle_guard('patients.lease', 'SELECT, INSERT, UPDATE, DELETE');

-- What the facts tell last of each patient, sealed.
CREATE TABLE patients.patient (
    tenant_id  text   NOT NULL,
    person_id  uuid   NOT NULL,
    -- Where they were registered; NULL while that fact has not come.
    branch_id  text,
    generation bigint NOT NULL,
    nonce      bytea  NOT NULL,
    text       bytea  NOT NULL,
    -- Of the fact: by the branch's clock and never after the centre booked it; then its place. The last counts, in
    -- whatever order facts arrive.
    at_ms      bigint NOT NULL,
    stream_id  bigint NOT NULL,
    seq        bigint NOT NULL,
    PRIMARY KEY (tenant_id, person_id)
);
SELECT public.pestle_guard('patients.patient', 'SELECT, INSERT, UPDATE');

-- Who was erased. Kept for ever, and as a file beside the authority, since a database can be restored from before.
CREATE TABLE patients.erasure (
    tenant_id text        NOT NULL REFERENCES tenancy.tenant,
    person_id uuid        NOT NULL,
    erased_at timestamptz NOT NULL,
    -- The user who did it.
    erased_by uuid        NOT NULL,
    -- asked, retention, mistake or other: no text in which a name could stand.
    why       text        NOT NULL,
    -- Of the letter or the case; may be empty.
    reference text        NOT NULL,
    PRIMARY KEY (tenant_id, person_id)
);
SELECT public.pestle_guard('patients.erasure', 'SELECT, INSERT');

-- Who looked at whom.
CREATE TABLE patients.access (
    tenant_id text        NOT NULL REFERENCES tenancy.tenant,
    access_id bigint      NOT NULL GENERATED ALWAYS AS IDENTITY,
    person_id uuid        NOT NULL,
    user_id   uuid        NOT NULL,
    role      text        NOT NULL,
    -- read, or erased.
    what      text        NOT NULL,
    at        timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, access_id)
);
CREATE INDEX access_of_person ON patients.access (tenant_id, person_id, at);
SELECT public.pestle_guard('patients.access', 'SELECT, INSERT');
