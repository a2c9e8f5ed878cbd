//! Tests of the whole: the tree's own rules, the demo as a newcomer starts it, the pages in a real browser.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that cannot go on says so by panicking"
)]

mod browser;
mod demo;
mod demo_data;
mod processes;
mod tidy;
