//! The counter's handle, and how its loop ([`super::task`]) is started.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use pestle_domain::{
    fact::{Act, Actor, Fact},
    ids::{ActId, FactId, ProductId, TillId},
    money::Money,
};
use serde::Serialize;
use tokio::{
    sync::{broadcast, mpsc, oneshot, watch},
    task::AbortHandle,
};
use uuid::Uuid;

use super::{
    command::{Answer, Refused, Request, Why},
    counters::CounterCounters,
    fold::{FoldError, Folded},
    keep::Keep,
    machine::{Branch, Event},
    preview::{Paper, Preview},
    settings::{CounterSettings, TillSettings},
    shop::Shop,
    task::{EVENTS_WAITING_MAX, Ends, Task, now},
    view::TillView,
};
use crate::{
    clock::Clock,
    cold::remembered::last_facts,
    fetched::Lacks,
    journal::{Committed, Journal, JournalError, Place},
    orders::OrdersState,
    personal::Persons,
    spool::task::PrintOrder,
};

/// Urgent acts that the relay may not have looked at yet.
const URGENT_MAX: usize = 64;
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
    lacks: watch::Receiver<Lacks>,
    urgent: broadcast::Sender<Committed>,
    beats: Arc<AtomicU64>,
    task: Option<AbortHandle>,
}

#[derive(Debug)]
pub(super) enum Message {
    Asked(Request, oneshot::Sender<Answer>),
    Event(Event),
    Preview(Preview, oneshot::Sender<Result<Paper, Refused>>),
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
            keep.fold(&ledger, keep.fetched()).map(|folded| (folded, baskets))
        });
        let (mut folded, baskets) = match folded.await {
            Ok(folded) => folded?,
            Err(panicked) => return Err(JournalError::Panicked(panicked.to_string()).into()),
        };
        record_missing(&parts, &mut folded).await;
        let Folded { books, at, kept, .. } = folded;
        let (messages, inbox) = mpsc::channel(EVENTS_WAITING_MAX);
        let shop = parts.shop.borrow().clone();
        let mut branch = Branch::new(parts.settings.clone(), shop, books, baskets);
        branch.remember_readings(&last_readings(parts.telemetry.clone()).await);
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
        let (lacks, lacks_watched) = watch::channel(branch.lacks());
        let mut counter = Self {
            messages: messages.clone(),
            views: Arc::new(receivers),
            tills: parts.settings.tills.clone().into(),
            shop: parts.shop.clone(),
            counters: counters.clone(),
            safe: parts.keep.watch_safe(),
            orders: orders_watched,
            lacks: lacks_watched,
            urgent: urgent.clone(),
            beats: Arc::default(),
            task: None,
        };
        let beats = counter.beats.clone();
        let ends = Ends { views, orders, lacks, urgent, counters, beats, messages: messages.downgrade() };
        let task = Task::new(parts, branch, (at, kept), ends);
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

    /// A paper of a till, as it is or would be printed.
    ///
    /// # Errors
    /// The browser is not the one where somebody is signed in, or there is no such paper of this till.
    pub async fn preview(&self, preview: Preview) -> Result<Paper, Refused> {
        let ended =
            || Refused::new(Why::Unavailable, "The box is shutting down. Wait until the page is back.");
        let (answer, answered) = oneshot::channel();
        self.messages.send(Message::Preview(preview, answer)).await.map_err(|_| ended())?;
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

    /// What the books lack, and each change.
    pub fn lacks(&self) -> watch::Receiver<Lacks> {
        self.lacks.clone()
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

    /// How often the loop has gone round: once a second at the least ([`super::task::TICK`]). Who finds the same number after longer
    /// than that looks at a loop that hangs, also one that nobody sends anything.
    pub fn beats(&self) -> u64 {
        self.beats.load(Ordering::Relaxed)
    }

    /// Whether the loop takes messages: it has not ended, and its queue is not full.
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

/// What was recorded of the readings before this start. Without it a gap that began before it is not told, and people sell.
async fn last_readings(telemetry: Journal) -> Vec<Fact> {
    let read = tokio::task::spawn_blocking(move || last_facts(&telemetry)).await;
    match read.map_err(|panicked| JournalError::Panicked(panicked.to_string())) {
        Ok(Ok(facts)) => facts,
        Ok(Err(error)) | Err(error) => {
            tracing::error!(%error, "the readings before this start cannot be read: gaps that began before it are not told");
            Vec::new()
        }
    }
}

/// Records which facts the books lack, so that the centre hears of it.
async fn record_missing(parts: &CounterParts, folded: &mut Folded) {
    for range in std::mem::take(&mut folded.missing) {
        tracing::error!(
            ?range,
            "facts of this box cannot be read, and are in no checkpoint: the books lack them"
        );
        let (stamp, id) = (parts.clock.stamp(), ActId(Uuid::now_v7()));
        let act = Act::new(id, &Actor::Machine, &stamp, vec![range.into()], || FactId(Uuid::now_v7()));
        let facts = act.facts.clone();
        match parts.ledger.append(act.into()).await {
            Ok(committed) => {
                folded.books.stand_at(committed.last);
                folded.books.apply(&facts, b"");
                folded.at.place = committed.last;
                folded.at.head = committed.head;
            }
            // The books keep that nobody named it: the next start says it again.
            Err(error) => tracing::error!(%error, "what the books lack could not be recorded"),
        }
    }
}
