//! The event store in memory: what one transaction of the gateway does to PostgreSQL, done to maps. Which batches join and
//! which facts are new, and what facts do to stock and cash, is decided by the gateway's own rules; the keys that hold in the database
//! hold here. One conformance suite runs the same histories against this and against PostgreSQL.

use std::collections::{BTreeMap, HashMap, HashSet};

use bytes::Bytes;
use pestle_domain::{
    fact::{EpochOpened, FactBody},
    journal::{Head, Stream},
    signature::Hash,
};
use pestle_gateway::{
    ingest::{
        fold::Effect,
        plan::{self, Mode, Outcome, Plan},
        repeats::{self, FactPlace, Repeats},
        rules::{Reading, Verified},
        store::{Locked, NewFact},
    },
    inventory::rules::{Booked, Place},
    sales::rules::{Circumstance, Takings, session_moved},
};
use uuid::Uuid;

use super::{bug::Bug, orders::OrderLogs};

/// A fact's or a duplicate's row.
#[derive(Debug, Clone)]
pub struct Slot {
    /// Its number in the stream.
    pub seq: u64,
    /// Its id.
    pub fact: Uuid,
    /// The chain's value.
    pub hash: Hash,
    /// As it was hashed; empty for a duplicate.
    pub bytes: Bytes,
    /// It came before at another position, and has no effect here.
    pub duplicate: bool,
}

/// A stream's row and its facts.
#[derive(Debug, Clone)]
pub struct StreamRow {
    /// Which.
    pub stream: Stream,
    /// How far it is committed.
    pub head: Head,
    /// In order.
    pub slots: Vec<Slot>,
    /// What its first fact says of it.
    pub opened: Option<EpochOpened>,
}

/// A session's sums.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Session {
    /// Counted in at the beginning.
    pub float: Option<i64>,
    /// From sales.
    pub received: i64,
    /// Put in.
    pub paid_in: i64,
    /// Taken out.
    pub paid_out: i64,
    /// How many sales.
    pub sales: i64,
    /// What came after the closing.
    pub late: i64,
    /// Counted at the end.
    pub counted: Option<i64>,
}

/// What a person finds in the quarantine: device, reason, and what makes it the same when it comes again.
pub type Quarantined = (String, String, [u8; 32]);

/// The whole database, as far as ingest is concerned.
#[derive(Debug, Clone)]
pub struct Memory {
    /// Which life of it this is.
    pub incarnation: u64,
    /// In the order of their numbers, from 1.
    pub streams: Vec<StreamRow>,
    /// How often each came.
    pub quarantine: BTreeMap<Quarantined, i64>,
    /// Packs by branch, article and lot.
    pub balances: BTreeMap<(String, String, String), i64>,
    /// By branch and session.
    pub sessions: BTreeMap<(String, Uuid), Session>,
    /// Sales and pence by branch and day.
    pub days: BTreeMap<(String, String), (i64, i64)>,
    /// What was ordered, and what became of it.
    pub orders: OrderLogs,
    /// Rises with every change.
    pub changes: u64,
    /// Rows in the order in which they were written: stream and place in it.
    pub written: Vec<(usize, usize)>,
    numbers: HashMap<Stream, i64>,
    facts: HashMap<Uuid, (usize, usize)>,
    /// Facts of acts that counted, by branch and act.
    counted: HashMap<(String, Uuid), Vec<FactPlace>>,
}

/// The unique key of a fact's id, or of its place, is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Duplicate;

impl Default for Memory {
    fn default() -> Self {
        Self {
            incarnation: 1,
            changes: 1,
            streams: Vec::new(),
            quarantine: BTreeMap::new(),
            balances: BTreeMap::new(),
            sessions: BTreeMap::new(),
            days: BTreeMap::new(),
            orders: OrderLogs::default(),
            written: Vec::new(),
            numbers: HashMap::new(),
            facts: HashMap::new(),
            counted: HashMap::new(),
        }
    }
}

fn index(number: i64) -> usize {
    usize::try_from(number.saturating_sub(1)).unwrap_or(usize::MAX)
}

impl StreamRow {
    fn new(stream: &Stream) -> Self {
        Self { stream: stream.clone(), head: Head::EMPTY, slots: Vec::new(), opened: None }
    }

    /// The row at a number.
    pub fn at(&self, seq: u64) -> Option<&Slot> {
        self.slots.binary_search_by_key(&seq, |slot| slot.seq).ok().map(|at| &self.slots[at])
    }
}

impl Memory {
    /// A stream's head; `None` for one that nothing is known of.
    pub fn head(&self, stream: &Stream) -> Option<Locked> {
        let id = *self.numbers.get(stream)?;
        let row = self.streams.get(index(id))?;
        Some(Locked { id, head: row.head, fence: self.fence(row) })
    }

    /// Where a stream ended by the word of a later life of its box's store, as `ingest::store::heads` tells it.
    fn fence(&self, row: &StreamRow) -> Option<u64> {
        let own = &row.stream;
        let later = self.streams.iter().filter(|other| {
            other.stream.epoch > own.epoch && Stream { epoch: own.epoch, ..other.stream.clone() } == *own
        });
        let ends = later.filter_map(|other| {
            let EpochOpened { parent, carried, .. } = other.opened.as_ref()?;
            let parent = parent.as_ref().filter(|parent| parent.epoch == own.epoch)?;
            if !carried.is_empty() {
                return Some(0);
            }
            (parent.store == row.opened.as_ref()?.store).then_some(parent.head.seq)
        });
        ends.min()
    }

    /// A stream's row.
    pub fn row(&self, stream: &Stream) -> Option<&StreamRow> {
        self.streams.get(index(*self.numbers.get(stream)?))
    }

    /// The first epoch that no box of `branch` is known to have opened.
    pub fn next_epoch(&self, branch: &str) -> u32 {
        let own = self.streams.iter().filter(|row| row.stream.branch.as_str() == branch);
        own.map(|row| row.stream.epoch).max().unwrap_or(0) + 1
    }

    /// One transaction, as `ingest/transaction.rs` has it. Nothing is changed on an error.
    ///
    /// # Errors
    /// [`Duplicate`].
    pub fn apply(
        &mut self,
        batches: &[&Verified],
        mode: Mode,
        bug: Option<Bug>,
    ) -> Result<Vec<Outcome>, Duplicate> {
        self.changes += 1;
        let streams = Plan::streams(batches);
        let heads = streams.iter().map(|stream| self.head(stream)).collect();
        let mut plan = Plan::new(batches, &streams, heads);
        plan.judge(&self.chain_values(&plan.compared()));
        let fresh = plan.fresh();
        let numbered = fresh.iter().map(|stream| (*stream).clone()).zip(self.streams.len() + 1..);
        let numbers: HashMap<Stream, i64> =
            numbered.map(|(stream, number)| (stream, i64::try_from(number).unwrap_or(i64::MAX))).collect();
        plan.opened(&numbers);
        let mut new = plan.new_facts(mode);
        if bug == Some(Bug::SkipOffByOne) {
            // What joins in the middle of a batch loses its first fact.
            let begins = |one: &NewFact<'_>, before: Option<&NewFact<'_>>| {
                before.is_none_or(|before| before.batch.header.batch != one.batch.header.batch)
                    && one.seq != one.batch.header.first
            };
            let lost: HashSet<usize> = (0..new.len())
                .filter(|at| begins(&new[*at], at.checked_sub(1).map(|before| &new[before])))
                .collect();
            new = new
                .into_iter()
                .enumerate()
                .filter(|(at, _)| !lost.contains(at))
                .map(|(_, one)| one)
                .collect();
        }
        let mut again = Vec::new();
        if mode != Mode::Usual {
            let known = new
                .iter()
                .filter_map(|one| Some((one.fact.id.0, self.bytes(one.fact.id.0)?.to_vec())))
                .collect();
            let Some(told_apart) = plan::tell_apart(new, known) else { return Ok(plan.contradicted()) };
            (new, again) = (told_apart.fresh, told_apart.again);
        }
        let mut ids = HashSet::new();
        if new.iter().any(|one| self.facts.contains_key(&one.fact.id.0) || !ids.insert(one.fact.id.0)) {
            return Err(Duplicate);
        }
        self.numbers.extend(numbers);
        for stream in fresh {
            self.streams.push(StreamRow::new(stream));
        }
        let mut rows: Vec<(&NewFact<'_>, bool)> =
            new.iter().map(|one| (one, false)).chain(again.iter().map(|one| (one, true))).collect();
        rows.sort_by_key(|(one, _)| (one.stream, one.seq));
        for (one, duplicate) in rows {
            self.insert(one, duplicate);
        }
        self.fold(&new);
        for moved in plan.moved() {
            if let Some(row) = self.streams.get_mut(index(moved.id)) {
                row.head = moved.last.after();
            }
        }
        self.note_doubts(&new, mode);
        Ok(plan.outcomes())
    }

    fn insert(&mut self, one: &NewFact<'_>, duplicate: bool) {
        let at = index(one.stream);
        let Some(row) = self.streams.get_mut(at) else { return };
        let bytes = if duplicate { Bytes::new() } else { Bytes::copy_from_slice(one.batch.line(one.fact)) };
        let slot = Slot { seq: one.seq, fact: one.fact.id.0, hash: one.fact.hash, bytes, duplicate };
        let place = row.slots.len();
        if !duplicate {
            self.facts.insert(slot.fact, (at, place));
        }
        row.slots.push(slot);
        self.written.push((at, place));
    }

    /// What facts do to stock, sales and tills, as `ingest/fold.rs` has it.
    pub fn fold(&mut self, new: &[NewFact<'_>]) {
        let effects: Vec<Effect<'_>> = new.iter().filter(|one| one.folded).map(NewFact::effect).collect();
        let counted = repeats::asked(&effects)
            .into_iter()
            .filter_map(|(branch, act)| {
                Some(((branch, act), self.counted.get(&(branch.to_owned(), act))?.clone()))
            })
            .collect();
        let repeats = Repeats::tell(&effects, &counted);
        for repeat in repeats.iter() {
            self.quarantine(repeat.effect.origin.device.to_string(), "repeated", repeat.identity());
        }
        for effect in &effects {
            let adds_up = effect.fact.body().is_some_and(FactBody::adds_up);
            if adds_up && !repeats.leaves_out(effect) {
                let key = (effect.origin.branch.to_string(), effect.fact.act.0);
                self.counted.entry(key).or_default().push((effect.stream, effect.seq));
            }
        }
        self.book(&effects, &repeats);
    }

    fn book(&mut self, effects: &[Effect<'_>], repeats: &Repeats<'_>) {
        let bodies: Vec<_> =
            effects.iter().filter_map(|effect| Some((effect, effect.fact.body()?))).collect();
        let closed: HashSet<(String, Uuid)> = bodies
            .iter()
            .filter_map(|(effect, body)| Some((effect.origin.branch.to_string(), session_moved(body)?)))
            .filter(|key| self.sessions.get(key).is_some_and(|session| session.counted.is_some()))
            .collect();
        self.orders.fold(bodies.iter().map(|(effect, body)| (effect.origin.branch.as_str(), *body)));
        let (mut booked, mut takings) = (Booked::default(), Takings::new(closed));
        for (effect, body) in &bodies {
            let place = Place {
                branch: effect.origin.branch.as_str(),
                stream: effect.stream,
                seq: i64::try_from(effect.seq).unwrap_or(i64::MAX),
            };
            if repeats.leaves_out(effect) {
                continue;
            }
            booked.add(place, body);
            let circumstance = Circumstance {
                place,
                device: effect.origin.device.as_str(),
                fact: effect.fact.id.0,
                act: effect.fact.act.0,
                actor: &effect.fact.actor,
                wall_ms: effect.fact.wall.0,
                day: effect.fact.day.0,
            };
            takings.add(circumstance, body);
            if let (FactBody::EpochOpened(opened), 1) = (body, effect.seq)
                && let Some(row) = self.streams.get_mut(index(effect.stream))
                && row.opened.is_none()
            {
                row.opened = Some(opened.clone());
            }
        }
        for (line, change) in booked.changes {
            let key = (line.branch.to_owned(), line.product.to_owned(), line.lot.to_owned());
            *self.balances.entry(key).or_default() += change.on_hand;
        }
        for (key, change) in takings.sessions {
            let session = self.sessions.entry((key.branch.to_owned(), key.session)).or_default();
            session.float = session.float.or(change.opening.map(|opening| opening.float_minor));
            session.received += change.received_minor;
            session.paid_in += change.paid_in_minor;
            session.paid_out += change.paid_out_minor;
            session.sales += change.sales;
            session.late += change.late_minor;
            session.counted = session.counted.or(change.closing.map(|closing| closing.counted_minor));
        }
        for ((branch, day, _), change) in takings.days {
            let sums = self.days.entry((branch.to_owned(), day.to_string())).or_default();
            *sums = (sums.0 + change.sales, sums.1 + change.gross_minor);
        }
    }

    fn note_doubts(&mut self, new: &[NewFact<'_>], mode: Mode) {
        for one in new {
            if matches!(one.fact.reading, Reading::Doubtful(_))
                || (mode == Mode::StoreOnly && matches!(one.fact.reading, Reading::Known(_)))
            {
                let device = one.batch.header.stream.device.to_string();
                self.quarantine(device, "unfolded", Hash::of(one.batch.line(one.fact)));
            }
        }
    }

    /// Keeps what a person should see; the same again is counted.
    pub fn quarantine(&mut self, device: String, reason: &str, identity: Hash) {
        self.changes += 1;
        *self.quarantine.entry((device, reason.to_owned(), identity.0)).or_default() += 1;
    }

    /// The bytes of the fact with that id.
    pub fn bytes(&self, fact: Uuid) -> Option<&Bytes> {
        let (stream, place) = self.facts.get(&fact)?;
        Some(&self.streams.get(*stream)?.slots.get(*place)?.bytes)
    }

    fn chain_values(&self, places: &[(i64, u64)]) -> HashMap<(i64, u64), Hash> {
        let value =
            |(id, seq): &(i64, u64)| Some(((*id, *seq), self.streams.get(index(*id))?.at(*seq)?.hash));
        places.iter().filter_map(value).collect()
    }
}

/// What bugs do to a database that the product's rules would not.
impl Memory {
    /// Moves a head over facts that are not there, or writes facts behind a gap.
    pub fn force(&mut self, batch: &Verified, with_facts: bool) {
        self.changes += 1;
        let stream = &batch.header.stream;
        if !self.numbers.contains_key(stream) {
            let number = i64::try_from(self.streams.len() + 1).unwrap_or(i64::MAX);
            self.numbers.insert(stream.clone(), number);
            self.streams.push(StreamRow::new(stream));
        }
        let number = self.numbers.get(stream).copied().unwrap_or(0);
        if with_facts {
            let new: Vec<NewFact<'_>> = (batch.header.first..)
                .zip(&batch.facts)
                .map(|(seq, fact)| NewFact {
                    stream: number,
                    seq,
                    fact,
                    batch,
                    folded: fact.body().is_some(),
                })
                .filter(|one| !self.facts.contains_key(&one.fact.id.0))
                .collect();
            for one in &new {
                self.insert(one, false);
            }
            self.fold(&new);
        }
        if let Some(row) = self.streams.get_mut(index(number)) {
            row.head = batch.header.after();
        }
    }

    /// Folds a batch once more.
    pub fn fold_again(&mut self, batch: &Verified) {
        self.changes += 1;
        let new: Vec<NewFact<'_>> = (batch.header.first..)
            .zip(&batch.facts)
            .map(|(seq, fact)| NewFact { stream: 1, seq, fact, batch, folded: fact.body().is_some() })
            .collect();
        let effects: Vec<Effect<'_>> = new.iter().filter(|one| one.folded).map(NewFact::effect).collect();
        self.book(&effects, &Repeats::default());
    }

    /// Commits the first `count` facts of a batch alone.
    pub fn tear(&mut self, batch: &Verified, count: usize) {
        self.changes += 1;
        let Some(locked) = self.head(&batch.header.stream) else { return };
        if locked.head != batch.header.before() {
            return;
        }
        let new: Vec<NewFact<'_>> = (batch.header.first..)
            .zip(&batch.facts)
            .take(count)
            .map(|(seq, fact)| NewFact { stream: locked.id, seq, fact, batch, folded: fact.body().is_some() })
            .filter(|one| !self.facts.contains_key(&one.fact.id.0))
            .collect();
        let Some(last) = new.last().map(|one| Head { seq: one.seq, hash: one.fact.hash }) else { return };
        for one in &new {
            self.insert(one, false);
        }
        self.fold(&new);
        if let Some(row) = self.streams.get_mut(index(locked.id)) {
            row.head = last;
        }
    }
}
