//! Finding devices, and keeping them: which of the box's names is which of the things that are plugged in.
//!
//! [`sysfs`] reads what is attached; [`device`] is what it tells, [`selector`] the names that stay. [`keeping`]
//! decides what becomes of a name when devices come, go, come back elsewhere or are exchanged; [`keeper`] is the task
//! around it, woken by [`uevent`], and [`memory`] what it keeps durably. [`identify`] answers "which of the two is it".

pub mod binding;
pub mod change;
pub mod device;
pub mod flaps;
pub mod identify;
pub mod keeper;
pub mod keeping;
mod known;
pub mod memory;
pub mod question;
pub mod selector;
pub mod sysfs;
pub mod uevent;
