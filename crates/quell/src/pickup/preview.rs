//! What a look at an account would come to: signs in, lists, reads headers; changes nothing, here or there.

use std::collections::VecDeque;
use std::time::Duration;

use quell_mail::content::decoded;
use quell_mail::header::fields;
use quell_relay::collect::stamps::by_hosts;
use quell_relay::collect::{CannotPlace, How, Stamp, Stamped, Whose, who};
use quell_relay::directory::{CannotTell, Directory};
use quell_relay::reception::Asked;
use quell_storm::facts::Ms;
use quell_wire::pop3::client::{Lost, Request, Step, Wait, Why};
use serde::Serialize;
use tokio::time::timeout;

use super::account::{Account, Keep, Protocol};
use super::imap::Open;
use super::link::Link;
use super::listing::{Listed, What, is_over, what};
use super::memory::{Known, Memory};
use super::pop3::{messages, of_ending, sign_in, tell_apart};
use super::talk::{Talk, lost};
use super::trouble::Trouble;
use crate::deliver::resolver::Resolver;

/// Bytes of a header that are looked at.
const MAX_HEADER_BYTES: usize = 256 << 10;

/// Characters of a field that are shown.
const MAX_SAID_CHARS: usize = 200;
/// Hosts that are named where none of the right ones has stamped a message.
const MAX_HOSTS: usize = 5;

/// What an account would come to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Preview {
    /// Its name.
    pub account: String,
    /// Its server.
    pub server: String,
    /// What protects the connection; null: nothing.
    pub tls: Option<String>,
    /// Messages there.
    pub listed: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Of these new.
    pub new: u64,
    /// The newest of them.
    pub messages: Vec<PreviewLine>,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PreviewLine {
    /// Its author, as it says; null: its header is not to be had.
    pub from: Option<String>,
    /// Its date, as it says.
    pub date: Option<String>,
    /// What the server calls it; null: nothing that lasts.
    pub uid: Option<String>,
    /// Its size.
    pub bytes: u64,
    /// `new`, `known`, `known, to be deleted`, `could not be taken`, `too large`.
    pub what: &'static str,
    /// Who would get it.
    pub recipients: Vec<String>,
    /// Why they would.
    pub how: String,
}

/// What it takes.
pub struct Means<'a> {
    /// Who is who.
    pub directory: &'a Directory,
    /// Whether a mailbox exists.
    pub exists: &'a (dyn Fn(&str, &str) -> Result<bool, CannotTell> + Sync),
    /// Names.
    pub resolver: &'a Resolver,
    /// Largest message.
    pub max_message_bytes: u64,
    /// The time.
    pub now: Ms,
    /// Messages that are shown.
    pub limit: usize,
}

/// Looks, and changes nothing.
///
/// # Errors
/// [`Trouble`].
pub async fn preview(account: &Account, memory: &Memory, means: &Means<'_>) -> Result<Preview, Trouble> {
    match account.server.protocol {
        Protocol::Pop3 => pop3(account, memory, means).await,
        Protocol::Imap => imap(account, memory, means).await,
    }
}

impl Preview {
    fn new(account: &Account) -> Self {
        Self { account: account.name().to_owned(), server: account.server.to_string(), ..Self::default() }
    }

    fn with_tls(mut self, tls: Option<quell_mail::trace::Tls>) -> Self {
        self.tls = tls.map(|tls| format!("{} {}", tls.version, tls.cipher));
        self
    }

    fn count(&mut self, listed: &[Listed], account: &Account, memory: &Memory, means: &Means<'_>) {
        self.bytes = listed.iter().fold(0, |sum, message| message.size_bytes.saturating_add(sum));
        self.new = listed.iter().filter(|one| status(one, account, memory, means) == NEW).count() as u64;
    }
}

const NEW: &str = "new";

fn status(message: &Listed, account: &Account, memory: &Memory, means: &Means<'_>) -> &'static str {
    if message.size_bytes > means.max_message_bytes {
        return "too large";
    }
    let size_bytes = (account.server.protocol == Protocol::Pop3).then_some(message.size_bytes);
    let known = message.uid.as_deref().map_or(Known::No, |uid| memory.of(uid, size_bytes, means.now));
    match (known, what(message, memory, account.keep, (true, false), means.now)) {
        (Known::Refused { .. }, _) => "could not be taken",
        (Known::Taken(at), _) if is_over(account.keep, at, means.now) => "known, to be deleted",
        (Known::Taken(_), _) => "known",
        (Known::No, What::Fetch | What::Nothing | What::Delete) => NEW,
    }
}

/// The header is None where it is not to be had.
fn line(
    message: Listed,
    header: Option<&[u8]>,
    account: &Account,
    memory: &Memory,
    means: &Means<'_>,
) -> PreviewLine {
    let what = status(&message, account, memory, means);
    let (recipients, how) = match (&account.mail.whose, header) {
        (Whose::Stamped(_), None) => (Vec::new(), "the server does not give its header alone".to_owned()),
        (_, header) => placed(header.unwrap_or_default(), account, means)
            .unwrap_or_else(|why| (Vec::new(), why.to_string())),
    };
    let refused = message.uid.as_deref().and_then(|uid| memory.refused(uid));
    let how = refused.map_or(how, str::to_owned);
    let (from, date) = (said(header, "from"), said(header, "date"));
    PreviewLine { from, date, uid: message.uid, bytes: message.size_bytes, what, recipients, how }
}

/// What a field says, for people.
fn said(header: Option<&[u8]>, name: &str) -> Option<String> {
    let field = fields(header?).find(|field| field.is(name))?;
    let text = decoded(field.value);
    let text: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    Some(text.chars().take(MAX_SAID_CHARS).collect())
}

fn placed(header: &[u8], account: &Account, means: &Means<'_>) -> Result<(Vec<String>, String), CannotPlace> {
    let mut placing = who(header, &account.mail, means.directory, means.exists)?;
    let mut asked = false;
    // A next hop that would be asked is not asked here: it may say no.
    while placing.to_ask().is_some() {
        placing.asked(Asked::Exists)?;
        asked = true;
    }
    let placed = placing.placed()?;
    let recipients = placed.recipients.into_iter().map(|one| one.identity).collect();
    let how = match (&account.mail.whose, placed.how) {
        (_, How::Stamped) if asked => "as the provider stamped it, if their server takes them".to_owned(),
        (Whose::Stamped(stamp), how) => why_so(stamp, how, header),
        (Whose::These(_), how) => how.in_words().to_owned(),
    };
    Ok((recipients, how))
}

/// What the administrator needs to see why a stamp tells nothing.
fn why_so(stamp: &Stamp, how: How, header: &[u8]) -> String {
    let field = stamp.field.as_deref().unwrap_or("for clause");
    match (how, stamp.read(header)) {
        (How::NotByHost, _) => match by_hosts(header, MAX_HOSTS) {
            none if none.is_empty() => "no Received in it: nobody's stamp counts".to_owned(),
            hosts => format!("no Received by stamped_by; those there are by {}", hosts.join(", ")),
        },
        (How::NotOurs, Stamped::For(all)) => format!("{field} names {}, nobody of ours", all.join(", ")),
        (How::NoStamp, _) => format!("no {field} above the stamp of stamped_by, or one that names nobody"),
        (how, _) => how.in_words().to_owned(),
    }
}

async fn pop3(account: &Account, memory: &Memory, means: &Means<'_>) -> Result<Preview, Trouble> {
    let (sign_in, secret) = sign_in(account).await?;
    let link = Link::open(account, means.resolver).await?;
    let talk = Talk::new(link, account, MAX_HEADER_BYTES as u64, sign_in);
    let preview = Preview::new(account);
    let (waiting, header) = (VecDeque::new(), Vec::new());
    Pop3 { account, memory, means, talk, preview, waiting, header }
        .run()
        .await
        .map_err(|trouble| trouble.without(&secret))
}

/// A look by POP3.
struct Pop3<'a> {
    account: &'a Account,
    memory: &'a Memory,
    means: &'a Means<'a>,
    talk: Talk,
    preview: Preview,
    /// Those whose header comes.
    waiting: VecDeque<Listed>,
    header: Vec<u8>,
}

impl Pop3<'_> {
    async fn run(mut self) -> Result<Preview, Trouble> {
        let (mut buffer, mut start, mut end) = (vec![0; 16 << 10], 0, 0);
        loop {
            let (taken, step) = self.talk.session.next(&buffer[start..end]);
            start += taken;
            match step {
                Step::NeedInput(wait) => (start, end) = (0, self.input(&mut buffer, wait).await?),
                Step::StartTls => {
                    (start, end) = (0, 0);
                    self.talk.secure().await?;
                }
                Step::Listed => self.listed(),
                Step::Begin { .. } => self.header.clear(),
                Step::Content(bytes) => self.header.extend_from_slice(bytes),
                Step::End { number, .. } | Step::TooBig { number } => self.header_of(number),
                Step::Deleted { .. } | Step::Refused { .. } => {}
                Step::Idle => self.talk.session.quit(),
                Step::Closed(ending) => {
                    // Out of politeness: it may be gone.
                    let _gone = self.talk.flush().await;
                    if ending.why != Why::Quit {
                        return Err(of_ending(&ending.why, &self.account.server));
                    }
                    return Ok(self.finish().await);
                }
            }
        }
    }

    async fn input(&mut self, buffer: &mut [u8], wait: Wait) -> Result<usize, Trouble> {
        self.talk.flush().await?;
        match timeout(Duration::from_secs(wait.secs()), self.talk.link.read(buffer)).await {
            Ok(Ok(0)) => self.talk.session.lost(Lost::Closed),
            Ok(read) => return read.map_err(|why| lost(&why)),
            Err(_) => self.talk.session.lost(Lost::TimedOut),
        }
        Ok(0)
    }

    fn listed(&mut self) {
        let mut all = messages(&self.talk.session);
        if self.account.keep != Keep::No {
            tell_apart(&mut all);
        }
        self.preview.listed = self.talk.session.listing().listed;
        self.preview.count(&all, self.account, self.memory, self.means);
        self.waiting = all.into_iter().rev().take(self.means.limit).collect();
        if self.talk.session.offer().top {
            for message in &self.waiting {
                // More than it takes at a time are shown without their header.
                let _shown = self.talk.session.request(Request::Top(message.number));
            }
        }
    }

    fn header_of(&mut self, number: u32) {
        let at = self.waiting.iter().position(|one| one.number == number);
        if let Some(message) = at.and_then(|at| self.waiting.remove(at)) {
            let line = line(message, Some(&self.header), self.account, self.memory, self.means);
            self.preview.messages.push(line);
        }
    }

    async fn finish(mut self) -> Preview {
        let (account, memory, means) = (self.account, self.memory, self.means);
        let rest = self.waiting.drain(..).map(|one| line(one, None, account, memory, means));
        self.preview.messages.extend(rest);
        let tls = self.talk.link.tls;
        self.talk.link.close().await;
        self.preview.with_tls(tls)
    }
}

async fn imap(account: &Account, memory: &Memory, means: &Means<'_>) -> Result<Preview, Trouble> {
    let mut open = Open::new(account, means.resolver).await?;
    let mut preview = Preview::new(account).with_tls(open.tls);
    let (mailbox, validity) = open.select(account, false).await?;
    preview.listed = mailbox.exists.into();
    let mut all = open.sizes(account, validity, mailbox.exists).await?;
    preview.count(&all, account, memory, means);
    all.reverse();
    all.truncate(means.limit);
    for message in all {
        let header = open.header(account, message.number).await?;
        preview.messages.push(line(message, header.as_deref(), account, memory, means));
    }
    open.close().await;
    Ok(preview)
}
