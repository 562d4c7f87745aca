//! Messages of an IMAP mailbox: listed in windows, fetched many at a time, large ones in slices.

use std::collections::HashMap;

use async_imap::error;
use async_imap::types::Fetch;
use futures_util::{Stream, StreamExt};
use quell_relay::collect::Collecting;
use quell_wire::imap::Newlines;
use tokio::time::timeout;

use super::Imap;
use super::open::{ANSWER, Open, of_error};
use crate::pickup::account::{Account, Server};
use crate::pickup::hand_in::{Became, Ready};
use crate::pickup::listing::Listed;
use crate::pickup::round::max_size_words;
use crate::pickup::trouble::{Kind, Trouble};

/// Bytes of a message that are asked for at a time.
pub const SLICE_BYTES: usize = 256 << 10;
/// Slices of one message: more than its bytes need, even where they are small.
const MOST_SLICES: u32 = 20_000;
/// Messages of one command, and their bytes, as listed.
const TOGETHER: usize = 64;
const TOGETHER_BYTES: u64 = 1 << 20;
/// Messages listed at a time.
pub const WINDOW: u32 = 1_000;

impl Imap<'_> {
    /// Lists the messages that `set` names, by number, or by UID if those begin with it.
    pub async fn list(&mut self, set: &str, from_uid: Option<u32>) -> Result<Vec<Listed>, Trouble> {
        self.open.list(&self.look.account.server, self.validity, set, from_uid).await
    }

    /// Fetches these, and hands them in.
    pub async fn fetch(&mut self, mut todo: Vec<Listed>) -> Result<(), Trouble> {
        let most = self.look.max_message_bytes;
        todo.retain(|message| {
            let fits = message.size_bytes <= most;
            if !fits {
                self.look.refused(message, max_size_words(most));
            }
            fits
        });
        let mut todo = todo.into_iter().peekable();
        let mut withheld = Vec::new();
        while let Some(first) = todo.next() {
            if !self.goes_on() {
                return Ok(());
            }
            let mut bytes = first.size_bytes;
            let mut some = vec![first];
            while some.len() < TOGETHER
                && let Some(next) = todo.next_if(|next| bytes + next.size_bytes <= TOGETHER_BYTES)
            {
                bytes += next.size_bytes;
                some.push(next);
            }
            let (asked, missing) = (some.len(), self.fetch_some(some).await?);
            match missing.len() == asked && asked > 1 {
                true => withheld.extend(missing),
                false => self.fetch_missing(missing).await?,
            }
            self.hear(false).await?;
            self.mark(false).await?;
        }
        if !self.gives && !withheld.is_empty() {
            let (count, server) = (withheld.len(), &self.look.account.server);
            let why = format!("{server} gives none of {count} messages that it lists");
            return Err(Trouble::new(Kind::Server, why));
        }
        // It does give others.
        self.fetch_missing(withheld).await
    }

    /// These did not come. The client does not say whether the answer was NO, so each is asked for by itself: one
    /// that does not come either is gone, or is not given out.
    async fn fetch_missing(&mut self, missing: Vec<Listed>) -> Result<(), Trouble> {
        for message in missing {
            for message in self.fetch_some(vec![message]).await? {
                let there = self.list(&message.number.to_string(), Some(message.number)).await?;
                if !there.is_empty() {
                    self.look.refused(&message, "the server does not give it".to_owned());
                }
            }
        }
        Ok(())
    }

    /// Those that fit into one slice are whole with it; the others go on one by one. Those that did not come.
    async fn fetch_some(&mut self, some: Vec<Listed>) -> Result<Vec<Listed>, Trouble> {
        let set = uids(some.iter().map(|message| message.number));
        let mut wanted: HashMap<u32, Listed> =
            some.into_iter().map(|message| (message.number, message)).collect();
        let (server, look) = (self.look.account.server.clone(), self.look);
        let (address, tls) = (self.open.address, self.open.tls);
        look.suspects(first_of(&wanted));
        let gives = &mut self.gives;
        let (session, hand_in, later) = (
            self.open.session.as_mut().ok_or_else(|| Trouble::new(Kind::Net, "the connection is gone"))?,
            &mut self.hand_in,
            &mut self.later,
        );
        let mut unfinished = Vec::new();
        let mut stream = session.uid_fetch(set, slice(0)).await.map_err(|why| of_error(&why, &server))?;
        while let Some(fetch) = next(&mut stream).await {
            let fetch = fetch.map_err(|why| of_error(&why, &server))?;
            let Some(body) = fetch.body() else { continue };
            // What was not asked for, or comes twice, is nothing.
            let Some(message) = fetch.uid.and_then(|uid| wanted.remove(&uid)) else { continue };
            *gives = true;
            look.suspects(first_of(&wanted));
            let mut coming = look.begin();
            look.status.set(|status| status.counts.bytes += body.len() as u64);
            let mut newlines = Newlines::default();
            coming.take(&newlines.next(body), &look.around());
            let got = body.len() as u64;
            if body.len() >= SLICE_BYTES || got > 0 && got < message.size_bytes {
                unfinished.push((message, (coming, newlines), got));
                continue;
            }
            coming.take(newlines.end(), &look.around());
            whole(look, hand_in, later, message, coming, (address, tls)).await;
        }
        drop(stream);
        look.suspects(None);
        for (message, begun, got) in unfinished {
            look.suspects(Some(&message));
            self.fetch_rest(message, begun, got).await?;
            look.suspects(None);
        }
        Ok(wanted.into_values().collect())
    }

    /// The rest of one of which `got` bytes are there. Its end is where nothing more comes, or a slice is shorter than asked for: what a
    /// server says of its size may be wrong. It is believed as far as a short slice before that is no end: some give less than is asked for.
    async fn fetch_rest(
        &mut self,
        message: Listed,
        (mut coming, mut newlines): (Collecting, Newlines),
        mut got: u64,
    ) -> Result<(), Trouble> {
        let (server, look) = (self.look.account.server.clone(), self.look);
        let (mut is_short, mut slices) = (got < SLICE_BYTES as u64, 0);
        loop {
            slices += 1;
            if slices > MOST_SLICES {
                look.refused(&message, "the server gives it in too small pieces".to_owned());
                return Ok(());
            }
            if got > look.max_message_bytes {
                look.refused(&message, max_size_words(look.max_message_bytes));
                return Ok(());
            }
            let session = self.open.session()?;
            let fetched = session.uid_fetch(message.number.to_string(), slice(got)).await;
            let mut stream = fetched.map_err(|why| of_error(&why, &server))?;
            let mut slice = None;
            while let Some(fetch) = next(&mut stream).await {
                let fetch = fetch.map_err(|why| of_error(&why, &server))?;
                if fetch.uid == Some(message.number) && slice.is_none() {
                    slice = fetch.body().map(<[u8]>::to_vec);
                }
            }
            drop(stream);
            let Some(bytes) = slice else {
                // Behind the end some servers send nothing, others an empty string.
                if is_short || got >= message.size_bytes {
                    break;
                }
                look.refused(&message, "the server does not give all of it".to_owned());
                return Ok(());
            };
            look.status.set(|status| status.counts.bytes += bytes.len() as u64);
            coming.take(&newlines.next(&bytes), &look.around());
            got += bytes.len() as u64;
            is_short = bytes.len() < SLICE_BYTES;
            if bytes.is_empty() || is_short && got >= message.size_bytes {
                break;
            }
        }
        coming.take(newlines.end(), &look.around());
        let from = (self.open.address, self.open.tls);
        whole(look, &mut self.hand_in, &mut self.later, message, coming, from).await;
        Ok(())
    }
}

impl Open {
    /// Lists the messages that `set` names, by number, or by UID if those begin with it.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn list(
        &mut self,
        server: &Server,
        validity: u32,
        set: &str,
        from_uid: Option<u32>,
    ) -> Result<Vec<Listed>, Trouble> {
        let place = self.place.clone();
        let session = self.session()?;
        let mut found: HashMap<u32, Listed> = HashMap::new();
        let mut take = |fetch: &Fetch| {
            let (Some(uid), Some(size)) = (fetch.uid, fetch.size) else { return };
            if from_uid.is_none_or(|from| uid >= from) && found.len() < super::MAX_LISTED as usize {
                let name = Some(format!("{validity}.{uid}@{place}"));
                found.insert(uid, Listed { number: uid, uid: name, size_bytes: size.into() });
            }
        };
        let query = "(UID RFC822.SIZE)";
        let listed = match from_uid {
            Some(_) => each(session.uid_fetch(set, query).await, &mut take).await,
            None => each(session.fetch(set, query).await, &mut take).await,
        };
        listed.map_err(|why| of_error(&why, server))?;
        let mut found: Vec<Listed> = found.into_values().collect();
        found.sort_unstable_by_key(|message| message.number);
        Ok(found)
    }

    /// Lists all of `exists` messages, as far as they are listed.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn sizes(
        &mut self,
        account: &Account,
        validity: u32,
        exists: u32,
    ) -> Result<Vec<Listed>, Trouble> {
        let (mut from, mut all) = (1, Vec::new());
        while from <= exists.min(super::MAX_LISTED) {
            let to = exists.min(from + WINDOW - 1);
            let some = self.list(&account.server, validity, &format!("{from}:{to}"), None).await?;
            if some.is_empty() {
                // The client does not say that the answer was NO.
                let why = format!("{} lists none of the messages {from} to {to}", account.server);
                return Err(Trouble::new(Kind::Server, why));
            }
            all.extend(some);
            from = to + 1;
        }
        Ok(all)
    }

    /// The beginning of a message's header. None: the server does not give it.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn header(&mut self, account: &Account, uid: u32) -> Result<Option<Vec<u8>>, Trouble> {
        let query = format!("(UID BODY.PEEK[HEADER]<0.{SLICE_BYTES}>)");
        let session = self.session()?;
        let mut found = None;
        let mut take = |fetch: &Fetch| {
            if fetch.uid == Some(uid) {
                found = fetch.header().map(<[u8]>::to_vec);
            }
        };
        let fetched = each(session.uid_fetch(uid.to_string(), query).await, &mut take).await;
        fetched.map_err(|why| of_error(&why, &account.server))?;
        Ok(found)
    }
}

/// A message is there.
async fn whole(
    look: &crate::pickup::round::Look,
    hand_in: &mut crate::pickup::hand_in::HandIn,
    later: &mut Option<Trouble>,
    message: Listed,
    coming: Collecting,
    (address, tls): (std::net::IpAddr, Option<quell_mail::trace::Tls>),
) {
    look.status.set(|status| status.fetched += 1);
    match look.finish(coming, message.size_bytes, address, tls).await {
        Ok(collected) => {
            let Listed { number, uid, size_bytes } = message;
            hand_in.put(Ready { number, uid, listed_bytes: size_bytes, collected }).await;
        }
        Err(Became::Refused(why)) => look.refused(&message, why),
        Err(Became::Later(trouble)) => drop(later.get_or_insert(trouble)),
        Err(Became::Taken | Became::Known(_)) => {}
    }
}

/// The one that servers send next.
fn first_of(wanted: &HashMap<u32, Listed>) -> Option<&Listed> {
    wanted.values().min_by_key(|message| message.number)
}

fn slice(from: u64) -> String {
    format!("(UID BODY.PEEK[]<{from}.{SLICE_BYTES}>)")
}

/// A set of UIDs, ascending ranges put together.
pub fn uids(all: impl Iterator<Item = u32>) -> String {
    let mut sorted: Vec<u32> = all.collect();
    sorted.sort_unstable();
    sorted.dedup();
    let mut parts: Vec<(u32, u32)> = Vec::new();
    for uid in sorted {
        match parts.last_mut() {
            Some((_, end)) if *end + 1 == uid => *end = uid,
            _ => parts.push((uid, uid)),
        }
    }
    let text =
        parts.iter().map(|(from, to)| if from == to { from.to_string() } else { format!("{from}:{to}") });
    text.collect::<Vec<_>>().join(",")
}

/// The next answer, in time.
pub async fn next<S>(stream: &mut S) -> Option<error::Result<Fetch>>
where
    S: Stream<Item = error::Result<Fetch>> + Unpin,
{
    timeout(ANSWER, stream.next()).await.unwrap_or(Some(Err(error::Error::ConnectionLost)))
}

async fn each<S>(stream: error::Result<S>, take: &mut (dyn FnMut(&Fetch) + Send)) -> error::Result<()>
where
    S: Stream<Item = error::Result<Fetch>>,
{
    let mut stream = Box::pin(stream?);
    while let Some(fetch) = next(&mut stream).await {
        take(&fetch?);
    }
    Ok(())
}
