//! Chains and their branches.
//!
//! In reading order: [`rules`] turns what people write about a branch into a domain profile; [`store`] is the SQL;
//! [`api`] lists, creates and changes branches.
//!
//! Each tenant has a *revision* that rises with every change of what branches are told (their profile, the catalogue,
//! recalls, staff). It is the version of the snapshot: [`store::raise_revision`] belongs into the same transaction.

pub mod api;
pub mod rules;
pub mod store;
