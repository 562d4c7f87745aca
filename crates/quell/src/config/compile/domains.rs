//! `[domains]`: who exists in each, and where its mail goes.

use std::collections::HashSet;

use quell_relay::directory::{DomainPlan, Population, normal_domain, normal_local};
use quell_relay::route::{NextHop, Routes};

use super::Check;
use crate::config::read_limited;
use crate::settings::{Recipients, Settings};

impl Check<'_> {
    /// Domains in the order of the file: the first one is the postmaster's.
    pub(super) fn domains(&mut self, settings: &Settings) -> (Vec<DomainPlan>, Routes) {
        let mut names: Vec<&String> = settings.domains.keys().collect();
        names.sort_by_cached_key(|name| self.places.span(&["domains", name]).map(|span| span.start));
        let mut seen = HashSet::new();
        let (mut plans, mut routes) = (Vec::new(), Routes::default());
        for written in names {
            let Some(name) = normal_domain(written) else {
                self.fault(
                    &["domains", written],
                    "not a domain name",
                    "write it as in mail addresses, behind the @",
                );
                continue;
            };
            if !seen.insert(name.clone()) {
                self.fault(&["domains", written], "the domain stands here twice", "remove one of the two");
                continue;
            }
            let deliver = &settings.domains[written].deliver;
            let next_hop = self.next_hop(&["domains", written, "deliver"], deliver);
            plans.push(self.domain(written, name.clone(), settings, next_hop.as_ref()));
            // Where it is faulty, mail never goes by this route.
            routes.domains.insert(name, next_hop.unwrap_or(NextHop::Maildir));
        }
        (plans, routes)
    }

    /// One domain; None for `next_hop`: it is faulty, and what depends on it is not looked at.
    fn domain(
        &mut self,
        written: &str,
        name: String,
        settings: &Settings,
        next_hop: Option<&NextHop>,
    ) -> DomainPlan {
        let domain = &settings.domains[written];
        let maildir = next_hop.is_none_or(|next_hop| *next_hop == NextHop::Maildir);
        let (list, asked) = match &domain.recipients {
            None => (None, !maildir),
            Some(Recipients::List(list)) => (Some(list.clone()), false),
            Some(Recipients::Word(word)) if word == "ask" => (None, true),
            Some(Recipients::Word(word)) => (self.recipients_file(written, word), false),
        };
        if asked && maildir && next_hop.is_some() {
            let help = "take the line out, and whoever has a mailbox exists; or list the recipients";
            self.fault(
                &["domains", written, "recipients"],
                "with deliver = \"maildir\" there is no next hop to ask",
                help,
            );
        }
        if let (Some(Recipients::List(list)), false) = (&domain.recipients, maildir) {
            self.ask_in_a_list(written, list);
        }
        let takes_others = list.iter().flatten().any(|local| local == "*");
        if takes_others && !maildir {
            self.warnings.push(format!(
                "{written} takes every address (\"*\"): the sender of a mail to an address that does not \
                 exist gets a report later; without the recipients line the next hop is asked at once"
            ));
        }
        let population = match list {
            Some(list) => Population::Listed(self.locals(written, &list)),
            None if asked => Population::Asked,
            None => Population::Existing,
        };
        let catch_all = domain.catch_all.clone();
        self.check_catch_all(written, catch_all.is_some(), maildir, takes_others);
        DomainPlan { name, maildir, population, takes_others, catch_all: catch_all.filter(|_| maildir) }
    }

    /// The word in a list is a recipient.
    fn ask_in_a_list(&mut self, written: &str, list: &[String]) {
        if matches!(list, [only] if only == "ask") {
            let message = "the list names one recipient called `ask`";
            let help = "to ask the next hop write recipients = \"ask\"";
            self.fault(&["domains", written, "recipients"], message, help);
        }
    }

    fn check_catch_all(&mut self, domain: &str, is_set: bool, maildir: bool, takes_others: bool) {
        let (message, help) = match (maildir, takes_others) {
            _ if !is_set => return,
            (false, _) => (
                "all others have no mailbox here: the domain's mail goes on to its next hop",
                "remove catch_all; [aliases] can send an address to a mailbox in another domain",
            ),
            (true, false) => {
                ("all others are refused in this domain", "add \"*\" to `recipients`, or remove catch_all")
            }
            (true, true) => return,
        };
        self.fault(&["domains", domain, "catch_all"], message, help);
    }

    fn recipients_file(&mut self, domain: &str, word: &str) -> Option<Vec<String>> {
        let path = ["domains", domain, "recipients"];
        let Some(file) = word.strip_prefix("file:") else {
            let help = "write a list of local parts, [\"jane\", \"*\"], or \"file:PATH\", or \"ask\"";
            self.fault(&path, format!("\"{word}\" is no list"), help);
            return None;
        };
        match read_limited(&self.folder.join(file)) {
            Ok(text) => {
                let lines = text.lines().map(|line| line.split('#').next().unwrap_or("").trim());
                Some(lines.filter(|line| !line.is_empty()).map(str::to_owned).collect())
            }
            Err(error) => {
                let help = "relative paths start at the folder of the configuration file";
                self.fault(&path, format!("{file} cannot be read: {error}"), help);
                None
            }
        }
    }

    fn locals(&mut self, domain: &str, list: &[String]) -> HashSet<String> {
        let mut locals = HashSet::new();
        for (at, local) in list.iter().enumerate().filter(|(_, local)| *local != "*") {
            match normal_local(local) {
                Some(normal) if !normal.contains('@') => {
                    locals.insert(normal);
                }
                _ => {
                    let index = at.to_string();
                    let path = ["domains", domain, "recipients", index.as_str()];
                    let help = "write only what stands before the @";
                    self.fault(&path, format!("\"{local}\" is no local part"), help);
                }
            }
        }
        locals
    }
}
