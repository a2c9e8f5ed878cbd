//! A script is played on a disk that remembers what was done to it.

use std::{collections::BTreeMap, path::Path};

use anyhow::Result;
use pestle_agent::journal::Settings;
use serde::{Deserialize, Serialize};

use super::{
    acts,
    history::{Event, History, before_cut},
    script::{Player, Recorder, Script},
};
use crate::disk::{
    model::Model,
    mount::Mount,
    op::{Node, Op, Place},
    plain::Plain,
    state::Disk,
};
use crate::seeded::Seeded;

/// The journal's folder on the disk.
pub const FOLDER: &str = "ledger";

/// What was done to a disk, and what was told meanwhile.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Recording {
    /// Which script.
    pub script: Script,
    /// What lay on the disk before.
    pub initial: Plain,
    /// What had been told before.
    pub earlier: Vec<Event>,
    /// What was done to the disk.
    pub trace: Vec<Op>,
    /// What was told meanwhile; the trace names them by number.
    pub events: Vec<Event>,
}

/// Numbers of acts that one recording uses at most: the next life's begin behind them.
const NUMBERS: u32 = 1_000;

impl Recording {
    /// Plays `script` on a disk that is mounted at `path`, on which `initial` lies after what `earlier` tells.
    ///
    /// # Errors
    /// The journal does not work even with power, or the disk cannot be mounted.
    pub fn make(
        script: Script,
        seeded: &mut Seeded,
        path: &Path,
        initial: Plain,
        earlier: Vec<Event>,
    ) -> Result<Self> {
        let disk = Disk::recording(initial.clone());
        let mount = Mount::at(path, &disk)?;
        let recorder = Recorder::new(disk.clone());
        let settings =
            Settings { folder: path.join(FOLDER), stream: acts::stream(), limits: script.limits() };
        let last = History::of(&earlier).submitted.last().map_or(0, |number| number / 2);
        let first = last.next_multiple_of(NUMBERS) + 1;
        let played = Player { script, settings, recorder: &recorder, first }.play(seeded);
        mount.end()?;
        played?;
        let trace = disk.take_trace();
        Ok(Self { script, initial, earlier, trace, events: recorder.into_events() })
    }

    /// What had been told when the operation at `cut` was not yet done.
    pub fn told_at(&self, cut: usize) -> Vec<Event> {
        self.earlier.iter().chain(before_cut(&self.events, &self.trace, cut)).copied().collect()
    }

    /// The disk as programs saw it then.
    pub fn model_at(&self, cut: usize) -> Model {
        let mut model = Model::new(self.initial.clone());
        self.trace[..cut].iter().for_each(|op| model.apply(op));
        model
    }

    /// The same without the operations that `forgotten` names by the file that they are done to: as if the journal did
    /// not do them. For proofs that the harness sees it.
    #[must_use]
    pub fn forgetting(&self, forgotten: impl Fn(&Op, &str) -> bool) -> Self {
        let mut nodes: BTreeMap<Place, Node> = BTreeMap::new();
        for (folder, entries) in Model::new(self.initial.clone()).names().now() {
            let places =
                entries.iter().map(|(name, node)| (Place { folder: *folder, name: name.clone() }, *node));
            nodes.extend(places);
        }
        let mut names: BTreeMap<Node, String> =
            nodes.iter().map(|(place, node)| (*node, place.name.clone())).collect();
        let mut trace = Vec::new();
        for op in &self.trace {
            let node = match op {
                Op::Create { place, node, .. } => {
                    nodes.insert(place.clone(), *node);
                    names.insert(*node, place.name.clone());
                    Some(node)
                }
                Op::Rename { from, to } => {
                    if let Some(node) = nodes.remove(from) {
                        nodes.insert(to.clone(), node);
                        names.insert(node, to.name.clone());
                    }
                    None
                }
                Op::Write { node, .. }
                | Op::SetLength { node, .. }
                | Op::Sync { node, .. }
                | Op::SyncFolder { node } => Some(node),
                Op::Remove { .. } | Op::Note(_) => None,
            };
            let name = node.and_then(|node| names.get(node)).map_or("", String::as_str);
            if !forgotten(op, name) {
                trace.push(op.clone());
            }
        }
        Self { trace, ..self.clone() }
    }
}
