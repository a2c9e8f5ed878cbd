//! The cold chain of a branch: its cold places, the probes in them with their certificates, and why readings are missing.
//!
//! [`settings`] is what the configuration names; [`book`] what the journal's facts have told; [`desk`] takes in readings and
//! contacts, and says what is recorded and shown; [`alarm`] says when a trouble is told, [`gaps`] keeps the times without
//! readings. All pure. [`remembered`] reads back what was recorded before this start.

pub mod alarm;
pub mod book;
pub mod desk;
pub mod gaps;
pub mod remembered;
pub mod settings;

#[cfg(test)]
mod tests;
