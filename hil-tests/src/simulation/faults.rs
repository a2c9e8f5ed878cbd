//! What goes wrong, and how it is mended.

use pestle_domain::journal::Lane;

use super::{
    COPY_EVERY_MS,
    broker::Weather,
    conformance::Asked,
    gateway::NextCommit,
    oracle::Set,
    schedule::{GATEWAYS, LIFE_MS, Step},
    site::Site,
    world::{Happening, World},
};

impl World {
    /// Does a step of the schedule.
    pub(super) fn step(&mut self, step: Step) -> Result<(), String> {
        if !matches!(step, Step::Do { .. }) {
            self.tell(|| format!("{step:?}"));
        }
        match step {
            Step::Do { branch, till, deed } => self.deed(branch, till, deed),
            Step::CutLine { branch, ms } => {
                if let Some(site) = self.box_of(branch) {
                    self.cut_line(site, ms);
                }
            }
            Step::Weather { lost, twice, slow_ms } => self.weather = Weather { lost, twice, slow_ms },
            Step::BrokerForgets { ms } => self.broker_forgets(ms),
            Step::PowerCut { branch, ms, kept } => {
                if let Some(site) = self.box_of(branch) {
                    self.cut_power(site, kept);
                    self.events.after(ms, Happening::Start { site });
                }
            }
            Step::SyncFails { branch } => {
                if let Some(site) = self.box_of(branch) {
                    self.sites[site].sync_fails = true;
                }
            }
            Step::GatewayDies { gateway, ms } => {
                let gateway = gateway % GATEWAYS;
                self.gateways[gateway].die();
                self.redeliver(gateway);
                self.events.after(ms, Happening::GatewayBack { gateway });
            }
            Step::CommitFails => self.next_commit = NextCommit::Fails,
            Step::CommitUnheard => self.next_commit = NextCommit::Unheard,
            Step::DatabaseAway { ms } => {
                self.centre.away = true;
                self.events.after(ms, Happening::DatabaseBack);
            }
            Step::Garble => self.garble = true,
            Step::CopyBox { branch } => {
                if let Some(site) = self.box_of(branch) {
                    let own = &mut self.sites[site];
                    own.copy = Some(synced(own));
                }
            }
            Step::RestoreBox { branch } => {
                if let Some(site) = self.box_of(branch) {
                    self.restore_box(site);
                }
            }
            Step::CloneBox { branch } => {
                if let Some(site) = self.box_of(branch) {
                    self.clone_box(site);
                }
            }
            Step::LoseTail { branch, acts } => {
                if let Some(site) = self.box_of(branch) {
                    self.lose_tail(site, acts);
                }
            }
            Step::RestoreCentre { ms } => self.restore_centre(ms),
            Step::ClockJumps { branch, ms } => {
                if let Some(site) = self.box_of(branch) {
                    self.sites[site].clock_ms += ms;
                }
            }
            Step::Replace { branch, disk } => {
                if let Some(site) = self.box_of(branch).filter(|_| !self.centre.away) {
                    self.replace(site, disk);
                }
            }
            Step::Order { branch, product, packs } => self.issue_order(branch, product, packs),
            Step::LookAfter { branch } => {
                if let Some(site) = self.box_of(branch) {
                    self.look_after(site);
                }
            }
        }
        Ok(())
    }

    /// The box of a branch; the newer one, where a second runs beside it.
    fn box_of(&self, branch: usize) -> Option<usize> {
        (0..self.sites.len()).rev().find(|at| self.sites[*at].branch == branch && self.sites[*at].in_use)
    }

    fn cut_line(&mut self, site: usize, ms: u64) {
        self.sites[site].line_cut = true;
        self.events.after(ms, Happening::LineMended { site });
        let connection = self.sites[site].agent.as_ref().and_then(|agent| agent.connection);
        // Sometimes the line comes back before anybody notices that it was gone.
        if let Some((connection, _)) = connection {
            let after = self.roll(20).between(100, 20_000);
            self.events.after(after, Happening::LinkDown { site, connection });
        }
    }

    /// The power of a box goes.
    pub(super) fn cut_power(&mut self, site: usize, kept: usize) {
        self.sites[site].cut(kept);
        self.oracle.disks[site] = Set::of(&self.sites[site].disk);
    }

    /// What a disk loses now is lost by what no software withstands.
    fn disaster(&mut self, site: usize, change: impl FnOnce(&mut Site)) {
        let before = std::mem::take(&mut self.oracle.disks[site]);
        change(&mut self.sites[site]);
        self.oracle.disks[site] = Set::of(&self.sites[site].disk);
        self.oracle.parted[self.sites[site].branch] = true;
        self.oracle.disaster(site, &before);
    }

    fn restore_box(&mut self, site: usize) {
        if self.sites[site].copy.is_none() {
            return;
        }
        self.cut_power(site, 0);
        self.disaster(site, |own| {
            if let Some(disk) = own.copy.clone() {
                own.disk = disk;
            }
            // Who had asked for something has the answer, or asks at another counter.
            own.asked.clear();
        });
        self.oracle.forked[self.sites[site].branch] = true;
        let after = self.roll(21).between(500, 5_000);
        self.events.after(after, Happening::Start { site });
    }

    fn clone_box(&mut self, site: usize) {
        let own = &self.sites[site];
        if own.is_clone || self.sites.iter().any(|other| other.is_clone && other.branch == own.branch) {
            return;
        }
        let disk = synced(own);
        let mut second = Site::new(own.branch, own.sender.clone(), own.first_epoch, own.signing.clone());
        (second.disk, second.clock_ms, second.is_clone) = (disk, own.clock_ms, true);
        let branch = own.branch;
        self.oracle.forked[branch] = true;
        self.oracle.parted[branch] = true;
        self.add(second);
    }

    fn lose_tail(&mut self, site: usize, acts: usize) {
        self.cut_power(site, 0);
        self.disaster(site, |own| {
            let Some(epoch) = own.disk.lanes[0].epochs.last_mut() else { return };
            epoch.lose_tail(acts);
        });
        let last = self.sites[site].disk.lanes[0].epochs.last();
        // A tail that no mark tells of vanishes unseen: its receipt numbers are given again.
        if last.is_some_and(|epoch| epoch.mark.written.seq <= epoch.readable().seq) {
            self.oracle.forked[self.sites[site].branch] = true;
        }
        self.sites[site].asked.clear();
        let after = self.roll(22).between(500, 5_000);
        self.events.after(after, Happening::Start { site });
    }

    /// Another box takes over, with the old one's disk or without.
    fn replace(&mut self, site: usize, disk: bool) {
        self.cut_power(site, 0);
        if self.sites[site].is_clone {
            self.events.after(1_000, Happening::Start { site });
            return;
        }
        let branch = self.sites[site].branch;
        let before = self.sites[site].sender.clone();
        let Some((sender, first_epoch, key)) = self.enrol(branch, disk.then_some(&*before)) else { return };
        if !disk {
            self.disaster(site, |own| {
                own.disk = super::disk::Disk { stocked: true, ..Default::default() };
                own.copy = None;
                own.asked.clear();
            });
            self.oracle.forked[branch] = true;
        }
        let own = &mut self.sites[site];
        (own.sender, own.first_epoch, own.signing, own.clock_ms) = (sender, first_epoch, key, 0);
        let after = self.roll(23).between(1_000, 10_000);
        self.events.after(after, Happening::Start { site });
    }

    /// Copies the database, now and every so often.
    pub(super) fn copy_centre(&mut self) {
        let now = self.events.now();
        self.copies.push((now, self.centre.store.clone(), self.centre.counted));
        self.copies.retain(|(at, ..)| *at + super::RECOVERY_WINDOW_MS + COPY_EVERY_MS >= now);
        if now < LIFE_MS {
            self.events.after(COPY_EVERY_MS, Happening::CopyCentre);
        }
    }

    fn restore_centre(&mut self, ms: u64) {
        if let Some(history) = &mut self.history {
            // Another store that is asked the same cannot be put back: it begins its next life with all that it has.
            history.push(Asked::NewLife);
            self.centre.store.incarnation += 1;
            self.oracle.centre_restored(&self.centre);
            return;
        }
        let now = self.events.now();
        let copy = self.copies.iter().rev().find(|(at, ..)| at + ms <= now).or(self.copies.first());
        // No further than the recovery window: a second restore may find nothing that young.
        let recent = copy.filter(|(at, ..)| at + super::RECOVERY_WINDOW_MS >= now);
        let Some((at, store, counted)) = recent.cloned() else { return };
        // Later copies are of a life that ended.
        self.copies.retain(|(other, ..)| *other <= at);
        let incarnation = self.centre.store.incarnation + 1;
        self.centre.store = store;
        self.centre.store.incarnation = incarnation;
        self.centre.counted = counted;
        self.oracle.centre_restored(&self.centre);
        for gateway in 0..GATEWAYS {
            self.gateways[gateway].die();
            self.gateways[gateway].up = true;
            self.redeliver(gateway);
        }
    }

    /// All faults end.
    pub(super) fn mend(&mut self) {
        self.tell(|| "everything is mended".to_owned());
        self.mended = true;
        self.weather = Weather::default();
        self.next_commit = NextCommit::Good;
        (self.garble, self.centre.away, self.broker.away) = (false, false, false);
        for site in 0..self.sites.len() {
            self.sites[site].line_cut = false;
            self.sites[site].sync_fails = false;
            self.start(site);
        }
        for gateway in 0..GATEWAYS {
            if !self.gateways[gateway].up {
                self.gateways[gateway].up = true;
                self.redeliver(gateway);
            }
        }
        self.begin_looking();
    }
}

/// A disk as a copy of it has it: what is not synced is not in it.
fn synced(site: &Site) -> super::disk::Disk {
    let mut disk = site.disk.clone();
    for lane in Lane::ALL {
        if let Some(epoch) = disk.lanes[super::site::lane_index(lane)].epochs.last_mut() {
            epoch.cut(0);
        }
    }
    disk
}
