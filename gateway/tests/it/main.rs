//! Integration tests of the gateway: a real PostgreSQL, real TLS, the built-in broker.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends where its ground is missing"
)]

mod appeals;
mod ingest;
mod orders;
mod patients;
mod platform;
