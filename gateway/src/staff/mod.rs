//! People at counters: who they are, and the verifiers of their PINs, which every branch has so that they can sign in
//! offline.
//!
//! In reading order: [`import`] reads the file that people bring; [`store`] is the SQL.

pub mod import;
pub mod store;
