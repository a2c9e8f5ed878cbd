//! Facts that this box's books lack are fetched back from the centre, which has them: a damaged store lost them, or they left
//! the box and both checkpoints of the books are gone.
//!
//! In reading order: [`page`] is what the centre sends, verified and read (pure); [`kept`] is the folder in which a page lies
//! until the books no longer need it; [`centre`] is the HTTPS side; [`work`] says what is to be asked next (pure) and [`task`]
//! does it; [`now`] does it for a command beside the agent.
//!
//! A page is kept on the disk first. Then one act in the ledger says that it is taken in, with its range and the chain's
//! value; from there on each fold of the books takes it in at that place, once. A power cut before the act leaves a file that is
//! fetched again, one behind it loses nothing. The file goes once two checkpoints of the books are behind the act.

pub mod centre;
pub mod kept;
pub mod now;
pub mod page;
pub mod task;
pub mod work;

use pestle_domain::fact::BoxBooksIncomplete;

/// What the books lack, and what was fetched back into them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lacks {
    /// Named as missing.
    pub missing: Vec<BoxBooksIncomplete>,
    /// Fetched back.
    pub fetched: Vec<BoxBooksIncomplete>,
}
