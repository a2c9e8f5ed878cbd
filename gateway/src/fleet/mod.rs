//! The boxes: which there are, who they are, whether they are there, and who was revoked.
//!
//! In reading order: [`rules`] judges what a box says of its presence; [`store`] is the SQL; [`watch`] keeps the
//! broker's list of revoked boxes current; [`api`] lists and revokes. What boxes publish about themselves is written
//! to `fleet.presence` by [`crate::ingest`].

pub mod api;
pub mod rules;
pub mod store;
pub mod watch;
