//! A disk behind one lock: the model, what is recorded of it, what it is told to refuse, and whether it still has power.

use std::{
    any::Any,
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use super::{
    fault::{Faults, Refusal},
    model::{Model, blocks},
    names::Folders,
    op::{Node, Op, ROOT},
    plain::Plain,
};
use crate::seeded::Seeded;

/// A disk; cloned handles are the same one.
#[derive(Debug, Clone)]
pub struct Disk(Arc<Mutex<State>>);

/// Whether the disk answers.
#[derive(Debug)]
enum Power {
    On,
    /// Nothing is done any more, and nobody is answered; what asks is kept here.
    Frozen(Vec<Box<dyn Any + Send>>),
    /// Everything is refused.
    Off,
}

/// What is behind the lock.
#[derive(Debug)]
pub(super) struct State {
    pub(super) model: Model,
    pub(super) faults: Faults,
    pub(super) changed: BTreeMap<Node, SystemTime>,
    /// At what path a file or folder was made: faults are told by it.
    pub(super) made_as: BTreeMap<Node, PathBuf>,
    used: u64,
    trace: Option<Vec<Op>>,
    power: Power,
    /// So many changes are still done before the power goes.
    freezes_in: Option<u64>,
}

/// Where everything lies.
fn paths(folders: &Folders) -> BTreeMap<Node, PathBuf> {
    let mut paths = BTreeMap::from([(ROOT, PathBuf::new())]);
    let mut open = vec![ROOT];
    while let Some(folder) = open.pop() {
        for (name, node) in folders.get(&folder).into_iter().flatten() {
            paths.insert(*node, paths[&folder].join(name));
            open.push(*node);
        }
    }
    paths
}

impl Disk {
    /// On which `plain` lies.
    pub fn new(plain: Plain) -> Self {
        let model = Model::new(plain);
        let made_as = paths(model.names().now());
        let used = model.used_bytes();
        Self(Arc::new(Mutex::new(State {
            model,
            faults: Faults::default(),
            changed: BTreeMap::new(),
            made_as,
            used,
            trace: None,
            power: Power::On,
            freezes_in: None,
        })))
    }

    /// The same, and what is done to it from now on is recorded.
    pub fn recording(plain: Plain) -> Self {
        let disk = Self::new(plain);
        disk.lock().trace = Some(Vec::new());
        disk
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What asks, if it may be served now; else it is kept without an answer, or refused by being let go of.
    pub(super) fn enter<R: Send + 'static>(&self, reply: R) -> Option<(MutexGuard<'_, State>, R)> {
        let mut state = self.lock();
        match &mut state.power {
            Power::On => Some((state, reply)),
            Power::Frozen(asking) => {
                asking.push(Box::new(reply));
                None
            }
            Power::Off => None,
        }
    }

    /// The number of an event is written between what is done to the disk.
    pub fn note(&self, event: usize) {
        self.lock().done(Op::Note(event));
    }

    /// What was recorded; the recording begins anew.
    pub fn take_trace(&self) -> Vec<Op> {
        self.lock().trace.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Tells it what to refuse from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.lock().faults = faults;
    }

    /// Bytes in use, in whole blocks.
    pub fn used_bytes(&self) -> u64 {
        self.lock().used
    }

    /// The power goes after so many more changes: nothing is done and nobody is answered any more then, until
    /// [`Disk::let_go`].
    pub fn freeze_after(&self, changes: u64) {
        self.lock().freezes_in = Some(changes);
    }

    /// Whether the power has gone.
    pub fn is_frozen(&self) -> bool {
        !matches!(self.lock().power, Power::On)
    }

    /// Whoever still waits for an answer after the power went is refused, and so is all that comes. To be called once
    /// the programs that wait were killed: they never see it.
    pub fn let_go(&self) {
        let waiting = std::mem::replace(&mut self.lock().power, Power::Off);
        // fuser answers EIO for what is dropped.
        drop(waiting);
    }

    /// What a power cut at this moment leaves.
    pub fn cut(&self, seeded: &mut Seeded) -> Plain {
        self.lock().model.cut(seeded)
    }

    /// What programs see.
    pub fn now(&self) -> Plain {
        self.lock().model.now()
    }

    /// A file as programs see it, also while the power is gone.
    pub fn read(&self, path: &std::path::Path) -> Option<Vec<u8>> {
        self.lock().model.read(path).map(<[u8]>::to_vec)
    }

    /// What no power cut can take any more, under `path`.
    pub fn durable(&self, path: &std::path::Path) -> Option<Plain> {
        self.lock().model.durable(path)
    }
}

impl State {
    /// Does it, and records it.
    pub(super) fn done(&mut self, op: Op) {
        self.model.apply(&op);
        if let Some(trace) = &mut self.trace {
            trace.push(op);
        }
        if let Some(left) = &mut self.freezes_in {
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.freezes_in = None;
                self.power = Power::Frozen(Vec::new());
            }
        }
    }

    /// Whether `node` may become `length` bytes long.
    pub(super) fn make_room(&self, node: Node, length: u64) -> Result<(), Refusal> {
        let taken = self.model.taken_by(node);
        self.faults.room(self.used, blocks(length).saturating_sub(taken))
    }

    /// Does what changes the length of `node`.
    pub(super) fn resize(&mut self, node: Node, op: Op) {
        let before = self.model.taken_by(node);
        self.done(op);
        self.used = self.used + self.model.taken_by(node) - before;
        self.changed.insert(node, SystemTime::now());
    }

    /// Does what takes a file's last name.
    pub(super) fn free(&mut self, node: Option<Node>, op: Op) {
        self.used -= node.map_or(0, |node| self.model.taken_by(node));
        self.done(op);
    }

    /// Bytes in use, and how many fit.
    pub(super) fn room(&self) -> (u64, Option<u64>) {
        (self.used, self.faults.quota)
    }
}
