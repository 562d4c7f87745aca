//! `[submission]`, as far as it says who may sign in.

use std::path::Path;

use quell_relay::directory::Directory;

use super::{Check, IpNet};
use crate::settings::Settings;
use crate::sign_in::{Rules, Users};

impl Check<'_> {
    pub(super) fn sign_in(&mut self, settings: &Settings, directory: &Directory) -> Rules {
        let table = &settings.submission;
        if table.token_command.as_ref().is_some_and(Vec::is_empty) {
            let path = ["submission", "token_command"];
            self.fault(&path, "no program", "name the program and its arguments");
        }
        let mut shared_hosts = Vec::new();
        for (at, text) in table.shared_hosts.iter().enumerate() {
            match text.parse::<IpNet>() {
                Ok(net) => shared_hosts.push(net),
                Err(why) => {
                    let path = ["submission", "shared_hosts", &at.to_string()];
                    let help = "write an address or a network, as \"10.0.0.8\"";
                    self.fault(&path, format!("\"{text}\": {why}"), help);
                }
            }
        }
        Rules {
            users: self.users(&table.users),
            token_command: table.token_command.clone(),
            shared_hosts,
            domains: directory.domains().map(|domain| domain.name.clone()).collect(),
        }
    }

    fn users(&mut self, text: &str) -> Users {
        let (path, help) =
            (["submission", "users"], "write \"store\", or \"dovecot:/run/dovecot/auth-client\"");
        match text.strip_prefix("dovecot:").map(Path::new) {
            Some(socket) if socket.is_absolute() => return Users::Dovecot(socket.to_owned()),
            Some(_) => self.fault(&path, "the socket's path must begin with /", help),
            None if text == "store" => {}
            None => self.fault(&path, format!("\"{text}\" is nobody who could be asked"), help),
        }
        Users::Store
    }
}
