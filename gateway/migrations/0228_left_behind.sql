-- As before (0223_orders_open.sql), but places are compared as they follow each other: behind a restore the numbers begin
-- anew where it led to, so that a box may have joined behind an order with a smaller number than the order's.
CREATE OR REPLACE FUNCTION orders.left_behind(outcome orders.outcome) RETURNS boolean
    LANGUAGE sql STABLE
    AS $$
        SELECT (outcome).state = 'refused' AND EXISTS (
            SELECT FROM orders.joined j
            WHERE (j.tenant_id, j.branch_id) = ((outcome).tenant_id, (outcome).branch_id)
              AND (j.incarnation, j.seq) >= ((outcome).incarnation, (outcome).seq))
    $$;
