//! The simulated world: two branches, the lines, a broker, two gateways and the centre, driven event by event.

use std::sync::{Arc, OnceLock};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use bytes::Bytes;
use pestle_agent::relay::lane::StreamKey;
use pestle_domain::{journal::Lane, signature::SigningKey, units::UnixMillis, wire::message::Answer};
use pestle_gateway::ingest::rules::Sender;

use super::{
    broker::{Broker, Message, Weather},
    bug::Bug,
    centre::{Centre, Counted},
    conformance::Asked,
    gateway::{Gateway, NextCommit},
    memory::Memory,
    oracle::{Oracle, Set},
    schedule::{BRANCHES, GATEWAYS, LIFE_MS, Planned, Step},
    scheduler::Scheduler,
    site::{Site, WALL_MS},
};
use crate::seeded::Seeded;

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
    /// Orders have reached a box.
    OrdersAtBox { site: usize, connection: u64, message: Bytes },
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
    pub(super) seed: u64,
    rolls: (u64, u64),
    pub(super) numbers: u64,
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
            unsteady: Seeded::of_all(&[seed, 2]).below(2) * 300,
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

    /// Once everything has arrived, every order of the centre's logs was carried out, and once where no old copy of a store and no
    /// second box was there.
    fn orders_are_done(&self) -> Result<(), String> {
        (0..BRANCHES).try_for_each(|branch| {
            self.oracle.orders_are_done(branch, self.centre.store.orders.places(branch_name(branch)))
        })
    }

    /// The centre's clock.
    pub(super) fn centre_clock(&self) -> UnixMillis {
        UnixMillis(WALL_MS + i64::try_from(self.events.now()).unwrap_or(0))
    }

    /// Notes a line of the story.
    pub fn tell(&mut self, line: impl FnOnce() -> String) {
        if let Some(story) = &mut self.story {
            let now = self.events.now();
            story.push(format!("{:>4}.{:03} s  {}", now / 1_000, now % 1_000, line()));
        }
    }

    /// Seeded numbers for one moment and purpose: they stay the same when other things are left out.
    pub(super) fn roll(&mut self, purpose: u64) -> Seeded {
        let now = self.events.now();
        self.rolls = if self.rolls.0 == now { (now, self.rolls.1 + 1) } else { (now, 0) };
        Seeded::of_all(&[self.seed, now, self.rolls.1, purpose])
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
            let Some(happening) = self.events.advance() else {
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
            Happening::OrdersAtBox { site, connection, message } => {
                self.orders_at_box(site, connection, &message)?;
            }
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

    /// Whether everything has arrived; a person looks after what stands still.
    fn look(&mut self) -> Result<(), String> {
        let now = self.events.now();
        let restless: Vec<usize> = (0..self.sites.len())
            .filter(|at| self.sites[*at].in_use)
            .filter(|at| !self.sites[*at].is_at_rest() || !self.has_its_orders(*at))
            .collect();
        if restless.is_empty() {
            self.oracle.all_arrived()?;
            self.books_agree()?;
            self.orders_are_done()?;
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
