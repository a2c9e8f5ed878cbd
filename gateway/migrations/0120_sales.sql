-- Sales and cash sessions as the facts tell them. Amounts are integers of the currency's minor unit.

CREATE SCHEMA sales;
GRANT USAGE ON SCHEMA sales TO pestle_serve;

CREATE TABLE sales.sale (
    tenant_id      text    NOT NULL,
    -- The act that the receipt's QR names. The fact id beside it keeps the key unique whatever a box sends.
    act_id         uuid    NOT NULL,
    fact_id        uuid    NOT NULL,
    branch_id      text    NOT NULL,
    device_id      text    NOT NULL,
    till_id        text    NOT NULL,
    session_id     uuid    NOT NULL,
    receipt_epoch  bigint  NOT NULL,
    receipt_number bigint  NOT NULL,
    actor          text    NOT NULL,
    wall_ms        bigint  NOT NULL,
    business_date  date    NOT NULL,
    currency       text    NOT NULL,
    total_minor    bigint  NOT NULL,
    tax_minor      bigint  NOT NULL,
    tender         text    NOT NULL,
    tendered_minor bigint  NOT NULL,
    change_minor   bigint  NOT NULL,
    lines          integer NOT NULL,
    PRIMARY KEY (tenant_id, act_id, fact_id)
);
CREATE INDEX sale_recent ON sales.sale (tenant_id, wall_ms);
SELECT public.pestle_guard('sales.sale', 'SELECT, INSERT');

CREATE TABLE sales.sale_line (
    tenant_id   text    NOT NULL,
    fact_id     uuid    NOT NULL,
    -- From 0, as on the receipt.
    line        integer NOT NULL,
    product_id  text    NOT NULL,
    gtin        text    NOT NULL,
    name        text    NOT NULL,
    quantity    bigint  NOT NULL,
    unit_minor  bigint  NOT NULL,
    amount_minor bigint NOT NULL,
    -- The rate inside the amount, in hundredths of a per cent.
    tax_rate    bigint  NOT NULL,
    PRIMARY KEY (tenant_id, fact_id, line)
);
SELECT public.pestle_guard('sales.sale_line', 'SELECT, INSERT');

-- A cash session of a drawer. Sums are kept apart from what the branch told at closing, so that both can be compared.
CREATE TABLE sales.session (
    tenant_id           text   NOT NULL,
    branch_id           text   NOT NULL,
    session_id          uuid   NOT NULL,
    currency            text   NOT NULL,
    till_id             text   NOT NULL,
    device_id           text   NOT NULL,
    -- NULL while its opening has not come.
    float_minor         bigint,
    opened_ms           bigint,
    opened_by           text,
    business_date       date,
    received_minor      bigint NOT NULL DEFAULT 0,
    paid_in_minor       bigint NOT NULL DEFAULT 0,
    paid_out_minor      bigint NOT NULL DEFAULT 0,
    sales               bigint NOT NULL DEFAULT 0,
    -- Of the sums above, what came after the closing: adjustments of this session, never moved to another.
    late_minor          bigint NOT NULL DEFAULT 0,
    late_count          bigint NOT NULL DEFAULT 0,
    counted_minor       bigint,
    told_expected_minor bigint,
    told_variance_minor bigint,
    told_sales          bigint,
    closed_ms           bigint,
    closed_by           text,
    PRIMARY KEY (tenant_id, branch_id, session_id, currency)
);
CREATE INDEX session_recent ON sales.session (tenant_id, branch_id, opened_ms);
SELECT public.pestle_guard('sales.session', 'SELECT, INSERT, UPDATE');

CREATE TABLE sales.till_movement (
    tenant_id    text    NOT NULL,
    stream_id    bigint  NOT NULL,
    seq          bigint  NOT NULL,
    branch_id    text    NOT NULL,
    till_id      text    NOT NULL,
    session_id   uuid    NOT NULL,
    kind         text    NOT NULL,
    -- Positive into the drawer, negative out of it.
    amount_minor bigint  NOT NULL,
    currency     text    NOT NULL,
    wall_ms      bigint  NOT NULL,
    reason       text    NOT NULL,
    -- It came after its session was closed.
    late         boolean NOT NULL,
    PRIMARY KEY (tenant_id, stream_id, seq)
);
SELECT public.pestle_guard('sales.till_movement', 'SELECT, INSERT');

CREATE TABLE sales.day (
    tenant_id     text   NOT NULL,
    branch_id     text   NOT NULL,
    business_date date   NOT NULL,
    currency      text   NOT NULL,
    sales         bigint NOT NULL,
    gross_minor   bigint NOT NULL,
    tax_minor     bigint NOT NULL,
    PRIMARY KEY (tenant_id, branch_id, business_date, currency)
);
SELECT public.pestle_guard('sales.day', 'SELECT, INSERT, UPDATE');

-- Every session and day whose sums are not those of its movements and sales; no rows when all is well.
CREATE FUNCTION sales.unequal()
    RETURNS TABLE (what text, branch_id text, name text, kept bigint, summed bigint)
    LANGUAGE sql STABLE
    AS $$
        WITH moved AS (
            SELECT m.branch_id, m.session_id, m.currency, sum(m.amount_minor)::bigint AS amount
            FROM sales.till_movement m GROUP BY 1, 2, 3
        ), sold AS (
            SELECT s.branch_id, s.business_date, s.currency, sum(s.total_minor)::bigint AS gross
            FROM sales.sale s GROUP BY 1, 2, 3
        )
        SELECT 'session', coalesce(k.branch_id, m.branch_id), coalesce(k.session_id, m.session_id)::text,
               k.received_minor + k.paid_in_minor - k.paid_out_minor, coalesce(m.amount, 0)
        FROM sales.session k FULL JOIN moved m USING (branch_id, session_id, currency)
        WHERE k.received_minor + k.paid_in_minor - k.paid_out_minor IS DISTINCT FROM coalesce(m.amount, 0)
        UNION ALL
        SELECT 'day', coalesce(d.branch_id, s.branch_id), coalesce(d.business_date, s.business_date)::text,
               d.gross_minor, s.gross
        FROM sales.day d FULL JOIN sold s USING (branch_id, business_date, currency)
        WHERE d.gross_minor IS DISTINCT FROM s.gross
    $$;
