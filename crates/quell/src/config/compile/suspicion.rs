//! `[policy]` and `[exceptions]`: what is done with what a class suspects, and whom none suspects.

use quell_storm::exceptions::{Exceptions, Network};
use quell_storm::limits::Limits;
use quell_storm::policy::{Policies, Policy};

use super::{Check, limits};
use crate::settings::{ExceptionsTable, PolicyTable, Settings};

impl Check<'_> {
    pub(super) fn limits(&mut self, settings: &Settings) -> Limits {
        let policies = self.policies(&settings.policy);
        let exceptions = self.exceptions(&settings.exceptions);
        Limits { policies, exceptions, ..limits(&settings.judge) }
    }

    fn policies(&mut self, table: &PolicyTable) -> Policies {
        Policies {
            resent: self.policy("resent", &table.resent),
            reinjected: self.policy("reinjected", &table.reinjected),
            reply_all: self.policy("reply_all", &table.reply_all),
            auto_reply: self.policy("auto_reply", &table.auto_reply),
            bounces: self.policy("bounces", &table.bounces),
            flood: self.policy("flood", &table.flood),
            user_limit: self.policy("user_limit", &table.user_limit),
        }
    }

    fn policy(&mut self, class: &str, word: &str) -> Policy {
        if let Some(policy) = Policy::from_name(word) {
            return policy;
        }
        let names = Policy::ALL.map(|policy| format!("\"{}\"", policy.name())).join(", ");
        let help = match word {
            "absorb" => format!(
                "write one of {names}: only what a recipient provably has is absorbed, and a suspicion is no proof"
            ),
            _ => format!("write one of {names}"),
        };
        self.fault(&["policy", class], format!("\"{word}\" is no policy of {class}"), help);
        Policy::Hold
    }

    fn exceptions(&mut self, table: &ExceptionsTable) -> Exceptions {
        for (at, sender) in table.senders.iter().enumerate() {
            let is_one = sender.rsplit_once('@').is_some_and(|(_, domain)| !domain.is_empty());
            if !is_one || sender.chars().any(char::is_whitespace) {
                let help = "write an address, or \"@firm.example\" for all of a domain";
                let message = format!("\"{sender}\" is no sender");
                self.fault(&["exceptions", "senders", &at.to_string()], message, help);
            }
        }
        for (at, list) in table.lists.iter().enumerate() {
            if list.trim().is_empty() || list.contains(['<', '>', ' ']) {
                let help = "write what stands between < and > in the List-Id of its messages";
                let message = format!("\"{list}\" is no List-Id");
                self.fault(&["exceptions", "lists", &at.to_string()], message, help);
            }
        }
        let mut hosts = Vec::new();
        for (at, host) in table.hosts.iter().enumerate() {
            match Network::parse(host) {
                Ok(network) => hosts.push(network),
                Err(why) => {
                    let message = format!("\"{host}\" is no host");
                    self.fault(&["exceptions", "hosts", &at.to_string()], message, why.to_string());
                }
            }
        }
        Exceptions::new(&table.senders, &table.lists, hosts)
    }
}
