-- For whom an order was asked for, so that the same id for other branches is not taken for a repeat. Empty: for all that
-- there were. NULL where that was not kept: the branches are those of the log then.
ALTER TABLE orders.issued ADD COLUMN whom text[];
