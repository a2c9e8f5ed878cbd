-- Stock as the facts tell it: movements are only ever added, balances are their sums.

CREATE SCHEMA inventory;
GRANT USAGE ON SCHEMA inventory TO pestle_serve;

CREATE TABLE inventory.movement (
    tenant_id  text    NOT NULL,
    stream_id  bigint  NOT NULL,
    seq        bigint  NOT NULL,
    -- Which line of that fact, from 0.
    line       integer NOT NULL,
    branch_id  text    NOT NULL,
    product_id text    NOT NULL,
    -- '' where nobody knows the lot.
    lot        text    NOT NULL,
    expiry     date,
    -- Packs added to what is on hand; negative for what left.
    on_hand    bigint  NOT NULL,
    kind       text    NOT NULL,
    PRIMARY KEY (tenant_id, stream_id, seq, line)
);
SELECT public.pestle_guard('inventory.movement', 'SELECT, INSERT');

CREATE TABLE inventory.balance (
    tenant_id  text        NOT NULL,
    branch_id  text        NOT NULL,
    product_id text        NOT NULL,
    lot        text        NOT NULL,
    expiry     date,
    on_hand    bigint      NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, branch_id, product_id, lot)
);
SELECT public.pestle_guard('inventory.balance', 'SELECT, INSERT, UPDATE');

-- Where the book cannot be right; somebody should count.
CREATE TABLE inventory.discrepancy (
    tenant_id      text        NOT NULL,
    discrepancy_id bigint      NOT NULL GENERATED ALWAYS AS IDENTITY,
    branch_id      text        NOT NULL,
    product_id     text        NOT NULL,
    lot            text        NOT NULL,
    kind           text        NOT NULL,
    on_hand        bigint      NOT NULL,
    -- The last fact of the transaction in which it was seen.
    stream_id      bigint      NOT NULL,
    seq            bigint      NOT NULL,
    at             timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, discrepancy_id)
);
SELECT public.pestle_guard('inventory.discrepancy', 'SELECT, INSERT');

-- Every balance that is not the sum of its movements; no rows when all is well.
CREATE FUNCTION inventory.unequal()
    RETURNS TABLE (branch_id text, product_id text, lot text, balance bigint, movements bigint)
    LANGUAGE sql STABLE
    AS $$
        WITH summed AS (
            SELECT m.branch_id, m.product_id, m.lot, sum(m.on_hand)::bigint AS on_hand
            FROM inventory.movement m GROUP BY 1, 2, 3
        )
        SELECT coalesce(b.branch_id, s.branch_id), coalesce(b.product_id, s.product_id), coalesce(b.lot, s.lot),
               b.on_hand, s.on_hand
        FROM inventory.balance b
        FULL JOIN summed s USING (branch_id, product_id, lot)
        WHERE b.on_hand IS DISTINCT FROM s.on_hand
    $$;
