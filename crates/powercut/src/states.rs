//! The states that a power cut may leave, in bounded number.

use crate::format::Kind;
use crate::log::{Data, Error, Log};
use crate::sparse::Sparse;
use crate::world::{Change, Content, Model, Names, Node, ROOT, World};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// What of the changes that were not synced a state has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Nothing: only what is on disk for certain.
    Nothing,
    /// Everything, as after a mere crash of the program.
    Everything,
    /// Directory entries, but no data and no lengths.
    Names,
    /// Data, but no directory entries.
    Data,
    /// Directory entries and lengths, but no data: files full of zeros.
    Lengths,
    /// A mixture, drawn from this number.
    Random(u64),
}

/// Well-mixed number from three (SplitMix64).
pub(crate) fn mix(seed: u64, a: u64, b: u64) -> u64 {
    let mut z = seed
        .wrapping_add(a.wrapping_mul(0x9e37_79b9_7f4a_7c15))
        .wrapping_add(b.wrapping_mul(0xd1b5_4a32_d192_ed03))
        .wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Iterator over the states; made by [`Log::states`].
pub struct States<'a> {
    log: &'a Log,
    model: Model,
    world: World,
    done: usize,
    marks: Vec<String>,
    cuts: VecDeque<usize>,
    choices: VecDeque<Choice>,
    seed: u64,
    random: usize,
}

impl<'a> States<'a> {
    pub(crate) fn new(log: &'a Log, model: Model, cuts: &[usize], seed: u64, random: usize) -> Self {
        let mut cuts = cuts.to_vec();
        cuts.sort_unstable();
        cuts.dedup();
        let (world, cuts) = (log.start.clone(), cuts.into());
        let (marks, choices) = (Vec::new(), VecDeque::new());
        States { log, model, world, done: 0, marks, cuts, choices, seed, random }
    }

    /// Follows the log up to the next cut and draws the choices there; false at the end.
    fn advance(&mut self) -> Result<bool, Error> {
        let Some(cut) = self.cuts.pop_front() else { return Ok(false) };
        let events = &self.log.events;
        for (at, event) in events.iter().enumerate().take(cut).skip(self.done) {
            let followed = self.world.apply(event, self.model);
            followed.map_err(|what| Error::Unsupported(at, what))?;
            if event.head.kind == Kind::Mark {
                self.marks.push(String::from_utf8_lossy(event.first()).into_owned());
            }
        }
        self.done = cut.min(events.len()).max(self.done);
        let names = !self.world.pending.is_empty();
        let data = self.world.nodes.iter().any(|content| !content.pending.is_empty());
        self.choices.push_back(Choice::Nothing);
        if names || data {
            self.choices.push_back(Choice::Everything);
            let random = (0..self.random).map(|n| mix(self.seed, cut as u64, n as u64));
            self.choices.extend(random.map(Choice::Random));
        }
        if names && data {
            self.choices.extend([Choice::Names, Choice::Data]);
        }
        if data {
            self.choices.push_back(Choice::Lengths);
        }
        Ok(true)
    }
}

impl Iterator for States<'_> {
    type Item = Result<State, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.choices.is_empty() {
            match self.advance() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => {
                    self.cuts.clear();
                    return Some(Err(error));
                }
            }
        }
        let choice = self.choices.pop_front()?;
        let tree = tree(&self.world, choice, self.model);
        Some(Ok(State { cut: self.done, choice, tree, marks: self.marks.clone() }))
    }
}

/// One state that a power cut may leave.
pub struct State {
    cut: usize,
    choice: Choice,
    tree: BTreeMap<PathBuf, Found>,
    marks: Vec<String>,
}

/// What stands at a path.
enum Found {
    Directory,
    File(Node, Sparse),
}

impl State {
    /// The power was cut after this many records.
    #[must_use]
    pub fn cut(&self) -> usize {
        self.cut
    }

    /// What of the changes that were not synced it has. With model, seed and cut this
    /// names the state: print it when a check fails.
    #[must_use]
    pub fn choice(&self) -> Choice {
        self.choice
    }

    /// Marks noted before the cut, in order.
    #[must_use]
    pub fn marks(&self) -> &[String] {
        &self.marks
    }

    /// Makes `directory` hold this state and nothing else: what was in it is removed.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write_to(&self, directory: &Path) -> io::Result<()> {
        if directory.exists() {
            fs::remove_dir_all(directory)?;
        }
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        let mut written: HashMap<Node, PathBuf> = HashMap::new();
        for (path, found) in &self.tree {
            let path = directory.join(path);
            match found {
                Found::Directory => fs::DirBuilder::new().mode(0o700).create(path)?,
                Found::File(node, _) if written.contains_key(node) => {
                    fs::hard_link(&written[node], path)?;
                }
                Found::File(node, content) => {
                    let mut options = fs::OpenOptions::new();
                    let file = options.write(true).create_new(true).mode(0o600).open(&path)?;
                    content.write_into(&file)?;
                    written.insert(*node, path);
                }
            }
        }
        Ok(())
    }
}

fn tree(world: &World, choice: Choice, model: Model) -> BTreeMap<PathBuf, Found> {
    let names = names(world, choice, model);
    let mut tree = BTreeMap::new();
    let mut directories = vec![(ROOT, PathBuf::new())];
    // Each directory has one entry at most, but a damaged log must not make this endless.
    for _ in 0..=names.len() {
        let Some((directory, path)) = directories.pop() else { break };
        let inside = names.range((directory, Vec::new())..(directory + 1, Vec::new()));
        for ((_, name), node) in inside.filter(|((_, name), _)| !name.ends_with(b"-shm")) {
            let path = path.join(std::ffi::OsString::from_vec(name.clone()));
            let content = &world.nodes[*node];
            if content.is_directory {
                directories.push((*node, path.clone()));
                tree.insert(path, Found::Directory);
            } else {
                tree.insert(path, Found::File(*node, file(content, *node, choice)));
            }
        }
    }
    tree
}

fn names(world: &World, choice: Choice, model: Model) -> Names {
    let mut names = world.durable.clone();
    let count = world.pending.len() as u64;
    let first = match choice {
        Choice::Random(number) => mix(number, 2, 0) % (count + 1),
        _ => count,
    };
    for (at, change) in (0_u64..).zip(&world.pending) {
        let there = match choice {
            Choice::Nothing | Choice::Data => false,
            Choice::Everything | Choice::Names | Choice::Lengths => true,
            Choice::Random(_) if model == Model::Ordered => at < first,
            Choice::Random(number) => mix(number, 3, at) & 1 == 1,
        };
        if there {
            change.apply(&mut names);
        }
    }
    names
}

/// Moments of a file since its last sync, as numbers of changes made: the length is that
/// of one moment, each sector holds what it held at one.
struct Moments {
    /// The moment of the length.
    len: usize,
    /// Sectors are of a moment between these: no cut of the file lies between them.
    from: usize,
    to: usize,
    choice: Choice,
    node: Node,
    sector_bytes: u64,
}

impl Moments {
    fn choose(content: &Content, node: Node, choice: Choice) -> Self {
        let all = content.pending.len();
        let len = match choice {
            Choice::Nothing | Choice::Names => 0,
            Choice::Everything | Choice::Data | Choice::Lengths => all,
            // Half of the files at an end, where most mistakes are.
            Choice::Random(number) => match mix(number, 4, node as u64) % 4 {
                0 => 0,
                1 => all,
                _ => (mix(number, 5, node as u64) % (all as u64 + 1)) as usize,
            },
        };
        let shrinking = shrinking(content);
        let from = shrinking.iter().copied().filter(|at| *at <= len).max().unwrap_or(0);
        let to = shrinking.iter().copied().find(|at| *at > len).map_or(all, |at| at - 1);
        let sector_bytes = match choice {
            Choice::Random(number) if mix(number, 6, 0) & 1 == 1 => 512,
            _ => 4096,
        };
        Moments { len, from, to, choice, node, sector_bytes }
    }

    /// The length may also be one from the midst of a write, at the end of a sector.
    fn within_write(&self, content: &Content, len: u64) -> u64 {
        let Choice::Random(number) = self.choice else { return len };
        match content.pending.get(self.len) {
            Some((_, Change::Write(offset, data))) if offset + data.len() > len => {
                let first = len / self.sector_bytes + 1;
                let ends = ((offset + data.len() - 1) / self.sector_bytes + 1).saturating_sub(first);
                let further = mix(number, 8, self.node as u64) % (ends + 1);
                if further == 0 { len } else { (first + further - 1) * self.sector_bytes }
            }
            _ => len,
        }
    }

    /// The moment of a sector.
    fn of(&self, sector: u64) -> usize {
        match self.choice {
            Choice::Nothing | Choice::Names | Choice::Lengths => self.from,
            Choice::Everything | Choice::Data => self.to,
            Choice::Random(number) => {
                let number = mix(number, 1000 + self.node as u64, sector);
                match number % 4 {
                    0 => self.from,
                    1 => self.to,
                    _ => self.from + ((number >> 8) as usize) % (self.to - self.from + 1),
                }
            }
        }
    }
}

/// The numbers (from 1) of the changes that cut the file shorter.
fn shrinking(content: &Content) -> Vec<usize> {
    let mut len = content.durable.len();
    let mut out = Vec::new();
    for (at, (_, change)) in (1..).zip(&content.pending) {
        match change {
            Change::Write(offset, data) => len = len.max(offset + data.len()),
            Change::SetLen(new) => {
                if *new < len {
                    out.push(at);
                }
                len = *new;
            }
        }
    }
    out
}

fn file(content: &Content, node: Node, choice: Choice) -> Sparse {
    let moments = Moments::choose(content, node, choice);
    let mut out = content.durable.clone();
    let (mut now, mut chosen) = (out.len(), out.len());
    for (at, (_, change)) in (1..).zip(&content.pending).take(moments.to) {
        match change {
            Change::Write(offset, data) => {
                now = now.max(offset + data.len());
                write(&mut out, *offset, data, |sector| at <= moments.of(sector), &moments);
            }
            Change::SetLen(new) => {
                now = *new;
                // Cuts within the stretch of the chosen moments are before all of them.
                out.set_len(*new);
            }
        }
        if at <= moments.len {
            chosen = now;
        }
    }
    out.set_len(moments.within_write(content, chosen));
    out
}

/// Writes those sectors of `data` that are there.
fn write(out: &mut Sparse, offset: u64, data: &Data, there: impl Fn(u64) -> bool, moments: &Moments) {
    let end = offset + data.len();
    let mut at = offset;
    while at < end {
        let sector = at / moments.sector_bytes;
        let next = end.min((sector + 1) * moments.sector_bytes);
        if there(sector) {
            match data {
                Data::Bytes(bytes) => {
                    out.write(at, &bytes[(at - offset) as usize..(next - offset) as usize]);
                }
                Data::Zeros(_) => out.zero(at, next - at),
            }
        }
        at = next;
    }
}
