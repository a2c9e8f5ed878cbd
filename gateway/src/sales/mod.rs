//! Sales and cash sessions as the facts of all branches tell them.
//!
//! In reading order: [`rules`] gathers what facts do; [`store`] writes and reads it; [`api`] is its REST interface.

pub mod api;
pub mod rules;
pub mod store;
