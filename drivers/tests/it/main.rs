//! The drivers against simulated devices, through real pseudo-terminals and TCP.

#![cfg(feature = "sim")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "the helpers here are parts of tests: they fail the test"
)]

mod finding;
mod flapping;
mod keyboard;
mod label_witness;
mod layouts;
mod learn;
mod lines;
mod office;
mod own_network;
mod printer;
mod receipts;
mod recorded;
mod scanner;
mod sensor;
mod sensor_bus;
mod sensor_probe;
mod witness;
mod witness_modbus;
mod zebra;

use std::time::Duration;

/// Longer than anything here takes on a loaded machine. A test that waits this long has failed.
const DEADLINE: Duration = Duration::from_secs(20);

/// Waits for something that must happen.
async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, what).await.expect("this should have happened within 20 s")
}
