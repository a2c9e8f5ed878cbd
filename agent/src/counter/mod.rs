//! The counter: tills, sign-ins, baskets, sales, and what becomes of their receipts.
//!
//! Reading order: [`shop`] is what the centre tells the branch; [`books`] is what the journal's facts add up to;
//! [`machine`] decides ([`event`] and [`command`] are its words, [`live`] what it keeps per till, [`sell`], [`session`] and
//! [`printing`] are its parts) and is pure; [`view`] is what the pages show; [`task`] is the loop that owns all of it,
//! appends to the journal, and only then tells anybody; [`keep`] writes what may be lost: baskets and the folded books.

pub mod books;
pub mod command;
pub mod event;
pub mod keep;
pub mod live;
pub mod machine;
mod printing;
mod sell;
mod session;
pub mod shop;
pub mod task;
pub mod view;

#[cfg(test)]
mod tests;
