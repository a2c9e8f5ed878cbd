//! The field technician's tool: brings a box to life at a branch.
//!
//! What it does, in reading order: [`enrol`] asks the centre who this box is; [`first_contact`] finds out whether that
//! centre is the right one before anything secret is said; [`answer`] checks what comes back; [`identity_folder`] keeps
//! it, whole or not at all; [`succession`] proves who the box was before.

pub mod enrol;

pub mod answer;
pub mod first_contact;
pub mod identity_folder;
pub mod succession;

pub use enrol::{EnrolError, Enrolment, enrol};
