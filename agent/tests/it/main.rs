//! Whole parts of the agent against real disks and sockets.
#![allow(clippy::unwrap_used, clippy::panic, reason = "what fails in a test's helper fails the test")]

mod books;
mod branch;
mod carry_over;
mod cold;
mod console;
mod counter;
mod device_commands;
mod devices;
mod devices_page;
mod doubtful;
mod journal;
mod journal_damage;
mod logo;
mod office;
mod orders;
mod papers;
mod personal;
mod program;
mod room;
mod snapshot;
mod typed;
mod web;
mod witness;
