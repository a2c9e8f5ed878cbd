//! The branch daemon: devices, counter, journal, relay to the centre, and the counter's pages.
//!
//! In reading order: what it is told ([`config`], [`identity`], [`clock`], [`zone`]); how it remembers ([`journal`],
//! [`durable_file`], [`lock`]); how it speaks with the centre ([`relay`], [`centre`],
//! [`snapshot`], [`orders`]), has back from it what it lost ([`fetched`]), and what it does when the centre cannot join what it
//! says ([`appeal`]); whose keys it keeps
//! ([`personal`]); what happens at the counter
//! ([`counter`], [`spool`], [`devices`], [`cold`], [`web`]); how all of it is started, watched and ended ([`foundation`],
//! [`supervisor`], [`health`], [`service_manager`]); what its own screen shows ([`console`]), and what the system under it says ([`appliance`]); what else the program does ([`commands`]).

pub mod appeal;
pub mod appliance;
pub mod centre;
pub mod clock;
pub mod commands;
pub mod config;
pub mod console;
pub mod durable_file;
pub mod fetched;
pub mod foundation;
pub mod health;
pub mod identity;
pub mod journal;
pub mod lock;
pub mod orders;
pub mod personal;
pub mod relay;
pub mod service_manager;
pub mod snapshot;
pub mod supervisor;

pub mod cold;
pub mod counter;
pub mod devices;
pub mod space;
pub mod spool;
pub mod web;
pub mod zone;
