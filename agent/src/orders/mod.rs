//! The centre's orders: the second log, judged in its order, each once.
//!
//! In reading order: [`inbox`] says whether what came joins what was judged; [`decide`] what an order means here; [`book`] is
//! what the facts about orders add up to: where the log stands, which orders are done for ever, which recalls hold.
//! All three are pure. [`task`] verifies what the relay hears and hands it to the counter, which writes each order's act;
//! so the place in the log is durable with what the order did, and no order is done twice.

pub mod book;
pub mod decide;
pub mod inbox;
pub mod task;
#[cfg(test)]
mod tests;

use pestle_domain::order::OrderHead;

/// What others see of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrdersState {
    /// The last order that was judged and is on the disk.
    pub head: OrderHead,
    /// Orders point to this version of the snapshot, or a later one; 0 for none.
    pub snapshot_wanted: u64,
    /// Why the log does not go on, in a sentence; `None` while all is well.
    pub trouble: Option<String>,
}

impl Default for OrdersState {
    fn default() -> Self {
        Self { head: OrderHead::START, snapshot_wanted: 0, trouble: None }
    }
}
