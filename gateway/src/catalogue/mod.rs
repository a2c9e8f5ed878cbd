//! What the chain sells: articles with their pack numbers and prices, and recalls.
//!
//! In reading order: [`import`] reads the files that people bring, purely, and says the line of each error; [`store`]
//! is the SQL of articles, [`recalls`] that of recalls; [`api`] lists and searches.

pub mod api;
pub mod import;
pub mod recalls;
pub mod store;
