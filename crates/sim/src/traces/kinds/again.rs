//! Senders that try again, clients that submit again, servers that send to each other.

use std::rc::Rc;

use super::super::case::Case;
use super::super::cast::Firm;
use super::super::clock::{HOUR, MINUTE, SECOND};
use super::super::copy::Copy;
use super::super::letter::Person;
use super::super::machine::{Machine, Peer};
use super::super::story::Stage;
use super::quiet::List;

impl Case {
    /// When a sender tries again that waits in vain for the answer to the final dot: after its time-out, and
    /// then as real servers do.
    fn attempts(&mut self, from: i64, count: usize) -> Vec<i64> {
        let patience = self.dice.pick([5, 10, 10, 10, 20]) * MINUTE;
        let schedule = self.dice.below(6);
        let mut at = from;
        let mut times = vec![at];
        for turn in 1..count as i64 {
            let pause = match schedule {
                // Postfix: from 5 minutes on twice as long each time, up to 4,000 seconds.
                0 | 1 => ((300 * SECOND) << (turn - 1).min(5)).min(4_000 * SECOND),
                // qmail: 400 seconds times the square of the number of tries.
                2 => 400 * SECOND * (2 * turn - 1),
                // Exim: every 15 minutes for two hours, then half as long again each time.
                3 if turn <= 8 => 15 * MINUTE,
                3 => (HOUR as f64 * 1.5_f64.powi((turn - 8).min(6) as i32)) as i64,
                // Exchange: every minute, then 5, then 10.
                4 => [MINUTE, 5 * MINUTE, 10 * MINUTE][usize::try_from(turn - 1).unwrap_or(0).min(2)],
                // Sendmail: each queue run.
                _ => 30 * MINUTE,
            };
            at += patience + pause + self.dice.between(0, 20 * SECOND);
            times.push(at);
        }
        times
    }

    /// Somebody of this firm sends it, and a stamp says so.
    fn send_stamped(&mut self, firm: &Firm, copy: &mut Copy) -> Rc<Machine> {
        let before = copy.times.len();
        let out = self.send(firm, copy);
        if copy.times.len() == before {
            let pc = self.pc(firm);
            copy.smtp(&pc, &out, None, &mut self.dice);
        }
        out
    }

    /// One attempt reaches a list's server, which takes its time and sends it to these.
    fn expanded_after(
        &mut self,
        mut copy: Copy,
        from: &Machine,
        list: &List,
        slow: &Slow,
        stage: &Stage,
        to: &[Person],
    ) {
        let wait = slow.wait(self);
        let mut edge = (*list.server).clone();
        edge.by = edge.by.replacen("lists", "in", 1);
        copy.hop(from, &edge, Some(&list.address.address), &mut self.dice);
        copy.at += wait;
        self.expanded(&copy, &edge, list, stage, to);
    }

    /// One attempt reaches these readers, who are slow to take it: `slow` ms pass between two of their stamps.
    fn slowly(&mut self, mut copy: Copy, from: &Machine, into: &Slow, to: &[&Person]) {
        let rcpt = if let [one] = to { Some(one.address.as_str()) } else { None };
        copy.hop(from, &into.edge, rcpt, &mut self.dice);
        copy.at += into.wait(self);
        if into.filters {
            copy.filtered(&into.edge, rcpt, &mut self.dice);
        } else {
            copy.hop_inside(&into.edge, &into.store, rcpt, &mut self.dice);
        }
        let last = if into.filters { &into.edge } else { &into.store };
        for person in to {
            self.deliver(copy.clone(), person, last);
        }
    }
}

/// A receiver with two stamps of its own.
struct Slow {
    edge: Rc<Machine>,
    store: Rc<Machine>,
    filters: bool,
    /// It takes at least so long between the two; 0: no time at all.
    delay: i64,
}

impl Slow {
    fn wait(&self, case: &mut Case) -> i64 {
        if self.delay == 0 {
            case.dice.between(50, 3_000)
        } else {
            self.delay + case.dice.between(0, 15 * MINUTE)
        }
    }
}

fn slow_receiver(case: &mut Case, firm: &Firm) -> Slow {
    let delay = if case.dice.below(3) > 0 { case.dice.between(10, 30) * MINUTE } else { 0 };
    let mut edge = case.unix_server(&firm.domain, "mx2");
    if case.dice.below(6) > 0 {
        // Most houses have one time.
        edge.skew_ms = firm.server.skew_ms + case.dice.between(-3, 3) * SECOND;
    }
    let edge = Rc::new(edge);
    let filters = case.dice.one_in(2);
    Slow { edge, store: firm.server.clone(), filters, delay }
}

/// The sender's server tries again since the answer to the final dot comes too late.
pub fn retry(case: &mut Case) {
    let stage = case.stage(1, 10);
    let message = case.message("retry");
    let author = stage.publisher.people[0].clone();
    let letter = case.letter(&author, &stage.readers);
    let mut base = case.written(message, &letter);
    let out = case.send_stamped(&stage.publisher, &mut base);
    let pool = pool(case, &out, &stage);
    let mut names = out.names();
    for name in pool.iter().flat_map(|machine| machine.names()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let culprit = case.culprit_of(names, pool.first().map(|machine| machine.ip), "retries");
    // It is one firm that is too slow. Others take it at once.
    let first = stage.readers.iter().find(|reader| case.sees(reader)).cloned();
    let slow_firm = first.map_or_else(|| stage.firms[0].clone(), |reader| stage.firm_of(&reader).clone());
    let slow = slow_receiver(case, &slow_firm);
    let to: Vec<&Person> = slow_firm.people.iter().collect();
    let count = case.dice.few(2, 26);
    let list = case.dice.one_in(4).then(|| case.list());
    for (turn, at) in case.attempts(base.at, count).into_iter().enumerate() {
        let mut copy = base.clone();
        copy.at = copy.at.max(at);
        case.deed(culprit, &mut copy);
        let from = pool[if turn == 0 { 0 } else { case.dice.below(pool.len()) }].clone();
        match &list {
            // A list server that takes long, and expands what comes each time.
            Some(list) => case.expanded_after(copy, &from, list, &slow, &stage, &slow_firm.people),
            None => case.slowly(copy, &from, &slow, &to),
        }
    }
    for firm in stage.firms.iter().filter(|firm| firm.domain != slow_firm.domain) {
        case.spread(&base, &out, std::slice::from_ref(firm), &stage.readers);
    }
    case.innocents(&stage);
}

/// The outgoing addresses of the server: its own, or several of a pool.
fn pool(case: &mut Case, out: &Rc<Machine>, stage: &Stage) -> Vec<Rc<Machine>> {
    if !case.dice.one_in(4) {
        return vec![out.clone()];
    }
    let size = case.dice.count(2, 5);
    (1..=size)
        .map(|number| {
            let mut one = (**out).clone();
            one.helo = format!("out{number}.{}", stage.publisher.domain);
            one.rdns = Some(one.helo.clone());
            one.ip = case.ip();
            Rc::new(one)
        })
        .collect()
}

/// The same, of a sender that leaves no stamp: a printer, a program, an appliance.
pub fn retry_no_stamp(case: &mut Case) {
    let stage = case.stage(1, 10);
    let message = case.message("retry");
    let domain = case.domain(false);
    let host = case.dice.pick(["copier", "erp", "app01", "ups", "nas", "crm", "scan"]);
    let mut sender = case.unix_server(&domain, host);
    sender.stampless = true;
    let culprit = case.culprit(&sender, "retries");
    let author = case.person(&domain);
    let letter = case.letter(&author, &stage.readers);
    let base = case.written(message, &letter);
    let receiver = stage.readers.iter().find(|reader| case.sees(reader)).cloned();
    let firm = receiver.map_or_else(|| stage.firms[0].clone(), |reader| stage.firm_of(&reader).clone());
    let to: Vec<&Person> = firm.people.iter().collect();
    let count = case.dice.few(2, 26);
    let slow = case.dice.one_in(3).then(|| slow_receiver(case, &firm));
    for at in case.attempts(base.at, count) {
        let mut copy = base.clone();
        copy.at = copy.at.max(at);
        case.deed(culprit, &mut copy);
        match &slow {
            Some(slow) => case.slowly(copy, &sender, slow, &to),
            None => case.arrive(copy, &sender, &firm, &to),
        }
    }
    case.innocents(&stage);
}

/// How a client hands in the same message again and again.
enum Client {
    /// A host that the first server names.
    Named(Peer),
    /// A program on the server itself.
    OnServer,
    /// The first stamp has no `from`.
    Unknown,
}

/// A script or a client submits the same message again and again within seconds.
pub fn inject(case: &mut Case) {
    let stage = case.stage(1, 30);
    let message = case.message("culprit");
    let server = Rc::new(case.unix_server(&stage.publisher.domain, "submit"));
    let client = match case.dice.below(3) {
        0 => Client::Named(script_host(case, &stage)),
        1 => Client::OnServer,
        _ => Client::Unknown,
    };
    let culprit = match &client {
        Client::Named(peer) => case.culprit_of(peer.names(), Some(peer.ip), "injects"),
        Client::OnServer => case.culprit(&server, "injects"),
        Client::Unknown => case.culprit_of(Vec::new(), None, "injects"),
    };
    let author = stage.publisher.people[0].clone();
    let letter = case.letter(&author, &stage.readers);
    let base = case.written(message, &letter);
    let count = case.copies(3, 60);
    let list = case.dice.one_in(4).then(|| case.list());
    let pause = case.dice.pick([40, 120, 120, 400, 1_200]);
    for turn in 0..count {
        let mut copy = base.clone();
        copy.at += pause * turn as i64 + case.dice.between(0, pause);
        case.deed(culprit, &mut copy);
        match &client {
            Client::Named(peer) => copy.smtp(peer, &server, None, &mut case.dice),
            Client::OnServer => copy.handed_in(&server, None, &mut case.dice),
            Client::Unknown => copy.anonymous(&server, &mut case.dice),
        }
        match &list {
            Some(list) => case.expanded(&copy, &server, list, &stage, &stage.readers),
            None => case.spread(&copy, &server, &stage.firms, &stage.readers),
        }
    }
    case.innocents(&stage);
}

fn script_host(case: &mut Case, stage: &Stage) -> Peer {
    let host = case.dice.pick(["web1", "cron", "jobs", "intranet", "shop"]);
    if case.dice.one_in(3) {
        // In the house, at an internal address.
        let name = format!("{host}.{}", stage.publisher.domain);
        return Peer { helo: name.clone(), rdns: Some(name), ip: case.inside_ip(), login: false };
    }
    let domain = case.domain(false);
    let machine = case.unix_server(&domain, host);
    Peer { login: case.dice.one_in(2), ..machine.outside() }
}

/// Two servers send to each other, and each keeps what comes.
pub fn looping(case: &mut Case) {
    let stage = case.stage(1, 4);
    let isp = stage.isps[0].clone();
    let message = case.message("loop");
    let mut sides = Vec::new();
    for _ in 0..2 {
        let domain = case.domain(false);
        let server = if case.dice.one_in(2) {
            case.office_server(&domain, &isp.domain)
        } else {
            case.unix_server(&domain, "mail")
        };
        let culprit = case.culprit(&server, "loops");
        let person = case.person(&domain);
        sides.push((Rc::new(server), culprit, person));
    }
    if case.dice.one_in(2) {
        case.see_nothing();
    }
    match case.dice.below(4) {
        0 => case.see([&sides[0].2, &sides[1].2]),
        1 => case.see([&sides[1].2]),
        _ => case.see([&sides[0].2]),
    }
    let author = stage.publisher.people[0].clone();
    let mut to = vec![sides[0].2.clone()];
    to.extend(stage.readers.iter().cloned());
    let letter = case.letter(&author, &to);
    let mut copy = case.written(message, &letter);
    let out = case.send(&stage.publisher, &mut copy);
    case.original(&stage, &copy, &out);
    let (turns, slow) = (case.dice.few(8, 40), case.dice.one_in(3));
    // One side may send through its provider, who is innocent.
    let through = if case.dice.one_in(3) { Some(case.dice.below(2)) } else { None };
    let mut from = out;
    for turn in 0..turns {
        let (server, _, person) = &sides[turn % 2];
        copy.hop(&from, server, Some(&person.address), &mut case.dice);
        case.deliver(copy.clone(), person, server);
        if slow {
            copy.at += case.dice.between(MINUTE, HOUR);
        }
        // The first side's first forwarding is what it was told to do; from then on each sends the message
        // back to one that had it.
        if turn > 0 {
            case.deed(sides[turn % 2].1, &mut copy);
        }
        if case.dice.one_in(2) {
            copy.sender = person.address.clone();
        }
        from = server.clone();
        if through == Some(turn % 2) {
            copy.hop(&from, &isp.out, None, &mut case.dice);
            from = isp.out.clone();
        }
    }
    case.innocents(&stage);
}
