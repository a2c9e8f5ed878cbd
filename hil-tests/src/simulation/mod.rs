//! The whole product's rules in one process and one thread, on a seeded scheduler: two branches with their disks, lines, a
//! broker, two gateways and an event store in memory. Whatever can go wrong between them does, and after every step it is checked that
//! nothing is lost, nothing counts twice, and nothing is silent.
//!
//! In reading order: [`schedule`] is what people do and what goes wrong, drawn from a seed; [`world`] lets it happen on the
//! [`scheduler`]; `counter`, `network`, [`faults`] and [`person`] are its parts: what boxes and people do, the lines, what
//! breaks, and who mends. A box is a [`site`] with its [`journal`] on a
//! simulated [`disk`]; what people do there is in [`deeds`]. [`broker`] and [`gateway`] lie between it and the [`centre`],
//! whose event store is [`memory`]. [`oracle`] holds what must hold. [`bug`] lists what is planted to see that it would be found,
//! [`shrink`] makes a failing life short and [`report`] tells it. [`conformance`] asks another event store what this one was asked.
//!
//! The product's own code decides: the relay's link, lanes and acts in hand, the judging of acknowledgements, the chain, batches in
//! real bytes with real signatures, the gateway's rules and its plan of a transaction, the folding of stock, sales and tills, and the
//! books of the branch. Simulated are the shells around them: threads, files, sockets, SQL. Answers of the centre travel as values,
//! not as bytes.

pub mod broker;
pub mod bug;
pub mod centre;
pub mod conformance;
mod counter;
pub mod deeds;
pub mod disk;
pub mod faults;
pub mod gateway;
pub mod journal;
pub mod memory;
mod network;
pub mod oracle;
pub mod orders;
pub mod person;
pub mod report;
pub mod schedule;
pub mod scheduler;
pub mod shrink;
pub mod site;
pub mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use bug::Bug;
use schedule::{Planned, draw};
use world::World;

/// How far back the centre's database may be put: ten minutes of a real centre, scaled to a life of five.
pub const RECOVERY_WINDOW_MS: u64 = 45_000;
/// Nothing goes from a box that did not hear from the centre so lately: its real 90 s, scaled to little more than the
/// interval in which it asks.
pub const HEARD_WITHIN_MS: u64 = 35_000;
/// How long a box keeps what is acknowledged: longer than both together, as the real 35 days are.
pub const RETENTION_MS: u64 = 90_000;
/// How often the database is copied.
pub const COPY_EVERY_MS: u64 = 10_000;

/// A life that went well.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lived {
    /// Things that happened.
    pub events: u64,
    /// Acts that were told and are at the centre.
    pub arrived: usize,
    /// Acts that were told and that disasters took.
    pub destroyed: usize,
}

/// A life in which something did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// When, in milliseconds since the beginning.
    pub at: u64,
    /// What.
    pub what: String,
    /// What happened before, if it was to be told.
    pub story: Vec<String>,
}

/// Lives the life of `seed`.
///
/// # Errors
/// [`Failure`].
pub fn live(seed: u64, bug: Option<Bug>) -> Result<Lived, Failure> {
    replay(seed, draw(seed), bug, false)
}

/// Lives a given schedule; `tell` notes the story.
///
/// # Errors
/// [`Failure`].
pub fn replay(seed: u64, schedule: Vec<Planned>, bug: Option<Bug>, tell: bool) -> Result<Lived, Failure> {
    let mut world = World::new(seed, schedule, bug, tell);
    // A world that fell over is looked at once more, for its clock and its story, and then dropped.
    let ran = catch_unwind(AssertUnwindSafe(|| world.run()));
    match ran.unwrap_or_else(|panic| Err(format!("the program panicked: {}", words(&*panic)))) {
        Ok(()) => Ok(Lived {
            events: world.events.made(),
            arrived: world.oracle.arrived(),
            destroyed: world.oracle.destroyed(),
        }),
        Err(what) => {
            Err(Failure { at: world.events.now(), what, story: world.story.take().unwrap_or_default() })
        }
    }
}

/// What a panic says.
pub fn words(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a word")
}

/// What was asked of the centre's store in the life of `seed`, and [`conformance::last_questions`]; a restore of its database takes
/// nothing from it here. Of another store the same can be asked.
pub fn history(seed: u64) -> Vec<conformance::Asked> {
    let mut world = World::new(seed, draw(seed), None, false);
    world.history = Some(world.centre.senders.values().cloned().map(conformance::Asked::Enrol).collect());
    // What does not hold is another test's to find: what was asked until then is a history too.
    let _ = world.run();
    let mut history = world.history.take().unwrap_or_default();
    // One log is longer than a message.
    history.extend(conformance::last_questions(&mut world.centre, if seed == 1 { 205 } else { 2 }));
    history
}

/// The shortest schedule that still fails, and how it does.
pub fn shorten(seed: u64, schedule: &[Planned], bug: Option<Bug>) -> (Vec<Planned>, Option<Failure>) {
    let fails = |steps: &[Planned]| replay(seed, steps.to_vec(), bug, false).is_err();
    let short = shrink::shrink(schedule, 2_000, fails);
    let failure = replay(seed, short.clone(), bug, true).err();
    (short, failure)
}
