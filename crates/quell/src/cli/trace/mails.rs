//! The messages of an archive, as the passes know them: 44 bytes of each.

use std::borrow::Cow;
use std::path::Path;

use quell_mail::header::split;
use quell_mail::mbox::unquoted;
use quell_storm::trace::grouping::Record;
use quell_storm::trace::{self};

use crate::archive::{Archive, Kind, Place};

/// Records that lie together: what a worker has found lies in many small pieces, so that none is ever
/// moved to grow.
const PIECE: usize = 2_048;

/// What one worker has found, in the archive's order.
#[derive(Debug, Default)]
pub(super) struct Found(Vec<Vec<(Record, u32)>>);

impl Found {
    pub(super) fn add(&mut self, record: Record, len: u32) {
        match self.0.last_mut() {
            Some(piece) if piece.len() < PIECE => piece.push((record, len)),
            // An archive of few messages needs no whole piece.
            _ => {
                let mut piece = Vec::with_capacity(if self.0.is_empty() { 16 } else { PIECE });
                piece.push((record, len));
                self.0.push(piece);
            }
        }
    }

    fn len(&self) -> usize {
        self.0.iter().map(Vec::len).sum()
    }
}

/// All messages, by their places.
#[derive(Debug, Default)]
pub(super) struct Mails {
    pub(super) records: Vec<Record>,
    /// Their lengths, which the archive wants to know to read them again.
    lens: Vec<u32>,
}

impl Mails {
    /// Puts together what workers have found; how many there were does not show.
    pub(super) fn of(found: Vec<Found>) -> Self {
        let all = found.iter().map(Found::len).sum();
        let mut mails = Self { records: Vec::with_capacity(all), lens: Vec::with_capacity(all) };
        let mut sources: Vec<_> = found.into_iter().map(|f| f.0.into_iter().flatten().peekable()).collect();
        loop {
            let firsts = sources.iter_mut().enumerate().filter_map(|(n, s)| Some((s.peek()?.0.place, n)));
            let Some((_, next)) = firsts.min() else { return mails };
            if let Some((record, len)) = sources[next].next() {
                mails.records.push(record);
                mails.lens.push(len);
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// Where message `i` lies.
    pub(super) fn place(&self, i: usize) -> Place {
        let place = self.records[i].place;
        Place::new(place.file, place.offset, self.lens[i], false)
    }

    /// Bytes of message `i`.
    pub(super) fn bytes(&self, i: usize) -> u64 {
        u64::from(self.lens[i])
    }

    /// Which message lies at `place`.
    pub(super) fn at(&self, place: Place) -> Option<usize> {
        self.records.binary_search_by_key(&place_of(place), |record| record.place).ok()
    }
}

/// A place as the engine writes it.
pub(super) fn place_of(place: Place) -> trace::Place {
    trace::Place { file: place.file(), offset: place.offset() }
}

/// A message as it was before it came into its file.
pub(in crate::cli) struct Plain<'a> {
    whole: &'a [u8],
    pub(in crate::cli) header: &'a [u8],
    pub(in crate::cli) body: Cow<'a, [u8]>,
    body_as_it_lies: &'a [u8],
}

impl<'a> Plain<'a> {
    /// Of a message as it lies in file `file`.
    pub(in crate::cli) fn of(archive: &Archive, file: u32, whole: &'a [u8]) -> Self {
        let (header, body_as_it_lies) = split(whole);
        let info = usize::try_from(file).ok().and_then(|file| archive.files().get(file));
        let body = match info.map(|info| info.kind) {
            Some(Kind::Mbox(dialect)) => unquoted(body_as_it_lies, dialect),
            _ => Cow::Borrowed(body_as_it_lies),
        };
        Self { whole, header, body, body_as_it_lies }
    }

    /// Of a message that lies nowhere.
    pub(in crate::cli) fn alone(whole: &'a [u8]) -> Self {
        let (header, body_as_it_lies) = split(whole);
        Self { whole, header, body: Cow::Borrowed(body_as_it_lies), body_as_it_lies }
    }

    /// The header with the empty line that ends it, if one does.
    pub(in crate::cli) fn head(&self) -> &'a [u8] {
        &self.whole[..self.whole.len() - self.body_as_it_lies.len()]
    }

    /// All of it.
    pub(super) fn whole(&self) -> Cow<'a, [u8]> {
        match &self.body {
            Cow::Borrowed(_) => Cow::Borrowed(self.whole),
            Cow::Owned(body) => Cow::Owned([self.head(), body].concat()),
        }
    }
}

/// Whose mail lies in file `file`, where no header tells: its name says it, else it is a mailbox of its
/// own. Messages with a file each are one mailbox if they lie in one folder.
pub(in crate::cli) fn mailbox(archive: &Archive, file: u32) -> Cow<'_, str> {
    let Some(info) = usize::try_from(file).ok().and_then(|file| archive.files().get(file)) else {
        return Cow::Borrowed("");
    };
    if let Some(mailbox) = info.mailbox() {
        return Cow::Borrowed(mailbox);
    }
    let path = info.path();
    let place = if info.kind == Kind::Message { path.parent() } else { None };
    Cow::Owned(place.unwrap_or_else(|| Path::new(&path)).to_string_lossy().into_owned())
}

/// The name of file `file`, as it was given or found.
pub(super) fn file_name(archive: &Archive, file: u32) -> Option<String> {
    let info = archive.files().get(usize::try_from(file).ok()?)?;
    Some(info.path().to_string_lossy().into_owned())
}
