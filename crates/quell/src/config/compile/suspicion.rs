//! `[policy]` and `[exceptions]`: what is done with what a class suspects, and whom none suspects.

use quell_relay::directory::normal_domain;
use quell_storm::exceptions::{Exceptions, Network};
use quell_storm::limits::{Limits, UserLimits};
use quell_storm::policy::{Policies, Policy};

use super::{Check, limits};
use crate::settings::{ExceptionsTable, PolicyTable, Settings};

impl Check<'_> {
    pub(super) fn limits(&mut self, settings: &Settings) -> Limits {
        let policies = self.policies(&settings.policy);
        let domains: Vec<String> = settings.domains.keys().filter_map(|name| normal_domain(name)).collect();
        let domains: Vec<&str> = domains.iter().map(String::as_str).collect();
        let exceptions = self.exceptions(&settings.exceptions, &domains);
        let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        let submission = &settings.submission;
        let user = UserLimits {
            messages_per_hour: small(submission.messages_per_hour),
            messages_per_day: small(submission.messages_per_day),
            new_recipients_per_day: small(submission.new_recipients_per_day),
        };
        Limits { policies, exceptions, user, ..limits(&settings.judge) }
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

    fn exceptions(&mut self, table: &ExceptionsTable, domains: &[&str]) -> Exceptions {
        for (at, sender) in table.senders.iter().enumerate() {
            self.excepted_sender(at, sender, domains);
        }
        for (at, list) in table.lists.iter().enumerate() {
            self.excepted_list(at, list);
        }
        let hosts = table.hosts.iter().enumerate();
        let hosts: Vec<Network> = hosts.filter_map(|(at, host)| self.excepted_host(at, host)).collect();
        Exceptions::new(&table.senders, &table.lists, hosts)
    }

    fn excepted_sender(&mut self, at: usize, sender: &str, domains: &[&str]) {
        let key = ["exceptions", "senders", &at.to_string()];
        let message = format!("\"{sender}\" is no sender");
        // It would be compared as it stands, and mean nobody.
        if let Some((before, domain)) = sender.rsplit_once('@').filter(|_| sender.contains('*')) {
            let help = match (before, domain) {
                ("*", domain) if !domain.is_empty() && !domain.contains('*') => {
                    format!("write \"@{domain}\" for all of that domain")
                }
                _ => "there are no patterns: write an address, or \"@firm.example\" for all of a domain"
                    .to_owned(),
            };
            return self.fault(&key, message, help);
        }
        let domain = sender.rsplit_once('@').and_then(|(local, domain)| {
            let is_one = !local.contains(['@', '<', '>', ',', ';']) || local.starts_with('"');
            normal_domain(domain).filter(|_| is_one && !sender.chars().any(char::is_whitespace))
        });
        let Some(domain) = domain else {
            return self.fault(&key, message, "write an address, or \"@firm.example\" for all of a domain");
        };
        if sender.starts_with('@') && domains.contains(&&*domain) {
            self.warnings.push(format!(
                "[exceptions] senders: \"{sender}\" is a domain of ours: no class suspects whoever writes in its \
                 name, and anybody can forge that; name the addresses that need it"
            ));
        }
    }

    fn excepted_list(&mut self, at: usize, list: &str) {
        let help = match list {
            _ if list.contains('*') => "there are no patterns: write the List-Id of one list",
            _ if list.trim().is_empty() || list.contains(['<', '>', ' ', ',']) => {
                "write what stands between < and > in the List-Id of its messages"
            }
            _ => {
                if list.contains('@') {
                    self.warnings.push(format!(
                        "[exceptions] lists: \"{list}\" looks like an address: write what stands between < and > in \
                         the List-Id of its messages, such as \"{}\"",
                        list.replace('@', ".")
                    ));
                }
                return;
            }
        };
        self.fault(&["exceptions", "lists", &at.to_string()], format!("\"{list}\" is no List-Id"), help);
    }

    fn excepted_host(&mut self, at: usize, host: &str) -> Option<Network> {
        match Network::parse(host) {
            Ok(network) => {
                if network.is_nearly_everybody() {
                    self.warnings.push(format!(
                        "[exceptions] hosts: \"{host}\" is nearly everybody: no class suspects mail from there; to \
                         have a class do nothing, set it to \"tell\" in [policy]"
                    ));
                }
                Some(network)
            }
            Err(why) => {
                let message = format!("\"{host}\" is no host");
                self.fault(&["exceptions", "hosts", &at.to_string()], message, why.to_string());
                None
            }
        }
    }
}
