//! What everything else stands on.

pub(crate) mod broker;
pub(crate) mod client;
mod enrolment;
mod identity;
mod imports;
mod isolation;
mod migrations;
mod mosquitto;
mod port;
mod process;
pub(crate) mod roles;
mod snapshot;
mod standing;
