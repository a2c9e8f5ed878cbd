//! Stock as the facts of all branches tell it.
//!
//! In reading order: [`rules`] gathers what facts do to the book, by the domain's own rule; [`store`] writes and reads
//! it; [`cache`] keeps answers of the stock check; [`api`] is its REST interface.

pub mod api;
pub mod cache;
pub mod rules;
pub mod store;
