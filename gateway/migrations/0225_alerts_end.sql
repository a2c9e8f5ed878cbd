-- Urgent facts are shown for a day. They are kept for as long as a box keeps its own, so that an early copy and the fact's
-- turn in the ledger stay one, and then go.
GRANT DELETE ON ingest.alert TO pestle_serve;
