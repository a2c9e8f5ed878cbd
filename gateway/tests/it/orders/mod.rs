//! Orders against a real database: how they are written, what a box is sent, and what becomes of them.

mod desk;
mod forks;
mod log;
mod outcomes;
mod recalls;
mod whole;
