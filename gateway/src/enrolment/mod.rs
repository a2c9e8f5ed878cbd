//! How a box becomes a branch's: claim codes, and what a box gets for one.
//!
//! In reading order: [`rules`] judges a code; [`store`] is the SQL; [`enrol`] does it; [`api`] is HTTP.
//!
//! A claim is 28 characters that a person carries: a secret, and which certificate authority the box may believe on
//! its first contact ([`pestle_domain::enrolment::Claim`]). The secret is stored as its SHA-256: with 55 random bits,
//! single use, an expiry and limits on tries there is nothing to gain from guessing.

pub mod api;
pub mod enrol;
pub mod rules;
pub mod store;

use std::net::IpAddr;

use crate::limits::{Limits, Rule};

/// Enrolments per address: a technician mistypes a few times.
const PER_ADDRESS: Rule = Rule { burst: 10, refill_ms: 30_000 };
/// Enrolments from everywhere: a roll-out of a thousand boxes a day is one in 86 s.
const OVERALL: Rule = Rule { burst: 200, refill_ms: 1_000 };

/// How often codes may be tried.
#[derive(Debug)]
pub struct Tries {
    per_address: Limits<IpAddr>,
    overall: Limits<()>,
}

impl Default for Tries {
    fn default() -> Self {
        Self { per_address: Limits::new(PER_ADDRESS), overall: Limits::new(OVERALL) }
    }
}
