//! The programming sheet: a page of test codes by which a scanner's settings are *learned* instead of typed in.
//!
//! [`sheet`] prints the page; [`learner`] is told what arrives when its codes are scanned and says which code is next, or
//! what was learned, or what is wrong and how it is mended ([`verdict`]); [`burst`] is what arrives, read in every possible
//! way; [`session`] owns the line meanwhile. [`settings`] are what is
//! stored and by what scans are read from then on.

pub mod burst;
pub mod learner;
pub mod session;
pub mod settings;
pub mod sheet;
pub mod verdict;
