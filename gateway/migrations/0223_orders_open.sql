-- What the console asks at each look stands in flags, so that it does not read the whole history for it.

-- Whether the branch has judged it.
ALTER TABLE orders.log ADD COLUMN settled boolean NOT NULL DEFAULT false;
-- Whether the log lacked it when it was booked, and does since: a restore took it.
ALTER TABLE orders.outcome ADD COLUMN lost boolean NOT NULL DEFAULT false;

-- Where boxes that began anew in a branch took up its log: what was refused before that, nobody tries again.
CREATE TABLE orders.joined (
    tenant_id   text        NOT NULL,
    branch_id   text        NOT NULL,
    incarnation bigint      NOT NULL,
    seq         bigint      NOT NULL,
    at          timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, branch_id, incarnation, seq)
);
SELECT public.pestle_guard('orders.joined', 'SELECT, INSERT');

ALTER TABLE orders.log NO FORCE ROW LEVEL SECURITY;
ALTER TABLE orders.outcome NO FORCE ROW LEVEL SECURITY;
ALTER TABLE orders.joined NO FORCE ROW LEVEL SECURITY;
UPDATE orders.log l SET settled = true
FROM orders.outcome o WHERE (o.tenant_id, o.branch_id, o.order_id) = (l.tenant_id, l.branch_id, l.order_id);
UPDATE orders.outcome o SET lost = true
WHERE NOT EXISTS (SELECT FROM orders.log l WHERE (l.tenant_id, l.branch_id, l.order_id) = (o.tenant_id, o.branch_id, o.order_id));
-- Where a box joined was not kept before; what came to it by its snapshot tells how far that was at least.
INSERT INTO orders.joined (tenant_id, branch_id, incarnation, seq)
SELECT DISTINCT ON (tenant_id, branch_id) tenant_id, branch_id, incarnation, seq FROM orders.outcome
WHERE state = 'contained' ORDER BY tenant_id, branch_id, incarnation DESC, seq DESC;
ALTER TABLE orders.log FORCE ROW LEVEL SECURITY;
ALTER TABLE orders.outcome FORCE ROW LEVEL SECURITY;
ALTER TABLE orders.joined FORCE ROW LEVEL SECURITY;

CREATE INDEX log_open ON orders.log (tenant_id, branch_id, seq) WHERE NOT settled;
DROP INDEX orders.outcome_troubled;
CREATE INDEX outcome_troubled ON orders.outcome (tenant_id, at) WHERE state = 'refused' OR done > 1 OR lost;
GRANT UPDATE (settled) ON orders.log TO pestle_serve;

-- Whether the box that refused it, and would try it again, began anew or was replaced.
CREATE FUNCTION orders.left_behind(outcome orders.outcome) RETURNS boolean
    LANGUAGE sql STABLE
    AS $$
        SELECT (outcome).state = 'refused' AND EXISTS (
            SELECT FROM orders.joined j
            WHERE (j.tenant_id, j.branch_id) = ((outcome).tenant_id, (outcome).branch_id)
              AND j.incarnation >= (outcome).incarnation AND j.seq >= (outcome).seq)
    $$;
