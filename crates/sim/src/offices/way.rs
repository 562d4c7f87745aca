//! How a message comes to the border, and the lines that it gathers on its way.

use std::net::IpAddr;

use super::cast::{DOMAIN, Home, Machine};
use super::office::Office;
use crate::clock::{self, SECOND, UTC};

/// A way to the border that was taken.
#[derive(Debug, Clone)]
pub(super) struct Way {
    /// Who hands it to quell.
    pub last: Machine,
    pub inside: bool,
    /// Received fields, newest first.
    pub stamps: String,
}

impl Office {
    /// From somebody's program over his house's servers; a large provider's outgoing server is another one each
    /// time.
    pub(super) fn way(&mut self, home: Home, ms: i64) -> Way {
        match home {
            Home::Inside(at) => self.way_inside(at, ms),
            Home::Outside(at) => self.way_outside(at, ms),
        }
    }

    fn way_inside(&mut self, at: usize, ms: i64) -> Way {
        let last = self.cast.inside[at].clone();
        let client = IpAddr::from([10, 0, 1 + self.dice.below(3) as u8, 1 + self.dice.below(250) as u8]);
        let name = format!("pc{}.firm.example", client.to_string().replace('.', "-"));
        let stamps = self.stamp(&Machine { helo: name, ip: client }, &last.helo, "ESMTPA", ms - SECOND);
        Way { last, inside: true, stamps }
    }

    fn way_outside(&mut self, at: usize, ms: i64) -> Way {
        let provider = &self.cast.providers[at];
        let last = self.dice.of(&provider.pool).clone();
        let (domain, is_large) = (provider.domain.clone(), provider.pool.len() > 1);
        let client = IpAddr::from([100, 64, self.dice.below(200) as u8, 1 + self.dice.below(250) as u8]);
        let client = Machine { helo: format!("[{client}]"), ip: client };
        if !is_large {
            let stamps = self.stamp(&client, &last.helo, "ESMTPSA", ms - 2 * SECOND);
            return Way { last, inside: false, stamps };
        }
        let inner = IpAddr::from([10, 8, self.dice.below(200) as u8, 1 + self.dice.below(250) as u8]);
        let submit = Machine { helo: format!("smtp{}.{domain}", self.dice.count(1, 9)), ip: inner };
        let first = self.stamp(&client, &submit.helo, "ESMTPSA", ms - 4 * SECOND);
        let stamps = self.stamp(&submit, &last.helo, "ESMTPS", ms - 2 * SECOND) + &first;
        Way { last, inside: false, stamps }
    }

    /// What came by `first` goes on from there, by a rule in this house.
    pub(super) fn way_on(&mut self, first: &Way, home: Home, ms: i64) -> Way {
        let (last, domain, inside) = match home {
            Home::Inside(at) => (self.cast.inside[at].clone(), DOMAIN.to_owned(), true),
            Home::Outside(at) => {
                let provider = &self.cast.providers[at];
                (self.dice.of(&provider.pool).clone(), provider.domain.clone(), false)
            }
        };
        let border = Machine { helo: format!("mx.{domain}"), ip: IpAddr::from([10, 0, 0, 2]) };
        let came = self.stamp(&first.last, &border.helo, "ESMTPS", ms - 2 * SECOND);
        let handed = self.stamp(&border, &last.helo, "ESMTP", ms - SECOND);
        Way { last, inside, stamps: handed + &came + &first.stamps }
    }

    /// A Received field, as one of several programs writes it: always the same one on the same server.
    pub(super) fn stamp(&mut self, from: &Machine, by: &str, with: &str, ms: i64) -> String {
        let Machine { helo, ip } = from;
        let date = clock::plain(ms, UTC);
        match by.len() % 3 {
            0 => {
                let id = self.dice.upper_hex(11);
                format!(
                    "Received: from {helo} (unknown [{ip}])\r\n\tby {by} (Postfix) with {with} id {id};\r\n\t{date} (UTC)\r\n"
                )
            }
            1 => {
                let id =
                    format!("{}-{}-{}", self.dice.letters(6), self.dice.letters(6), self.dice.letters(2));
                format!(
                    "Received: from [{ip}] (helo={helo})\r\n\tby {by} with esmtps (Exim 4.96)\r\n\tid {id}; {date}\r\n"
                )
            }
            _ => {
                let id = format!("15.20.{}.{}", self.dice.below(9_000), self.dice.below(40));
                format!(
                    "Received: from {helo} ({ip}) by\r\n {by} with Microsoft SMTP Server\r\n id {id}; {date}\r\n"
                )
            }
        }
    }
}
