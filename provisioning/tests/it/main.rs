//! Tests of the technician's tool against a centre that can be told to misbehave.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that cannot go on says so by panicking"
)]

mod centre;
mod enrol;
