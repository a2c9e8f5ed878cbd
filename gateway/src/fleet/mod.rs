//! The boxes: which there are, who they are, whether they are there, and who was revoked.
//!
//! In reading order: [`rules`] judges what a box says of its presence; [`store`] is the SQL; [`watch`] keeps the
//! broker's list of revoked boxes current; [`nudge`] tells boxes of a new snapshot or order; [`api`] lists and revokes. What boxes publish about themselves is written
//! to `fleet.presence` by [`crate::ingest`].

pub mod api;
pub mod nudge;
pub mod rules;
pub mod store;
pub mod watch;
