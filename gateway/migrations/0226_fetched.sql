-- Facts of a life of a branch's ledger that its box lacked and has taken back into its books from here: what the centre saw
-- of their loss is over.
CREATE TABLE ingest.box_fetched (
    tenant_id text           NOT NULL,
    branch_id text           NOT NULL,
    epoch     bigint         NOT NULL,
    fetched   int8multirange NOT NULL,
    PRIMARY KEY (tenant_id, branch_id, epoch)
);
SELECT public.pestle_guard('ingest.box_fetched', 'SELECT, INSERT, UPDATE');
