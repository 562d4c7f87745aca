//! Which rows `quell queue retry` means: names that nothing has are told, and not passed over.

use std::collections::BTreeSet;

use quell_queue::destination::Destination;
use quell_relay::route::{NextHop, Routes};

use super::{RetryArgs, State};
use crate::cli::Failure;
use crate::cli::ask::refused;
use crate::config::Config;
use crate::control::Link;
use crate::ops::table::plain;
use crate::ops::{Changed, Filter, NextHops, Request, Response, SLICE, Target};

/// Next hops named in a refusal; of further ones it is said how many there are.
const MAX_NAMED: usize = 10;

/// What is to be tried.
#[derive(Debug)]
pub struct Which {
    pub target: Target,
    /// What is to be said if no row is found.
    no_next_hop: Option<String>,
}

impl Which {
    pub fn of(link: &mut Link, args: &RetryArgs, config: &Config) -> Result<Self, Failure> {
        let target = match (&args.id, &args.domain, &args.next_hop) {
            (Some(id), ..) => Target::Message { id: id.clone(), recipient: args.to.clone() },
            (None, Some(domain), _) => Target::Domain(domain.clone()),
            (None, None, Some(name)) => return Self::next_hop(link, name, &config.routes),
            (None, None, None) => Target::All,
        };
        Ok(Self { target, no_next_hop: None })
    }

    fn next_hop(link: &mut Link, name: &str, routes: &Routes) -> Result<Self, Failure> {
        let found = match link.ask(&Request::NextHops {})? {
            Response::NextHops(found) => found,
            other => return Err(refused(other)),
        };
        let known = known(&found, routes);
        let named = resolve(name, &known).map_err(Failure::Failed)?;
        // One that is not listed may be among those that were left out.
        let no_next_hop = (named.is_none() && found.more == 0).then(|| no_such(name, &known));
        let name = named.unwrap_or_else(|| canonical(name));
        Ok(Self { target: Target::NextHop(name), no_next_hop })
    }

    /// A name by which no row was found must be that of something.
    pub fn is_there(&self, link: &mut Link, changed: &Changed) -> Result<(), Failure> {
        if changed.done > 0 || !changed.refused.is_empty() {
            return Ok(());
        }
        match (&self.target, &self.no_next_hop) {
            (_, Some(why)) => Err(Failure::Failed(why.clone())),
            (Target::Domain(domain), None) if !waits_for(link, domain)? => {
                Err(Failure::Failed(format!("no mail waits for the domain {}", plain(domain))))
            }
            _ => Ok(()),
        }
    }
}

/// What mail goes to now, and what the configuration names.
fn known(found: &NextHops, routes: &Routes) -> BTreeSet<String> {
    let configured = routes.domains.values().chain(&routes.via).map(ToString::to_string);
    found.next_hops.iter().map(|hop| hop.next_hop.clone()).chain(configured).collect()
}

/// As the queue names it.
fn canonical(name: &str) -> String {
    NextHop::of_destination(&Destination::new(name)).to_string()
}

/// The one of `known` that `name` means; its scheme may be left out. Err: it may mean several.
fn resolve(name: &str, known: &BTreeSet<String>) -> Result<Option<String>, String> {
    if let Some(same) = known.get(name).or_else(|| known.get(&canonical(name))) {
        return Ok(Some(same.clone()));
    }
    let without_scheme = |hop: &&String| hop.split_once("://").is_some_and(|(_, rest)| rest == name);
    let fitting: Vec<&String> = known.iter().filter(without_scheme).collect();
    match fitting[..] {
        [] => Ok(None),
        [one] => Ok(Some(one.clone())),
        _ => Err(format!("`{}` may be {}: write it in full", plain(name), list(fitting.into_iter(), " or "))),
    }
}

fn no_such(name: &str, known: &BTreeSet<String>) -> String {
    let more = match known.len().saturating_sub(MAX_NAMED) {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    format!("no mail goes to `{}`; next hops are: {}{more}", plain(name), list(known.iter(), ", "))
}

fn list<'a>(names: impl Iterator<Item = &'a String>, between: &str) -> String {
    let names: Vec<String> = names.take(MAX_NAMED).map(|name| plain(name)).collect();
    names.join(between)
}

/// True if a row for the domain is open, whatever its state.
fn waits_for(link: &mut Link, domain: &str) -> Result<bool, Failure> {
    let states = vec![State::Waiting, State::Claimed, State::Held, State::Unknown];
    let mut after = None;
    loop {
        let filter = Filter { domain: Some(domain.to_owned()), ..Filter::default() };
        match link.ask(&Request::QueueList { states: states.clone(), filter, after, limit: SLICE })? {
            Response::Rows(found) if !found.rows.is_empty() => return Ok(true),
            Response::Rows(found) if found.next.is_none() => return Ok(false),
            Response::Rows(found) => after = found.next,
            other => return Err(refused(other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_next_hop_is_found_without_its_scheme_where_that_is_clear() {
        let known = names(&[
            "maildir",
            "smtp://127.0.0.1:3125",
            "smtp://127.0.0.1:24",
            "lmtp://127.0.0.1:24",
            "lmtp:///run/dovecot/lmtp",
            "smtp://mail.firm.example:25",
            "example.org",
        ]);
        for (given, meant) in [
            ("smtp://127.0.0.1:3125", Some("smtp://127.0.0.1:3125")),
            ("127.0.0.1:3125", Some("smtp://127.0.0.1:3125")),
            ("/run/dovecot/lmtp", Some("lmtp:///run/dovecot/lmtp")),
            ("smtp://Mail.firm.example", Some("smtp://mail.firm.example:25")),
            ("Example.ORG", Some("example.org")),
            ("maildir", Some("maildir")),
            ("lmtp://127.0.0.1:24", Some("lmtp://127.0.0.1:24")),
            ("smtp://127.0.0.1:3126", None),
            ("", None),
        ] {
            assert_eq!(resolve(given, &known), Ok(meant.map(str::to_owned)), "{given}");
        }
        let two = resolve("127.0.0.1:24", &known).unwrap_err();
        assert_eq!(two, "`127.0.0.1:24` may be lmtp://127.0.0.1:24 or smtp://127.0.0.1:24: write it in full");
    }

    #[test]
    fn what_is_no_next_hop_is_told_what_there_is() {
        let few = no_such("x\x1b", &names(&["maildir", "smtp://10.0.0.2:25"]));
        assert_eq!(few, "no mail goes to `x\u{fffd}`; next hops are: maildir, smtp://10.0.0.2:25");
        let many = (0..25).map(|n| format!("d{n:02}.example")).collect();
        let said = no_such("x", &many);
        assert!(said.ends_with("d09.example, and 15 more"), "{said}");
    }

    proptest! {
        #[test]
        fn any_name_is_resolved_to_one_that_is_known(name: String, known in prop::collection::btree_set(".{0,9}", 0..5)) {
            if let Ok(Some(found)) = resolve(&name, &known) {
                prop_assert!(known.contains(&found));
            }
        }
    }
}
