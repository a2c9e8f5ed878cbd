//! Ingest against a real database: what is judged, what is refused, and that every fact counts once.

mod alerts;
mod audit;
pub(crate) mod branch;
pub(crate) mod centre;
mod exactly_once;
mod forks;
mod kept;
mod lost;
mod presence;
mod refusals;
mod repeats;
mod succession;
mod trouble;
pub(crate) mod whole;
