//! Servers that collect a message and send it again: the storm of 2005 and its kin.

use std::net::IpAddr;
use std::rc::Rc;

use super::super::case::Case;
use super::super::cast::Isp;
use super::super::clock::{self, HOUR, MINUTE, SECOND};
use super::super::copy::Copy;
use super::super::letter::Person;
use super::super::machine::{Machine, Peer, Software};
use super::super::story::Stage;
use super::quiet::answers;

/// How a faulty server's copies look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// The trace stays; the message stays in the mailbox, and each copy is made of the same one.
    Stuck,
    /// The trace stays; each copy comes back and the next is made of it.
    Grows,
    /// No trace, a new identity.
    Identity,
    /// No trace; the identity stays.
    Lost,
}

/// A server that sends again what it collects.
struct Faulty {
    machine: Rc<Machine>,
    culprit: usize,
    isp: Rc<Isp>,
    /// What it sends through.
    via: Option<Rc<Machine>>,
    /// Whose mailbox it collects; the address stands in the message.
    reader: Person,
    way: Way,
}

/// How a faulty server puts in what it collected, and so what it writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Through its pickup folder.
    Pickup,
    /// By SMTP to itself.
    Smtp,
    /// It writes no stamp.
    Silent,
}

impl Case {
    fn faulty(&mut self, isp: &Rc<Isp>, smart_host: bool) -> Faulty {
        let domain = self.domain(false);
        let machine = Rc::new(self.office_server_of(Software::Smtpsvc, &domain, &isp.domain));
        let culprit = self.culprit(&machine, "resends");
        let via = smart_host.then(|| isp.out.clone());
        Faulty { machine, culprit, isp: isp.clone(), via, reader: self.person(&domain), way: Way::Pickup }
    }

    fn put_in(&mut self, copy: &mut Copy, faulty: &Faulty) {
        let on = &faulty.machine;
        match faulty.way {
            Way::Pickup => copy.pickup(on, &mut self.dice),
            Way::Smtp => {
                let ip = if on.by.len().is_multiple_of(2) { on.inside } else { [127, 0, 0, 1].into() };
                let peer = Peer {
                    helo: on.by.split('.').next().unwrap_or("server").to_owned(),
                    rdns: None,
                    ip,
                    login: false,
                };
                copy.smtp(&peer, on, None, &mut self.dice);
            }
            Way::Silent => copy.at += self.dice.between(200, 4_000),
        }
    }

    /// The message comes to the mailbox that the faulty server collects.
    fn collected(&mut self, copy: &Copy, from: &Machine, faulty: &Faulty) -> Copy {
        let mut copy = copy.clone();
        let rcpt = self.dice.one_in(2).then_some(faulty.reader.address.as_str());
        copy.hop(from, &faulty.isp.mx, rcpt, &mut self.dice);
        copy
    }

    /// `count` copies, each as it stands in front of the readers' servers, and with the machine that brings it.
    fn resent(
        &mut self,
        base: &Copy,
        faulty: &Faulty,
        shape: Shape,
        times: &[i64],
    ) -> Vec<(Copy, Rc<Machine>)> {
        let mut base = base.clone();
        let mut copies = Vec::with_capacity(times.len());
        for at in times {
            let mut copy = base.clone();
            copy.at = copy.at.max(*at);
            self.deed(faulty.culprit, &mut copy);
            match shape {
                Shape::Identity => self.new_identity(&mut copy, faulty),
                Shape::Lost => copy.lose_trace(),
                Shape::Stuck | Shape::Grows => {}
            }
            self.put_in(&mut copy, faulty);
            if shape == Shape::Identity || faulty.machine.by.len().is_multiple_of(3) {
                copy.arrival_mark(&faulty.machine, &mut self.dice);
            }
            let mut from = faulty.machine.clone();
            if let Some(via) = &faulty.via {
                copy.hop(&faulty.machine, via, None, &mut self.dice);
                from = via.clone();
            }
            if shape == Shape::Grows && copy.times.len() < 40 {
                base = self.collected(&copy, &from, faulty);
            }
            copies.push((copy, from));
        }
        copies
    }

    /// What INCIDENT.md calls the second shape.
    fn new_identity(&mut self, copy: &mut Copy, faulty: &Faulty) {
        copy.lose_trace();
        let by = &faulty.machine.by;
        let host = by.split('.').next().unwrap_or(by).to_uppercase();
        let id = format!("<{host}{}{}@{by}>", self.dice.letters(12), self.dice.hex(8));
        copy.set("Message-ID", id);
        copy.set("Date", clock::plain(faulty.machine.shown(copy.at), faulty.machine.zone));
        if let Some(author) = copy.get("From").map(|from| from.replace('"', "'")) {
            match self.dice.below(3) {
                0 => copy.set(
                    "From",
                    format!(
                        "\"{}\"{}",
                        author.split('<').next().unwrap_or("").trim(),
                        author.find('<').map_or("", |at| &author[at..])
                    ),
                ),
                1 => copy.set("From", author.replace('\'', "")),
                _ => {}
            }
        }
        let to = copy.get("To").unwrap_or_default().to_owned();
        let domain = faulty.reader.domain();
        let user = faulty.reader.address.split('@').next().unwrap_or("all");
        let connector = format!("\"IMB Recipient 1\" <mspop3connector.{user}@{domain}>");
        match self.dice.below(4) {
            0 => copy.set(
                "To",
                format!(
                    "<unlisted-recipients:@{domain}>,\n\t<\"no To-header on input\"@{domain}>, {connector}"
                ),
            ),
            1 => copy.set("To", format!("{to},\n\t{connector}")),
            2 => copy.set("To", connector),
            _ => copy.set("To", to.replace(">, ", ">;\n\t").replace(">,\n\t", ">;\n\t")),
        }
        if self.dice.one_in(2) {
            copy.set("X-MimeOLE", "Produced By Microsoft MimeOLE V6.00.3790.1830".to_owned());
        }
        if self.dice.one_in(3) {
            copy.set("X-Mailer", "Microsoft CDO for Exchange 2000".to_owned());
        }
        copy.set("Content-Class", "urn:content-classes:message".to_owned());
        match self.dice.below(6) {
            0 => copy.recode(false),
            1 => copy.recode(true),
            _ => {}
        }
    }

    fn reach_readers(&mut self, stage: &Stage, copies: Vec<(Copy, Rc<Machine>)>) {
        for (copy, from) in copies {
            self.spread(&copy, &from, &stage.firms, &stage.readers);
        }
    }

    /// One faulty server, and a storm of this shape.
    fn storm(&mut self, shape: Shape, smart_host: bool) {
        let stage = self.stage(1, 50);
        let isp = stage.isps[0].clone();
        let mut faulty = self.faulty(&isp, smart_host);
        let hidden = stage.firms.iter().any(|firm| firm.hides_clients());
        faulty.way = match (shape, self.dice.below(6)) {
            // A trace that piles up convicts without a line of the faulty server's own, if the next one names
            // it. Where nobody does, its provider would seem to be the last machine before the parting.
            (Shape::Stuck, 0) if !hidden => Way::Silent,
            (_, 1) => Way::Smtp,
            _ => Way::Pickup,
        };
        let count = self.copies(2, 200);
        self.resend_one(&stage, &faulty, shape, count);
        if self.dice.one_in(8) {
            // It does so with whatever it gets.
            let count = self.dice.few(2, 12);
            self.resend_one(&stage, &faulty, shape, count);
        }
        self.ordinary(&stage, &faulty);
        self.innocents(&stage);
    }

    /// A message reaches its readers and the faulty server, which sends it again `count` times.
    fn resend_one(&mut self, stage: &Stage, faulty: &Faulty, shape: Shape, count: usize) {
        let message = self.message("culprit");
        let (copy, out) = self.mailing(stage, message, std::slice::from_ref(&faulty.reader));
        // Without the original, copies without a trace would be all there is to see.
        if self.dice.below(5) > 0 || shape == Shape::Lost {
            self.original(stage, &copy, &out);
        }
        if self.dice.one_in(6) {
            let old = self.old_address();
            self.forwarded(&copy, &out, &old, stage, &stage.readers[0]);
        }
        let base = self.collected(&copy, &out, faulty);
        let times = self.poll_times(base.at, count);
        let copies = self.resent(&base, faulty, shape, &times);
        if shape != Shape::Grows && self.dice.one_in(6) {
            // A list is among the addresses: it hands on whatever comes.
            let list = self.list();
            copies.iter().for_each(|(copy, from)| self.expanded(copy, from, &list, stage, &stage.readers));
        } else {
            self.reach_readers(stage, copies);
        }
        if self.dice.one_in(5) {
            answers(self, stage, &copy, faulty.reader.domain());
        }
    }

    /// Letters of the faulty server's own people, which it sends once, as it should.
    fn ordinary(&mut self, stage: &Stage, faulty: &Faulty) {
        for _ in 0..self.dice.below(4) {
            let mut letter = self.letter(&faulty.reader, &stage.readers);
            letter.date_ms += self.dice.between(-2 * HOUR, 20 * HOUR);
            let message = self.message("no_culprit");
            let mut copy = self.written(message, &letter);
            self.put_in(&mut copy, faulty);
            let mut from = faulty.machine.clone();
            if let Some(via) = &faulty.via {
                copy.hop(&faulty.machine, via, None, &mut self.dice);
                from = via.clone();
            }
            self.spread(&copy, &from, &stage.firms, &stage.readers);
        }
    }
}

/// INCIDENT.md, the first shape: the trace piles up.
pub fn resend_trace(case: &mut Case) {
    let shape = if case.dice.one_in(3) { Shape::Grows } else { Shape::Stuck };
    case.storm(shape, false);
}

/// INCIDENT.md, the second shape: no trace, a new identity.
pub fn resend_identity(case: &mut Case) {
    let smart_host = case.dice.one_in(4);
    case.storm(Shape::Identity, smart_host);
}

/// The faulty server sends through its provider.
pub fn smart_host(case: &mut Case) {
    let shape = case.dice.pick([Shape::Stuck, Shape::Stuck, Shape::Grows, Shape::Identity]);
    case.storm(shape, true);
}

/// The identity stays, the trace below the faulty server is gone. Its pickup line stays.
pub fn lost_trace(case: &mut Case) {
    let smart_host = case.dice.one_in(3);
    case.storm(Shape::Lost, smart_host);
}

/// Two to five faulty servers behind one provider.
pub fn several_behind_isp(case: &mut Case) {
    let isp = case.isp();
    let stage = case.stage_at(vec![isp.clone()], 1, 30);
    let servers: Vec<Faulty> = (0..case.dice.count(2, 5)).map(|_| case.faulty(&isp, true)).collect();
    let message = case.message("culprit");
    let theirs: Vec<Person> = servers.iter().map(|faulty| faulty.reader.clone()).collect();
    let (copy, out) = case.mailing(&stage, message, &theirs);
    case.original(&stage, &copy, &out);
    let shape = case.dice.pick([Shape::Stuck, Shape::Grows, Shape::Identity]);
    for faulty in &servers {
        let base = case.collected(&copy, &out, faulty);
        let count = case.copies(2, 40);
        let times = case.poll_times(base.at, count);
        let copies = case.resent(&base, faulty, shape, &times);
        case.reach_readers(&stage, copies);
    }
    case.innocents(&stage);
}

/// Two faulty servers one behind the other: the second gets a copy of the first and multiplies it.
pub fn chain(case: &mut Case) {
    let stage = case.stage(1, 10);
    let (one, other) = (stage.isps[0].clone(), case.isp());
    let (direct, relayed) = (case.dice.one_in(2), case.dice.one_in(3));
    let first = case.faulty(&one, !direct);
    let second = case.faulty(&other, relayed);
    let message = case.message("culprit");
    let (copy, out) = case.mailing(&stage, message, &[first.reader.clone(), second.reader.clone()]);
    if case.dice.below(4) > 0 {
        case.original(&stage, &copy, &out);
    }
    let base = case.collected(&copy, &out, &first);
    let count = case.dice.few(2, 8);
    let times = case.poll_times(base.at, count);
    let copies = case.resent(&base, &first, Shape::Stuck, &times);
    for (copy, from) in &copies {
        let base = case.collected(copy, from, &second);
        let count = case.dice.few(2, 8);
        let times = case.poll_times(base.at, count);
        let again = case.resent(&base, &second, Shape::Stuck, &times);
        case.reach_readers(&stage, again);
    }
    // The first one's own copies are seen in most worlds; else its partings are in what the second sends.
    if case.dice.below(3) > 0 {
        case.reach_readers(&stage, copies);
    }
    case.innocents(&stage);
}

/// Firms whose servers have the same internal name; one of them is faulty.
pub fn same_names(case: &mut Case) {
    case.generic_name = Some(case.dice.pick([
        "server.sbs.local",
        "server",
        "server.smallbusiness.local",
        "sbs.local",
        "server.domain.local",
        "mail",
    ]));
    let smart_host = case.dice.one_in(3);
    let shape = case.dice.pick([Shape::Stuck, Shape::Stuck, Shape::Grows, Shape::Identity]);
    case.storm(shape, smart_host);
}

/// An original and one copy that was put in again, with marks that convict.
pub fn pair(case: &mut Case) {
    let stage = case.stage(1, 6);
    let isp = stage.isps[0].clone();
    let smart_host = case.dice.one_in(4);
    let faulty = case.faulty(&isp, smart_host);
    let message = case.message("culprit");
    case.one_convicts(message);
    let (copy, out) = case.mailing(&stage, message, std::slice::from_ref(&faulty.reader));
    let victim = stage.readers.iter().find(|reader| case.sees(reader)).cloned();
    let victim = victim.unwrap_or_else(|| stage.readers[0].clone());
    let firm = stage.firm_of(&victim).clone();
    case.arrive(copy.clone(), &out, &firm, &[&victim]);
    let base = case.collected(&copy, &out, &faulty);
    let shape = case.dice.pick([Shape::Stuck, Shape::Identity, Shape::Lost]);
    let times = case.poll_times(base.at, 1);
    for (copy, from) in case.resent(&base, &faulty, shape, &times) {
        case.arrive(copy, &from, &firm, &[&victim]);
    }
    case.innocents(&stage);
}

/// A collector of a catch-all mailbox that routes by the header and sends out again.
pub fn multidrop(case: &mut Case) {
    let stage = case.stage(1, 20);
    let isp = stage.isps[0].clone();
    let domain = case.domain(false);
    let soft = case.dice.pick([Software::Postfix, Software::Exim, Software::Sendmail]);
    let dash: String = domain.split('.').next().unwrap_or("home").to_owned();
    let (name, rdns) = (format!("home.{dash}.lan"), format!("{}.dyn.{}", case.dice.digits(6), isp.domain));
    let mut machine = case.machine(soft, &name, Some(rdns));
    if case.dice.one_in(2) {
        machine.helo = domain.clone();
    }
    let machine = Rc::new(machine);
    let culprit = case.culprit(&machine, "resends");
    let via = case.dice.one_in(2).then(|| isp.out.clone());
    let own: Vec<Person> = (0..case.dice.count(1, 6)).map(|_| case.person(&domain)).collect();
    let message = case.message("culprit");
    let (copy, out) = case.mailing(&stage, message, &own);
    case.original(&stage, &copy, &out);
    let mut base = copy;
    base.hop(&out, &isp.mx, None, &mut case.dice);
    // One transaction with all of the domain's addresses: the provider puts in one copy for each, equal up to
    // here, and the collector sends each of them to everybody in the header.
    let polls = if own.len() == 1 { case.copies(2, 60) } else { case.dice.few(1, 8) };
    for at in case.poll_times(base.at, polls) {
        let mut at = at;
        for person in &own {
            let mut copy = base.clone();
            copy.at = copy.at.max(at);
            at += case.dice.between(300, 4 * SECOND);
            case.deed(culprit, &mut copy);
            fetch_and_send(case, copy, &machine, &isp, via.as_ref(), person, &stage);
        }
    }
    case.innocents(&stage);
}

fn fetch_and_send(
    case: &mut Case,
    mut copy: Copy,
    on: &Rc<Machine>,
    isp: &Isp,
    via: Option<&Rc<Machine>>,
    person: &Person,
    stage: &Stage,
) {
    if isp.mx.by.len().is_multiple_of(2) {
        copy.note(format!("X-Envelope-To: {}", person.address));
    }
    copy.fetched(on, &isp.pop, &person.address, true, &mut case.dice);
    copy.smtp(&super::super::copy::loopback("localhost"), on, None, &mut case.dice);
    let mut from = on.clone();
    if let Some(via) = via {
        copy.hop(on, via, None, &mut case.dice);
        from = via.clone();
    }
    case.spread(&copy, &from, &stage.firms, &stage.readers);
}

/// Copies of a spammer, or of a client gone wrong, whose lowest stamps are forged and name innocent servers.
pub fn forged(case: &mut Case) {
    // The first honest server must say whom it heard, or the forgery stands unchallenged.
    case.silent_gateways = false;
    let stage = case.stage(1, 20);
    let ip: IpAddr = case.ip();
    let isp = stage.isps[0].clone();
    let dashed = ip.to_string().replace(['.', ':'], "-");
    let rdns = (case.dice.below(4) > 0).then(|| format!("{dashed}.pool.{}", isp.domain));
    let helo =
        case.dice.pick(["localhost", "User", "desktop-4k2", "friend", "ylmf-pc", "win-srv7"]).to_owned();
    let soft = Software::Smtpsvc;
    let mut bot = case.machine(soft, &helo, rdns.clone());
    (bot.ip, bot.helo) = (ip, helo);
    let culprit = case.culprit_of(bot.outside().names(), Some(ip), "injects");
    let message = case.message("culprit");
    let author = stage.publisher.people[0].clone();
    let letter = case.letter(&author, &stage.readers);
    let accused =
        if case.dice.one_in(2) { stage.publisher.server.clone() } else { stage.firms[0].server.clone() };
    let relay = case.isp();
    let mut base = case.written(message, &letter);
    let one_forgery = case.dice.one_in(2);
    let forge = |case: &mut Case, copy: &mut Copy| {
        let at = case.start - case.dice.between(0, HOUR);
        let line = case.forged_line(&accused, &relay.out, at);
        copy.forged(line);
        if case.dice.one_in(2) {
            let line = case.forged_line(&relay.out, &relay.mx, at + MINUTE);
            copy.forged(line);
        }
    };
    if one_forgery {
        forge(case, &mut base);
    }
    let (pause, count) = (case.dice.pick([300, 2 * SECOND, 8 * SECOND]), case.copies(2, 60));
    for turn in 0..count {
        let mut copy = base.clone();
        copy.at += pause * turn as i64 + case.dice.between(0, pause);
        case.deed(culprit, &mut copy);
        if !one_forgery {
            forge(case, &mut copy);
        }
        case.spread(&copy, &bot, &stage.firms, &stage.readers);
    }
    case.innocents(&stage);
}
