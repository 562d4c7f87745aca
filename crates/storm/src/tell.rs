//! What the operator is told: of a storm once when it opens and once when it ends, and of a message
//! that was given up although it may have been delivered.

mod held;

use crate::book::{Book, BookEvent};
use crate::explain::span;
use crate::sources::Sources;
use crate::storm::{Culprit, Storm, StormState, rfc3339};
use crate::verdict::Class;

/// Sources named in an alert.
const SOURCES_NAMED: usize = 5;
/// Culprits named in an alert.
const CULPRITS_NAMED: usize = 5;
/// Characters of what somebody else said.
const MAX_SAID: usize = 400;
/// Characters of a culprit's name.
const MAX_NAME: usize = 80;

/// What about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AlertKind {
    /// A storm has opened.
    Opened,
    /// A storm has ended.
    Ended,
    /// A message was given up, and may have been delivered.
    MaybeDelivered,
    /// A storm has held mail for some time, and nobody has decided what is to become of it.
    StillHeld,
    /// An author of ours is told that his reply to all is held.
    ReplyHeld,
    /// Somebody guesses passwords, and sign-in is refused to him.
    Guessing,
    /// An account at a provider cannot be collected.
    Pickup,
}

/// One alert: plain text, no subjects, no bodies, no recipients but their number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// What about.
    pub kind: AlertKind,
    /// Whom it is for; None: the operator.
    pub to: Option<String>,
    /// The storm's id, the message's queue id, the network of who guesses, or the account.
    pub about: String,
    /// The storm as it was then, without its evidence; None: it is about none.
    pub storm: Option<Storm>,
    /// A line of ASCII fit for a Subject field.
    pub subject: String,
    /// Lines that end in LF; ASCII.
    pub text: String,
}

impl Alert {
    /// The alert that `event` calls for, if one: each storm gets one at its opening and one at its
    /// end, none when it grows quiet or comes again.
    pub fn of(event: &BookEvent, book: &Book) -> Option<Self> {
        match event {
            BookEvent::Opened(id) => book.get(id).map(Self::opened),
            BookEvent::Closed(storm) => Some(Self::ended(storm)),
            BookEvent::Reopened(_) | BookEvent::Quiet(_) => None,
        }
    }

    /// What is told when `storm` opens.
    pub fn opened(storm: &Storm) -> Self {
        let made_by = culprits(
            &storm.culprits,
            "nobody can be named yet; `quell storms show` says who, once more copies tell",
        );
        let text = format!(
            "{}\n\n{}{}{}\n{}\n\n{}",
            storm.class().words(),
            figures(storm),
            sources(&storm.sources),
            if storm.class().is_of_one_message() { made_by } else { String::new() },
            doing(storm),
            commands(storm)
        );
        let subject = subject(storm, "has begun");
        Self::of_storm(AlertKind::Opened, storm, subject, text)
    }

    /// What is told when `storm` has ended.
    pub fn ended(storm: &Storm) -> Self {
        let one = storm.class().of_one();
        let how = match storm.state {
            StormState::Discarded => format!("It was discarded by a person, and no {one} comes any more."),
            StormState::Open | StormState::Quiet | StormState::Closed => {
                format!("No {one} has come for some time, and the storm is closed.")
            }
        };
        let made_by = culprits(&storm.culprits, "the copies do not tell");
        let text = format!(
            "{how}\n\n{}{}{}\n{}",
            figures(storm),
            sources(&storm.sources),
            if storm.class().is_of_one_message() { made_by } else { String::new() },
            commands(storm)
        );
        let subject = subject(storm, "is over");
        Self::of_storm(AlertKind::Ended, storm, subject, text)
    }

    fn of_storm(kind: AlertKind, storm: &Storm, subject: String, text: String) -> Self {
        let (about, storm) = (storm.id.to_string(), Some(without_evidence(storm)));
        Self { kind, to: None, about, storm, subject, text }
    }

    /// The culprits of its storm for a program: `host [address]`, either alone where the other is not
    /// known, with commas between. Empty: none is named.
    pub fn culprit_names(&self) -> String {
        let all = self.storm.iter().flat_map(|storm| &storm.culprits).take(CULPRITS_NAMED);
        all.filter_map(name).collect::<Vec<_>>().join(", ")
    }

    /// What is told of the message `queue_id` that was sent `sendings` times to `next_hop` without an
    /// answer at the last, and given up.
    pub fn maybe_delivered(queue_id: &str, next_hop: &str, sendings: u32) -> Self {
        let (id, next_hop) = (plain(queue_id), plain(next_hop));
        let text = format!(
            "A message was sent to its end {sendings} times, and no answer came. It may have been delivered\n\
             all the same, perhaps more than once. quell does not send it again by itself; its sender is\n\
             told, if the message asks for that.\n\n\
             Message:  {id}\nNext hop: {next_hop}\n\n\
             To look at it, and to send it once more:\n  quell queue show {id}\n  quell queue retry {id}\n"
        );
        let subject = format!("quell: message {id} was given up and may have been delivered");
        Self { kind: AlertKind::MaybeDelivered, to: None, about: id, storm: None, subject, text }
    }

    /// What is told of the network `net`, from which sign-in is refused for `minutes` since it failed
    /// `failures` times.
    pub fn guessing(net: &str, failures: u32, minutes: u64) -> Self {
        let net = plain(net);
        let text = format!(
            "Sign-in failed {failures} times within 15 minutes from {net}.\n\n\
             From there it is refused for {minutes} minutes, whatever the password. Users sign in from\n\
             elsewhere as before. If that is a network of yours, somebody there has an old password, or a\n\
             program is wrongly set up: quell's log says which names failed (event sign_in_failed).\n\n\
             A host that signs in for many people, such as a web mail server, belongs into\n\
             `[submission] shared_hosts`.\n"
        );
        let subject = format!("quell: somebody guesses passwords from {net}");
        Self { kind: AlertKind::Guessing, to: None, about: net, storm: None, subject, text }
    }
}

impl Alert {
    /// What is told of an account that is collected again, after it was told that it could not be.
    pub fn pickup_works(account: &str, server: &str) -> Self {
        let (account, server) = (plain(account), plain(server));
        let text = format!("Mail of the account {account} is collected from {server} again.\n");
        let subject = format!("quell: the account {account} is collected again");
        Self { kind: AlertKind::Pickup, to: None, about: account, storm: None, subject, text }
    }

    /// What is told of `count` messages of an account that cannot be taken; `why`: of the first.
    pub fn pickup_refused(account: &str, server: &str, count: usize, why: &str) -> Self {
        let (account, server, why) = (plain(account), plain(server), said(why));
        let (messages, stay) = if count == 1 { ("message", "stays") } else { ("messages", "stay") };
        let text = format!(
            "{count} {messages} of the account {account} cannot be collected and {stay} at {server}:\n\n    \
             {why}\n\n\
             This is said once. quell's log names each (event pickup_refused). They are tried again once a day, and by\n\n    \
             quell pickup run {account}\n"
        );
        let subject = format!("quell: {count} {messages} of the account {account} {stay} at the provider");
        Self { kind: AlertKind::Pickup, to: None, about: account, storm: None, subject, text }
    }

    /// What is told of an account at `server` that cannot be collected, and why.
    pub fn pickup(account: &str, server: &str, why: &str) -> Self {
        let (account, server, why) = (plain(account), plain(server), said(why));
        let text = format!(
            "Mail of the account {account} is not collected from {server}:\n\n    {why}\n\n\
             Nothing is lost: it stays there. quell tries again, less and less often, and says nothing more of\n\
             this until it works. A corrected password file is tried within seconds, a changed configuration\n\
             when quell reads it again (SIGHUP). To try now:\n\n    \
             quell pickup run {account}\n\n\
             What the account's mail would come to, without changing anything: quell pickup test {account}\n"
        );
        let subject = format!("quell: the account {account} cannot be collected");
        Self { kind: AlertKind::Pickup, to: None, about: account, storm: None, subject, text }
    }

    /// What one of our own people is told whose reply to all is held, once in a conversation. It says
    /// nothing of what others wrote.
    pub fn reply_held(author: &str, storm: &Storm, people: u32) -> Self {
        let text = format!(
            "Your reply to all was not delivered: it is held.\n\n\
             Very many people are answering all {people} people of this conversation, and each further answer\n\
             makes more of them. Nothing is lost: whoever runs your mail server can let it go. If you want to\n\
             write to the author alone, that passes at once.\n\n\
             Further replies of yours to all in this conversation are held without a word. For whoever runs the\n\
             server: quell storms show {}\n",
            storm.id
        );
        let subject = "quell: your reply to all is held".to_owned();
        let (about, storm) = (storm.id.to_string(), Some(without_evidence(storm)));
        Self { kind: AlertKind::ReplyHeld, to: Some(author.to_owned()), about, storm, subject, text }
    }
}

fn without_evidence(storm: &Storm) -> Storm {
    // Field by field would forget one; the copy is made twice in a storm's life.
    let mut snapshot = storm.clone();
    snapshot.evidence = crate::evidence::Evidence::default();
    snapshot.culprits.iter_mut().for_each(|culprit| culprit.evidence.clear());
    snapshot
}

/// A line fit for a Subject field.
fn subject(storm: &Storm, how: &str) -> String {
    let class = storm.class();
    let of = if class.suspects() { format!(" ({class})") } else { String::new() };
    let what = if storm.copies == 1 { class.of_one() } else { class.of_many() };
    format!("quell: storm {}{of} {how}, {} {what}", storm.id, storm.copies)
}

pub(crate) fn doing(storm: &Storm) -> &'static str {
    let holds = storm.held > 0;
    match storm.class() {
        Class::Loop => {
            "quell does not deliver it again: where the recipient has it, copies are counted and \
             dropped; where it was sent on, they are refused as a loop. Other mail passes."
        }
        Class::New | Class::Copies | Class::Retry => {
            "quell delivers it once to each recipient. Copies are accepted, counted and dropped, \
             so that the sender is not made to try again. Other mail passes."
        }
        _ if holds => {
            "quell accepts these messages and holds them: nothing is lost, and nothing is delivered until\n\
             you release it. Whatever you do not decide on is put into a digest when its time in hold is over.\n\
             Other mail passes."
        }
        _ => {
            "As your policy says, these messages are not held: they are refused, or told and delivered\n\
             ([policy] in the configuration)."
        }
    }
}

fn figures(storm: &Storm) -> String {
    let lasted_ms = (storm.last_seen_ms - storm.first_seen_ms).max(0) / 1000 * 1000;
    let or_unknown = |n: Option<u64>| n.map_or("not counted yet".to_owned(), |n| n.to_string());
    // Only of copies the ledger knows who has the message already.
    let (last, many, delivered) = match storm.class().suspects() {
        true => ("seen", "Messages", String::new()),
        false => ("copy", "Copies", format!("Delivered:  {}\n", or_unknown(storm.delivered))),
    };
    format!(
        "Since:      {}\nLast {last}:  {} ({} later)\n{:<12}{}, of these absorbed {}, held {}\n\
         Recipients: {}\n{delivered}",
        rfc3339(storm.first_seen_ms),
        rfc3339(storm.last_seen_ms),
        span(lasted_ms),
        format!("{many}:"),
        storm.copies,
        storm.absorbed,
        storm.held,
        or_unknown(storm.recipients),
    )
}

fn sources(sources: &Sources) -> String {
    let top = sources.top();
    let mut text = String::from("From (since the storm opened):\n");
    for c in top.iter().take(SOURCES_NAMED) {
        let about = if c.over > 0 { "at most " } else { "" };
        text.push_str(&format!("  {}: {about}{}\n", plain(&c.source.0), c.copies));
    }
    if sources.is_partial() {
        text.push_str("  and others\n");
    } else if top.len() > SOURCES_NAMED {
        text.push_str(&format!("  and {} more\n", top.len() - SOURCES_NAMED));
    }
    text
}

/// The servers that make the copies, without the lines that prove it: those can name recipients.
fn culprits(culprits: &[Culprit], none: &str) -> String {
    if culprits.is_empty() {
        return format!("Made by: {none}.\n");
    }
    let mut text = String::from("Made by:\n");
    for culprit in culprits.iter().take(CULPRITS_NAMED) {
        let who = name(culprit).unwrap_or_else(|| "a client that no stamp names".to_owned());
        let does = culprit.class.map_or("makes copies", |class| class.words());
        text.push_str(&format!("  {who}\n    {does}"));
        let percent = |permille: u16| (permille + 5) / 10;
        if let Some(share) = culprit.share_permille {
            text.push_str(&format!("; {} % of the copies seen", percent(share)));
        }
        if let Some(sure) = culprit.confidence_permille {
            text.push_str(&format!("; {} % sure", percent(sure)));
        }
        text.push('\n');
    }
    if culprits.len() > CULPRITS_NAMED {
        text.push_str(&format!("  and {} more\n", culprits.len() - CULPRITS_NAMED));
    }
    text
}

/// A culprit's name and address. The name stood in a header: what is not a host's is left out.
fn name(culprit: &Culprit) -> Option<String> {
    let is_host = |name: &&String| {
        let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
        name.len() <= MAX_NAME && name.bytes().all(fits)
    };
    match (culprit.host.as_ref().filter(is_host), culprit.ip) {
        (Some(host), Some(ip)) => Some(format!("{host} [{ip}]")),
        (Some(host), None) => Some(host.clone()),
        (None, Some(ip)) => Some(format!("[{ip}]")),
        (None, None) => None,
    }
}

/// A source's name is made by us, but an alert is mail: nothing in it may end a line.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_graphic() { c } else { '?' }).collect()
}

/// Words of somebody else's, spaces kept.
fn said(text: &str) -> String {
    let words: Vec<String> = text.split_whitespace().map(plain).collect();
    words.join(" ").chars().take(MAX_SAID).collect()
}

fn commands(storm: &Storm) -> String {
    let explain = storm.evidence.last().map_or(String::new(), |last| {
        format!(
            "  quell explain {}    why its last {} was judged so\n",
            last.queue_id,
            storm.class().of_one()
        )
    });
    let decide = if storm.held > 0 {
        format!(
            "To let its mail go, or to throw it away:\n  quell storms release {}\n  quell storms discard {}\n",
            storm.id, storm.id
        )
    } else {
        String::new()
    };
    format!("To look at it:\n  quell storms show {}\n{explain}{decide}", storm.id)
}
