//! Ingest against a real database: what is judged, what is refused, and that every fact counts once.

mod branch;
mod centre;
mod exactly_once;
mod figures;
mod refusals;
mod whole;
