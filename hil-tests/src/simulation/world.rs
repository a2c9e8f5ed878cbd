//! The simulated world: two branches, the lines, a broker, two gateways and the centre, driven event by event.

use std::sync::{Arc, OnceLock};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use pestle_agent::relay::{
    lane::StreamKey,
    link::{Effect, Event},
};
use pestle_domain::{
    fact::FactBody,
    ids::{ActId, BatchId, StoreId},
    journal::Lane,
    signature::SigningKey,
    wire::message::Answer,
};
use pestle_gateway::ingest::rules::Sender;

use super::{
    broker::{Broker, Message, Said, Weather},
    bug::Bug,
    centre::{Centre, Counted},
    conformance::Asked,
    deeds::{Draft, Effect as Worth, draft, first_stock},
    gateway::{Gateway, NextCommit},
    memory::Memory,
    oracle::{Oracle, Set},
    random::Random,
    schedule::{BRANCHES, Deed, GATEWAYS, LIFE_MS, Planned, Step},
    scheduler::Scheduler,
    site::{Site, named},
};

/// How often a box looks at the time, writes its marks, and sometimes prunes.
const TICK_MS: u64 = 1_000;
/// How long everything may take to arrive once all is mended: longer than the longest that a stream is held.
const MEND_MS: u64 = 1_200_000;
/// By then each box has asked the centre where it stands, once nothing is lost any more.
const HEARD_MS: u64 = 40_000;
/// How often it is looked whether everything has arrived.
const LOOK_MS: u64 = 4_000;

/// What happens in the world.
#[derive(Debug, Clone)]
pub enum Happening {
    /// A step of the schedule.
    Step(usize),
    /// A box looks at the time.
    Tick { site: usize, life: u32 },
    /// A box is switched on.
    Start { site: usize },
    /// A disk has synced.
    Synced { site: usize, life: u32, lane: Lane },
    /// A box's marks are written.
    Marked { site: usize, life: u32 },
    /// A read of the journal has ended.
    ReadDone { site: usize, life: u32, stream: StreamKey, from: u64 },
    /// The broker takes a connection.
    ConnectDone { site: usize, connection: u64 },
    /// A connection ends.
    LinkDown { site: usize, connection: u64 },
    /// A line is mended.
    LineMended { site: usize },
    /// A message has reached the broker.
    AtBroker(Message),
    /// A message has reached a gateway.
    AtGateway { gateway: usize, life: u32, number: u64, message: Message },
    /// An answer has reached a box.
    AtBox { site: usize, connection: u64, answer: Box<Answer> },
    /// A gateway makes a group.
    Gather { gateway: usize, life: u32 },
    /// A gateway commits its group.
    Commit { gateway: usize, life: u32 },
    /// A gateway runs again.
    GatewayBack { gateway: usize },
    /// The broker runs again.
    BrokerBack,
    /// The database is there again.
    DatabaseBack,
    /// The database is copied, so that it can be put back.
    CopyCentre,
    /// All faults end.
    Mend,
    /// Has everything arrived?
    Look,
}

/// The world.
pub struct World {
    /// What comes.
    pub events: Scheduler<Happening>,
    /// All boxes that ever were.
    pub sites: Vec<Site>,
    /// The broker.
    pub broker: Broker,
    /// The gateways.
    pub gateways: [Gateway; GATEWAYS],
    /// What they share.
    pub centre: Centre,
    /// The weather.
    pub weather: Weather,
    /// What the next commit does.
    pub next_commit: NextCommit,
    /// The next batch is changed on its way.
    pub garble: bool,
    /// Of 1,000 messages of a box, how many go to any gateway.
    pub unsteady: u64,
    /// What must hold.
    pub oracle: Oracle,
    /// What is planted.
    pub bug: Option<Bug>,
    /// Copies of the database with their moments.
    pub(super) copies: Vec<(u64, Memory, Counted)>,
    /// All is mended.
    pub(super) mended: bool,
    pub(super) done: bool,
    /// Boxes that were ever enrolled.
    pub(super) enrolled: u64,
    schedule: Vec<Planned>,
    seed: u64,
    rolls: (u64, u64),
    numbers: u64,
    /// What is asked of the event store, for who wants to ask another one.
    pub history: Option<Vec<Asked>>,
    /// What happened, for who wants to read it.
    pub story: Option<Vec<String>>,
}

impl std::fmt::Debug for World {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("World").field("seed", &self.seed).finish_non_exhaustive()
    }
}

/// The name of a branch.
pub fn branch_name(branch: usize) -> &'static str {
    if branch == 0 { "north" } else { "south" }
}

/// Keys are made once for all worlds: nothing that is decided depends on them.
fn keys() -> &'static [Arc<SigningKey>] {
    static KEYS: OnceLock<Vec<Arc<SigningKey>>> = OnceLock::new();
    KEYS.get_or_init(|| {
        let make = |_| {
            let document =
                EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).ok()?;
            SigningKey::from_pkcs8(document.as_ref()).ok().map(Arc::new)
        };
        (0..24).filter_map(make).collect()
    })
}

/// The centre's key.
pub fn centre_key() -> Arc<SigningKey> {
    keys()[0].clone()
}

/// The key of the box that was enrolled as this one.
pub fn box_key(number: u64) -> Arc<SigningKey> {
    let keys = keys();
    keys[1 + usize::try_from(number).unwrap_or(0) % (keys.len() - 1)].clone()
}

impl World {
    /// A world at its beginning, in which `schedule` will happen.
    pub fn new(seed: u64, schedule: Vec<Planned>, bug: Option<Bug>, tell: bool) -> Self {
        let mut world = Self {
            events: Scheduler::default(),
            sites: Vec::new(),
            broker: Broker::default(),
            gateways: Default::default(),
            centre: Centre::new(centre_key()),
            weather: Weather::default(),
            next_commit: NextCommit::Good,
            garble: false,
            unsteady: Random::of(&[seed, 2]).below(2) * 300,
            oracle: Oracle::default(),
            bug,
            copies: Vec::new(),
            mended: false,
            done: false,
            enrolled: 0,
            schedule,
            seed,
            rolls: (0, 0),
            numbers: 0,
            history: None,
            story: tell.then(Vec::new),
        };
        for gateway in &mut world.gateways {
            gateway.up = true;
        }
        for branch in 0..BRANCHES {
            if let Some((sender, first_epoch, key)) = world.enrol(branch, None) {
                world.add(Site::new(branch, sender, first_epoch, key));
            }
        }
        for (index, planned) in world.schedule.iter().enumerate() {
            world.events.at(planned.at.max(1), Happening::Step(index));
        }
        if world.schedule.iter().any(|planned| matches!(planned.step, Step::RestoreCentre { .. })) {
            world.events.at(0, Happening::CopyCentre);
        }
        world.events.at(LIFE_MS, Happening::Mend);
        world
    }

    /// Puts a box into the world and switches it on.
    pub(super) fn add(&mut self, site: Site) {
        self.oracle.disks.push(Set::of(&site.disk));
        self.sites.push(site);
        let site = self.sites.len() - 1;
        self.start(site);
    }

    /// Enrols a box for a branch; `before` is who it was. Its identity, first epoch and key.
    pub(super) fn enrol(
        &mut self,
        branch: usize,
        before: Option<&Sender>,
    ) -> Option<(Arc<Sender>, u32, Arc<SigningKey>)> {
        use pestle_gateway::ingest::rules::Predecessor;
        let name = branch_name(branch);
        let term = self.centre.next_term(name);
        let key = box_key(self.enrolled);
        self.enrolled += 1;
        let mut earlier = Vec::new();
        if let Some(before) = before {
            earlier.clone_from(&before.earlier);
            let (branch, device) = (before.branch.clone(), before.device.clone());
            earlier.push(Predecessor { branch, device, term: before.term });
        }
        let sender = self.centre.enrol(Sender {
            tenant: "acme".parse().ok()?,
            branch: name.parse().ok()?,
            device: format!("{name}-{term}").parse().ok()?,
            term,
            keys: vec![key.public().clone()],
            revoked: false,
            earlier,
        });
        if let Some(history) = &mut self.history {
            history.push(Asked::Enrol(sender.clone()));
        }
        Some((sender, self.centre.store.next_epoch(name), key))
    }

    /// Notes a line of the story.
    pub fn tell(&mut self, line: impl FnOnce() -> String) {
        if let Some(story) = &mut self.story {
            let now = self.events.now();
            story.push(format!("{:>4}.{:03} s  {}", now / 1_000, now % 1_000, line()));
        }
    }

    /// Random numbers for one moment and purpose: they stay the same when other things are left out.
    pub(super) fn roll(&mut self, purpose: u64) -> Random {
        let now = self.events.now();
        self.rolls = if self.rolls.0 == now { (now, self.rolls.1 + 1) } else { (now, 0) };
        Random::of(&[self.seed, now, self.rolls.1, purpose])
    }

    /// A number that was not given before.
    pub(super) fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    /// Runs until everything has arrived.
    ///
    /// # Errors
    /// What does not hold, in words.
    pub fn run(&mut self) -> Result<(), String> {
        while !self.done {
            let Some(happening) = self.events.next() else {
                return Err("nothing happens any more".to_owned());
            };
            self.happen(happening)?;
            self.oracle.check(&self.centre)?;
        }
        Ok(())
    }

    fn happen(&mut self, happening: Happening) -> Result<(), String> {
        match happening {
            Happening::Step(index) => {
                if let Some(planned) = self.schedule.get(index).cloned() {
                    self.step(planned.step)?;
                }
            }
            Happening::Tick { site, life } => self.tick(site, life)?,
            Happening::Start { site } => self.start(site),
            Happening::Synced { site, life, lane } => self.synced(site, life, lane)?,
            Happening::Marked { site, life } => self.mark(site, life),
            Happening::ReadDone { site, life, stream, from } => {
                if self.runs(site, life)
                    && let Some(event) = self.sites[site].read(stream, from)
                {
                    self.take(site, event);
                }
            }
            Happening::ConnectDone { site, connection } => self.connect_done(site, connection),
            Happening::LinkDown { site, connection } => self.link_down(site, connection, "the line is gone"),
            Happening::LineMended { site } => self.sites[site].line_cut = false,
            Happening::AtBroker(message) => self.at_broker(message),
            Happening::AtGateway { gateway, life, number, message } => {
                self.at_gateway(gateway, life, number, message);
            }
            Happening::AtBox { site, connection, answer } => self.at_box(site, connection, *answer)?,
            Happening::Gather { gateway, life } => self.gather(gateway, life),
            Happening::Commit { gateway, life } => self.commit(gateway, life)?,
            Happening::GatewayBack { gateway } => {
                self.gateways[gateway].up = true;
                self.redeliver(gateway);
            }
            Happening::BrokerBack => self.broker.away = false,
            Happening::DatabaseBack => self.centre.away = false,
            Happening::CopyCentre => self.copy_centre(),
            Happening::Mend => self.mend(),
            Happening::Look => self.look()?,
        }
        Ok(())
    }

    pub(super) fn runs(&self, site: usize, life: u32) -> bool {
        self.sites[site].agent.is_some() && self.sites[site].life == life
    }

    /// Switches a box on.
    pub(super) fn start(&mut self, site: usize) {
        if self.sites[site].agent.is_some() || !self.sites[site].in_use {
            return;
        }
        let (now, bug, branch) = (self.events.now(), self.bug, self.sites[site].branch);
        let (first, second) = (self.number(), self.number());
        let mut numbers = [first, second].into_iter();
        let oracle = &mut self.oracle;
        self.sites[site].start(now, bug, || {
            let number = numbers.next().unwrap_or(0);
            let act = ActId(named(2, number));
            (StoreId(named(1, number)), act, oracle.begin(branch, act, 1, Worth::default()))
        });
        self.oracle.disks[site] = Set::of(&self.sites[site].disk);
        let life = self.sites[site].life;
        self.tell(|| format!("box {site} starts"));
        let known = self.sites[site].known();
        self.take(site, Event::Heads(known));
        self.events.after(1 + self.seed % 97, Happening::Tick { site, life });
        if !self.sites[site].disk.stocked {
            self.sites[site].disk.stocked = true;
            if let Some(draft) = first_stock() {
                self.ask(site, 0, draft);
            }
        }
        let repeated: Vec<usize> = self.sites[site].asked.keys().copied().collect();
        for till in repeated {
            self.repeat(site, till);
        }
    }

    fn tick(&mut self, site: usize, life: u32) -> Result<(), String> {
        if !self.runs(site, life) {
            return Ok(());
        }
        let now = self.events.now();
        self.mark(site, life);
        if (now / TICK_MS).is_multiple_of(10) {
            self.prune(site);
        }
        self.take(site, Event::Tick);
        self.events.after(TICK_MS, Happening::Tick { site, life });
        Ok(())
    }

    fn mark(&mut self, site: usize, life: u32) {
        if self.runs(site, life) {
            let Site { agent: Some(agent), disk, .. } = &mut self.sites[site] else { return };
            for (journal, folder) in agent.lanes.iter().zip(&mut disk.lanes) {
                journal.mark(folder);
            }
        }
    }

    /// What is acknowledged and old goes; what it adds up to is kept in the books' checkpoint first.
    fn prune(&mut self, site: usize) {
        let now = self.events.now();
        let bug = self.bug;
        let wall = self.sites[site].wall(now);
        let Site { agent: Some(agent), disk, .. } = &mut self.sites[site] else { return };
        // An act whose sync is under way is not in the books yet.
        if !agent.syncing[0].is_empty() {
            return;
        }
        let books = &agent.books;
        disk.keep(books);
        let mut any = false;
        for (journal, folder) in agent.lanes.iter().zip(&mut disk.lanes) {
            any |= journal.prune(folder, (now, wall), bug);
        }
        if any {
            self.oracle.disks[site] = Set::of(&self.sites[site].disk);
            self.tell(|| format!("box {site} lets go of what is acknowledged and old"));
        }
    }

    /// A person does something at a till of a branch.
    pub(super) fn deed(&mut self, branch: usize, till: usize, deed: Deed) {
        let open: Vec<usize> = (0..self.sites.len())
            .filter(|at| self.sites[*at].branch == branch && self.sites[*at].agent.is_some())
            .collect();
        let Some(site) = open.get(self.roll(7).index(open.len())).copied() else { return };
        if self.sites[site].asked.contains_key(&till) {
            return;
        }
        let act = ActId(named(3, self.number()));
        self.perform(site, till, act, deed);
    }

    fn perform(&mut self, site: usize, till: usize, act: ActId, deed: Deed) {
        let session = named(4, self.number());
        let Site { agent: Some(agent), branch, .. } = &self.sites[site] else { return };
        let branch = *branch;
        let epoch = agent.lanes[0].stream.epoch;
        let Some(draft) = draft(deed, till, &agent.books, epoch, session) else { return };
        if matches!(deed, Deed::Sell { .. } | Deed::Cash { .. } | Deed::CloseTill) {
            self.sites[site].asked.insert(till, (act, deed));
        }
        self.begin(site, (branch, till, act), draft);
    }

    /// Records an act that nobody repeats.
    pub(super) fn ask(&mut self, site: usize, till: usize, draft: Draft) {
        let act = ActId(named(3, self.number()));
        let branch = self.sites[site].branch;
        self.begin(site, (branch, till, act), draft);
    }

    fn begin(&mut self, site: usize, (branch, till, act): (usize, usize, ActId), draft: Draft) {
        let now = self.events.now();
        let reading = |body: &FactBody| matches!(body, FactBody::ReadingSampled(_));
        let lane = if draft.bodies.iter().any(reading) { Lane::Telemetry } else { Lane::Ledger };
        let attempt = self.oracle.begin(branch, act, draft.bodies.len(), draft.effect.clone());
        self.tell(|| {
            let kinds: Vec<&str> = draft.bodies.iter().map(FactBody::kind).collect();
            format!("box {site}, till {till}: act {attempt} ({})", kinds.join(", "))
        });
        self.sites[site].ask(now, (act, attempt, till), draft, lane);
        if self.bug == Some(Bug::ToldBeforeSync) {
            // What cannot hold is found at the next check.
            let _ = self.oracle.recorded(attempt);
        }
        self.write(site, lane);
    }

    fn write(&mut self, site: usize, lane: Lane) {
        if self.sites[site].write_group(lane) {
            let life = self.sites[site].life;
            let mut roll = self.roll(8);
            let slow = if roll.chance(30) { 3_000 } else { 25 };
            self.events.after(roll.between(1, slow), Happening::Synced { site, life, lane });
        }
    }

    fn synced(&mut self, site: usize, life: u32, lane: Lane) -> Result<(), String> {
        if !self.runs(site, life) {
            return Ok(());
        }
        let now = self.events.now();
        let (group, good) = self.sites[site].group_synced(now, lane);
        for one in &group {
            if good {
                self.oracle.disks[site].insert(one.attempt);
                self.oracle.recorded(one.attempt)?;
            } else {
                self.oracle.not_recorded(one.attempt);
            }
            let own = one.facts.first().map(|fact| fact.act);
            self.sites[site].asked.retain(|till, (act, _)| *till != one.till || Some(*act) != own);
            self.tell(|| {
                format!(
                    "box {site}: act {} {}",
                    one.attempt,
                    if good { "is told" } else { "is told as not recorded" }
                )
            });
        }
        if good {
            let known = self.sites[site].known();
            self.take(site, Event::Heads(known));
        }
        self.write(site, lane);
        Ok(())
    }

    /// After a restart a person repeats what was not answered: the books say whether it was done.
    fn repeat(&mut self, site: usize, till: usize) {
        let Some((act, deed)) = self.sites[site].asked.get(&till).copied() else { return };
        let done = self.sites[site].agent.as_ref().is_some_and(|agent| agent.books.done(act).is_some());
        self.sites[site].asked.remove(&till);
        if done {
            self.tell(|| format!("box {site}, till {till}: was done before"));
        } else {
            self.perform(site, till, act, deed);
        }
    }

    /// Gives a box's link an event, and does what it asks for.
    pub(super) fn take(&mut self, site: usize, event: Event) {
        let now = self.events.now();
        let mut number = self.numbers;
        let effects = self.sites[site].take(now, event, &mut || {
            number += 1;
            BatchId(named(5, number))
        });
        self.numbers = number;
        for effect in effects {
            if let Err(why) = self.effect(site, effect) {
                self.lose_connection(site, &why);
            }
        }
    }

    fn effect(&mut self, site: usize, effect: Effect) -> Result<(), String> {
        let life = self.sites[site].life;
        match effect {
            Effect::Connect => {
                let connection = self.number();
                if let Some(agent) = &mut self.sites[site].agent {
                    agent.connection = Some((connection, false));
                }
                let mut roll = self.roll(9);
                let after = roll.between(10, 400);
                if self.broker.away || self.sites[site].line_cut {
                    // Nothing answers at all, or a refusal.
                    if roll.chance(700) {
                        self.events.after(after, Happening::LinkDown { site, connection });
                    }
                } else {
                    self.events.after(after, Happening::ConnectDone { site, connection });
                }
                Ok(())
            }
            Effect::GiveUp(why) => Err(why),
            Effect::Read(stream, from) => {
                let after = self.roll(10).below(60);
                self.events.after(after, Happening::ReadDone { site, life, stream, from });
                Ok(())
            }
            Effect::Send(stream, run) => {
                if !self.is_up(site) {
                    return Err("there is no connection".to_owned());
                }
                let message = self.sites[site].batch(stream, run)?;
                self.tell(|| {
                    let (lane, epoch) = (stream.lane.as_str(), stream.epoch);
                    format!("box {site} sends {lane} {epoch}: {} to {}", run.first, run.last)
                });
                let device = self.sites[site].sender.device.clone();
                self.publish(site, Message { device, said: Said::Facts(stream.lane, message.into()) });
                Ok(())
            }
            Effect::StateHeads => {
                let said = Said::Heads(self.sites[site].stated());
                let device = self.sites[site].sender.device.clone();
                self.publish(site, Message { device, said });
                Ok(())
            }
            Effect::Alarm(why) => {
                if let Some(agent) = &mut self.sites[site].agent {
                    agent.alarms += 1;
                }
                self.tell(|| format!("box {site} alarms: {why}"));
                Ok(())
            }
            Effect::Finished => Ok(()),
        }
    }

    fn is_up(&self, site: usize) -> bool {
        self.sites[site].agent.as_ref().is_some_and(|agent| agent.connection.is_some_and(|(_, up)| up))
    }

    fn connect_done(&mut self, site: usize, connection: u64) {
        let refused = self.broker.away || self.sites[site].line_cut;
        let Some(agent) = &mut self.sites[site].agent else { return };
        if agent.connection != Some((connection, false)) {
            return;
        }
        if refused {
            self.link_down(site, connection, "the broker does not answer");
            return;
        }
        agent.connection = Some((connection, true));
        self.connected(site, connection);
        self.take(site, Event::Connected);
    }

    fn link_down(&mut self, site: usize, connection: u64, why: &str) {
        let Some(agent) = &mut self.sites[site].agent else { return };
        if agent.connection.is_some_and(|(own, _)| own == connection) {
            self.lose_connection(site, why);
        }
    }

    fn lose_connection(&mut self, site: usize, why: &str) {
        let random = self.roll(11).next();
        let Some(agent) = &mut self.sites[site].agent else { return };
        if agent.connection.take().is_some() {
            self.tell(|| format!("box {site} is offline: {why}"));
            self.take(site, Event::Disconnected { why: why.to_owned(), random });
        }
    }

    fn at_box(&mut self, site: usize, connection: u64, answer: Answer) -> Result<(), String> {
        let bug = self.bug;
        let Some(agent) = &self.sites[site].agent else { return Ok(()) };
        if agent.connection != Some((connection, true)) || self.sites[site].line_cut {
            return Ok(());
        }
        if let Some(event) = self.sites[site].heard(answer, centre_key().public(), (self.events.now(), bug)) {
            let (life, after) = (self.sites[site].life, self.roll(12).between(1, 300));
            self.events.after(after, Happening::Marked { site, life });
            self.take(site, event);
        }
        self.acknowledged_is_there(site)
    }

    /// What a box believes to be acknowledged in this life of the database is in it.
    fn acknowledged_is_there(&self, site: usize) -> Result<(), String> {
        let Some(agent) = &self.sites[site].agent else { return Ok(()) };
        for (journal, folder) in agent.lanes.iter().zip(&self.sites[site].disk.lanes) {
            for epoch in &folder.epochs {
                let stream = &epoch.manifest.stream;
                let Some((head, incarnation)) = journal.standings.get(&stream.epoch) else { continue };
                if *incarnation != self.centre.store.incarnation || head.seq == 0 {
                    continue;
                }
                let row = self.centre.store.row(stream).and_then(|row| row.at(head.seq));
                if row.is_none_or(|slot| slot.hash != head.hash) {
                    let name = pestle_gateway::ingest::rules::describe(stream);
                    return Err(format!(
                        "{name}: box {site} takes fact {} for acknowledged, and the centre lacks it",
                        head.seq
                    ));
                }
            }
        }
        Ok(())
    }

    /// Whether everything has arrived; a person looks after what stands still.
    fn look(&mut self) -> Result<(), String> {
        let now = self.events.now();
        let restless: Vec<usize> = (0..self.sites.len())
            .filter(|at| self.sites[*at].in_use && !self.sites[*at].is_at_rest())
            .collect();
        if restless.is_empty() {
            self.oracle.all_arrived()?;
            self.books_agree()?;
            self.done = true;
            return Ok(());
        }
        if now > LIFE_MS + MEND_MS {
            let site = restless[0];
            return Err(format!(
                "all is mended, and box {site} does not come to rest: {}",
                self.sites[site].unrest()
            ));
        }
        for site in restless {
            self.look_after(site);
        }
        self.events.after(LOOK_MS, Happening::Look);
        Ok(())
    }

    pub(super) fn begin_looking(&mut self) {
        self.events.after(HEARD_MS, Happening::Look);
    }
}
