//! The counter's loop; its handle is in [`super::handle`]. The loop owns the machine and runs its effects; it never waits for
//! the disk, a printer or a PIN: each reports back as an event.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    pin::Pin as Pinned,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use argon2::{Argon2, PasswordVerifier as _};
use futures::stream::{FuturesOrdered, StreamExt as _};
use pestle_domain::{
    causes::with_causes,
    ids::{StoreId, TillId},
    journal::Lane,
    personal::PatientDetails,
};
use tokio::{
    sync::{broadcast, mpsc, oneshot, watch},
    task::JoinHandle,
    time::{self, MissedTickBehavior},
};
use uuid::Uuid;

use super::{
    checkpoint::Where,
    command::{Answer, Pin, Ticket},
    counters::{Count, CounterCounters},
    handle::{CounterParts, Message},
    keeping::{BasketWrite, Kept},
    machine::{Branch, CommitId, Effect, Event, Now},
    patient::Sealing,
    view::TillView,
};
use crate::{
    clock::Clock,
    fetched::Lacks,
    journal::{Committed, JournalError, NewAct, Place},
    orders::OrdersState,
    spool::{
        machine::{DrawerEnd, Ended},
        task::PrintOrder,
    },
};

/// Events that may wait for the loop, which takes microseconds for each. Full means that the loop hangs.
pub(super) const EVENTS_WAITING_MAX: usize = 256;
/// How often idle people are signed out and the date is looked at.
pub(super) const TICK: Duration = Duration::from_secs(1);
type Append = Pinned<Box<dyn Future<Output = (CommitId, Result<Committed, JournalError>)> + Send>>;

pub(super) struct Task {
    pub(super) branch: Branch,
    pub(super) parts: CounterParts,
    views: BTreeMap<TillId, watch::Sender<Arc<TillView>>>,
    store: StoreId,
    /// Up to here the books are folded.
    pub(super) at: Where,
    pub(super) kept: Kept,
    tickets: HashMap<Ticket, oneshot::Sender<Answer>>,
    next_ticket: u64,
    /// In the order in which they were made, which is the order of the journal.
    ledger: FuturesOrdered<Append>,
    telemetry: FuturesOrdered<Append>,
    pub(super) baskets: BTreeMap<TillId, BasketWrite>,
    /// A checkpoint of the books is being written.
    pub(super) writing: Option<JoinHandle<Option<(Where, Duration)>>>,
    pub(super) counters: CounterCounters,
    orders: watch::Sender<OrdersState>,
    lacks: watch::Sender<Lacks>,
    urgent: broadcast::Sender<Committed>,
    /// See [`super::handle::Counter::beats`].
    beats: Arc<AtomicU64>,
    /// Urgent acts on their way to the disk.
    urgent_commits: BTreeSet<CommitId>,
    /// Weak: the loop ends when all handles have gone.
    messages: mpsc::WeakSender<Message>,
}

/// What the loop tells its handles by.
pub(super) struct Ends {
    pub(super) views: BTreeMap<TillId, watch::Sender<Arc<TillView>>>,
    pub(super) orders: watch::Sender<OrdersState>,
    pub(super) lacks: watch::Sender<Lacks>,
    pub(super) urgent: broadcast::Sender<Committed>,
    pub(super) counters: CounterCounters,
    pub(super) beats: Arc<AtomicU64>,
    /// Weak: the loop ends when all handles have gone.
    pub(super) messages: mpsc::WeakSender<Message>,
}

impl Task {
    /// The loop over a branch whose books are folded up to `at`, of which a checkpoint has those up to `kept`.
    pub(super) fn new(parts: CounterParts, branch: Branch, (at, kept): (Where, Place), ends: Ends) -> Self {
        let store = parts.ledger.epochs().last().map_or(StoreId(Uuid::nil()), |epoch| epoch.store);
        let Ends { views, orders, lacks, urgent, counters, beats, messages } = ends;
        Self {
            branch,
            views,
            store,
            at,
            kept: Kept::new(Where { place: kept, ..at }),
            tickets: HashMap::new(),
            next_ticket: 1,
            ledger: FuturesOrdered::new(),
            telemetry: FuturesOrdered::new(),
            baskets: BTreeMap::new(),
            writing: None,
            messages,
            counters,
            orders,
            lacks,
            urgent,
            beats,
            urgent_commits: BTreeSet::new(),
            parts,
        }
    }

    pub(super) async fn run(mut self, mut inbox: mpsc::Receiver<Message>) {
        let mut tick = time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut shop = self.parts.shop.clone();
        let (written, mut baskets_written) = mpsc::channel::<TillId>(EVENTS_WAITING_MAX);
        let stopped = loop {
            self.beats.fetch_add(1, Ordering::Relaxed);
            let event = tokio::select! {
                biased;
                Some((commit, result)) = self.ledger.next() => self.ledger_appended(commit, result),
                Some((commit, result)) = self.telemetry.next() => appended(commit, result.as_ref()),
                message = inbox.recv() => match message {
                    None => break None,
                    Some(Message::Stop(done)) => break Some(done),
                    Some(Message::Event(event)) => event,
                    Some(Message::Preview(preview, answer)) => {
                        let mut draw = Uuid::now_v7;
                        let paper = self.branch.preview(&now(&self.parts.clock, &mut draw), &preview);
                        // The browser may have gone.
                        let _gone = answer.send(paper);
                        continue;
                    }
                    Some(Message::KeepBooks) => {
                        self.kept.wanted = true;
                        continue;
                    }
                    Some(Message::Asked(request, answer)) => {
                        let ticket = Ticket(self.next_ticket);
                        self.next_ticket += 1;
                        self.tickets.insert(ticket, answer);
                        Event::Asked(ticket, request)
                    }
                },
                Some(till) = baskets_written.recv() => {
                    self.basket_written(&till, &written);
                    continue;
                }
                Ok(()) = shop.changed() => match shop.borrow_and_update().clone() {
                    Some(shop) => Event::Shop(shop),
                    None => continue,
                },
                _ = tick.tick() => {
                    self.keep_books_if_due();
                    self.handle(Event::Tick, &written);
                    self.show_all();
                    continue;
                }
            };
            self.handle(event, &written);
        };
        self.handle(Event::Ending, &written);
        self.end(&written, &mut baskets_written).await;
        if let Some(done) = stopped {
            // Whoever asked may have stopped waiting.
            let _gone = done.send(());
        }
    }

    fn ledger_appended(&mut self, commit: CommitId, result: Result<Committed, JournalError>) -> Event {
        let urgent = self.urgent_commits.remove(&commit);
        if let Ok(committed) = &result {
            self.at = Where { store: self.store, place: committed.last, head: committed.head };
            self.branch.stand_at(committed.last);
            if urgent {
                // Without a relay nobody wants to know.
                let _nobody = self.urgent.send(*committed);
            }
        }
        appended(commit, result.as_ref())
    }

    fn handle(&mut self, event: Event, written: &mpsc::Sender<TillId>) {
        let mut draw = Uuid::now_v7;
        let mut now = now(&self.parts.clock, &mut draw);
        let effects = self.branch.handle(&mut now, event);
        let mut shown = BTreeSet::new();
        let mut answers = Vec::new();
        for effect in effects {
            match effect {
                Effect::Append { commit, lane, act, attachment } => {
                    self.append(commit, lane, NewAct { act, attachment })
                }
                Effect::CheckPin { ticket, verifier, pin } => self.check_pin(ticket, verifier, pin),
                Effect::Seal(sealing, details) => self.seal(sealing, details),
                Effect::Answer(ticket, answer) => answers.push((ticket, answer)),
                Effect::Show(till) => drop(shown.insert(till)),
                Effect::ShowAll => shown.extend(self.views.keys().cloned()),
                Effect::Keep(till) => self.keep_basket(&till, written),
                Effect::Print { printer, job, document, drawer } => {
                    let order = PrintOrder::Print { job, document, drawer };
                    if self.order(&printer, order).is_err() {
                        let reason = "the printer is not set up on this box: call support".to_owned();
                        let ended = Ended::NotPrinted { reason, drawer_kicked: false };
                        self.tell_self(Event::PrintEnded(printer, job, ended));
                    }
                }
                Effect::KickDrawer(printer) => {
                    if self.order(&printer, PrintOrder::KickDrawer).is_err() {
                        tracing::warn!(printer, "the drawer cannot be opened: its printer takes no orders");
                        self.tell_self(Event::DrawerEnded(printer, DrawerEnd::NotOpened));
                    }
                }
                Effect::Beep(printer) => {
                    if self.order(&printer, PrintOrder::Beep).is_err() {
                        tracing::warn!(printer, "an alarm was not sounded: the printer takes no orders");
                    }
                }
                Effect::ConfirmDate => self.parts.clock.confirm(),
                Effect::Count(count) => self.counters.count(count),
                Effect::Doubt(discrepancy) => {
                    tracing::warn!(?discrepancy, "the stock book cannot be right");
                    self.counters.count(Count::Doubt);
                }
            }
        }
        self.orders.send_if_modified(|state| {
            let now = self.branch.orders_state();
            let changed = state != now;
            if changed {
                state.clone_from(now);
            }
            changed
        });
        self.lacks.send_if_modified(|lacks| {
            let changed = lacks.missing != self.branch.missing() || lacks.fetched != self.branch.fetched();
            if changed {
                *lacks = self.branch.lacks();
            }
            changed
        });
        for till in shown {
            self.show(&till);
        }
        for (ticket, answer) in answers {
            if let Some(waiting) = self.tickets.remove(&ticket) {
                // The browser may have gone; the page shows it all the same.
                let _gone = waiting.send(answer);
            }
        }
    }

    fn append(&mut self, commit: CommitId, lane: Lane, act: NewAct) {
        if lane == Lane::Ledger && act.act.facts.iter().any(|fact| fact.body.is_urgent()) {
            self.urgent_commits.insert(commit);
        }
        let (journal, queue) = match lane {
            Lane::Ledger => (self.parts.ledger.clone(), &mut self.ledger),
            Lane::Telemetry => (self.parts.telemetry.clone(), &mut self.telemetry),
        };
        queue.push_back(Box::pin(async move { (commit, journal.append(act).await) }));
    }

    fn order(&self, printer: &str, order: PrintOrder) -> Result<(), ()> {
        let queue = self.parts.printers.get(printer).ok_or(())?;
        queue.try_send(order).map_err(|_| ())
    }

    fn check_pin(&self, ticket: Ticket, verifier: Box<str>, pin: Pin) {
        let Some(messages) = self.messages.upgrade() else { return };
        tokio::spawn(async move {
            let right =
                tokio::task::spawn_blocking(move || pin_is_right(&verifier, &pin)).await.unwrap_or(false);
            let _ended = messages.send(Message::Event(Event::PinChecked(ticket, right))).await;
        });
    }

    fn seal(&self, sealing: Sealing, details: PatientDetails) {
        let Some(messages) = self.messages.upgrade() else { return };
        let persons = self.parts.persons.clone();
        tokio::spawn(async move {
            let sealed = persons.seal(sealing.whose, details).await.map_err(|error| {
                tracing::warn!(error = with_causes(&error), "a patient's details were not sealed");
                error.to_string()
            });
            let _ended = messages.send(Message::Event(Event::Sealed(sealing, sealed))).await;
        });
    }

    fn tell_self(&self, event: Event) {
        let Some(messages) = self.messages.upgrade() else { return };
        tokio::spawn(async move {
            let _ended = messages.send(Message::Event(event)).await;
        });
    }

    fn show(&self, till: &TillId) {
        let mut draw = Uuid::now_v7;
        let now = now(&self.parts.clock, &mut draw);
        let (Some(sender), Some(view)) = (self.views.get(till), self.branch.view(&now, till)) else { return };
        sender.send_if_modified(|shown| {
            let changed = **shown != view;
            if changed {
                *shown = Arc::new(view);
            }
            changed
        });
    }

    fn show_all(&self) {
        for till in self.views.keys() {
            self.show(till);
        }
    }

    /// Books what is on its way, then keeps everything.
    async fn end(mut self, written: &mpsc::Sender<TillId>, baskets_written: &mut mpsc::Receiver<TillId>) {
        while let Some((commit, result)) = self.ledger.next().await {
            let event = self.ledger_appended(commit, result);
            self.handle(event, written);
        }
        // One writer a file.
        while !self.baskets.is_empty() {
            let Some(till) = baskets_written.recv().await else { break };
            self.baskets.remove(&till);
        }
        if let Some(writing) = self.writing.take() {
            match writing.await {
                Ok(Some((at, _))) => self.kept.at = at,
                Ok(None) => {}
                Err(panicked) => tracing::error!(%panicked, "a checkpoint of the books was not kept"),
            }
        }
        let checkpoint = if self.at.place == self.kept.at.place { None } else { self.begin_checkpoint() };
        if let Some(writing) = checkpoint
            && let Err(panicked) = writing.await
        {
            tracing::error!(%panicked, "the books were not kept; the next start reads more of the journal");
        }
        let keep = self.parts.keep.clone();
        let baskets: Vec<_> =
            self.views.keys().map(|till| (till.clone(), self.branch.basket(till).cloned())).collect();
        let kept = tokio::task::spawn_blocking(move || {
            for (till, basket) in baskets {
                if let Err(error) = keep.keep_basket(&till, basket.as_ref()) {
                    tracing::warn!(%till, %error, "the open basket cannot be kept");
                }
            }
        });
        if let Err(panicked) = kept.await {
            tracing::error!(%panicked, "the open baskets were not kept");
        }
    }
}

pub(super) fn now<'a>(clock: &Clock, draw: &'a mut dyn FnMut() -> Uuid) -> Now<'a> {
    Now { mono_ms: clock.mono_ms(), stamp: clock.stamp(), floor: clock.floor(), draw }
}

fn appended(commit: CommitId, result: Result<&Committed, &JournalError>) -> Event {
    let result = match result {
        Ok(_) => Ok(()),
        Err(error) => {
            let error: &dyn std::error::Error = error;
            tracing::error!(error, "an act was not recorded");
            Err(error.to_string())
        }
    };
    Event::Appended(commit, result)
}

/// Whether the PIN fits its verifier; a verifier that cannot be read fits none. Takes some 20 ms by design.
fn pin_is_right(verifier: &str, pin: &Pin) -> bool {
    match Argon2::default().verify_password(pin.0.as_bytes(), verifier) {
        Ok(()) => true,
        Err(argon2::password_hash::Error::PasswordInvalid) => false,
        Err(error) => {
            tracing::error!(%error, "a PIN verifier of the snapshot cannot be read");
            false
        }
    }
}
