//! Several rows at once: each file is synced before it gets its name, and `new/` once for all names that were
//! given there. Each sync of its own waits for the disk, so this is what makes many deliveries fast.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::PathBuf;

use super::{DeliverError, Delivered, Delivery, MaildirStore, drop_tmp, sync_dir, write};

/// A row on its way.
struct Row {
    mailbox: PathBuf,
    name: String,
    tmp: PathBuf,
    /// None: it is at its end already, with `became`.
    file: Option<File>,
    became: Result<Delivered, DeliverError>,
}

impl MaildirStore {
    /// Delivers one row. `body` is the message with CRLF line ends, our `Received` first; memory
    /// stays at a few chunks whatever its size. No mailbox is made: a missing one is
    /// [`Kind::Missing`](super::Kind::Missing). Only a missing `tmp/` in one that is there is made anew.
    ///
    /// # Errors
    /// [`DeliverError`].
    pub fn deliver(&self, row: &Delivery<'_>, body: &mut impl Read) -> Result<Delivered, DeliverError> {
        let mut only = [self.begin(row, body)];
        self.finish(&mut only);
        let [only] = only;
        only.end()
    }

    /// Delivers rows, each as [`MaildirStore::deliver`] does; what became of each, in their order. One that fails
    /// concerns no other, but for a sync of `new/` that fails: that concerns all of that mailbox.
    pub fn deliver_all<'a, B: Read>(
        &self,
        rows: impl Iterator<Item = (Delivery<'a>, B)>,
    ) -> Vec<Result<Delivered, DeliverError>> {
        let mut rows: Vec<Row> = rows.map(|(row, mut body)| self.begin(&row, &mut body)).collect();
        self.finish(&mut rows);
        rows.into_iter().map(Row::end).collect()
    }

    /// All are written before the first is waited for: what the disk does for one serves others, too.
    fn finish(&self, rows: &mut [Row]) {
        rows.iter_mut().for_each(Row::sync);
        rows.iter_mut().for_each(Row::link);
        self.sync_names(rows);
    }

    /// Searched for, if it may lie there, and written.
    fn begin(&self, row: &Delivery<'_>, body: &mut impl Read) -> Row {
        let (mailbox, name) = (self.path(row.domain, row.mailbox), self.file_name(row));
        let tmp = mailbox.join("tmp").join(&name);
        let was_there = if row.search_first { self.was_delivered(&mailbox, row) } else { Ok(false) };
        let (file, became) = match was_there {
            Err(why) => (None, Err(why)),
            Ok(true) => (None, Ok(Delivered::Before)),
            Ok(false) => match write(&tmp, row, body) {
                Ok(file) => (Some(file), Ok(Delivered::Now)),
                Err(why) => (None, Err(why)),
            },
        };
        Row { mailbox, name, tmp, file, became }
    }

    /// Makes the names durable. Where that fails they are taken back: the next sync could report success without having
    /// written these entries, so the next try makes them anew. A reader may have moved one: then it is searched for.
    fn sync_names(&self, rows: &mut [Row]) {
        let mut synced: Vec<(PathBuf, io::Result<()>)> = Vec::new();
        for row in rows.iter_mut().filter(|row| row.is_named()) {
            let known = synced.iter().position(|(mailbox, _)| *mailbox == row.mailbox);
            let at = known.unwrap_or_else(|| {
                synced.push((row.mailbox.clone(), sync_dir(&row.mailbox.join("new"))));
                synced.len() - 1
            });
            if let Some((_, Err(why))) = synced.get(at) {
                self.take_back(row, why);
            }
        }
    }

    fn take_back(&self, row: &mut Row, why: &io::Error) {
        let taken_back = fs::remove_file(row.named()).is_ok();
        self.lock().remove(&row.mailbox);
        let error = DeliverError::at("sync of new", again(why));
        row.became = Err(if taken_back { error } else { error.searching() });
    }
}

impl Row {
    fn sync(&mut self) {
        if let Some(Err(why)) = self.file.as_ref().map(File::sync_all) {
            self.fail(DeliverError::at("sync of the file", why));
        }
    }

    fn link(&mut self) {
        if self.file.is_none() {
            return;
        }
        match fs::hard_link(&self.tmp, self.named()) {
            Ok(()) => {}
            Err(why) if why.kind() == io::ErrorKind::AlreadyExists => self.became = Ok(Delivered::Before),
            Err(why) => self.fail(DeliverError::at("link to new", why)),
        }
    }

    fn fail(&mut self, why: DeliverError) {
        (self.file, self.became) = (None, Err(why));
    }

    /// It has a name in `new/`, by this delivery or by one that may not have been synced.
    fn is_named(&self) -> bool {
        self.file.is_some()
    }

    fn named(&self) -> PathBuf {
        self.mailbox.join("new").join(&self.name)
    }

    fn end(self) -> Result<Delivered, DeliverError> {
        drop_tmp(&self.tmp);
        self.became
    }
}

/// The same error once more.
fn again(why: &io::Error) -> io::Error {
    why.raw_os_error().map_or_else(|| why.kind().into(), io::Error::from_raw_os_error)
}
