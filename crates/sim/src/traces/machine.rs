//! Machines that carry mail: what they are called, where they stand, what their clock shows.

use std::net::IpAddr;

use super::clock::Zone;
use super::dice::Dice;

/// What runs on a machine, and so the shape of its stamps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Software {
    Postfix,
    Exim,
    Sendmail,
    Qmail,
    Courier,
    Zmailer,
    OpenSmtpd,
    CommuniGate,
    /// The SMTP service of Windows, under Exchange 2000 and 2003 and alone.
    Smtpsvc,
    /// Exchange from 2007 on.
    Exchange,
    Microsoft365,
    Google,
    Domino,
    MDaemon,
}

/// One machine.
#[derive(Debug, Clone)]
pub(super) struct Machine {
    pub soft: Software,
    pub version: String,
    /// What it calls itself as a client.
    pub helo: String,
    /// The name of its public address.
    pub rdns: Option<String>,
    /// What it calls itself in its own stamps.
    pub by: String,
    /// Its public address.
    pub ip: IpAddr,
    /// Its address in the house.
    pub inside: IpAddr,
    /// So much its clock is ahead.
    pub skew_ms: i64,
    pub zone: Zone,
    pub tls: bool,
    /// Whether its stamps name the recipient where there is one only.
    pub writes_for: bool,
    /// It writes no stamp.
    pub stampless: bool,
}

/// A client as a server sees it.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    pub helo: String,
    pub rdns: Option<String>,
    pub ip: IpAddr,
    /// It has logged in.
    pub login: bool,
}

impl Peer {
    /// The names by which a stamp can call it, each once.
    pub fn names(&self) -> Vec<String> {
        let second = self.rdns.iter().filter(|rdns| **rdns != self.helo);
        std::iter::once(&self.helo).chain(second).cloned().collect()
    }
}

impl Machine {
    /// Every name it goes by in any stamp, each once.
    pub fn names(&self) -> Vec<String> {
        let mut names = vec![self.helo.clone()];
        for name in self.rdns.iter().chain([&self.by]) {
            if !names.iter().any(|known| known.eq_ignore_ascii_case(name)) {
                names.push(name.clone());
            }
        }
        names
    }

    /// As another house sees it.
    pub fn outside(&self) -> Peer {
        Peer { helo: self.helo.clone(), rdns: self.rdns.clone(), ip: self.ip, login: false }
    }

    /// As its own house sees it; `named` where the house has names for its addresses.
    pub fn in_house(&self, named: bool) -> Peer {
        let rdns = named.then(|| self.by.clone());
        Peer { helo: self.by.clone(), rdns, ip: self.inside, login: false }
    }

    /// What its clock shows.
    pub fn shown(&self, true_ms: i64) -> i64 {
        true_ms + self.skew_ms
    }
}

/// A version of this software that was about then.
pub(super) fn version(soft: Software, old: bool, dice: &mut Dice) -> String {
    let (before, since) = match soft {
        Software::Postfix => (["Postfix"; 4], ["Postfix"; 4]),
        Software::Exim => {
            (["3.35 #1 (Debian)", "4.30; FreeBSD", "4.50", "4.62"], ["4.84_2", "4.92", "4.94.2", "4.96"])
        }
        Software::Sendmail => (
            ["8.11.6/8.11.6", "8.12.11/8.12.11", "8.13.1/8.13.1", "8.13.4/8.13.4/Debian-3"],
            ["8.14.4/8.14.4", "8.14.7/8.14.7", "8.15.2/8.15.2/Debian-10", "8.17.1/8.17.1"],
        ),
        Software::Qmail => (["qmail"; 4], ["qmail"; 4]),
        Software::Courier => (["courier"; 4], ["courier"; 4]),
        Software::Zmailer => (["ZMailer"; 4], ["ZMailer"; 4]),
        Software::OpenSmtpd => (["OpenSMTPD"; 4], ["OpenSMTPD"; 4]),
        Software::CommuniGate => {
            (["3.5.7", "4.0.3", "4.2.10", "5.1.13"], ["5.4.10", "6.1.20", "6.2.15", "6.3.3"])
        }
        Software::Smtpsvc => (
            ["5.0.2195.6713", "6.0.3790.0", "6.0.3790.211", "6.0.3790.1830"],
            ["6.0.3790.4675", "7.5.7601.17514", "8.5.9600.16384", "10.0.14393.4169"],
        ),
        Software::Exchange => (
            ["8.0.685.24", "8.0.744.0", "8.1.240.5", "8.1.336.0"],
            ["14.3.498.0", "15.0.1497.2", "15.1.1261.35", "15.2.858.5"],
        ),
        Software::Microsoft365 => {
            (["15.0.0.0"; 4], ["15.20.1943.23", "15.20.4457.17", "15.20.6907.33", "15.20.7409.31"])
        }
        Software::Google => (["Google"; 4], ["Google"; 4]),
        Software::Domino => (
            [
                "Lotus Domino Release 5.0.11",
                "Lotus Domino Release 6.0.3",
                "Lotus Domino Release 6.5.4",
                "Lotus Domino Release 7.0",
            ],
            [
                "Lotus Domino Release 8.5.3FP6",
                "IBM Domino Release 9.0.1FP10",
                "HCL Domino Release 11.0.1FP2",
                "HCL Domino Release 12.0.2",
            ],
        ),
        Software::MDaemon => (
            ["MDaemon.PRO.v6.8.5.R", "MDaemon.PRO.v8.1.1.R", "MDaemon PRO v9.0.2", "MDaemon PRO v9.5.4"],
            ["MDaemon PRO v13.6.3", "MDaemon PRO v19.0.2", "MDaemon PRO v21.5.1", "MDaemon PRO v23.0.2"],
        ),
    };
    dice.pick(if old { before } else { since }).to_owned()
}

/// Server software of a house that runs its own, on Unix or a like system.
pub(super) fn unix(old: bool, dice: &mut Dice) -> Software {
    use Software::{CommuniGate, Courier, Exim, OpenSmtpd, Postfix, Qmail, Sendmail, Zmailer};
    if old {
        dice.pick([
            Postfix,
            Postfix,
            Exim,
            Exim,
            Sendmail,
            Sendmail,
            Qmail,
            Qmail,
            Courier,
            Zmailer,
            CommuniGate,
        ])
    } else {
        dice.pick([
            Postfix,
            Postfix,
            Postfix,
            Postfix,
            Exim,
            Exim,
            Sendmail,
            OpenSmtpd,
            Qmail,
            Courier,
            CommuniGate,
        ])
    }
}

/// Server software of an office.
pub(super) fn office(old: bool, dice: &mut Dice) -> Software {
    use Software::{Domino, Exchange, MDaemon, Smtpsvc};
    if old {
        dice.pick([Smtpsvc, Smtpsvc, Smtpsvc, Smtpsvc, Domino, MDaemon, Exchange])
    } else {
        dice.pick([Exchange, Exchange, Exchange, Smtpsvc, Domino, MDaemon])
    }
}
