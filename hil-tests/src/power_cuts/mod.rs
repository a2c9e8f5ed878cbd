//! Power cuts: what was told is there afterwards, once, and everything opens.
//!
//! For the journal alone, what it does to a disk is recorded once, and thousands of cuts are made from that. In reading
//! order: [`acts`] (what is recorded in it), [`script`] (in what ways), [`history`] (what was told, at each moment),
//! [`record`] (a script on a disk that remembers), [`judge`] (the real journal opens what a cut left), [`campaign`] (many
//! cuts, from a seed), [`kept`] (a cut that failed, to be made again), [`reopened`] (another
//! journal, at which the harness itself is tried).
//!
//! For the whole agent: [`provisioned`] (a box that needs no centre), [`agent_on_disk`] (its agent on such a disk), [`till`]
//! (who sells), [`account`] (what the pages were told), [`papers`] (what came out of a printer), [`agent_campaign`] (the cuts).

pub mod account;
pub mod acts;
pub mod agent_campaign;
pub mod agent_on_disk;
pub mod campaign;
pub mod history;
pub mod judge;
pub mod kept;
pub mod papers;
pub mod provisioned;
pub mod record;
pub mod reopened;
pub mod script;
pub mod till;
