//! The person who is called when a box stands still. What two stores wrote under one name cannot be decided by a machine; what
//! is done then loses nothing: what the box has is recorded once more, as it was, in a new epoch, and the centre knows what it
//! has already by the facts' ids.

use std::rc::Rc;

use pestle_agent::{counter::books::Books, journal::carry::is_carried, relay::state::Phase};
use pestle_domain::journal::{Carried, Lane, Parent};

use super::{
    disk::{LaneFolder, OnDisk},
    oracle::Set,
    site::{Site, lane_index},
    world::{Happening, World, branch_name},
};

impl World {
    /// Looks after a box that stands still because of what the centre said.
    pub(super) fn look_after(&mut self, site: usize) {
        let own = &self.sites[site];
        let Some(agent) = &own.agent else { return };
        let stands = agent.contradicted && agent.link.phase() != Phase::Offline;
        // The second of two boxes with one name gets a name of its own; until then the first is left alone.
        let shares_name = own.shares_name(self);
        let second = own.is_clone && shares_name;
        if self.centre.away || !(second || stands && !shares_name) {
            return;
        }
        self.tell(|| format!("a person looks after box {site}"));
        let branch = self.sites[site].branch;
        self.cut_power(site, 0);
        let books = self.sites[site].disk.books(false);
        if second {
            let before = self.sites[site].sender.clone();
            let Some((sender, first_epoch, key)) = self.enrol(branch, Some(&before)) else { return };
            let own = &mut self.sites[site];
            (own.sender, own.first_epoch, own.signing) = (sender, first_epoch, key);
        }
        let next = self.centre.store.next_epoch(branch_name(branch));
        let mut carried = [Vec::new(), Vec::new()];
        for lane in Lane::ALL {
            let folder = &mut self.sites[site].disk.lanes[lane_index(lane)];
            carried[lane_index(lane)] = set_aside(folder);
            folder.highest = folder.highest.max(next.saturating_sub(1));
        }
        self.carry_over(site, &books, carried);
    }

    /// Records what was set aside in a new epoch, before anything else comes into it. The books have it already.
    fn carry_over(&mut self, site: usize, books: &Books, carried: [Vec<Rc<OnDisk>>; 2]) {
        self.start(site);
        let now = self.events.now();
        if let Some(mut agent) = self.sites[site].agent.take() {
            for lane in Lane::ALL {
                for act in &carried[lane_index(lane)] {
                    self.sites[site].record(lane, &act.facts, act.attempt);
                }
                let journal = &mut agent.lanes[lane_index(lane)];
                self.sites[site].sync(journal, lane, now);
            }
            for (journal, folder) in agent.lanes.iter().zip(&mut self.sites[site].disk.lanes) {
                journal.mark(folder);
            }
        }
        self.sites[site].disk.keep_anew(books);
        self.cut_power(site, 0);
        self.oracle.disks[site] = Set::of(&self.sites[site].disk);
        self.events.after(1_000, Happening::Start { site });
    }

    /// Once everything is at rest: what a box's books say is what its journal adds up to, and, where neither end has lost
    /// anything that the other has, what the centre says.
    pub(super) fn books_agree(&mut self) -> Result<(), String> {
        for site in 0..self.sites.len() {
            let branch = self.sites[site].branch;
            let Some(agent) = &self.sites[site].agent else { continue };
            let replayed = self.sites[site].disk.books(false);
            if replayed != agent.books {
                return Err(format!("the books of box {site} are not what its journal adds up to"));
            }
            if self.oracle.parted[branch] {
                continue;
            }
            for (product, lots) in agent.books.ledger.iter() {
                for balance in lots {
                    let lot = balance.lot.clone().unwrap_or_default().to_string();
                    let key = (branch_name(branch).to_owned(), product.to_string(), lot);
                    let centre = self.centre.store.balances.get(&key).copied().unwrap_or(0);
                    if centre != balance.on_hand.0 {
                        return Err(format!(
                            "{key:?}: {} at the branch, {centre} at the centre",
                            balance.on_hand
                        ));
                    }
                }
            }
        }
        Ok(())
    }
}

impl Site {
    /// Whether another box that is in use has its name.
    fn shares_name(&self, world: &World) -> bool {
        world.sites.iter().filter(|other| other.in_use && other.sender.device == self.sender.device).count()
            > 1
    }
}

/// Sets every epoch aside, and returns its acts: they are to be recorded once more, those that are acknowledged among them. For a
/// stream that is not sent any more cannot answer a centre that is put back to the minute before; what was acknowledged for
/// longer than that can happen is not here any more. What an epoch says of itself is not carried: the new one says it.
fn set_aside(folder: &mut LaneFolder) -> Vec<Rc<OnDisk>> {
    let mut carried = Vec::new();
    let parent = folder.epochs.last().map(|epoch| Parent {
        epoch: epoch.manifest.stream.epoch,
        head: epoch.readable(),
        store: epoch.manifest.store,
    });
    let ranges = folder.epochs.iter().flat_map(|epoch| {
        let own = Carried {
            epoch: epoch.manifest.stream.epoch,
            first: epoch.before_kept().seq + 1,
            last: epoch.readable().seq,
        };
        epoch.manifest.carried.iter().copied().chain([own])
    });
    folder.carries = parent.map(|parent| (Some(parent), ranges.collect()));
    for mut epoch in std::mem::take(&mut folder.epochs) {
        carried.extend(epoch.generations.drain(..).flat_map(|generation| generation.acts));
        epoch.synced = 0;
        folder.aside.push(epoch);
    }
    carried.retain(|act| act.facts.first().is_none_or(|fact| is_carried(fact.body.kind())));
    carried
}
