//! The lines between boxes and the broker, as a box knows them: it connects, sends, hears, and loses its connection.

use pestle_agent::relay::link::{Effect, Event};
use pestle_domain::{ids::BatchId, journal::Stream, wire::message::Answer};

use super::{
    broker::{Message, Said},
    site::{Site, lane_index, named},
    world::{Happening, World, centre_key},
};

impl World {
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
                    if roll.per_mille(700) {
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
                let said = Said::Heads(self.sites[site].stated(), self.sites[site].orders_stated());
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

    pub(super) fn connect_done(&mut self, site: usize, connection: u64) {
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

    pub(super) fn link_down(&mut self, site: usize, connection: u64, why: &str) {
        let Some(agent) = &mut self.sites[site].agent else { return };
        if agent.connection.is_some_and(|(own, _)| own == connection) {
            self.lose_connection(site, why);
        }
    }

    fn lose_connection(&mut self, site: usize, why: &str) {
        let random = self.roll(11).next_u64();
        let Some(agent) = &mut self.sites[site].agent else { return };
        if agent.connection.take().is_some() {
            self.tell(|| format!("box {site} is offline: {why}"));
            self.take(site, Event::Disconnected { why: why.to_owned(), random });
        }
    }

    pub(super) fn at_box(&mut self, site: usize, connection: u64, answer: Answer) -> Result<(), String> {
        let bug = self.bug;
        let Some(agent) = &self.sites[site].agent else { return Ok(()) };
        if agent.connection != Some((connection, true)) || self.sites[site].line_cut {
            return Ok(());
        }
        if let Answer::Committed(ack) = &answer {
            self.compare_end(site, &ack.stream);
        }
        if let Some(event) = self.sites[site].heard(answer, centre_key().public(), (self.events.now(), bug)) {
            let (life, after) = (self.sites[site].life, self.roll(12).between(1, 300));
            self.events.after(after, Happening::Marked { site, life });
            self.take(site, event);
        }
        self.acknowledged_is_there(site)
    }

    /// Where the centre says that it has more of a life that is over than the box, the box asks for what lies behind its own end,
    /// and learns by the chain whether the centre has all up to there. What it is given is not taken into the books here.
    fn compare_end(&mut self, site: usize, stream: &Stream) {
        let Site { agent: Some(agent), disk, .. } = &mut self.sites[site] else { return };
        let index = lane_index(stream.lane);
        let own = disk.lanes[index].epochs.iter().find(|epoch| epoch.manifest.stream == *stream);
        let (Some(epoch), Some(row), false) = (own, self.centre.store.row(stream), self.centre.away) else {
            return;
        };
        let (end, journal) = (epoch.readable(), &mut agent.lanes[index]);
        let same = row.head.seq > end.seq && row.at(end.seq).is_some_and(|slot| slot.hash == end.hash);
        if same && journal.all_there(stream.epoch, end, self.centre.store.incarnation, self.events.now()) {
            let known = self.sites[site].known();
            self.take(site, Event::Heads(known));
        }
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
}
