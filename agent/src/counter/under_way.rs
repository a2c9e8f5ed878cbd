//! What is on its way to the journal: appended here, and booked, shown and answered once the journal has said how that ended. Pure.

use pestle_domain::{
    fact::{Act, Actor, BoxBooksIncomplete, BoxFactsFetched, Fact, FactBody},
    ids::{ActId, FactId, StaffId, TillId},
    journal::Lane,
};

use super::{
    command::{Refused, Said, StationId, Ticket, Why},
    earlier::EarlierAct,
    live::{Asked, Busy, Tone},
    machine::{Branch, CommitId, Effect, Now},
    records::PrintIntent,
};
use crate::space::Level;

/// Why something was appended: what follows once it is on the disk.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Purpose {
    /// Nothing follows.
    Plain,
    /// A person signs in.
    SignIn { ticket: Ticket, till: TillId, staff: StaffId, station: StationId },
    /// A till's own act: a sale, an opening, a closing, the drawer.
    Till(TillId),
    /// The fact of how much room the disk has.
    Level(Level),
    /// The report of readings that were shed.
    Shed,
    /// An order of the centre.
    Order,
    /// A document that was asked for.
    Paper { ticket: Option<Ticket>, till: TillId },
    /// What is missing in the books is named.
    Missing(BoxBooksIncomplete),
    /// What was missing is taken into the books.
    Fetched(BoxFactsFetched, Vec<EarlierAct>),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct UnderWay {
    pub(super) facts: Vec<Fact>,
    pub(super) attachment: Vec<u8>,
    pub(super) purpose: Purpose,
    /// When it was appended (monotonic).
    pub(super) since_ms: u64,
    /// Whoever waits was told that the disk is slow.
    pub(super) said_slow: bool,
}

impl Branch {
    /// Appends facts that nobody waits for.
    pub(super) fn append_plain(
        &mut self,
        now: &mut Now<'_>,
        lane: Lane,
        actor: &Actor,
        bodies: Vec<FactBody>,
        out: &mut Vec<Effect>,
    ) {
        let act = ActId((now.draw)());
        self.append(now, act, lane, actor, bodies, PrintIntent { print: false }, Purpose::Plain, out);
    }

    #[allow(
        clippy::too_many_arguments,
        reason = "each is one part of the record, and this is the one place that makes it"
    )]
    pub(super) fn append(
        &mut self,
        now: &mut Now<'_>,
        act: ActId,
        lane: Lane,
        actor: &Actor,
        bodies: Vec<FactBody>,
        attachment: impl Into<Vec<u8>>,
        purpose: Purpose,
        out: &mut Vec<Effect>,
    ) {
        let (attachment, stamp) = (attachment.into(), self.stamp(now));
        let act = Act::new(act, actor, &stamp, bodies, || FactId((now.draw)()));
        let commit = CommitId(self.next_commit);
        self.next_commit += 1;
        let (facts, since_ms) = (act.facts.clone(), now.mono_ms);
        let under_way =
            UnderWay { facts, attachment: attachment.clone(), purpose, since_ms, said_slow: false };
        self.under_way.insert(commit, under_way);
        out.push(Effect::Append { commit, lane, act, attachment });
    }

    pub(super) fn appended(
        &mut self,
        now: &mut Now<'_>,
        commit: CommitId,
        result: Result<(), String>,
        out: &mut Vec<Effect>,
    ) {
        // Each append is reported once; a second report finds nothing and books nothing.
        let Some(UnderWay { facts, attachment, purpose, .. }) = self.under_way.remove(&commit) else {
            return;
        };
        if result.is_ok() {
            let doubts = self.books.apply(&facts, &attachment);
            out.extend(doubts.into_iter().map(Effect::Doubt));
        }
        match purpose {
            Purpose::Plain => {}
            Purpose::Level(level) => self.level_appended(level, result.is_ok()),
            Purpose::Shed => self.shed_appended(now, &facts, &result),
            Purpose::SignIn { ticket, till, staff, station } => {
                self.signed_in(now, ticket, &till, &staff, station, result, out);
            }
            Purpose::Paper { ticket, till } => {
                self.paper_recorded(now, (ticket, &till), &facts, result, out);
            }
            Purpose::Order => self.order_recorded(now, &facts, result, out),
            Purpose::Missing(_) => self.show_missing(out),
            Purpose::Fetched(fetched, acts) if result.is_ok() => self.take_in(&fetched, &acts, out),
            Purpose::Fetched(..) => {}
            Purpose::Till(till) => self.till_act_ended(now, &till, &facts, result, out),
        }
    }

    /// What a till's own act leads to, once it is on the disk or is known not to be.
    pub(super) fn till_act_ended(
        &mut self,
        now: &mut Now<'_>,
        till: &TillId,
        facts: &[Fact],
        result: Result<(), String>,
        out: &mut Vec<Effect>,
    ) {
        let Some(live) = self.tills.get_mut(till) else { return };
        let Some(busy) = live.busy.take() else { return };
        let held = std::mem::take(&mut live.held);
        let answer = match result {
            Ok(()) => self.booked(now, till, busy.act, facts, out),
            Err(why) => {
                let mut message = format!("{why}.");
                // What nobody knows is not told as if it were known.
                if why.starts_with(crate::journal::NOT_RECORDED) {
                    message.push_str(" Nothing was booked, and the basket is as it was.");
                }
                if let Some(first) = message.get_mut(..1) {
                    first.make_ascii_uppercase();
                }
                self.tell(till, Tone::Refused, message.clone(), out);
                Err(Refused::new(Why::Unavailable, message))
            }
        };
        out.push(Effect::Keep(till.clone()));
        out.push(Effect::Show(till.clone()));
        out.extend(busy.tickets.into_iter().map(|ticket| Effect::Answer(ticket, answer.clone())));
        for scanned in held {
            self.scanned(now, till, scanned, out);
        }
    }

    /// Starts a till's own act, or joins whoever waits for the same.
    pub(super) fn begin(
        &mut self,
        till: &TillId,
        act: ActId,
        asked: Asked,
        ticket: Ticket,
    ) -> Result<Option<Said>, Refused> {
        let live = self.tills.get_mut(till).ok_or_else(|| Refused::new(Why::NotFound, "No such till."))?;
        match &mut live.busy {
            Some(busy) if busy.act == act && busy.asked == asked => {
                busy.tickets.push(ticket);
                Ok(None)
            }
            Some(_) => {
                Err(Refused::new(Why::Conflict, "Something else is being recorded at this till. Try again."))
            }
            None => {
                live.busy = Some(Busy { act, asked, tickets: vec![ticket] });
                Ok(None)
            }
        }
    }
}
