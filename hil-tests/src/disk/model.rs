//! All of a disk: what programs see, and what a power cut may leave. Pure.

use std::collections::BTreeMap;

use super::{
    names::Names,
    op::{Node, Op, Place, ROOT},
    plain::Plain,
    sectors::{FileBytes, Keep},
};
use crate::seeded::Seeded;

/// What is given to a file at the least, as file systems do: a page.
const BLOCK_BYTES: u64 = 4096;

/// See the module.
#[derive(Debug, Clone)]
pub struct Model {
    names: Names,
    files: BTreeMap<Node, FileBytes>,
    next: Node,
}

impl Model {
    /// A disk on which `plain` lies, all of it synced.
    pub fn new(plain: Plain) -> Self {
        let mut folders = BTreeMap::new();
        let mut files = BTreeMap::new();
        let mut next = ROOT + 1;
        let mut open = vec![(ROOT, plain)];
        while let Some((node, plain)) = open.pop() {
            match plain {
                Plain::File(bytes) => {
                    files.insert(node, FileBytes::synced(bytes));
                }
                Plain::Folder(entries) => {
                    let mut names = BTreeMap::new();
                    for (name, entry) in entries {
                        names.insert(name, next);
                        open.push((next, entry));
                        next += 1;
                    }
                    folders.insert(node, names);
                }
            }
        }
        Self { names: Names::synced(folders), files, next }
    }

    /// The number that the next new file or folder has.
    pub fn next_node(&self) -> Node {
        self.next
    }

    /// The names.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// A file's bytes as programs see them; `None` for what is no file.
    pub fn file(&self, node: Node) -> Option<&FileBytes> {
        self.files.get(&node)
    }

    /// Whether this is a folder.
    pub fn is_folder(&self, node: Node) -> bool {
        self.names.now().contains_key(&node)
    }

    /// Bytes that all files that have a name take, in whole blocks.
    pub fn used_bytes(&self) -> u64 {
        let named = self.names.now().values().flat_map(BTreeMap::values);
        named.filter_map(|node| self.files.get(node)).map(|file| blocks(file.bytes().len() as u64)).sum()
    }

    /// The bytes of whole blocks that `node` takes.
    pub fn taken_by(&self, node: Node) -> u64 {
        self.files.get(&node).map_or(0, |file| blocks(file.bytes().len() as u64))
    }

    /// Does what was done.
    pub fn apply(&mut self, op: &Op) {
        match op {
            Op::Create { place, node, folder } => {
                if *folder {
                    self.names.add_folder(*node);
                } else {
                    self.files.insert(*node, FileBytes::default());
                }
                self.names.set(place.clone(), *node);
                self.next = self.next.max(node + 1);
            }
            Op::Write { node, offset, bytes } => self.on_file(*node, |file| file.write(at(*offset), bytes)),
            Op::SetLength { node, length } => self.on_file(*node, |file| file.set_length(at(*length))),
            Op::Rename { from, to } => self.names.rename(from.clone(), to.clone()),
            Op::Remove { place } => self.names.remove(place.clone()),
            Op::Sync { node, failed: false, .. } => self.on_file(*node, FileBytes::sync),
            Op::Sync { node, failed: true, .. } => self.on_file(*node, FileBytes::fail_sync),
            Op::SyncFolder { node } => self.names.sync(*node),
            Op::Note(_) => {}
        }
    }

    fn on_file(&mut self, node: Node, f: impl FnOnce(&mut FileBytes)) {
        if let Some(file) = self.files.get_mut(&node) {
            f(file);
        }
    }

    /// What a power cut at this moment leaves. How much is lost is drawn as well: sometimes nothing, sometimes all that
    /// may be.
    pub fn cut(&self, seeded: &mut Seeded) -> Plain {
        let draw = |seeded: &mut Seeded| [0, 10, 50, 50, 90, 100][seeded.index(6)];
        let keep_names = draw(seeded);
        let keep = Keep { fresh: draw(seeded), written_over: draw(seeded) };
        let folders = self.names.cut(seeded, keep_names);
        self.plain(ROOT, &folders, &mut |file| file.cut(seeded, keep))
    }

    /// What programs see: what is left when a program is killed and the power stays.
    pub fn now(&self) -> Plain {
        self.plain(ROOT, self.names.now(), &mut |file| file.bytes().to_vec())
    }

    /// A file's bytes as programs see them, by its path.
    pub fn read(&self, path: &std::path::Path) -> Option<&[u8]> {
        let name = |part: std::path::Component<'_>| part.as_os_str().to_str().map(str::to_owned);
        let node = path
            .components()
            .try_fold(ROOT, |folder, part| self.names.get(&Place { folder, name: name(part)? }))?;
        self.files.get(&node).map(FileBytes::bytes)
    }

    /// What no power cut can take any more, under `path`; `None` where that is nothing.
    pub fn durable(&self, path: &std::path::Path) -> Option<Plain> {
        let left = self.plain(ROOT, &self.names.cut(&mut Seeded::new(0), 0), &mut |file| {
            if file.is_synced() { file.bytes().to_vec() } else { Vec::new() }
        });
        left.at(path).cloned()
    }

    fn plain(
        &self,
        node: Node,
        folders: &BTreeMap<Node, BTreeMap<String, Node>>,
        bytes: &mut impl FnMut(&FileBytes) -> Vec<u8>,
    ) -> Plain {
        if let Some(file) = self.files.get(&node) {
            return Plain::File(bytes(file));
        }
        let entries = folders.get(&node).into_iter().flatten();
        Plain::Folder(entries.map(|(name, node)| (name.clone(), self.plain(*node, folders, bytes))).collect())
    }

    /// What `place` stands for.
    pub fn get(&self, place: &Place) -> Option<Node> {
        self.names.get(place)
    }
}

fn at(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

/// `bytes` in whole blocks.
pub fn blocks(bytes: u64) -> u64 {
    bytes.div_ceil(BLOCK_BYTES) * BLOCK_BYTES
}
