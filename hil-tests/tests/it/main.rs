//! Tests of the whole: the tree's own rules, the demo as a newcomer starts it, the pages in a real browser.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that cannot go on says so by panicking"
)]

mod bench;
mod bench_rig;
mod browser;
mod chaos;
mod demo;
mod demo_data;
mod fetched;
mod forks;
mod fuzz;
mod patients;
mod power_cuts;
mod processes;
mod simulation;
mod tidy;

/// Each of these tests starts the whole product: one at a time is quicker than two that starve each other. nextest sees
/// to it by its groups; this does where all tests are threads of one process.
pub(crate) async fn whole_product() -> tokio::sync::MutexGuard<'static, ()> {
    static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let alone = ALONE.lock().await;
    // The only provider; another test of this process may have been first.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    alone
}
