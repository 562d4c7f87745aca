//! One look at an IMAP mailbox. The protocol's words are `async-imap`'s; what is asked for, how much of it, and
//! when a message may be deleted is decided here.

mod fetch;
mod guarded;
mod open;

pub use open::Open;

use std::time::Duration;

use tokio::time::Instant;

use super::account::Keep;
use super::hand_in::{Became, HandIn, Settled};
use super::listing::Listed;
use super::round::{Look, ToDo};
use super::task::Done;
use super::trouble::{Kind, Trouble};
use fetch::uids;
use open::{answer, of_error};

/// Messages that are listed in one look; with more than that in the mailbox, the rest comes when these are gone.
pub const MAX_LISTED: u32 = 200_000;
/// All are listed anew after so long: what could not be taken is tried again, what is gone is forgotten.
const ALL_AFTER: Duration = Duration::from_secs(6 * 3_600);
/// So many are marked or deleted at a time.
const MARK_AT_ONCE: usize = 500;

struct Imap<'a> {
    look: &'a Look,
    open: &'a mut Open,
    hand_in: HandIn,
    validity: u32,
    /// To be deleted on the server.
    delete: Vec<u32>,
    /// To be marked as seen.
    seen: Vec<u32>,
    deleted: Vec<u32>,
    later: Option<Trouble>,
    /// Something was fetched.
    gives: bool,
}

/// Looks at the mailbox once. The session stays open if the server tells of new mail.
///
/// # Errors
/// [`Trouble`]; what was taken until then stays taken.
pub async fn collect(look: &Look, kept: &mut Option<Open>) -> Result<Done, Trouble> {
    let mut open = match kept.take() {
        Some(open) => open,
        None => Open::new(&look.account, &(look.means.resolver)()).await?,
    };
    let (mailbox, validity) = open.select(&look.account, true).await?;
    let hand_in = look.hand_in();
    let mut imap = Imap {
        look,
        open: &mut open,
        hand_in,
        validity,
        delete: Vec::new(),
        seen: Vec::new(),
        deleted: Vec::new(),
        later: None,
        gives: false,
    };
    let ended = imap.drive(mailbox.exists, mailbox.uid_next).await;
    let ended = imap.finish(ended).await;
    ended?;
    if look.account.idle && open.can_idle() {
        *kept = Some(open);
    } else {
        open.close().await;
    }
    Ok(Done { more: false, least_pause: Duration::ZERO })
}

impl Imap<'_> {
    async fn drive(&mut self, exists: u32, uid_next: Option<u32>) -> Result<(), Trouble> {
        let before = self.open.listed_to.filter(|(validity, _)| *validity == self.validity).map(|(_, to)| to);
        let is_complete = match (before, uid_next, self.look.account.keep) {
            // Names ascend: what is new stands behind what was listed. Days end, so those are looked at anew.
            (Some(from), Some(next), Keep::Yes | Keep::No)
                if !self.look.again && self.open.all_listed.elapsed() < ALL_AFTER =>
            {
                next <= from || self.behind(from, exists).await?
            }
            _ => self.all(exists).await?,
        };
        // What was left out stands before that.
        let is_next = is_complete && self.later.is_none();
        self.open.listed_to = uid_next.filter(|_| is_next).map(|next| (self.validity, next));
        Ok(())
    }

    /// What stands behind what was listed. False: not all of it was listed.
    async fn behind(&mut self, from: u32, exists: u32) -> Result<bool, Trouble> {
        let listed = self.list(&format!("{from}:*"), Some(from)).await?;
        if listed.is_empty() {
            // They are gone already, or the answer was NO: the client does not say.
            return self.all(exists).await;
        }
        self.handle(listed).await?;
        Ok(true)
    }

    /// Every message there is. False: not all of them were listed.
    async fn all(&mut self, exists: u32) -> Result<bool, Trouble> {
        if exists > MAX_LISTED && self.look.account.keep != Keep::No {
            let why = format!(
                "the mailbox has {exists} messages, and more than {MAX_LISTED} that stay there are not looked through: delete some, or set keep = false"
            );
            return Err(Trouble::new(Kind::Mailbox, why));
        }
        self.open.all_listed = Instant::now();
        // All of them before the first is deleted: that changes the numbers of those behind it.
        let all = self.open.sizes(&self.look.account, self.validity, exists).await?;
        let is_complete = all.len() == exists as usize;
        if is_complete {
            let uids: Vec<String> = all.iter().filter_map(|message| message.uid.clone()).collect();
            self.look.all_listed(&uids)?;
        }
        self.handle(all).await?;
        Ok(is_complete)
    }

    async fn handle(&mut self, listed: Vec<Listed>) -> Result<(), Trouble> {
        let count = listed.len() as u64;
        let ToDo { fetch, delete } = self.look.to_do(listed, count, true);
        self.delete.extend(delete.iter().map(|message| message.number));
        self.fetch(fetch).await?;
        self.mark(false).await
    }

    /// Whether more is fetched.
    fn goes_on(&mut self) -> bool {
        let trouble = self.look.why_not();
        let is_over = |later: &Trouble| matches!(later.kind, Kind::Here | Kind::Stopping);
        if trouble.is_none() && !self.later.as_ref().is_some_and(is_over) {
            return true;
        }
        self.later = self.later.take().or(trouble);
        false
    }

    /// What became of what was handed in, so far, or in the end.
    async fn hear(&mut self, all: bool) -> Result<(), Trouble> {
        while all && self.hand_in.under_way() > 0 || self.hand_in.has_news() {
            match self.hand_in.next().await {
                Some(settled) => self.settled(&settled),
                None => break,
            }
        }
        Ok(())
    }

    fn settled(&mut self, settled: &Settled) {
        let may_go = self.look.settled(settled);
        match &settled.fate {
            Became::Taken | Became::Known(_) if may_go => self.delete.push(settled.number),
            Became::Taken if self.look.account.marks_seen => self.seen.push(settled.number),
            Became::Later(trouble) => drop(self.later.get_or_insert(trouble.clone())),
            _ => {}
        }
    }

    /// Marks what may be marked: a good many, or all.
    async fn mark(&mut self, all: bool) -> Result<(), Trouble> {
        while self.delete.len() >= if all { 1 } else { MARK_AT_ONCE } {
            let some = take(&mut self.delete);
            self.open.exists = None;
            self.store(&some, "+FLAGS.SILENT (\\Deleted)").await?;
            if self.open.uidplus {
                self.command(&format!("UID EXPUNGE {}", uids(some.iter().copied()))).await?;
                self.look.deleted(some.len() as u64);
            }
            self.deleted.extend(some);
        }
        while self.seen.len() >= if all { 1 } else { MARK_AT_ONCE } {
            let some = take(&mut self.seen);
            self.store(&some, "+FLAGS.SILENT (\\Seen)").await?;
        }
        Ok(())
    }

    async fn store(&mut self, some: &[u32], flags: &str) -> Result<(), Trouble> {
        self.command(&format!("UID STORE {} {flags}", uids(some.iter().copied()))).await
    }

    async fn command(&mut self, command: &str) -> Result<(), Trouble> {
        let server = self.look.account.server.clone();
        let session = self.open.session()?;
        answer(session.run_command_and_check_ok(command)).await.map_err(|why| of_error(&why, &server))
    }

    /// Without UIDPLUS, EXPUNGE deletes whatever is marked: only if nothing is that others have marked.
    async fn expunge(&mut self) -> Result<(), Trouble> {
        if self.open.uidplus || self.deleted.is_empty() {
            return Ok(());
        }
        let server = self.look.account.server.clone();
        let session = self.open.session()?;
        let marked = answer(session.uid_search("DELETED")).await.map_err(|why| of_error(&why, &server))?;
        // The client does not say that the answer was NO: then nothing is named.
        if !marked.is_empty() && marked.iter().all(|uid| self.deleted.contains(uid)) {
            self.command("EXPUNGE").await?;
            self.look.deleted(self.deleted.len() as u64);
        }
        Ok(())
    }

    /// Whatever the end: what is at the door is waited for, and deleted if the session still serves.
    async fn finish(mut self, ended: Result<(), Trouble>) -> Result<(), Trouble> {
        self.hear(true).await?;
        if ended.is_ok() {
            self.mark(true).await?;
            self.expunge().await?;
        }
        let Self { hand_in, later, .. } = self;
        hand_in.finish().await;
        ended?;
        later.map_or(Ok(()), Err)
    }
}

fn take(from: &mut Vec<u32>) -> Vec<u32> {
    from.drain(..from.len().min(MARK_AT_ONCE)).collect()
}
