//! What happens in one simulated life: what people do and what goes wrong, drawn from a seed before it begins. Each step
//! stands alone, so that any of them can be left out: that is how a failing life is made short.

use serde::{Deserialize, Serialize};

use crate::seeded::Seeded;

/// Pharmacies.
pub const BRANCHES: usize = 2;
/// Drawers in each.
pub const TILLS: usize = 2;
/// Gateways.
pub const GATEWAYS: usize = 2;

/// One step and its moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    /// Milliseconds since the beginning.
    pub at: u64,
    /// What happens then.
    pub step: Step,
}

/// What a person does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Deed {
    /// Sells packs of an article, and of the next one as well if there are `more`.
    Sell {
        /// Which article.
        product: usize,
        /// How many packs.
        packs: i64,
        /// Packs of the next article.
        more: i64,
    },
    /// Sets the book right.
    Adjust {
        /// Which article.
        product: usize,
        /// Added.
        packs: i64,
    },
    /// A delivery.
    Receive {
        /// Which article.
        product: usize,
        /// How many packs.
        packs: i64,
    },
    /// Puts cash in, or takes it out.
    Cash {
        /// Signed, in pence.
        pence: i64,
    },
    /// Counts the drawer and closes the till; the next one opens it again.
    CloseTill,
    /// A sensor is read: telemetry.
    Reading,
}

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// A person does something at a till.
    Do {
        /// In which branch.
        branch: usize,
        /// At which till.
        till: usize,
        /// What.
        deed: Deed,
    },
    /// The line of a branch is cut for a while.
    CutLine {
        /// Whose.
        branch: usize,
        /// How long.
        ms: u64,
    },
    /// From now on messages are lost, doubled and delayed.
    Weather {
        /// Of 1,000 messages, how many are lost.
        lost: u64,
        /// Of 1,000, how many come twice.
        twice: u64,
        /// Longest delay.
        slow_ms: u64,
    },
    /// The broker restarts and has forgotten everything.
    BrokerForgets {
        /// How long it is away.
        ms: u64,
    },
    /// The power of a branch goes.
    PowerCut {
        /// Whose.
        branch: usize,
        /// How long.
        ms: u64,
        /// How many of the acts that were not synced are on the disk all the same.
        kept: usize,
    },
    /// A sync of a branch's disk fails.
    SyncFails {
        /// Whose.
        branch: usize,
    },
    /// A gateway is killed.
    GatewayDies {
        /// Which.
        gateway: usize,
        /// How long it is away.
        ms: u64,
    },
    /// The next commit fails.
    CommitFails,
    /// The next commit is done, and nobody hears of it.
    CommitUnheard,
    /// The database is away.
    DatabaseAway {
        /// How long.
        ms: u64,
    },
    /// The next batch reaches the centre with a changed byte.
    Garble,
    /// Somebody copies a box's disk.
    CopyBox {
        /// Whose.
        branch: usize,
    },
    /// The copy is put back.
    RestoreBox {
        /// Whose.
        branch: usize,
    },
    /// The copy, or the disk as it is, is put into a second box, which runs beside the first.
    CloneBox {
        /// Whose.
        branch: usize,
    },
    /// The disk loses acts that it had synced.
    LoseTail {
        /// Whose.
        branch: usize,
        /// How many.
        acts: usize,
    },
    /// The centre's database is put back to what it was.
    RestoreCentre {
        /// So long ago.
        ms: u64,
    },
    /// A box's clock is set.
    ClockJumps {
        /// Whose.
        branch: usize,
        /// By how much.
        ms: i64,
    },
    /// Another box takes a branch over.
    Replace {
        /// Which branch.
        branch: usize,
        /// With the old one's disk; else that is lost.
        disk: bool,
    },
    /// A person at the centre corrects a branch's book.
    Order {
        /// Whose.
        branch: usize,
        /// Of which article.
        product: usize,
        /// Added.
        packs: i64,
    },
    /// A person looks after a box that stands still.
    LookAfter {
        /// Whose.
        branch: usize,
    },
}

/// How often a fault is drawn, against the others of its life, and how.
type Fault = (u64, fn(&mut Seeded) -> Step);

const FAULTS: [Fault; 18] = [
    (10, |r| {
        let longest = if r.per_mille(200) { 150_000 } else { 40_000 };
        Step::CutLine { branch: r.index(BRANCHES), ms: r.between(500, longest) }
    }),
    (8, |r| {
        let (lost, twice) = (r.below(300), r.below(300));
        let slow_ms = if r.per_mille(300) { r.between(2_000, 45_000) } else { r.between(10, 500) };
        Step::Weather { lost, twice, slow_ms }
    }),
    (5, |r| Step::BrokerForgets { ms: r.between(100, 8_000) }),
    (10, |r| Step::PowerCut { branch: r.index(BRANCHES), ms: r.between(500, 20_000), kept: r.index(3) }),
    (5, |r| Step::SyncFails { branch: r.index(BRANCHES) }),
    (8, |r| Step::GatewayDies { gateway: r.index(GATEWAYS), ms: r.between(100, 10_000) }),
    (6, |_| Step::CommitFails),
    (6, |_| Step::CommitUnheard),
    (4, |r| Step::DatabaseAway { ms: r.between(200, 20_000) }),
    (5, |_| Step::Garble),
    (6, |r| Step::CopyBox { branch: r.index(BRANCHES) }),
    (4, |r| Step::RestoreBox { branch: r.index(BRANCHES) }),
    (3, |r| Step::CloneBox { branch: r.index(BRANCHES) }),
    (3, |r| Step::LoseTail { branch: r.index(BRANCHES), acts: 1 + r.index(3) }),
    (4, |r| Step::RestoreCentre { ms: r.between(1_000, super::RECOVERY_WINDOW_MS) }),
    (3, |r| {
        let ahead = r.per_mille(500);
        let ms = i64::try_from(r.between(1_000, 400_000)).unwrap_or(0);
        Step::ClockJumps { branch: r.index(BRANCHES), ms: if ahead { ms } else { -ms } }
    }),
    (3, |r| Step::Replace { branch: r.index(BRANCHES), disk: r.per_mille(700) }),
    (5, |r| Step::LookAfter { branch: r.index(BRANCHES) }),
];

/// Packs that no shelf holds: a box has to refuse such an order, and goes on behind it.
pub const PACKS_IMPOSSIBLE: i64 = 2_000_000_000;

/// How long people work and things go wrong. After that all is mended, and everything has to arrive.
pub const LIFE_MS: u64 = 300_000;

/// The life of `seed`. Each life has its own choice of faults: some rare ones together are met only where the others
/// leave them room.
pub fn draw(seed: u64) -> Vec<Planned> {
    let mut random = Seeded::of_all(&[seed, 1]);
    let mut steps = Vec::new();
    let chosen: Vec<_> = FAULTS.iter().filter(|_| random.per_mille(450)).collect();
    let deeds = random.between(15, 60);
    for _ in 0..deeds {
        let (branch, till) = (random.index(BRANCHES), random.index(TILLS));
        let deed = deed(&mut random);
        steps.push(Planned { at: random.below(LIFE_MS), step: Step::Do { branch, till, deed } });
    }
    let weight: u64 = chosen.iter().map(|(weight, _)| weight).sum();
    let faults = if chosen.is_empty() { 0 } else { random.between(3, 45) };
    for _ in 0..faults {
        let mut at = random.below(weight);
        let fault = chosen.iter().find(|(weight, _)| match at.checked_sub(*weight) {
            Some(left) => {
                at = left;
                false
            }
            None => true,
        });
        if let Some((_, draw)) = fault {
            steps.push(Planned { at: random.below(LIFE_MS), step: draw(&mut random) });
        }
    }
    // Drawn by themselves: whatever else happens in a life does not depend on them.
    let mut random = Seeded::of_all(&[seed, 3]);
    let mut impossible = Seeded::of_all(&[seed, 4]);
    for _ in 0..random.below(6) {
        let (branch, product) = (random.index(BRANCHES), random.index(super::deeds::PRODUCTS.len()));
        let packs = i64::try_from(1 + random.below(4)).unwrap_or(1);
        let packs = if impossible.per_mille(120) { PACKS_IMPOSSIBLE } else { packs };
        steps.push(Planned { at: random.below(LIFE_MS), step: Step::Order { branch, product, packs } });
    }
    steps.sort_by_key(|planned| planned.at);
    steps
}

fn deed(random: &mut Seeded) -> Deed {
    let product = random.index(super::deeds::PRODUCTS.len());
    let packs = i64::try_from(random.between(1, 5)).unwrap_or(1);
    match random.below(20) {
        0..=10 => Deed::Sell { product, packs, more: i64::try_from(random.below(3)).unwrap_or(0) },
        11 => Deed::Adjust { product, packs: packs - 3 },
        12 => Deed::Receive { product, packs },
        13 | 14 => Deed::Cash { pence: (packs - 3) * 100 },
        15 => Deed::CloseTill,
        _ => Deed::Reading,
    }
}
