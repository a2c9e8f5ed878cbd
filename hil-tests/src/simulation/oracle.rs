//! What must hold, checked after every step against what people were told: no told act is lost, none is applied twice,
//! stock and cash are the sums of the acts that are there, chains are unbroken, no receipt number is given twice, and every refusal
//! is counted. It keeps its own account in plain numbers, of what the centre ordered too, and asks none of the product's rules, but for a
//! chain's hash.

mod ordered;

use std::collections::{BTreeMap, HashMap};

use pestle_domain::{
    fact::ReceiptNumber,
    ids::{ActId, FactId, OrderId},
    journal::Head,
};
use uuid::Uuid;

use super::{
    centre::Centre,
    deeds::Effect,
    disk::Disk,
    memory::{Memory, Quarantined, StreamRow},
};
use ordered::{Done, OrderAccount};

/// One try to record an act.
#[derive(Debug)]
pub struct Attempt {
    /// In which branch.
    pub branch: usize,
    /// Which act; a repeat has the same.
    pub act: ActId,
    facts: u32,
    effect: Effect,
    state: Told,
    /// A disk that had it has lost it.
    frail: bool,
    /// The last place that had it was taken back by what no software withstands.
    destroyed: bool,
}

/// What a person was told of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    /// Nothing yet.
    Nothing,
    /// That it is recorded.
    Recorded,
    /// That it is not.
    NotRecorded,
}

/// A set of attempts.
#[derive(Debug, Clone, Default)]
pub struct Set(Vec<u64>);

impl Set {
    /// Puts one in.
    pub fn insert(&mut self, attempt: usize) {
        if self.0.len() <= attempt / 64 {
            self.0.resize(attempt / 64 + 1, 0);
        }
        self.0[attempt / 64] |= 1 << (attempt % 64);
    }

    /// Whether it is in it.
    pub fn has(&self, attempt: usize) -> bool {
        self.0.get(attempt / 64).is_some_and(|word| word & (1 << (attempt % 64)) != 0)
    }

    fn word(&self, at: usize) -> u64 {
        self.0.get(at).copied().unwrap_or(0)
    }

    /// The acts that a disk has for certain.
    pub fn of(disk: &Disk) -> Self {
        let mut set = Self::default();
        for act in disk.folders().flat_map(|folder| folder.synced_acts()) {
            set.insert(act.attempt);
        }
        set
    }
}

/// The account.
#[derive(Debug, Default)]
pub struct Oracle {
    /// All attempts, by number.
    pub attempts: Vec<Attempt>,
    /// What each disk has.
    pub disks: Vec<Set>,
    told: Set,
    excused: Set,
    centre: Seen,
    /// The life and the changes of the database that were looked at last.
    looked_at: (u64, u64),
    /// What was found where it could not be said.
    broken: Option<String>,
    receipts: HashMap<(usize, ReceiptNumber), ActId>,
    /// What the centre ordered.
    orders: OrderAccount,
    /// Branches of which an old copy was put back or a second box ran: a receipt number may have been given twice there.
    pub forked: [bool; super::schedule::BRANCHES],
    /// Branches whose box and centre may differ for good, since one of them lacks what the other had.
    pub parted: [bool; super::schedule::BRANCHES],
}

/// What was found at the centre so far.
#[derive(Debug, Default)]
struct Seen {
    incarnation: u64,
    rows: usize,
    parts: Vec<u64>,
    whole: Set,
    balances: BTreeMap<(String, String, String), i64>,
    cash: BTreeMap<(String, Uuid), i64>,
    sold: BTreeMap<String, (i64, i64)>,
    /// Acts that count, each with the attempt that arrived first.
    acts: HashMap<(usize, ActId), usize>,
    /// What became of orders, by branch.
    orders: HashMap<(usize, OrderId), Done>,
}

/// The id of a part of an attempt: its number is in it, so that what is found says what it is.
pub fn fact_id(attempt: usize, part: u32) -> FactId {
    FactId(Uuid::from_u128((1 << 120) | ((attempt as u128) << 8) | u128::from(part)))
}

fn attempt_of(fact: Uuid) -> (usize, u32) {
    let number = fact.as_u128();
    let attempt = usize::try_from((number >> 8) & 0xFFFF_FFFF).unwrap_or(usize::MAX);
    (attempt, u32::try_from(number & 0xFF).unwrap_or(u32::MAX))
}

impl Oracle {
    /// A new attempt; its number.
    pub fn begin(&mut self, branch: usize, act: ActId, facts: usize, effect: Effect) -> usize {
        let facts = u32::try_from(facts).unwrap_or(u32::MAX);
        let state = Told::Nothing;
        self.attempts.push(Attempt { branch, act, facts, effect, state, frail: false, destroyed: false });
        self.attempts.len() - 1
    }

    /// A person was told that it is recorded.
    ///
    /// # Errors
    /// What does not hold.
    pub fn recorded(&mut self, number: usize) -> Result<(), String> {
        let Some(attempt) = self.attempts.get_mut(number) else { return Ok(()) };
        if attempt.state == Told::NotRecorded {
            return Err(format!("act {number} was told as not recorded, and then as recorded"));
        }
        attempt.state = Told::Recorded;
        self.told.insert(number);
        if let Some(receipt) = attempt.effect.receipt.clone() {
            let (branch, act) = (attempt.branch, attempt.act);
            let shown = receipt.to_string();
            let before = self.receipts.insert((branch, receipt), act);
            if before.is_some_and(|before| before != act) && !self.forked[branch] {
                return Err(format!("receipt {shown} of branch {branch} was given to two sales"));
            }
        }
        Ok(())
    }

    /// A person was told that it is not recorded.
    ///
    /// # Errors
    /// What does not hold.
    pub fn not_recorded(&mut self, number: usize) -> Result<(), String> {
        let Some(attempt) = self.attempts.get_mut(number) else { return Ok(()) };
        if attempt.state == Told::Recorded {
            return Err(format!("act {number} was told as recorded, and then as not recorded"));
        }
        attempt.state = Told::NotRecorded;
        if self.is_somewhere(number) {
            return Err(format!(
                "act {number} is told as not recorded, and is there: {}",
                self.describe(number)
            ));
        }
        Ok(())
    }

    /// A disk lost acts by what no software withstands: `before` is what it had, what it has now is known already.
    pub fn disaster(&mut self, site: usize, before: &Set) {
        for number in 0..self.attempts.len() {
            if before.has(number) && !self.disks[site].has(number) {
                self.attempts[number].frail = true;
            }
        }
        self.excuse();
    }

    /// The centre's database was put back: what it lost, and no disk has any more for a reason that counts, is excused.
    pub fn centre_restored(&mut self, centre: &Centre) {
        // The check that follows says what did not hold.
        self.broken = self.look_at(&centre.store).err();
        self.excuse();
    }

    /// Whatever a disk has lost before and is nowhere now is excused.
    pub fn excuse(&mut self) {
        for number in 0..self.attempts.len() {
            if self.attempts[number].frail && !self.is_somewhere(number) {
                self.attempts[number].destroyed = true;
                self.excused.insert(number);
            }
        }
    }

    fn is_somewhere(&self, number: usize) -> bool {
        self.centre.whole.has(number) || self.disks.iter().any(|disk| disk.has(number))
    }

    /// Checks what must hold at every moment.
    ///
    /// # Errors
    /// What does not hold, in words.
    pub fn check(&mut self, centre: &Centre) -> Result<(), String> {
        if let Some(what) = self.broken.take() {
            return Err(what);
        }
        let store = (centre.store.incarnation, centre.store.changes);
        if self.looked_at != store {
            self.look_at(&centre.store)?;
            self.refusals_are_counted(centre)?;
            self.looked_at = store;
        }
        for at in 0..self.told.0.len() {
            let somewhere =
                self.disks.iter().fold(self.centre.whole.word(at), |all, disk| all | disk.word(at));
            let lost = self.told.word(at) & !somewhere & !self.excused.word(at);
            if lost != 0 {
                let number = at * 64 + usize::try_from(lost.trailing_zeros()).unwrap_or(0);
                return Err(format!(
                    "act {number} was told as recorded, and is nowhere: {}",
                    self.describe(number)
                ));
            }
        }
        Ok(())
    }

    fn refusals_are_counted(&self, centre: &Centre) -> Result<(), String> {
        let refused =
            |((_, reason, _), times): (&Quarantined, &i64)| if reason == "repeated" { 0 } else { *times };
        let kept: i64 = centre.store.quarantine.iter().map(refused).sum();
        let counted = centre.counted;
        if kept != counted.refused - counted.unknown {
            return Err(format!("{} messages were refused, {kept} are counted", counted.refused));
        }
        Ok(())
    }

    /// An attempt in words.
    pub fn describe(&self, number: usize) -> String {
        match self.attempts.get(number) {
            None => format!("no act {number}"),
            Some(attempt) => {
                let what = match (&attempt.effect.receipt, attempt.effect.cash) {
                    (Some(receipt), _) => format!("sale {receipt}"),
                    (None, Some((_, pence))) => format!("{pence} p of cash"),
                    (None, None) if !attempt.effect.stock.is_empty() => "a stock movement".to_owned(),
                    (None, None) => "no effect".to_owned(),
                };
                format!("{what} in branch {}", attempt.branch)
            }
        }
    }

    fn look_at(&mut self, store: &Memory) -> Result<(), String> {
        if self.centre.incarnation != store.incarnation {
            self.centre = Seen { incarnation: store.incarnation, ..Seen::default() };
        }
        if self.centre.rows == store.written.len() {
            return heads_stand_on_facts(store.streams.iter());
        }
        self.centre.parts.resize(self.attempts.len(), 0);
        let mut touched = Vec::new();
        for (stream, place) in &store.written[self.centre.rows..] {
            let Some(row) = store.streams.get(*stream) else { continue };
            joins(store, row, *place)?;
            let Some(slot) = row.slots.get(*place).filter(|slot| !slot.duplicate) else { continue };
            let (number, part) = attempt_of(slot.fact);
            let Some(parts) = self.centre.parts.get_mut(number) else {
                return Err(format!("fact {} at the centre is nobody's", slot.fact));
            };
            if *parts & (1 << part) != 0 {
                return Err(format!("act {number} was applied twice: {}", self.describe(number)));
            }
            *parts |= 1 << part;
            touched.push(number);
            self.count_order(number, &slot.bytes);
        }
        self.centre.rows = store.written.len();
        touched.dedup();
        for number in touched {
            self.add(number)?;
        }
        heads_stand_on_facts(store.streams.iter())?;
        self.sums_agree(store)
    }

    /// Adds what an act that has arrived must come to.
    fn add(&mut self, number: usize) -> Result<(), String> {
        let attempt = &self.attempts[number];
        if attempt.state == Told::NotRecorded {
            return Err(format!("act {number} was told as not recorded, and is at the centre"));
        }
        let whole = (1u64 << attempt.facts) - 1;
        if self.centre.parts[number] != whole {
            return Err(format!("half of act {number} is at the centre: {}", self.describe(number)));
        }
        if self.centre.whole.has(number) {
            return Ok(());
        }
        self.centre.whole.insert(number);
        if attempt.effect.is_nothing() {
            return Ok(());
        }
        // A person who asked again after the box had lost the first record: it happened once.
        // And an order happens once, under whichever act a box does it.
        let act = attempt.effect.order.map_or(attempt.act, |order| ActId(order.0));
        let first = *self.centre.acts.entry((attempt.branch, act)).or_insert(number);
        if first != number {
            if self.forked[attempt.branch] || self.parted[attempt.branch] {
                return Ok(());
            }
            return Err(format!("act {number} was recorded before as {first}, and nothing was lost"));
        }
        let branch = super::world::branch_name(attempt.branch);
        for (product, lot, packs) in &attempt.effect.stock {
            let key = (branch.to_owned(), product.to_string(), lot.to_string());
            *self.centre.balances.entry(key).or_default() += packs;
        }
        if let Some((session, pence)) = attempt.effect.cash {
            *self.centre.cash.entry((branch.to_owned(), session.0)).or_default() += pence;
        }
        if let Some(pence) = attempt.effect.sold {
            let sold = self.centre.sold.entry(branch.to_owned()).or_default();
            *sold = (sold.0 + 1, sold.1 + pence);
        }
        Ok(())
    }

    fn sums_agree(&self, store: &Memory) -> Result<(), String> {
        for (key, packs) in &self.centre.balances {
            let booked = store.balances.get(key).copied().unwrap_or(0);
            if booked != *packs {
                return Err(format!(
                    "stock of {} {} lot {:?}: {booked} at the centre, {packs} by what happened",
                    key.0, key.1, key.2
                ));
            }
        }
        for (key, pence) in &self.centre.cash {
            let session = store.sessions.get(key).copied().unwrap_or_default();
            let booked = session.received + session.paid_in - session.paid_out;
            if booked != *pence {
                return Err(format!(
                    "cash of {} in a session: {booked} p at the centre, {pence} p by what happened",
                    key.0
                ));
            }
        }
        for (branch, sold) in &self.centre.sold {
            let days = store.days.iter().filter(|((own, _), _)| own == branch);
            let booked = days.fold((0, 0), |sum, (_, day)| (sum.0 + day.0, sum.1 + day.1));
            if booked != *sold {
                return Err(format!(
                    "takings of {branch}: {booked:?} at the centre, {sold:?} by what happened"
                ));
            }
        }
        Ok(())
    }

    /// Checks, once all is mended, that everything that people were told is at the centre.
    ///
    /// # Errors
    /// What is missing.
    pub fn all_arrived(&self) -> Result<(), String> {
        let missing = |number: &usize| {
            let attempt = &self.attempts[*number];
            attempt.state == Told::Recorded && !attempt.destroyed && !self.centre.whole.has(*number)
        };
        match (0..self.attempts.len()).find(missing) {
            Some(number) => Err(format!("act {number} never reached the centre: {}", self.describe(number))),
            None => Ok(()),
        }
    }

    /// Acts that were told and are at the centre.
    pub fn arrived(&self) -> usize {
        (0..self.attempts.len())
            .filter(|number| self.told.has(*number) && self.centre.whole.has(*number))
            .count()
    }

    /// Acts that disasters took with them.
    pub fn destroyed(&self) -> usize {
        self.attempts.iter().filter(|attempt| attempt.destroyed && attempt.state == Told::Recorded).count()
    }
}

/// Each row follows on the one before it, in number and in hash.
fn joins(store: &Memory, row: &StreamRow, place: usize) -> Result<(), String> {
    let Some(slot) = row.slots.get(place) else { return Ok(()) };
    let before = match place.checked_sub(1).and_then(|before| row.slots.get(before)) {
        Some(before) => Head { seq: before.seq, hash: before.hash },
        None => Head::EMPTY,
    };
    let name = pestle_gateway::ingest::rules::describe(&row.stream);
    if slot.seq != before.seq + 1 {
        return Err(format!("{name}: fact {} stands behind fact {}", slot.seq, before.seq));
    }
    let bytes = if slot.duplicate { store.bytes(slot.fact) } else { Some(&slot.bytes) };
    if bytes.is_none_or(|bytes| before.after(&row.stream, bytes).hash != slot.hash) {
        return Err(format!("{name}: the chain is broken at fact {}", slot.seq));
    }
    Ok(())
}

fn heads_stand_on_facts<'a>(mut rows: impl Iterator<Item = &'a StreamRow>) -> Result<(), String> {
    let wrong = |row: &&StreamRow| {
        let last = row.slots.last().map_or(Head::EMPTY, |slot| Head { seq: slot.seq, hash: slot.hash });
        last != row.head
    };
    match rows.find(wrong) {
        Some(row) => Err(format!(
            "{}: the head says fact {}, and that is not the last that is there",
            pestle_gateway::ingest::rules::describe(&row.stream),
            row.head.seq
        )),
        None => Ok(()),
    }
}
