//! A disk that can be cut off: a file system in memory, mounted with FUSE, that knows which bytes, lengths and names have
//! been synced and which have not, remembers what was done to it, and fails as it is told.
//!
//! In reading order: [`plain`] (files and folders as they lie on a disk), [`op`]
//! (what programs do to it), [`sectors`] and [`names`] (what is not synced yet, of a file and of folders), [`model`] (both
//! together: what a power cut may leave), [`fault`] (what it is told to refuse), [`state`] (all of it behind one lock),
//! [`serve`] (the kernel's questions) and [`mount`] (under a path).
//!
//! What the model allows a power cut to leave is as bad as POSIX permits, and worse than any one file system is:
//!
//! - of each sector of 512 bytes that was written since the file's last sync, any content that it had since then, each
//!   sector for itself; a sector that never reached the disk reads zero;
//! - any length that the file had since its last sync;
//! - each creation, renaming and removal of a name since its folder's last sync, each for itself; a rename whole or not
//!   at all. Syncing a file does not make its name durable;
//! - after a sync that failed, what it should have written may be lost even if a later one succeeds.
//!
//! `sync_file_range` never reaches a file system, and so it makes nothing durable here either.

pub mod fault;
pub mod model;
pub mod mount;
pub mod names;
pub mod op;
pub mod plain;
pub mod sectors;
pub mod serve;
pub mod state;
