//! The counter: tills, sign-ins, baskets, sales, and what becomes of their receipts.
//!
//! Reading order: [`settings`] is the configuration, [`shop`] what the centre tells the branch; [`books`] is what the journal's facts
//! add up to ([`records`] of single acts, [`remembered`] for the many acts and packs; [`checkpoint`] as bytes with [`books_kept`],
//! [`checkpoints`] on the disk, [`fold`] at a start, [`earlier`] what is fetched back later).
//!
//! [`machine`] decides and is pure ([`event`] and [`command`] are its words, [`live`] what it keeps per till, [`under_way`] what is on its
//! way to the journal). Its parts: [`sign_in`], [`session`], [`sell`], [`patient`], [`typed`]; [`printing`], [`left_over`], [`papers`],
//! [`preview`], [`drawer`]; [`room`], [`missing`], [`today`], [`device_log`], [`cold`], [`orders`]. [`counters`] counts; [`view`] is what the
//! pages show, made by [`show`].
//!
//! [`task`] is the loop that owns all of it ([`handle`] is what others hold of it), appends to the journal, and only then tells
//! anybody; [`keep`] writes what may be lost, baskets and checkpoints of the books, and [`keeping`] says when.

pub mod books;
pub mod books_kept;
pub mod checkpoint;
pub mod checkpoints;
mod cold;
pub mod command;
pub mod counters;
mod device_log;
mod drawer;
pub mod earlier;
pub mod event;
pub mod fold;
pub mod handle;
pub mod keep;
mod keeping;
mod left_over;
pub mod live;
pub mod machine;
mod missing;
mod orders;
pub mod papers;
pub mod patient;
pub mod preview;
mod printing;
pub mod rebase;
pub mod records;
pub mod remembered;
mod room;
mod sell;
mod session;
pub mod settings;
pub mod shop;
mod show;
mod sign_in;
pub mod task;
mod today;
pub mod typed;
mod under_way;
pub mod view;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_of_books;
#[cfg(test)]
mod tests_of_cold;
#[cfg(test)]
mod tests_of_devices;
#[cfg(test)]
mod tests_of_earlier;
#[cfg(test)]
mod tests_of_orders;
#[cfg(test)]
mod tests_of_papers;
#[cfg(test)]
mod tests_of_patients;
#[cfg(test)]
mod tests_of_people;
#[cfg(test)]
mod tests_of_room;
