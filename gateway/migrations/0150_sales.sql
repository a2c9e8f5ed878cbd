-- The lines of a sale are read from its fact (ADR 0012).
DROP TABLE sales.sale_line;

-- When a sale was, for lists: by the branch's clock, and never after the centre booked it, so that one wrong clock does
-- not stand above everybody's sales for ever.
ALTER TABLE sales.sale ADD COLUMN at_ms bigint;
UPDATE sales.sale SET at_ms = least(wall_ms, (extract(epoch FROM now()) * 1000)::bigint);
ALTER TABLE sales.sale ALTER COLUMN at_ms SET NOT NULL;
DROP INDEX sales.sale_recent;
CREATE INDEX sale_recent ON sales.sale (tenant_id, at_ms);

-- Which stream uses a series of receipt numbers (till and epoch of a branch). A series of two streams gives the same
-- number to two receipts.
CREATE TABLE sales.receipt_series (
    tenant_id text   NOT NULL,
    branch_id text   NOT NULL,
    till_id   text   NOT NULL,
    epoch     bigint NOT NULL,
    stream_id bigint NOT NULL,
    since     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, branch_id, till_id, epoch, stream_id)
);
SELECT public.pestle_guard('sales.receipt_series', 'SELECT, INSERT');
