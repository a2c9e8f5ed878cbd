//! The bytes that are frozen, and what must hold for any bytes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "the helpers here are parts of tests: they fail the test"
)]

mod any_bytes;
mod golden_facts;
mod golden_orders;
mod golden_wire;
mod personal;
mod samples;
