//! The business itself: the rules of a pharmacy branch, and the words that branch and centre speak.
//!
//! Nothing here does I/O, reads a clock or draws a random number: time, randomness and identity come in as
//! arguments. Agent and gateway run the same rules, so a stock figure in the branch and at the centre cannot
//! be computed in two ways.
//!
//! In reading order: what things are called ([`ids`], [`units`], [`money`]) and why one went wrong ([`causes`]); what a pack says ([`gs1`]); what is
//! sold and by whom ([`catalogue`], [`staff`], [`snapshot`]), and how it is kept ([`cold_chain`]); what happens ([`fact`], [`stock`], [`sale`], [`receipt`],
//! [`till`]) and what the centre has done ([`order`]); how it is kept and proved ([`journal`], [`signature`]) and what can
//! be forgotten all the same ([`personal`]); how it travels ([`wire`], [`enrolment`]), and what a
//! person decides where it cannot ([`appeal`]);
//! what is printed ([`document`]).

pub mod causes;
pub mod ids;
pub mod money;
pub mod units;

pub mod gs1;

pub mod catalogue;
pub mod cold_chain;
pub mod snapshot;
pub mod staff;

pub mod fact;
mod kinds;
pub mod order;
pub mod receipt;
pub mod sale;
pub mod stock;
pub mod till;

pub mod journal;
pub mod personal;
pub mod signature;

pub mod appeal;
pub mod enrolment;
pub mod wire;

pub mod document;
