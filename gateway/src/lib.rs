//! The centre: a modular monolith on PostgreSQL with the broker built in.
//!
//! What it stands on: [`config`], [`files`], [`postgres`] (the private cluster), [`db`] (scopes and schema),
//! [`authority`] (certificates and signing keys), [`broker`], [`http`], [`limits`].
//!
//! What it does, a folder per module with `rules.rs` (pure), `store.rs` (SQL alone) and `api.rs` (HTTP alone):
//! [`tenancy`], [`identity`], [`catalogue`], [`staff`], [`snapshot`], [`enrolment`], [`fleet`], [`ingest`],
//! [`inventory`], [`sales`], [`orders`], [`patients`], [`audit`], [`appeals`].
//!
//! How it runs: [`run`] starts all of it and ends it in order, [`app`] is what handlers and tasks share, [`admin`] is
//! the command line's way to the same data.

pub mod admin;
pub mod app;
pub mod authority;
pub mod broker;
pub mod config;
pub mod db;
pub mod files;
pub mod http;
pub mod limits;
mod lock;
pub mod postgres;
pub mod run;

pub mod catalogue;
pub mod enrolment;
pub mod fleet;
pub mod identity;
pub mod snapshot;
pub mod staff;
pub mod tenancy;

#[cfg(feature = "testing")]
pub mod testing;

pub mod appeals;
pub mod audit;
pub mod console;
pub mod ingest;
pub mod inventory;
pub mod orders;
pub mod patients;
pub mod sales;
