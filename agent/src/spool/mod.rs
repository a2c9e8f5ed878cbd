//! What is to be printed, and the honest story of each job (invariant I9).
//!
//! [`machine`] decides and is pure; [`task`] is the shell around one printer.

pub mod machine;
pub mod task;
