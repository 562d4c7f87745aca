//! The ways of mail: out of a firm, into a firm, into its mailboxes.

use std::rc::Rc;

use super::case::Case;
use super::cast::{Entry, FIRST, Firm, Touch};
use super::clock::MINUTE;
use super::copy::{Copy, loopback};
use super::letter::Person;
use super::machine::{Machine, Peer, Software};

impl Case {
    /// A person of this firm sends it. What comes back speaks to the world.
    pub fn send(&mut self, firm: &Firm, copy: &mut Copy) -> Rc<Machine> {
        let pc = self.pc(firm);
        let server = &firm.server;
        if matches!(firm.entry, Entry::Hosted | Entry::Collected) {
            copy.smtp(
                &Peer { ip: server.ip, rdns: server.rdns.clone(), ..pc },
                &firm.isp.out,
                None,
                &mut self.dice,
            );
            return firm.isp.out.clone();
        }
        match server.soft {
            Software::Exchange if self.dice.below(3) > 0 => copy.mapi(server, &mut self.dice),
            Software::Smtpsvc if self.old && self.dice.one_in(3) => copy.mapi(server, &mut self.dice),
            // The store of Exchange 2000 and 2003 writes no stamp.
            Software::Smtpsvc if self.dice.one_in(4) => copy.at += self.dice.between(100, 3_000),
            Software::Microsoft365 => copy.mapi(server, &mut self.dice),
            _ => copy.smtp(&pc, server, None, &mut self.dice),
        }
        if !self.old && self.dice.one_in(3) {
            let signature = self.dice.letters(60);
            copy.note(format!("DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d={}; s=s1;\n\th=From:To:Subject:Date;\n\tb={signature}", firm.domain));
        }
        match &firm.entry {
            Entry::Gateway(gateway) if self.dice.one_in(2) => {
                copy.hop_inside(server, gateway, None, &mut self.dice);
                gateway.clone()
            }
            _ if firm.smart_host => {
                copy.hop(server, &firm.isp.out, None, &mut self.dice);
                firm.isp.out.clone()
            }
            _ => server.clone(),
        }
    }

    /// The machine of one who works there.
    pub fn pc(&mut self, firm: &Firm) -> Peer {
        let helo = match self.dice.below(4) {
            0 => format!("PC{}", self.dice.count(1, 60)),
            1 => format!("[{}]", self.inside_ip()),
            2 => format!("laptop-{}.{}", self.dice.letters(5).to_lowercase(), firm.domain),
            _ => format!("{}{}", self.dice.of(FIRST).to_uppercase(), self.dice.digits(2)),
        };
        Peer { helo, rdns: None, ip: self.inside_ip(), login: self.dice.one_in(2) }
    }

    /// It comes from `from` to these people of one firm, in one transaction.
    pub fn arrive(&mut self, mut copy: Copy, from: &Machine, firm: &Firm, to: &[&Person]) {
        if !to.iter().any(|person| self.sees(person)) {
            return;
        }
        let rcpt = if let [one] = to { Some(one.address.as_str()) } else { None };
        let server = &firm.server;
        let dice = &mut self.dice;
        match &firm.entry {
            // From the house itself.
            Entry::Direct | Entry::Relayed if from.ip == server.ip => {}
            Entry::Gateway(_) if from.ip == server.ip => {}
            Entry::Gateway(gateway) if from.ip == gateway.ip => copy.hop_inside(gateway, server, rcpt, dice),
            Entry::Hosted | Entry::Collected | Entry::Relayed if from.ip == firm.isp.mx.ip => {
                if matches!(firm.entry, Entry::Relayed) {
                    copy.hop(from, server, rcpt, dice);
                }
            }
            Entry::Direct => copy.hop(from, server, rcpt, dice),
            Entry::Relayed => {
                copy.hop(from, &firm.isp.mx, rcpt, dice);
                copy.hop(&firm.isp.mx, server, rcpt, dice);
            }
            Entry::Gateway(gateway) => {
                copy.hop(from, gateway, rcpt, dice);
                copy.hop_inside(gateway, server, rcpt, dice);
            }
            Entry::Hosted | Entry::Collected => {
                copy.hop(from, &firm.isp.mx, rcpt, dice);
                if firm.isp.filter {
                    copy.filtered(&firm.isp.mx, rcpt, dice);
                }
            }
        }
        if firm.filter && !matches!(firm.entry, Entry::Hosted | Entry::Collected) {
            copy.filtered(server, rcpt, dice);
        }
        if let (Some(hub), false) = (&firm.hub, matches!(firm.entry, Entry::Hosted | Entry::Collected)) {
            copy.hop_inside(server, hub, None, dice);
        }
        match firm.touch {
            Touch::Nothing => {}
            Touch::Footer => copy.add_text(&format!(
                "\n--\nThis e-mail is confidential. It was scanned on arrival at {}.\n",
                firm.domain
            )),
            Touch::Tag(tag) => {
                copy.set("Subject", format!("{tag} {}", copy.get("Subject").unwrap_or_default()))
            }
            Touch::QuotedPrintable => copy.recode(false),
            Touch::Base64 => copy.recode(true),
        }
        for person in to {
            self.store(copy.clone(), firm, person);
        }
    }

    fn store(&mut self, mut copy: Copy, firm: &Firm, person: &Person) {
        let at = &person.address;
        match firm.entry {
            Entry::Hosted => {
                if firm.isp.lmtp {
                    copy.lmtp(&firm.isp.pop, at, &mut self.dice);
                }
                self.deliver(copy, person, &firm.isp.mx);
            }
            Entry::Collected => {
                copy.at += self.dice.between(10_000, 20 * MINUTE);
                copy.fetched(&firm.server, &firm.isp.pop, at, false, &mut self.dice);
                if matches!(firm.server.soft, Software::Postfix | Software::Exim) {
                    copy.smtp(&loopback("localhost"), &firm.server, None, &mut self.dice);
                }
                self.deliver(copy, person, &firm.server);
            }
            _ => {
                if firm.lmtp {
                    copy.lmtp(&firm.server, at, &mut self.dice);
                }
                let last = firm.hub.as_ref().unwrap_or(&firm.server).clone();
                self.deliver(copy, person, &last);
            }
        }
    }

    /// One copy from `from` to each of these: in one transaction for a firm, or in one each, as `from` is used to.
    pub fn spread(&mut self, copy: &Copy, from: &Machine, firms: &[Rc<Firm>], who: &[Person]) {
        let each = from.helo.len().is_multiple_of(2);
        for firm in firms {
            let to: Vec<&Person> = firm.people.iter().filter(|person| who.contains(person)).collect();
            if each {
                to.iter().for_each(|person| self.arrive(copy.clone(), from, firm, &[person]));
            } else if !to.is_empty() {
                self.arrive(copy.clone(), from, firm, &to);
            }
        }
    }
}
