//! The files as the log tells them: what is on disk for certain, and what is not yet.

use crate::format::Kind;
use crate::log::{Data, Event};
use crate::sparse::Sparse;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// How directories behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Model {
    /// What POSIX promises and no more: an entry is on disk once its own directory has
    /// been synced (a rename: the directory it leads to); of the others any subset may be
    /// there. A rename is one step. Syncing a new file does not bring its entry along.
    Strict,
    /// As ext4 behaves (ordered data, one journal): changes of directories reach the disk
    /// in order, so those that are there are the first ones; syncing a directory, or a
    /// file that is new or has grown, brings all earlier ones along.
    Ordered,
}

/// Index of a file or directory; the root is 0.
pub(crate) type Node = usize;
pub(crate) const ROOT: Node = 0;
/// An entry: the directory and the name in it.
pub(crate) type Entry = (Node, Vec<u8>);
pub(crate) type Names = BTreeMap<Entry, Node>;

/// A change of a file that is not on disk for certain.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Write(u64, Data),
    SetLen(u64),
}

/// A change of directories that is not on disk for certain.
#[derive(Clone, Debug)]
pub(crate) struct NameChange {
    seq: usize,
    removes: Option<Entry>,
    sets: Option<(Entry, Node)>,
}

impl NameChange {
    /// Makes the change; what is not there (any more, or in this state) stays away.
    pub(crate) fn apply(&self, names: &mut Names) {
        if let Some(entry) = &self.removes {
            names.remove(entry);
        }
        if let Some((entry, node)) = &self.sets {
            names.insert(entry.clone(), *node);
        }
    }

    /// The directory whose sync makes it certain.
    fn directory(&self) -> Option<Node> {
        let entry = self.sets.as_ref().map(|(entry, _)| entry).or(self.removes.as_ref());
        entry.map(|(directory, _)| *directory)
    }

    fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.removes.iter().chain(self.sets.as_ref().map(|(entry, _)| entry))
    }
}

/// A file, or a directory, whose entries are in [`Names`].
#[derive(Clone, Debug, Default)]
pub(crate) struct Content {
    pub is_directory: bool,
    pub durable: Sparse,
    pub pending: Vec<(usize, Change)>,
    /// Length with all changes.
    len: u64,
}

/// All files at one moment of the log.
#[derive(Clone, Default)]
pub(crate) struct World {
    root: Vec<u8>,
    pub nodes: Vec<Content>,
    pub durable: Names,
    pub pending: Vec<NameChange>,
    current: Names,
    open: HashMap<(u32, i32), Node>,
    syncs: HashMap<(u32, u32), (Node, usize)>,
    seq: usize,
}

const O_CREAT: u64 = 0o100;
const O_TRUNC: u64 = 0o1000;
const RENAME_EXCHANGE: u64 = 2;
const FALLOC_KEEP_SIZE: u32 = 1;
const FALLOC_PUNCH_HOLE: u32 = 2;
const FALLOC_ZERO_RANGE: u32 = 16;

impl World {
    /// An empty directory at `root`, a canonical path.
    pub(crate) fn new(root: &Path) -> Self {
        let root = root.as_os_str().as_encoded_bytes().to_vec();
        let directory = Content { is_directory: true, ..Content::default() };
        World { root, nodes: vec![directory], ..World::default() }
    }

    /// Adds something that was on disk before the recording.
    pub(crate) fn add(&mut self, directory: Node, name: Vec<u8>, file: Option<Sparse>) -> Node {
        let node = self.nodes.len();
        let len = file.as_ref().map_or(0, Sparse::len);
        let is_directory = file.is_none();
        let durable = file.unwrap_or_default();
        self.nodes.push(Content { is_directory, durable, pending: Vec::new(), len });
        self.durable.insert((directory, name.clone()), node);
        self.current.insert((directory, name), node);
        node
    }

    /// Follows one record. The error says what could not be followed.
    pub(crate) fn apply(&mut self, event: &Event, model: Model) -> Result<(), String> {
        self.seq += 1;
        let (head, first) = (&event.head, event.first());
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match head.kind {
            Kind::Mark => {}
            Kind::Open => self.opened(event)?,
            Kind::Close => drop(self.open.remove(&(head.pid, head.fd))),
            Kind::Dup => {
                let node = self.node_of(event)?;
                let new = i32::try_from(head.a).map_err(|_| "bad descriptor".to_owned())?;
                self.open.insert((head.pid, new), node);
            }
            Kind::Write => {
                let node = self.node_of(event)?;
                self.change(node, Change::Write(head.a, event.data.clone()));
                // A write that syncs itself; earlier ones of other descriptors may be pending.
                if head.b == 1 && self.nodes[node].pending.len() == 1 {
                    self.file_synced(node, self.seq);
                }
            }
            Kind::SetLen => {
                let node = self.node_of(event)?;
                self.change(node, Change::SetLen(head.a));
            }
            Kind::SetLenPath => {
                let node = self.known(first)?;
                self.change(node, Change::SetLen(head.a));
            }
            Kind::Allocate => self.allocated(event)?,
            Kind::SyncBegin => {
                let node = self.node_of(event)?;
                self.syncs.insert((head.pid, head.tid), (node, self.seq));
            }
            Kind::SyncEnd => {
                if let Some((node, begun)) = self.syncs.remove(&(head.pid, head.tid)) {
                    self.synced(node, begun, model);
                }
            }
            Kind::SyncFailed => {
                if let Some((node, begun)) = self.syncs.remove(&(head.pid, head.tid)) {
                    // Linux marks the pages clean: a later sync succeeds and brings nothing.
                    self.nodes[node].pending.retain(|(seq, _)| *seq > begun);
                }
            }
            Kind::SyncAll => self.all_synced(),
            Kind::Rename => self.renamed(event)?,
            Kind::Link => {
                let (node, entry) = (self.known(first)?, self.entry(&event.second)?);
                self.rename_entry(None, Some((entry, node)));
            }
            // A socket, made by a call that is not recorded, may be removed here.
            Kind::Unlink | Kind::Rmdir => {
                let entry = self.entry(first)?;
                if self.current.contains_key(&entry) {
                    self.rename_entry(Some(entry), None);
                }
            }
            Kind::Mkdir => {
                let entry = self.entry(first)?;
                self.create(entry, true);
            }
            Kind::Unsupported => return Err(text(first)),
        }
        Ok(())
    }

    fn node_of(&self, event: &Event) -> Result<Node, String> {
        let key = (event.head.pid, event.head.fd);
        let node = self.open.get(&key).copied();
        node.ok_or_else(|| format!("{:?} on unknown descriptor {}", event.head.kind, key.1))
    }

    /// Directory and name of a path; the root itself has none.
    fn entry(&self, path: &[u8]) -> Result<Entry, String> {
        let unknown = || format!("{}: not in a known directory", String::from_utf8_lossy(path));
        let rest = path.strip_prefix(&self.root[..]).ok_or_else(unknown)?;
        let mut parts = rest.split(|byte| *byte == b'/').filter(|part| !part.is_empty());
        let mut name = parts.next().ok_or_else(unknown)?;
        let mut directory = ROOT;
        for next in parts {
            let entry = (directory, name.to_vec());
            directory = *self.current.get(&entry).ok_or_else(unknown)?;
            name = next;
        }
        Ok((directory, name.to_vec()))
    }

    fn known(&self, path: &[u8]) -> Result<Node, String> {
        if path == self.root {
            return Ok(ROOT);
        }
        let node = self.current.get(&self.entry(path)?).copied();
        node.ok_or_else(|| format!("{}: unknown file", String::from_utf8_lossy(path)))
    }

    fn opened(&mut self, event: &Event) -> Result<(), String> {
        let (path, flags) = (event.first(), event.head.a);
        let node = match self.known(path) {
            Ok(node) => node,
            Err(_) if flags & O_CREAT != 0 => self.create(self.entry(path)?, false),
            Err(unknown) => return Err(unknown),
        };
        if flags & O_TRUNC != 0 && self.nodes[node].len > 0 {
            self.change(node, Change::SetLen(0));
        }
        self.open.insert((event.head.pid, event.head.fd), node);
        Ok(())
    }

    fn create(&mut self, entry: Entry, is_directory: bool) -> Node {
        let node = self.nodes.len();
        self.nodes.push(Content { is_directory, ..Content::default() });
        self.rename_entry(None, Some((entry, node)));
        node
    }

    fn renamed(&mut self, event: &Event) -> Result<(), String> {
        if event.head.a & RENAME_EXCHANGE != 0 {
            return Err("renameat2 with RENAME_EXCHANGE".to_owned());
        }
        let node = self.known(event.first())?;
        let from = self.entry(event.first())?;
        let to = match event.second.as_slice() {
            b"" => None,
            path => Some((self.entry(path)?, node)),
        };
        self.rename_entry(Some(from), to);
        Ok(())
    }

    fn rename_entry(&mut self, removes: Option<Entry>, sets: Option<(Entry, Node)>) {
        let change = NameChange { seq: self.seq, removes, sets };
        change.apply(&mut self.current);
        self.pending.push(change);
    }

    fn allocated(&mut self, event: &Event) -> Result<(), String> {
        let node = self.node_of(event)?;
        let mode = event.first().try_into().map_or(0, u32::from_le_bytes);
        let (offset, len) = (event.head.a, event.head.b);
        let end = offset.saturating_add(len);
        let now = self.nodes[node].len;
        if mode & (FALLOC_PUNCH_HOLE | FALLOC_ZERO_RANGE) != 0 {
            let len = if mode & FALLOC_KEEP_SIZE == 0 { len } else { now.min(end).saturating_sub(offset) };
            self.change(node, Change::Write(offset, Data::Zeros(len)));
        } else if mode & !FALLOC_KEEP_SIZE != 0 {
            return Err(format!("fallocate with mode {mode}"));
        } else if mode & FALLOC_KEEP_SIZE == 0 && end > now {
            self.change(node, Change::SetLen(end));
        }
        Ok(())
    }

    fn change(&mut self, node: Node, change: Change) {
        let file = &mut self.nodes[node];
        file.len = match &change {
            Change::Write(offset, data) => file.len.max(offset + data.len()),
            Change::SetLen(len) => *len,
        };
        file.pending.push((self.seq, change));
    }

    fn synced(&mut self, node: Node, begun: usize, model: Model) {
        let is_directory = self.nodes[node].is_directory;
        let commits = is_directory || self.is_new_or_grown(node, begun);
        if !is_directory {
            self.file_synced(node, begun);
        }
        match model {
            Model::Strict if is_directory => self.directory_synced(node, begun),
            Model::Ordered if commits => self.names_synced(|change| change.seq < begun),
            _ => {}
        }
    }

    fn is_new_or_grown(&self, node: Node, begun: usize) -> bool {
        let file = &self.nodes[node];
        let named = |change: &NameChange| change.sets.as_ref().is_some_and(|(_, set)| *set == node);
        file.pending.iter().any(|(seq, change)| {
            *seq < begun
                && match change {
                    Change::SetLen(_) => true,
                    Change::Write(offset, data) => offset + data.len() > file.durable.len(),
                }
        }) || self.pending.iter().any(|change| change.seq < begun && named(change))
    }

    fn file_synced(&mut self, node: Node, until: usize) {
        let file = &mut self.nodes[node];
        let count = file.pending.iter().take_while(|(seq, _)| *seq <= until).count();
        for (_, change) in file.pending.drain(..count) {
            match change {
                Change::Write(offset, Data::Bytes(bytes)) => file.durable.write(offset, &bytes),
                Change::Write(offset, Data::Zeros(len)) => file.durable.zero(offset, len),
                Change::SetLen(len) => file.durable.set_len(len),
            }
        }
    }

    /// The changes in this directory, and the earlier ones of other directories that
    /// concern the same entries: they cannot come after.
    fn directory_synced(&mut self, directory: Node, begun: usize) {
        let mut touched: Vec<Entry> = Vec::new();
        let mut certain = Vec::new();
        for change in self.pending.iter().rev().filter(|change| change.seq < begun) {
            let here = change.directory() == Some(directory);
            if here || change.entries().any(|entry| touched.contains(entry)) {
                // Only a change of two entries ties other directories to this one.
                if change.removes.is_some() && change.sets.is_some() {
                    touched.extend(change.entries().cloned());
                }
                certain.push(change.seq);
            }
        }
        certain.sort_unstable();
        self.names_synced(|change| certain.binary_search(&change.seq).is_ok());
    }

    fn names_synced(&mut self, certain: impl Fn(&NameChange) -> bool) {
        let pending = std::mem::take(&mut self.pending);
        let (now, later) = pending.into_iter().partition(certain);
        let now: Vec<NameChange> = now;
        now.iter().for_each(|change| change.apply(&mut self.durable));
        self.pending = later;
    }

    fn all_synced(&mut self) {
        for node in 0..self.nodes.len() {
            self.file_synced(node, self.seq);
        }
        self.names_synced(|_| true);
    }
}
