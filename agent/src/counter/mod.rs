//! The counter: tills, sign-ins, baskets, sales, and what becomes of their receipts.
//!
//! Reading order: [`shop`] is what the centre tells the branch; [`books`] is what the journal's facts add up to
//! ([`records`] of single acts, [`books_kept`] as a file);
//! [`machine`] decides ([`event`] and [`command`] are its words, [`live`] what it keeps per till, [`sell`], [`sign_in`],
//! [`session`], [`patient`], [`printing`], [`drawer`], [`today`] and [`device_log`] are its parts) and is pure; [`counters`] counts; [`view`] is what the pages show, made by [`show`]; [`task`] is the loop that owns all of it,
//! appends to the journal, and only then tells anybody; [`keep`] writes what may be lost, baskets and the folded
//! books, and [`keeping`] says when.

pub mod books;
pub mod books_kept;
pub mod command;
pub mod counters;
mod device_log;
mod drawer;
pub mod event;
pub mod keep;
mod keeping;
pub mod live;
pub mod machine;
pub mod patient;
mod printing;
pub mod records;
mod sell;
mod session;
pub mod shop;
mod show;
mod sign_in;
pub mod task;
mod today;
pub mod view;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_of_devices;
#[cfg(test)]
mod tests_of_patients;
#[cfg(test)]
mod tests_of_people;
