//! From a connection to a session that has signed in.

use std::future::Future;
use std::net::IpAddr;
use std::time::Duration;

use async_imap::extensions::idle::IdleResponse;
use async_imap::types::{Mailbox, UnsolicitedResponse};
use async_imap::{Authenticator, Client, Session, error};
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};
use base64::{Engine, alphabet};
use quell_mail::trace::Tls as Negotiated;
use quell_wire::imap::{Ask, Offer, Opening, Step, Why};
use quell_wire::pop3::Password;
use quell_wire::pop3::client::Mechanism;
use quell_wire::sasl::client::Bearer;
use tokio::time::{Instant, timeout};

use super::guarded::Guarded;
use crate::deliver::resolver::Resolver;
use crate::pickup::account::{Account, Secret, Server, Tls};
use crate::pickup::link::Link;
use crate::pickup::trouble::{Kind, Trouble};

/// A command is answered by then, or the next of its answers is there.
pub const ANSWER: Duration = Duration::from_secs(180);
/// IDLE is said anew before servers end the session for silence (RFC 2177 §3).
const IDLE: Duration = Duration::from_secs(25 * 60);
/// Characters of a server's words that are shown.
const MAX_WORDS: usize = 300;

/// A session that has signed in.
pub struct Open {
    /// None: it idles, or is lost.
    pub session: Option<Session<Guarded>>,
    /// Where it leads.
    pub address: IpAddr,
    /// What protects it.
    pub tls: Option<Negotiated>,
    /// Messages can be deleted by their UIDs alone (UIDPLUS, RFC 4315).
    pub uidplus: bool,
    idles: bool,
    /// What tells the names of this mailbox from those of another that the account had, or will have: some servers give
    /// all mailboxes one UIDVALIDITY.
    pub place: String,
    /// UIDVALIDITY, and the UID from which on nothing was listed yet.
    pub listed_to: Option<(u32, u32)>,
    /// When all were listed.
    pub all_listed: Instant,
    /// How many messages there were when the mailbox was opened; None: some were deleted since.
    pub exists: Option<u32>,
}

impl Open {
    /// Connects and signs in.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn new(account: &Account, resolver: &Resolver) -> Result<Self, Trouble> {
        let secret = account.secret.ask().await?;
        let mut link = Link::open(account, resolver).await?;
        let ahead = greeted(&mut link, &account.server).await?;
        let (offer, ahead) = asked(&mut link, ahead, &account.server).await?;
        let (address, tls) = (link.address, link.tls);
        let stream = link.into_stream().ok_or_else(|| Trouble::new(Kind::Net, "the connection is gone"))?;
        let client = Client::new(Guarded::new(stream, ahead));
        let signed_in = sign_in(client, account, secret.clone(), offer).await;
        let mut session = signed_in.map_err(|trouble| trouble.without(&secret))?;
        let capabilities =
            answer(session.capabilities()).await.map_err(|why| of_error(&why, &account.server));
        let (uidplus, idles) = capabilities.map(|all| (all.has_str("UIDPLUS"), all.has_str("IDLE")))?;
        let (listed_to, all_listed, exists) = (None, Instant::now(), None);
        let place = place(account);
        Ok(Self {
            session: Some(session),
            address,
            tls,
            uidplus,
            idles,
            place,
            listed_to,
            all_listed,
            exists,
        })
    }

    /// The session.
    ///
    /// # Errors
    /// It is lost.
    pub fn session(&mut self) -> Result<&mut Session<Guarded>, Trouble> {
        self.session.as_mut().ok_or_else(|| Trouble::new(Kind::Net, "the connection is gone"))
    }

    /// Opens the mailbox, to change it or to look at it only; says its UIDVALIDITY.
    ///
    /// # Errors
    /// [`Kind::Mailbox`] where there is none, or its messages have no names.
    pub async fn select(&mut self, account: &Account, changes: bool) -> Result<(Mailbox, u32), Trouble> {
        let name = &account.mailbox;
        let sent = mutf7(name);
        let session = self.session()?;
        // What was told until now, the mailbox's opening tells anew.
        while session.unsolicited_responses.try_recv().is_ok() {}
        let selected = match changes {
            true => answer(session.select(&sent)).await,
            false => answer(session.examine(&sent)).await,
        };
        let mailbox = selected.map_err(|why| match why {
            error::Error::No(why) => {
                let why = words(&why);
                Trouble::new(Kind::Mailbox, format!("{} has no mailbox \"{name}\": {why}", account.server))
            }
            why => of_error(&why, &account.server),
        })?;
        let validity = mailbox.uid_validity.ok_or_else(|| {
            Trouble::new(
                Kind::Mailbox,
                format!("{} gives messages no lasting names (UIDVALIDITY)", account.server),
            )
        })?;
        self.exists = Some(mailbox.exists);
        Ok((mailbox, validity))
    }

    /// Whether the server tells of new mail.
    pub fn can_idle(&self) -> bool {
        self.idles && self.session.is_some()
    }

    /// Waits until the server tells of something, or `within` is over. False: the session is lost.
    pub async fn idle(&mut self, within: Duration) -> bool {
        let Some(session) = self.session.take() else { return false };
        let told = session.unsolicited_responses.clone();
        let mut handle = session.idle();
        if !matches!(timeout(ANSWER, handle.init()).await, Ok(Ok(()))) {
            return false;
        }
        // Mail that came while others were fetched was told then, and is not told again.
        let mut has_news = false;
        while let Ok(told) = told.try_recv() {
            has_news |= matches!(told, UnsolicitedResponse::Exists(count) if self.exists.is_none_or(|had| had != count));
        }
        if !has_news {
            let (waits, _interrupt) = handle.wait_with_timeout(within.min(IDLE));
            if !matches!(waits.await, Ok(IdleResponse::NewData(_) | IdleResponse::Timeout)) {
                return false;
            }
        }
        match timeout(ANSWER, handle.done()).await {
            Ok(Ok(session)) => self.session = Some(session),
            _ => return false,
        }
        true
    }

    /// Says goodbye.
    pub async fn close(mut self) {
        if let Some(mut session) = self.session.take() {
            // It may be gone already.
            let _gone = timeout(Duration::from_secs(2), session.logout()).await;
        }
    }
}

fn place(account: &Account) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in [&account.server.host(), &account.user, &account.mailbox] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().to_hex()[..12].to_owned()
}

/// Reads the greeting, and begins TLS if that is wanted; what was read behind it.
async fn greeted(link: &mut Link, server: &Server) -> Result<Vec<u8>, Trouble> {
    let mut opening = if server.tls == Tls::Upgrade { Opening::starttls() } else { Opening::greeting_only() };
    let mut input = Vec::new();
    loop {
        let (taken, step) = opening.next(&input);
        input.drain(..taken);
        match step {
            Step::NeedInput => {
                let output = std::mem::take(opening.output());
                if !read(link, &output, &mut input, server).await? {
                    opening.lost();
                }
            }
            Step::Greeted => return Ok(input),
            Step::StartTls => {
                link.secure().await?;
                return Ok(Vec::new());
            }
            Step::Closed(why) => return Err(not_opened(&why, server)),
        }
    }
}

/// What the server offers; what was read behind that.
async fn asked(link: &mut Link, ahead: Vec<u8>, server: &Server) -> Result<(Offer, Vec<u8>), Trouble> {
    let (mut ask, mut input) = (Ask::default(), ahead);
    loop {
        let (taken, offer) = ask.next(&input);
        input.drain(..taken);
        match offer {
            Some(Ok(offer)) => return Ok((offer, input)),
            Some(Err(fault)) => return Err(Trouble::new(Kind::Server, format!("{server} sends {fault}"))),
            None => {}
        }
        let output = std::mem::take(ask.output());
        if !read(link, &output, &mut input, server).await? {
            return Err(Trouble::new(Kind::Net, format!("{server} has closed the connection")));
        }
    }
}

/// Writes, then reads some. False: that was the end.
async fn read(link: &mut Link, output: &[u8], input: &mut Vec<u8>, server: &Server) -> Result<bool, Trouble> {
    let lost =
        |why: std::io::Error| Trouble::new(Kind::Net, format!("{server}: the connection was lost: {why}"));
    link.write(output).await.map_err(lost)?;
    let mut buffer = [0; 4_096];
    match timeout(ANSWER, link.read(&mut buffer)).await {
        Ok(read) => {
            let n = read.map_err(lost)?;
            input.extend_from_slice(&buffer[..n]);
            Ok(n > 0)
        }
        Err(_) => Err(Trouble::new(Kind::Net, format!("{server} does not answer in time"))),
    }
}

fn not_opened(why: &Why, server: &Server) -> Trouble {
    match why {
        Why::Bye(text) => Trouble::new(Kind::Busy, format!("{server} greets with BYE: {text}")),
        Why::PreAuth => {
            Trouble::new(Kind::Tls, format!("{server} has signed somebody in before TLS (PREAUTH)"))
        }
        Why::NoTls(text) => {
            let help = "with tls = \"never\" the password would cross the network in the clear";
            Trouble::new(
                Kind::Tls,
                format!("{server} offers no STARTTLS; nothing was said to it ({help}): {text}"),
            )
        }
        Why::Fault(fault) => Trouble::new(Kind::Server, format!("{server} sends {fault}")),
        Why::Lost => Trouble::new(Kind::Net, format!("{server} has closed the connection")),
    }
}

/// What is shown: once, and then what lets the server refuse.
struct Shows {
    first: Option<Vec<u8>>,
    then: &'static [u8],
}

impl Authenticator for Shows {
    type Response = Vec<u8>;

    fn process(&mut self, _challenge: &[u8]) -> Vec<u8> {
        self.first.take().unwrap_or_else(|| self.then.to_vec())
    }
}

async fn sign_in(
    client: Client<Guarded>,
    account: &Account,
    secret: Password,
    offer: Offer,
) -> Result<Session<Guarded>, Trouble> {
    let server = &account.server;
    let signed_in = match &account.secret {
        Secret::Token(_, wanted) => {
            let offered = |mechanism: &Mechanism| match mechanism {
                Mechanism::OAuthBearer => offer.oauthbearer,
                Mechanism::XOAuth2 => offer.xoauth2,
            };
            let mechanism = wanted.or_else(|| Mechanism::ALL.into_iter().find(offered));
            let mechanism = mechanism.ok_or_else(|| {
                Trouble::new(
                    Kind::SignIn,
                    format!("{server} offers no sign-in by a token (XOAUTH2, OAUTHBEARER)"),
                )
            })?;
            let bearer = Bearer::new(&account.user, secret, server.host(), server.port);
            let bearer = bearer.map_err(|why| Trouble::new(Kind::Secret, why.to_string()))?;
            let first = Some(bearer.response(mechanism).as_bytes().to_vec());
            let shows = Shows { first, then: mechanism.after_error() };
            timeout(ANSWER, client.authenticate(mechanism.name(), shows)).await
        }
        _ if offer.plain => {
            let response = [b"\0", account.user.as_bytes(), b"\0", secret.as_bytes()].concat();
            timeout(ANSWER, client.authenticate("PLAIN", Shows { first: Some(response), then: b"" })).await
        }
        _ if offer.login_disabled => {
            return Err(Trouble::new(Kind::SignIn, format!("{server} offers no sign-in by a password")));
        }
        _ => {
            let password = String::from_utf8(secret.as_bytes().to_vec());
            let password = password.map_err(|_| Trouble::new(Kind::Secret, "the password is no UTF-8"))?;
            timeout(ANSWER, client.login(&account.user, password)).await
        }
    };
    match signed_in {
        Ok(Ok(session)) => Ok(session),
        Ok(Err((why, _))) => Err(not_signed_in(&why, server)),
        Err(_) => Err(Trouble::new(Kind::Net, format!("{server} does not answer in time"))),
    }
}

/// A mailbox's name as it is sent: modified UTF-7 (RFC 3501 §5.1.3).
fn mutf7(name: &str) -> String {
    const BASE64: GeneralPurpose = GeneralPurpose::new(&alphabet::IMAP_MUTF7, NO_PAD);
    let mut sent = String::new();
    let mut rest = name;
    while let Some(first) = rest.chars().next() {
        let is_plain = |c: char| matches!(c, ' '..='~');
        let end = rest.find(|c| is_plain(c) != is_plain(first)).unwrap_or(rest.len());
        let (run, after) = rest.split_at(end);
        rest = after;
        if is_plain(first) {
            sent.push_str(&run.replace('&', "&-"));
        } else {
            let units: Vec<u8> = run.encode_utf16().flat_map(u16::to_be_bytes).collect();
            sent.extend(["&", &BASE64.encode(units), "-"]);
        }
    }
    sent
}

/// RFC 5530 §3: these pass by themselves.
fn not_signed_in(why: &error::Error, server: &Server) -> Trouble {
    let (error::Error::No(text) | error::Error::Bad(text)) = why else { return of_error(why, server) };
    let upper = text.to_ascii_uppercase();
    // As a code alone: many words that refuse a password speak of limits.
    let is_busy =
        ["[UNAVAILABLE]", "[INUSE]", "[LIMIT]", "[SERVERBUG]"].iter().any(|code| upper.contains(code));
    let kind = if is_busy { Kind::Busy } else { Kind::SignIn };
    Trouble::new(kind, format!("{server} refuses the sign-in: {}", words(text)))
}

/// The answer to a command, in time.
///
/// # Errors
/// Those of the client; a connection that is lost where none came.
pub async fn answer<V>(asked: impl Future<Output = error::Result<V>>) -> error::Result<V> {
    timeout(ANSWER, asked).await.unwrap_or(Err(error::Error::ConnectionLost))
}

/// What went wrong. What the server sent that could not be read is not shown: it may be somebody's mail.
pub fn of_error(why: &error::Error, server: &Server) -> Trouble {
    match why {
        error::Error::Io(why) if why.kind() == std::io::ErrorKind::InvalidData => {
            let what =
                why.get_ref().map_or_else(|| "more than it was asked for".to_owned(), ToString::to_string);
            Trouble::new(Kind::Server, format!("{server} sends {what}"))
        }
        error::Error::Io(why) if why.kind() == std::io::ErrorKind::Other => {
            Trouble::new(Kind::Server, format!("{server} sends what cannot be understood, or says BYE"))
        }
        error::Error::Io(why) => Trouble::new(Kind::Net, format!("{server}: the connection was lost: {why}")),
        error::Error::ConnectionLost => {
            Trouble::new(Kind::Net, format!("{server} has closed the connection, or does not answer in time"))
        }
        error::Error::No(text) | error::Error::Bad(text) => {
            Trouble::new(Kind::Server, format!("{server} says no: {}", words(text)))
        }
        _ => Trouble::new(Kind::Server, format!("{server} sends what cannot be understood")),
    }
}

/// A server's words, bounded and printable.
pub fn words(text: &str) -> String {
    let clean = |c: char| if c.is_control() { '?' } else { c };
    said(text).chars().map(clean).take(MAX_WORDS).collect()
}

/// What the server said, out of an error of async-imap, which has it as Rust shows values:
/// `code: None, info: Some("…")`, or `outcome: Outcome { …, information: Some("…") }`.
fn said(text: &str) -> String {
    let found = ["info: Some(\"", "information: Some(\""].iter().find_map(|before| text.split_once(before));
    match found.and_then(|(_, rest)| rest.rsplit_once("\")")) {
        Some((said, _)) => said.replace("\\\"", "\"").replace("\\\\", "\\"),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_a_server_are_shown_as_it_said_them() {
        for (text, shown) in [
            ("code: None, info: Some(\"[AUTHENTICATIONFAILED] No.\")", "[AUTHENTICATIONFAILED] No."),
            ("outcome: Outcome { code: None, information: Some(\"No \\\"x\\\" (1)\") }", "No \"x\" (1)"),
            ("code: None, info: None", "code: None, info: None"),
            ("info: Some(\"not closed", "info: Some(\"not closed"),
            ("a\r\nb", "a??b"),
        ] {
            assert_eq!(words(text), shown);
        }
        assert!(words(&"x".repeat(10_000)).len() < 10_000);
    }

    /// The third is the example of RFC 3501 §5.1.3.
    #[test]
    fn names_of_mailboxes_go_out_in_modified_utf_7() {
        for (name, sent) in [
            ("INBOX", "INBOX"),
            ("Sales & more", "Sales &- more"),
            ("~peter/mail/台北/日本語", "~peter/mail/&U,BTFw-/&ZeVnLIqe-"),
            ("Entwürfe", "Entw&APw-rfe"),
            ("😀", "&2D3eAA-"),
        ] {
            assert_eq!(mutf7(name), sent);
        }
    }

    /// As the client words them: of codes that it does not know, the text begins with them.
    #[test]
    fn a_refused_password_is_no_busy_server() {
        let server = Server {
            protocol: crate::pickup::Protocol::Imap,
            host: quell_relay::route::Host::Name("imap.example".to_owned()),
            port: 993,
            tls: Tls::Implicit,
        };
        for (text, kind) in [
            ("[UNAVAILABLE] later", Kind::Busy),
            ("[limit] too many sessions", Kind::Busy),
            ("[AUTHENTICATIONFAILED] wrong; the limit is 3", Kind::SignIn),
            ("Login failed, account limited or unavailable", Kind::SignIn),
        ] {
            let why = error::Error::No(format!("code: None, info: Some({text:?})"));
            assert_eq!(not_signed_in(&why, &server).kind, kind, "{text}");
        }
    }
}
