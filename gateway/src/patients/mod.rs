//! Patients: whose sealed fields the facts carry, the keys that open them, and their erasure (invariant I11).
//!
//! In reading order: [`rules`] says who may be erased why, how long a lease lasts, and what a deposit means (pure);
//! [`store`] is the SQL; [`erasures`] keeps the erasures also as a file, and applies them to a database that was restored
//! from before; [`device`] is what boxes ask over HTTPS, [`api`] what people do.
//!
//! Everything that looks at a person's key and may change it holds that person's lock ([`store::lock_person`]): a
//! deposit that meets an erasure comes before it, and is erased, or after it, and is refused.

pub mod api;
pub mod device;
pub mod erasures;
pub mod rules;
pub mod store;
