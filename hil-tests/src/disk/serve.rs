//! Answers the kernel: each question is checked against what the disk is told to refuse, done to the model, recorded, and
//! answered, under one lock. The kernel keeps nothing of it: reads and writes go straight through, names are asked for
//! each time.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use fuser::{
    BsdFileFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo,
    LockOwner, OpenAccMode, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory,
    ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};

use super::{
    fault::{Refusal, Touch},
    op::{Node, Op, Place},
    state::{Disk, State},
};

/// The kernel is to keep nothing.
const KEPT: Duration = Duration::ZERO;
/// What a disk without a quota says: a terabyte.
const ROOM_BLOCKS: u64 = 1 << 28;
const BLOCK_BYTES: u32 = 4096;

/// See the module.
#[derive(Debug)]
pub(super) struct Server {
    disk: Disk,
    /// Folders that are being listed, as they were when they were opened: programs remove what they are told meanwhile.
    listings: Mutex<BTreeMap<u64, Vec<Listed>>>,
    next_listing: AtomicU64,
}

type Listed = (Node, FileType, String);

impl Server {
    pub(super) fn new(disk: Disk) -> Self {
        Self { disk, listings: Mutex::default(), next_listing: AtomicU64::new(1) }
    }

    fn listings(&self) -> MutexGuard<'_, BTreeMap<u64, Vec<Listed>>> {
        self.listings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<Refusal> for Errno {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Cannot => Self::EIO,
            Refusal::Full => Self::ENOSPC,
            Refusal::ReadOnly => Self::EROFS,
        }
    }
}

fn place(folder: INodeNo, name: &OsStr) -> Result<Place, Errno> {
    Ok(Place { folder: folder.0, name: name.to_str().ok_or(Errno::EINVAL)?.to_owned() })
}

impl State {
    fn attributes(&self, node: Node) -> Result<FileAttr, Errno> {
        let file = self.model.file(node);
        if file.is_none() && !self.model.is_folder(node) {
            return Err(Errno::ENOENT);
        }
        let size = file.map_or(0, |file| file.bytes().len() as u64);
        let changed = self.changed.get(&node).copied().unwrap_or(UNIX_EPOCH);
        Ok(FileAttr {
            ino: INodeNo(node),
            size,
            blocks: size.div_ceil(512),
            atime: changed,
            mtime: changed,
            ctime: changed,
            crtime: changed,
            kind: if file.is_some() { FileType::RegularFile } else { FileType::Directory },
            perm: if file.is_some() { 0o600 } else { 0o700 },
            nlink: if file.is_some() { 1 } else { 2 },
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            rdev: 0,
            blksize: BLOCK_BYTES,
            flags: 0,
        })
    }

    fn find(&self, folder: INodeNo, name: &OsStr) -> Result<(Place, Node), Errno> {
        let place = place(folder, name)?;
        let node = self.model.get(&place).ok_or(Errno::ENOENT)?;
        Ok((place, node))
    }

    fn create(&mut self, folder: INodeNo, name: &OsStr, is_folder: bool) -> Result<Node, Errno> {
        let place = place(folder, name)?;
        self.faults.change()?;
        // A name takes room too: a disk that is full to the last block takes no new one.
        let (used, _) = self.room();
        self.faults.room(used, 1)?;
        if self.model.get(&place).is_some() {
            return Err(Errno::EEXIST);
        }
        let node = self.model.next_node();
        let path = self.made_as.get(&place.folder).cloned().unwrap_or_default().join(&place.name);
        self.made_as.insert(node, path);
        self.changed.insert(node, SystemTime::now());
        self.done(Op::Create { place, node, folder: is_folder });
        Ok(node)
    }

    fn write(&mut self, node: Node, offset: u64, bytes: &[u8]) -> Result<(), Errno> {
        self.faults.change()?;
        let length = self.model.file(node).ok_or(Errno::EBADF)?.bytes().len() as u64;
        self.make_room(node, length.max(offset + bytes.len() as u64))?;
        self.resize(node, Op::Write { node, offset, bytes: bytes.to_vec() });
        Ok(())
    }

    fn set_length(&mut self, node: Node, length: u64) -> Result<(), Errno> {
        self.faults.change()?;
        self.make_room(node, length)?;
        self.resize(node, Op::SetLength { node, length });
        Ok(())
    }

    fn remove(&mut self, folder: INodeNo, name: &OsStr, is_folder: bool) -> Result<(), Errno> {
        let (place, node) = self.find(folder, name)?;
        self.faults.change()?;
        match (is_folder, self.model.is_folder(node)) {
            (true, false) => return Err(Errno::ENOTDIR),
            (false, true) => return Err(Errno::EISDIR),
            (true, true) if self.model.names().list(node).next().is_some() => return Err(Errno::ENOTEMPTY),
            _ => {}
        }
        self.free(Some(node), Op::Remove { place });
        Ok(())
    }

    fn rename(&mut self, from: (INodeNo, &OsStr), to: (INodeNo, &OsStr)) -> Result<(), Errno> {
        let (from, node) = self.find(from.0, from.1)?;
        let to = place(to.0, to.1)?;
        self.faults.change()?;
        let replaced = self.model.get(&to).filter(|replaced| *replaced != node);
        if replaced.is_some_and(|node| self.model.names().list(node).next().is_some()) {
            return Err(Errno::ENOTEMPTY);
        }
        self.free(replaced, Op::Rename { from, to });
        Ok(())
    }

    fn sync(&mut self, node: Node, data_only: bool) -> Result<Duration, Errno> {
        self.faults.change()?;
        let path = self.made_as.get(&node).cloned().unwrap_or_default();
        if self.faults.lies_about.as_ref().is_some_and(|name| path.file_name() == Some(name.as_ref())) {
            return Ok(Duration::ZERO);
        }
        let synced = self.faults.touch(Touch::Sync, &path);
        self.done(Op::Sync { node, data_only, failed: synced.is_err() });
        synced?;
        Ok(self.faults.sync_takes)
    }

    fn read(&mut self, node: Node, offset: u64, size: u32) -> Result<Vec<u8>, Errno> {
        let path = self.made_as.get(&node).cloned().unwrap_or_default();
        self.faults.touch(Touch::Read, &path)?;
        let bytes = self.model.file(node).ok_or(Errno::EBADF)?.bytes();
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        let to = from.saturating_add(size as usize).min(bytes.len());
        Ok(bytes[from..to].to_vec())
    }

    fn list(&self, folder: Node) -> Vec<Listed> {
        let kind =
            |node| if self.model.is_folder(node) { FileType::Directory } else { FileType::RegularFile };
        let dots = [".", ".."].map(|name| (folder, FileType::Directory, name.to_owned()));
        let named = self.model.names().list(folder).map(|(name, node)| (node, kind(node), name.to_owned()));
        dots.into_iter().chain(named).collect()
    }
}

/// The system's own numbers are what the trait speaks in.
#[allow(clippy::too_many_arguments, reason = "the trait's")]
impl Filesystem for Server {
    fn lookup(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let Some((state, reply)) = self.disk.enter(reply) else { return };
        match state.find(parent, name).and_then(|(_, node)| state.attributes(node)) {
            Ok(attributes) => reply.entry(&KEPT, &attributes, Generation(0)),
            Err(error) => reply.error(error),
        }
    }

    fn getattr(&self, _req: &Request, ino: INodeNo, _fh: Option<FileHandle>, reply: ReplyAttr) {
        let Some((state, reply)) = self.disk.enter(reply) else { return };
        match state.attributes(ino.0) {
            Ok(attributes) => reply.attr(&KEPT, &attributes),
            Err(error) => reply.error(error),
        }
    }

    fn setattr(
        &self,
        _req: &Request,
        ino: INodeNo,
        _mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _fh: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let Some((mut state, reply)) = self.disk.enter(reply) else { return };
        let set = size.map_or(Ok(()), |size| state.set_length(ino.0, size));
        match set.and_then(|()| state.attributes(ino.0)) {
            Ok(attributes) => reply.attr(&KEPT, &attributes),
            Err(error) => reply.error(error),
        }
    }

    fn mkdir(
        &self,
        _req: &Request,
        parent: INodeNo,
        name: &OsStr,
        _mode: u32,
        _umask: u32,
        reply: ReplyEntry,
    ) {
        let Some((mut state, reply)) = self.disk.enter(reply) else { return };
        match state.create(parent, name, true).and_then(|node| state.attributes(node)) {
            Ok(attributes) => reply.entry(&KEPT, &attributes, Generation(0)),
            Err(error) => reply.error(error),
        }
    }

    fn create(
        &self,
        _req: &Request,
        parent: INodeNo,
        name: &OsStr,
        _mode: u32,
        _umask: u32,
        _flags: i32,
        reply: ReplyCreate,
    ) {
        let Some((mut state, reply)) = self.disk.enter(reply) else { return };
        match state.create(parent, name, false).and_then(|node| state.attributes(node)) {
            Ok(attributes) => {
                reply.created(&KEPT, &attributes, Generation(0), FileHandle(0), FopenFlags::FOPEN_DIRECT_IO);
            }
            Err(error) => reply.error(error),
        }
    }

    fn unlink(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let Some((mut state, reply)) = self.disk.enter(reply) else { return };
        answer(reply, state.remove(parent, name, false));
    }

    fn rmdir(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let Some((mut state, reply)) = self.disk.enter(reply) else { return };
        answer(reply, state.remove(parent, name, true));
    }

    fn rename(
        &self,
        _req: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let Some((mut state, reply)) = self.disk.enter(reply) else { return };
        let renamed = if flags.is_empty() {
            state.rename((parent, name), (newparent, newname))
        } else {
            Err(Errno::EINVAL)
        };
        answer(reply, renamed);
    }

    fn open(&self, _req: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let Some((state, reply)) = self.disk.enter(reply) else { return };
        let writes = flags.acc_mode() != OpenAccMode::O_RDONLY;
        let may = if writes { state.faults.change().map_err(Errno::from) } else { Ok(()) };
        match may.and_then(|()| state.attributes(ino.0)) {
            Ok(_) => reply.opened(FileHandle(0), FopenFlags::FOPEN_DIRECT_IO),
            Err(error) => reply.error(error),
        }
    }

    fn read(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let Some((mut state, reply)) = self.disk.enter(reply) else { return };
        match state.read(ino.0, offset, size) {
            Ok(bytes) => reply.data(&bytes),
            Err(error) => reply.error(error),
        }
    }

    fn write(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let Some((mut state, reply)) = self.disk.enter(reply) else { return };
        match state.write(ino.0, offset, data) {
            // The kernel never sends more than a megabyte at a time.
            Ok(()) => reply.written(u32::try_from(data.len()).unwrap_or(u32::MAX)),
            Err(error) => reply.error(error),
        }
    }

    fn flush(&self, _req: &Request, _ino: INodeNo, _fh: FileHandle, _owner: LockOwner, reply: ReplyEmpty) {
        // Closing a file syncs nothing.
        reply.ok();
    }

    fn fsync(&self, _req: &Request, ino: INodeNo, _fh: FileHandle, datasync: bool, reply: ReplyEmpty) {
        let Some((mut state, reply)) = self.disk.enter(reply) else { return };
        let synced = state.sync(ino.0, datasync);
        drop(state);
        match synced {
            // A slow disk is what is being played: other questions are answered by the other threads meanwhile.
            Ok(takes) if !takes.is_zero() => {
                std::thread::sleep(takes);
                reply.ok();
            }
            other => answer(reply, other.map(drop)),
        }
    }

    fn opendir(&self, _req: &Request, ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        let Some((state, reply)) = self.disk.enter(reply) else { return };
        let listing = self.next_listing.fetch_add(1, Relaxed);
        self.listings().insert(listing, state.list(ino.0));
        reply.opened(FileHandle(listing), FopenFlags::empty());
    }

    fn readdir(&self, _req: &Request, _ino: INodeNo, fh: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let listings = self.listings();
        let listed = listings.get(&fh.0).map(Vec::as_slice).unwrap_or_default();
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        for ((node, kind, name), next) in listed.iter().zip(1..).skip(from) {
            if reply.add(INodeNo(*node), next, *kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn releasedir(
        &self,
        _req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        _flags: OpenFlags,
        reply: ReplyEmpty,
    ) {
        self.listings().remove(&fh.0);
        reply.ok();
    }

    fn fsyncdir(&self, _req: &Request, ino: INodeNo, _fh: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        let Some((mut state, reply)) = self.disk.enter(reply) else { return };
        let synced = state.faults.change().map_err(Errno::from);
        if synced.is_ok() {
            state.done(Op::SyncFolder { node: ino.0 });
        }
        answer(reply, synced);
    }

    fn statfs(&self, _req: &Request, _ino: INodeNo, reply: ReplyStatfs) {
        let Some((state, reply)) = self.disk.enter(reply) else { return };
        let (used, quota) = state.room();
        let blocks = quota.map_or(ROOM_BLOCKS, |quota| quota / u64::from(BLOCK_BYTES));
        let free = blocks.saturating_sub(used / u64::from(BLOCK_BYTES));
        reply.statfs(blocks, free, free, blocks, free, BLOCK_BYTES, 255, BLOCK_BYTES);
    }

    fn fallocate(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let Some((mut state, reply)) = self.disk.enter(reply) else { return };
        let now = state.model.file(ino.0).map_or(0, |file| file.bytes().len() as u64);
        let allocated = match mode {
            0 if offset + length > now => state.set_length(ino.0, offset + length),
            0 => Ok(()),
            _ => Err(Errno::EOPNOTSUPP),
        };
        answer(reply, allocated);
    }
}

fn answer(reply: ReplyEmpty, outcome: Result<(), Errno>) {
    match outcome {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(error),
    }
}
