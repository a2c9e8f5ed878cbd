//! The figures (`make bench`): each beside a baseline that is measured in the same run, in turn with it.
//!
//! Machines are noisy and differ, so a figure is a ratio where it can be, and what counts is the median of five rounds, with the
//! smallest and the largest shown. [`million`] has three rounds and [`disk`] one, since they take so long; a fixed bound holds for the
//! largest of all rounds; and what is told in the notes of [`queues`] of blows and of Mosquitto's bound is one run each.
//!
//! In reading order: [`run`] measures all; [`stats`] and [`report`] are what is made of numbers. The figures:
//! [`commit`], [`group`], [`scan`], [`receipt`], [`relay`], [`link`], [`ingest`], [`queues`], [`stock_check`], [`footprint`], [`million`], [`disk`].
//! What they stand on: [`place`] (where is measured), [`sample`] and [`backlog`] (what is sold), [`branch_box`], [`centre`] and
//! [`real_centre`] (the two ends without the demo), [`memory`], [`helper`] (a second process on a core of its own) with its jobs
//! [`feed`], [`load`] and [`stock_port`].

#![allow(clippy::float_arithmetic, reason = "measurements: no figure of the product is made of them")]

pub mod run;

pub mod report;
pub mod stats;

pub mod commit;
pub mod disk;
pub mod footprint;
pub mod group;
pub mod ingest;
pub mod link;
pub mod million;
pub mod queues;
pub mod receipt;
pub mod relay;
pub mod scan;
pub mod stock_check;

pub mod backlog;
pub mod branch_box;
pub mod centre;
pub mod feed;
pub mod helper;
pub mod load;
pub mod memory;
pub mod place;
pub mod real_centre;
pub mod sample;
pub mod stock_port;
