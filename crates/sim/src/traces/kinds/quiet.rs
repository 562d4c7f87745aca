//! Worlds in which nobody is at fault, and worlds in which nothing tells who is.

use std::rc::Rc;

use super::super::case::Case;
use super::super::clock::{HOUR, MINUTE, SECOND};
use super::super::copy::{Copy, loopback};
use super::super::letter::Person;
use super::super::machine::{Machine, Software};
use super::super::story::Stage;

/// A newsletter to many, one copy each.
pub fn clean(case: &mut Case) {
    let stage = case.stage(1, 50);
    let message = case.message("no_culprit");
    let (copy, out) = case.mailing(&stage, message, &[]);
    if case.dice.one_in(3) {
        // A sender with several outgoing machines.
        for firm in &stage.firms {
            let name = format!("mta{}", case.dice.count(1, 40));
            let mta = case.unix_server(&stage.publisher.domain, &name);
            let mut copy = copy.clone();
            copy.hop_inside(&out, &mta, None, &mut case.dice);
            case.spread(&copy, &mta, std::slice::from_ref(firm), &stage.readers);
        }
    } else {
        case.original(&stage, &copy, &out);
    }
    case.innocents(&stage);
}

/// A list: what the server is, what it puts under the text.
pub(super) struct List {
    pub server: Rc<Machine>,
    pub address: Person,
    tag: String,
    expands: bool,
    /// It sends through one of these.
    mirrors: Vec<Rc<Machine>>,
}

impl Case {
    pub(super) fn list(&mut self) -> List {
        let domain = self.domain(true);
        let server = Rc::new(self.unix_server(&domain, "lists"));
        let tag = format!(
            "{}-{}",
            self.dice.pick(["office", "law", "devel", "users", "announce"]),
            self.dice.digits(2)
        );
        let address = Person { name: String::new(), address: format!("{tag}@lists.{domain}") };
        let mirrors = if self.dice.one_in(4) {
            (0..3).map(|n| Rc::new(self.unix_server(&domain, &format!("out{n}")))).collect()
        } else {
            Vec::new()
        };
        List { server, address, tag, expands: self.dice.one_in(3), mirrors }
    }

    /// The list has it, and sends it to each of its readers.
    pub(super) fn expanded(
        &mut self,
        copy: &Copy,
        from: &Machine,
        list: &List,
        stage: &Stage,
        readers: &[Person],
    ) {
        let mut copy = copy.clone();
        copy.hop(from, &list.server, Some(&list.address.address), &mut self.dice);
        if self.dice.below(3) > 0 {
            copy.add_text(&format!(
                "\n_______________________________________________\n{} mailing list\n",
                list.tag
            ));
        }
        if self.dice.one_in(2) {
            let subject = format!("[{}] {}", list.tag, copy.get("Subject").unwrap_or_default());
            copy.set("Subject", subject);
        }
        copy.set("Precedence", "list".to_owned());
        copy.set("List-Id", format!("<{}>", list.address.address.replace('@', ".")));
        copy.sender = list.address.address.replace('@', "-bounces@");
        if !list.expands {
            copy.at += self.dice.between(500, 3 * MINUTE);
            copy.smtp(&loopback(&list.server.by), &list.server, None, &mut self.dice);
        }
        for reader in readers {
            let mut own = copy.clone();
            if list.expands {
                own.listexpand(&list.server, &reader.address, &mut self.dice);
            }
            let mut out = list.server.clone();
            if !list.mirrors.is_empty() {
                let mirror = list.mirrors[self.dice.below(list.mirrors.len())].clone();
                own.hop(&list.server, &mirror, Some(&reader.address), &mut self.dice);
                out = mirror;
            }
            let firm = stage.firm_of(reader).clone();
            self.arrive(own, &out, &firm, &[reader]);
        }
    }
}

/// A list or two, and some of whose readers are addressed directly too.
pub fn list(case: &mut Case) {
    let stage = case.stage(1, 50);
    let message = case.message("list");
    let lists: Vec<List> = (0..case.dice.count(1, 2)).map(|_| case.list()).collect();
    let author = stage.publisher.people[0].clone();
    let mut to: Vec<Person> = lists.iter().map(|list| list.address.clone()).collect();
    let count = case.dice.count(0, stage.readers.len().min(6));
    let direct: Vec<Person> =
        case.dice.some_of(stage.readers.len(), count).iter().map(|at| stage.readers[*at].clone()).collect();
    to.extend(direct.iter().cloned());
    let letter = case.letter(&author, &to);
    let mut copy = case.written(message, &letter);
    let out = case.send(&stage.publisher, &mut copy);
    case.spread(&copy, &out, &stage.firms, &direct);
    for list in &lists {
        let readers: Vec<Person> = stage.readers.iter().filter(|_| case.dice.below(5) > 0).cloned().collect();
        let nobody = !readers.iter().any(|reader| case.sees(reader));
        let readers = if nobody { stage.readers.clone() } else { readers };
        case.expanded(&copy, &out, list, &stage, &readers);
    }
    case.innocents(&stage);
}

/// An address whose mail goes on to another one.
pub(in super::super) struct Old {
    address: Person,
    server: Rc<Machine>,
    rewrites: bool,
    /// The reader collects it himself.
    collected: bool,
}

impl Case {
    pub(in super::super) fn old_address(&mut self) -> Old {
        let domain = self.domain(true);
        Old {
            address: self.person(&domain),
            server: Rc::new(self.unix_server(&domain, "mx")),
            rewrites: self.dice.one_in(3),
            collected: self.dice.one_in(5),
        }
    }

    /// The mail to the old address goes on to this reader.
    pub(in super::super) fn forwarded(
        &mut self,
        copy: &Copy,
        from: &Machine,
        old: &Old,
        stage: &Stage,
        reader: &Person,
    ) {
        let mut copy = copy.clone();
        copy.hop(from, &old.server, Some(&old.address.address), &mut self.dice);
        if old.collected {
            let server = stage.firm_of(reader).server.clone();
            copy.at += self.dice.between(MINUTE, HOUR);
            copy.fetched(&server, &old.server, &reader.address, false, &mut self.dice);
            if server.soft == Software::Postfix {
                copy.smtp(&loopback("localhost"), &server, None, &mut self.dice);
            }
            return self.deliver(copy, reader, &server);
        }
        if matches!(old.server.soft, Software::Postfix | Software::Qmail) {
            copy.note(format!("Delivered-To: {}", old.address.address));
        }
        if old.server.soft == Software::Qmail {
            copy.handed_in(&old.server, None, &mut self.dice);
        }
        if old.rewrites {
            // The Sender Rewriting Scheme.
            let (local, domain) = copy.sender.split_once('@').unwrap_or((&copy.sender, ""));
            copy.sender = format!(
                "SRS0={}={}={domain}={local}@{}",
                self.dice.letters(4),
                self.dice.letters(2),
                old.address.domain()
            );
        }
        let firm = stage.firm_of(reader).clone();
        self.arrive(copy, &old.server, &firm, &[reader]);
    }
}

/// Old addresses are forwarded to new ones, and both are addressed; aliases go to one mailbox.
pub fn forwarder(case: &mut Case) {
    let stage = case.stage(1, 10);
    let message = case.message("no_culprit");
    forwarding(case, &stage, message);
    case.innocents(&stage);
}

fn forwarding(case: &mut Case, stage: &Stage, message: usize) {
    let mut olds: Vec<(Old, Person)> = Vec::new();
    for reader in &stage.readers {
        for _ in 0..case.dice.count(1, 3) {
            olds.push((case.old_address(), reader.clone()));
        }
    }
    let mut addresses: Vec<Person> = olds.iter().map(|(old, _)| old.address.clone()).collect();
    // Aliases of one firm: info@ and sales@ both lie in one reader's mailbox.
    let reader = stage.readers[0].clone();
    let count = if case.dice.one_in(2) { case.dice.count(1, 4) } else { 0 };
    let aliases = ["info", "sales", "office", "accounts"].into_iter().take(count);
    let aliases = aliases.map(|local| format!("{local}@{}", reader.domain()));
    let aliases: Vec<Person> = aliases.map(|address| Person { name: String::new(), address }).collect();
    addresses.extend(aliases.iter().cloned());
    let (copy, out) = case.mailing(stage, message, &addresses);
    case.original(stage, &copy, &out);
    for (old, reader) in &olds {
        case.forwarded(&copy, &out, old, stage, reader);
    }
    let firm = stage.firm_of(&reader).clone();
    for alias in &aliases {
        let mut copy = copy.clone();
        copy.hop(&out, &firm.server, Some(&alias.address), &mut case.dice);
        // Without it, these would look as if one server had sent twice to one reader.
        let mark = case.dice.pick(["X-Original-To", "X-Envelope-To", "X-RCPT-TO"]);
        copy.note(format!("{mark}: {}", alias.address));
        case.deliver(copy, &reader, &firm.server);
    }
}

/// A message passes a content filter three times on one host, or many servers of one house.
pub fn filter(case: &mut Case) {
    let stage = case.stage(1, 30);
    let message = case.message("no_culprit");
    let (mut copy, out) = case.mailing(&stage, message, &[]);
    let way_out = Rc::new(case.unix_server(&stage.publisher.domain, "filter"));
    copy.hop_inside(&out, &way_out, None, &mut case.dice);
    for _ in 0..case.dice.count(1, 3) {
        copy.filtered(&way_out, None, &mut case.dice);
    }
    for firm in &stage.firms {
        let edge = Rc::new(case.unix_server(&firm.domain, "scan"));
        let hubs: Vec<Machine> = (0..case.dice.count(0, 4))
            .map(|n| {
                case.machine(
                    Software::Exchange,
                    &format!("ex{n}.{}.local", firm.people[0].domain().replace('.', "-")),
                    None,
                )
            })
            .collect();
        let passes = case.dice.count(1, 3);
        let each = case.dice.one_in(2);
        let shares: Vec<Vec<&Person>> = if each {
            firm.people.iter().map(|person| vec![person]).collect()
        } else {
            vec![firm.people.iter().collect()]
        };
        for to in shares {
            let rcpt = if let [one] = to[..] { Some(one.address.as_str()) } else { None };
            let mut copy = copy.clone();
            copy.hop(&way_out, &edge, rcpt, &mut case.dice);
            for _ in 0..passes {
                copy.filtered(&edge, rcpt, &mut case.dice);
            }
            let mut last: &Machine = &edge;
            for hub in &hubs {
                copy.hop_inside(last, hub, None, &mut case.dice);
                last = hub;
            }
            to.iter().for_each(|person| case.deliver(copy.clone(), person, last));
        }
    }
    case.innocents(&stage);
}

/// Marks of the faulty server in mail of innocent ones.
pub fn innocent_marks(case: &mut Case) {
    let stage = case.stage(1, 20);
    let message = case.message("no_culprit");
    let domain = case.domain(true);
    let host = if case.dice.one_in(2) {
        format!("bay{}-f{}.{domain}", case.dice.digits(2), case.dice.digits(2))
    } else {
        format!("web.{domain}")
    };
    let mut webmail = case.machine(Software::Smtpsvc, &host, Some(host.clone()));
    webmail.helo.clone_from(&host);
    match case.dice.below(4) {
        0 => {
            // A web mail provider, or a firm's own newsletter: the pickup folder is the normal first hop.
            let author = case.person(&domain);
            let letter = case.letter(&author, &stage.readers);
            let mut copy = case.written(message, &letter);
            copy.pickup(&webmail, &mut case.dice);
            case.original(&stage, &copy, &webmail);
        }
        1 => {
            // A gateway that hands everything through a pickup folder, once.
            let (mut copy, out) = case.mailing(&stage, message, &[]);
            copy.hop(&out, &webmail, None, &mut case.dice);
            copy.pickup(&webmail, &mut case.dice);
            case.original(&stage, &copy, &webmail);
        }
        2 => {
            let connector = Person {
                name: "IMB Recipient 1".to_owned(),
                address: format!("mspop3connector.jane@{}", stage.publisher.domain),
            };
            let (copy, out) = case.mailing(&stage, message, &[connector]);
            case.original(&stage, &copy, &out);
            let domain = stage.publisher.domain.clone();
            answers(case, &stage, &copy, &domain);
        }
        // The same first hop, and readers who have it twice, since their old addresses are forwarded.
        _ => {
            let author = case.person(&domain);
            let olds: Vec<Old> = (0..stage.readers.len().min(4)).map(|_| case.old_address()).collect();
            let to: Vec<Person> =
                stage.readers.iter().cloned().chain(olds.iter().map(|old| old.address.clone())).collect();
            let letter = case.letter(&author, &to);
            let mut copy = case.written(message, &letter);
            copy.pickup(&webmail, &mut case.dice);
            case.original(&stage, &copy, &webmail);
            for (old, reader) in olds.iter().zip(&stage.readers) {
                case.forwarded(&copy, &webmail, old, &stage, reader);
            }
        }
    }
    case.innocents(&stage);
}

/// Answers to a message; the connector's address spreads in them.
pub(super) fn answers(case: &mut Case, stage: &Stage, to: &Copy, domain: &str) {
    for _ in 0..case.dice.count(1, 5) {
        let author = stage.readers[case.dice.below(stage.readers.len())].clone();
        let mut letter = case.letter(&author, &stage.readers);
        letter.to.push(Person {
            name: "IMB Recipient 1".to_owned(),
            address: format!("mspop3connector.jane@{domain}"),
        });
        letter.subject = format!("Re: {}", to.get("Subject").unwrap_or_default());
        letter.references = to.get("Message-ID").map(str::to_owned).into_iter().collect();
        letter.text = format!("{}\n> {}\n", letter.text, to.body.trim_end().replace('\n', "\n> "));
        letter.date_ms = to.at + case.dice.between(MINUTE, 20 * HOUR);
        let message = case.message("no_culprit");
        let mut copy = case.written(message, &letter);
        let firm = stage.firm_of(&author).clone();
        let out = case.send(&firm, &mut copy);
        case.original(stage, &copy, &out);
    }
}

/// The very same delivered mail stands in two files, or twice in one.
pub fn duplicates_of_archive(case: &mut Case) {
    let stage = case.stage(1, 10);
    let message = case.message("no_culprit");
    let (copy, out) = case.mailing(&stage, message, &[]);
    for reader in stage.readers.clone() {
        let firm = stage.firm_of(&reader).clone();
        case.arrive(copy.clone(), &out, &firm, &[&reader]);
        if !case.sees(&reader) {
            continue;
        }
        for _ in 0..case.dice.few(1, 8) {
            let to = match case.dice.below(3) {
                0 => format!("archive@{}", reader.domain()),
                _ => reader.address.clone(),
            };
            case.twice(&to);
        }
    }
    case.innocents(&stage);
}

/// A storm of which nothing survives that tells who made it.
pub fn no_evidence(case: &mut Case) {
    let stage = case.stage(1, 10);
    let message = case.message("cannot_tell");
    let culprit = case.culprit_of(Vec::new(), None, "resends");
    let author = stage.publisher.people[0].clone();
    let letter = case.letter(&author, &stage.readers);
    let forged_bottom = std::mem::take(&mut case.forged_bottom);
    let base = case.written(message, &letter);
    case.forged_bottom = forged_bottom;
    let (inner, fresh) = (case.dice.one_in(2), case.dice.one_in(2));
    let count = case.copies(2, 60);
    let pause = case.dice.pick([SECOND, MINUTE, 15 * MINUTE]);
    let firm =
        stage.readers.iter().find(|reader| case.sees(reader)).map(|reader| stage.firm_of(reader).clone());
    let firm = firm.unwrap_or_else(|| stage.firms[0].clone());
    let front = case.office_server(&firm.domain, &firm.isp.domain);
    let store = case.machine(Software::Exchange, &format!("store.{}", front.by), None);
    for turn in 0..count {
        let mut copy = base.clone();
        copy.at += pause * turn as i64 + case.dice.between(0, pause);
        case.deed(culprit, &mut copy);
        if fresh {
            copy.set("Message-ID", format!("<{}@localhost>", case.dice.hex(16)));
        }
        if inner {
            copy.hop_inside(&front, &store, None, &mut case.dice);
        }
        firm.people.iter().for_each(|person| case.keep(copy.clone(), person));
    }
    case.innocents(&stage);
}
