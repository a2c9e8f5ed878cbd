//! The counter's loop and its handle. The loop owns the machine and runs its effects; it never waits for the disk, a
//! printer or a PIN: each reports back as an event.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    pin::Pin as Pinned,
    sync::Arc,
    time::Duration,
};

use argon2::{Argon2, PasswordVerifier as _};
use futures::stream::{FuturesOrdered, StreamExt as _};
use pestle_domain::{
    fact::{Act, Actor},
    ids::{ActId, FactId, ProductId, StoreId, TillId},
    journal::Lane,
    money::Money,
    personal::PatientDetails,
};
use serde::Serialize;
use tokio::{
    sync::{broadcast, mpsc, oneshot, watch},
    task::{AbortHandle, JoinHandle},
    time::{self, MissedTickBehavior},
};
use uuid::Uuid;

use super::{
    checkpoint::Where,
    command::{Answer, Pin, Refused, Request, Ticket, Why},
    counters::{Count, CounterCounters},
    fold::{FoldError, Folded, Nowhere},
    keep::Keep,
    keeping::{BasketWrite, Kept},
    machine::{Branch, CommitId, CounterSettings, Effect, Event, Now, TillSettings},
    patient::Sealing,
    shop::Shop,
    view::TillView,
};
use crate::{
    clock::Clock,
    journal::{Committed, Journal, JournalError, NewAct, Place},
    orders::OrdersState,
    personal::Persons,
    spool::{
        machine::{DrawerEnd, Ended},
        task::PrintOrder,
    },
};

/// Events that may wait for the loop, which takes microseconds for each. Full means that the loop hangs.
const EVENTS_WAITING_MAX: usize = 256;
/// Urgent acts that the relay may not have looked at yet.
const URGENT_MAX: usize = 64;
/// How often idle people are signed out and the date is looked at.
const TICK: Duration = Duration::from_secs(1);
/// Longest list of a search by name: what fits on a screen.
const HITS_MAX: usize = 12;

/// All that the counter needs.
#[derive(Debug)]
pub struct CounterParts {
    /// As configured.
    pub settings: CounterSettings,
    /// Where sales go.
    pub ledger: Journal,
    /// Where readings go.
    pub telemetry: Journal,
    /// Its own files.
    pub keep: Keep,
    /// Time.
    pub clock: Arc<Clock>,
    /// The snapshot, when there is one, and each later one.
    pub shop: watch::Receiver<Option<Arc<Shop>>>,
    /// Patients' keys.
    pub persons: Persons,
    /// By the names of the tills' printers.
    pub printers: HashMap<String, mpsc::Sender<PrintOrder>>,
}

/// The counter's handle.
#[derive(Debug, Clone)]
pub struct Counter {
    messages: mpsc::Sender<Message>,
    views: Arc<BTreeMap<TillId, watch::Receiver<Arc<TillView>>>>,
    tills: Arc<[TillSettings]>,
    shop: watch::Receiver<Option<Arc<Shop>>>,
    counters: CounterCounters,
    safe: watch::Receiver<Place>,
    orders: watch::Receiver<OrdersState>,
    urgent: broadcast::Sender<Committed>,
    task: Option<AbortHandle>,
}

#[derive(Debug)]
enum Message {
    Asked(Request, oneshot::Sender<Answer>),
    Event(Event),
    KeepBooks,
    Stop(oneshot::Sender<()>),
}

/// An article that a search found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hit {
    /// Which.
    pub product: ProductId,
    /// As printed.
    pub name: Box<str>,
    /// Of one pack.
    pub price: Money,
    /// Whether the counter may sell it.
    pub sold_here: bool,
}

impl Counter {
    /// Folds the books and starts the loop.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub async fn start(parts: CounterParts) -> Result<Self, FoldError> {
        let (keep, ledger) = (parts.keep.clone(), parts.ledger.clone());
        let tills: Vec<TillId> = parts.settings.tills.iter().map(|till| till.id.clone()).collect();
        let folded = tokio::task::spawn_blocking(move || {
            let baskets =
                tills.into_iter().filter_map(|till| Some((till.clone(), keep.basket(&till)?))).collect();
            keep.fold(&ledger, &Nowhere).map(|folded| (folded, baskets))
        });
        let (mut folded, baskets) = match folded.await {
            Ok(folded) => folded?,
            Err(panicked) => return Err(JournalError::Panicked(panicked.to_string()).into()),
        };
        record_missing(&parts, &mut folded).await;
        let Folded { books, at, kept, .. } = folded;
        let (messages, inbox) = mpsc::channel(EVENTS_WAITING_MAX);
        let shop = parts.shop.borrow().clone();
        let branch = Branch::new(parts.settings.clone(), shop, books, baskets);
        let mut draw = Uuid::now_v7;
        let now = now(&parts.clock, &mut draw);
        let mut views = BTreeMap::new();
        let mut receivers = BTreeMap::new();
        for till in &parts.settings.tills {
            if let Some(view) = branch.view(&now, &till.id) {
                let (sender, receiver) = watch::channel(Arc::new(view));
                views.insert(till.id.clone(), sender);
                receivers.insert(till.id.clone(), receiver);
            }
        }
        let counters = CounterCounters::default();
        let (urgent, _) = broadcast::channel(URGENT_MAX);
        let (orders, orders_watched) = watch::channel(branch.orders_state().clone());
        let mut counter = Self {
            messages: messages.clone(),
            views: Arc::new(receivers),
            tills: parts.settings.tills.clone().into(),
            shop: parts.shop.clone(),
            counters: counters.clone(),
            safe: parts.keep.watch_safe(),
            orders: orders_watched,
            urgent: urgent.clone(),
            task: None,
        };
        let store = parts.ledger.epochs().last().map_or(StoreId(Uuid::nil()), |epoch| epoch.store);
        let task = Task {
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
            messages: messages.downgrade(),
            counters,
            orders,
            urgent,
            urgent_commits: BTreeSet::new(),
            parts,
        };
        counter.task = Some(tokio::spawn(task.run(inbox)).abort_handle());
        Ok(counter)
    }

    /// Asks for something, and waits until it is done or refused. What a person is told here is on the disk.
    ///
    /// # Errors
    /// The counter's refusal, or that the box is shutting down.
    pub async fn ask(&self, request: Request) -> Answer {
        let ended =
            || Refused::new(Why::Unavailable, "The box is shutting down. Wait until the page is back.");
        let (answer, answered) = oneshot::channel();
        self.messages.send(Message::Asked(request, answer)).await.map_err(|_| ended())?;
        answered.await.map_err(|_| ended())?
    }

    /// Tells the counter that something happened.
    pub async fn tell(&self, event: Event) {
        // After the end nobody is interested any more.
        let _ended = self.messages.send(Message::Event(event)).await;
    }

    /// What a till's page shows, now and after each change.
    pub fn watch(&self, till: &TillId) -> Option<watch::Receiver<Arc<TillView>>> {
        self.views.get(till).cloned()
    }

    /// Each urgent act that is on the disk, from now on.
    pub fn urgent(&self) -> broadcast::Receiver<Committed> {
        self.urgent.subscribe()
    }

    /// Where the centre's orders stand, and each change.
    pub fn orders(&self) -> watch::Receiver<OrdersState> {
        self.orders.clone()
    }

    /// The tills, as configured.
    pub fn tills(&self) -> &[TillSettings] {
        &self.tills
    }

    /// Articles whose name has every word of `text`.
    pub fn search(&self, text: &str) -> Vec<Hit> {
        let shop = self.shop.borrow();
        let Some(shop) = shop.as_deref() else { return Vec::new() };
        let found = shop.catalogue.search(text, HITS_MAX);
        found
            .into_iter()
            .map(|product| Hit {
                product: product.id.clone(),
                name: product.name.clone(),
                price: product.price,
                sold_here: product.supply.sold_at_counter(),
            })
            .collect()
    }

    /// The snapshot in use.
    pub fn shop(&self) -> Option<Arc<Shop>> {
        self.shop.borrow().clone()
    }

    /// Up to here the ledger may go: two checkpoints have its facts.
    pub fn watch_safe(&self) -> watch::Receiver<Place> {
        self.safe.clone()
    }

    /// A checkpoint of the books would let a part of the ledger go: one is to be written as soon as it is worth it.
    pub async fn keep_books(&self) {
        // After the end the last one was written.
        let _ended = self.messages.send(Message::KeepBooks).await;
    }

    /// What the counter has counted, for `/metrics`.
    pub fn counters(&self) -> &CounterCounters {
        &self.counters
    }

    /// Ends the loop as a power cut does: nothing more is kept, appended or answered. For tests of what a restart finds.
    #[doc(hidden)]
    pub fn pull_the_plug(&self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }

    /// Resolves when the loop has ended, in order or by a fault.
    pub async fn ended(&self) {
        self.messages.closed().await;
    }

    /// Whether the loop takes messages: it has not ended, and does not hang.
    pub fn is_alive(&self) -> bool {
        !self.messages.is_closed() && self.messages.capacity() > 0
    }

    /// Waits for what is on its way to the disk, keeps books and baskets, and ends the loop.
    pub async fn stop(&self) {
        let (done, stopped) = oneshot::channel();
        if self.messages.send(Message::Stop(done)).await.is_ok() {
            // An error means that it has ended already.
            let _ = stopped.await;
        }
    }
}

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
    urgent: broadcast::Sender<Committed>,
    /// Urgent acts on their way to the disk.
    urgent_commits: BTreeSet<CommitId>,
    /// Weak: the loop ends when all handles have gone.
    messages: mpsc::WeakSender<Message>,
}

impl Task {
    async fn run(mut self, mut inbox: mpsc::Receiver<Message>) {
        let mut tick = time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut shop = self.parts.shop.clone();
        let (written, mut baskets_written) = mpsc::channel::<TillId>(EVENTS_WAITING_MAX);
        let stopped = loop {
            let event = tokio::select! {
                biased;
                Some((commit, result)) = self.ledger.next() => self.ledger_appended(commit, result),
                Some((commit, result)) = self.telemetry.next() => appended(commit, result.as_ref()),
                message = inbox.recv() => match message {
                    None => break None,
                    Some(Message::Stop(done)) => break Some(done),
                    Some(Message::Event(event)) => event,
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
                tracing::warn!(
                    error = crate::snapshot::explain(&error),
                    "a patient's details were not sealed"
                );
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

/// Records which facts the books lack, so that the centre hears of it.
async fn record_missing(parts: &CounterParts, folded: &mut Folded) {
    for range in std::mem::take(&mut folded.missing) {
        tracing::error!(?range, "facts that left the box are in no checkpoint: the books lack them");
        let (stamp, id) = (parts.clock.stamp(), ActId(Uuid::now_v7()));
        let act = Act::new(id, &Actor::Machine, &stamp, vec![range.into()], || FactId(Uuid::now_v7()));
        let facts = act.facts.clone();
        match parts.ledger.append(act.into()).await {
            Ok(committed) => {
                folded.books.apply(&facts, b"");
                folded.at.place = committed.last;
                folded.at.head = committed.head;
            }
            // The next start finds and says it again.
            Err(error) => tracing::error!(%error, "what the books lack could not be recorded"),
        }
    }
}

fn now<'a>(clock: &Clock, draw: &'a mut dyn FnMut() -> Uuid) -> Now<'a> {
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
