//! A fork of this box's records, from the box's side. Two stores wrote under one name, the centre could join but one of them,
//! and this is the other: the box says so, asks the centre until a person there has decided, and carries out what was decided.
//!
//! In reading order: [`statement`] says what a person needs to know; [`task`] asks, and begins the carrying over; [`plan`]
//! is how far that is, in a file; [`carry`] does it, before anything else of the box runs.
//!
//! ```text
//!   contradicted ──► asks ──► "go on in epoch 7" ──► plan written ──► the agent begins again
//!     begins again: journals open ──► epoch 7 and the books are built beside them ──► plan: swap ──► renames ──► goes on
//! ```
//!
//! A power cut before the plan says *swap* leaves everything as it was, and the building begins again; one after it is finished by
//! the next start before a journal is opened.

pub mod carry;
pub mod plan;
pub mod statement;
pub mod task;
