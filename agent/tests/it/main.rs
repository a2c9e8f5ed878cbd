//! Whole parts of the agent against real disks and sockets.
#![allow(clippy::unwrap_used, clippy::panic, reason = "what fails in a test's helper fails the test")]

mod branch;
mod counter;
mod devices;
mod journal;
mod journal_damage;
mod personal;
mod program;
mod snapshot;
mod web;
mod witness;
