//! The drivers against simulated devices, through real pseudo-terminals and TCP.

#![cfg(feature = "sim")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "the helpers here are parts of tests: they fail the test"
)]

mod printer;
mod scanner;
mod sensor;

use std::time::Duration;

/// Longer than anything here takes on a loaded machine. A test that waits this long has failed.
const DEADLINE: Duration = Duration::from_secs(20);

/// Waits for something that must happen.
async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, what).await.expect("this should have happened within 20 s")
}
