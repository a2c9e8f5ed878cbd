-- A recall that was lifted stays as a row: a list that is imported again says of it nothing new. `branches` is for whom it
-- was issued (NULL: all, those of later too), and it holds in each of them that is not in `lifted_in`.
ALTER TABLE catalogue.recall ADD COLUMN lifted_in text[] NOT NULL DEFAULT '{}';
-- When it was lifted for everybody; NULL while it holds somewhere, or may.
ALTER TABLE catalogue.recall ADD COLUMN lifted_at timestamptz;

CREATE FUNCTION catalogue.holds_in(recall catalogue.recall, branch text) RETURNS boolean
    LANGUAGE sql IMMUTABLE
    RETURN (recall).lifted_at IS NULL
       AND ((recall).branches IS NULL OR branch = ANY ((recall).branches))
       AND branch <> ALL ((recall).lifted_in);
