//! What boxes do by themselves and for people: they start, look at the time, record what is asked for, and tell it once it is on
//! the disk. People ask, and repeat after a restart what was not answered.

use pestle_agent::{journal::Place, relay::link::Event};
use pestle_domain::{
    fact::FactBody,
    ids::{ActId, StoreId},
    journal::Lane,
};

use super::{
    bug::Bug,
    deeds::{Draft, Effect as Worth, draft, first_stock},
    oracle::Set,
    schedule::Deed,
    site::{Agent, Site, named},
    world::{Happening, World},
};

/// How often a box looks at the time, writes its marks, and sometimes prunes.
const TICK_MS: u64 = 1_000;

impl World {
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

    pub(super) fn tick(&mut self, site: usize, life: u32) -> Result<(), String> {
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

    pub(super) fn mark(&mut self, site: usize, life: u32) {
        if self.runs(site, life) {
            let Site { agent: Some(agent), disk, .. } = &mut self.sites[site] else { return };
            for (journal, folder) in agent.lanes.iter().zip(&mut disk.lanes) {
                journal.mark(folder);
            }
        }
    }

    /// What is acknowledged and old goes; what it adds up to is kept in both checkpoints of the books first.
    fn prune(&mut self, site: usize) {
        let now = self.events.now();
        let bug = self.bug;
        let Some(stamp) = self.sites[site].stamp(now) else { return };
        let Site { agent: Some(agent), disk, .. } = &mut self.sites[site] else { return };
        // An act whose sync is under way is not in the books yet.
        if !agent.syncing[0].is_empty() {
            return;
        }
        let books = &agent.books;
        disk.keep(books);
        let mut any = false;
        // No book is made of readings.
        let folded = [disk.safe(), Place { epoch: u32::MAX, seq: u64::MAX }];
        for ((journal, folder), folded) in agent.lanes.iter().zip(&mut disk.lanes).zip(folded) {
            any |= journal.prune(folder, &stamp, folded, bug);
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

    pub(super) fn begin(&mut self, site: usize, (branch, till, act): (usize, usize, ActId), draft: Draft) {
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
            let slow = if roll.per_mille(30) { 3_000 } else { 25 };
            self.events.after(roll.between(1, slow), Happening::Synced { site, life, lane });
        }
    }

    pub(super) fn synced(&mut self, site: usize, life: u32, lane: Lane) -> Result<(), String> {
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
                self.oracle.not_recorded(one.attempt)?;
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
            if let Some(act) = own {
                self.order_synced(site, act, good);
            }
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
        let knows = |agent: &Agent| agent.books.done(act).is_some();
        let done =
            self.bug != Some(Bug::RepeatForgotten) && self.sites[site].agent.as_ref().is_some_and(knows);
        self.sites[site].asked.remove(&till);
        if done {
            self.tell(|| format!("box {site}, till {till}: was done before"));
        } else {
            self.perform(site, till, act, deed);
        }
    }
}
