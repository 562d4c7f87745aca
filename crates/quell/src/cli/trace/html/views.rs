//! What the templates show of a group: strings only, made ready.

use std::net::IpAddr;

use quell_storm::storm::{Culprit, CulpritClass, EvidenceLine};
use quell_storm::trace::report::{Finding, Group, Role, TreeNode};

use super::super::words;
use super::advice::{Advice, advice, whom_to_tell};
use super::pair::PairView;
use super::svg::colour;
use super::{timeline, tree};

/// Comparisons shown of a group, and evidence lines of a culprit; those beyond are left out.
const MAX_PAIRS: usize = 8;
const MAX_LINES: usize = 12;

/// A group told at length.
pub struct GroupView {
    pub id: String,
    pub number: usize,
    pub headline: String,
    pub what: String,
    pub key: String,
    pub culprits: Vec<CulpritView>,
    pub words: Vec<String>,
    pub tree: Option<(String, String)>,
    pub left_out: Option<String>,
    pub timeline: Option<(String, String)>,
    pub sample: Option<String>,
    pub machines: Vec<MachineView>,
    pub pairs: Vec<PairView>,
    pub advice: Vec<AdviceView>,
}

impl GroupView {
    pub fn new(number: usize, group: &Group, for_owner: bool) -> Self {
        let id = format!("g{number}");
        let pairs = group.comparisons.iter().filter(|pair| pair.culprit < group.culprits.len());
        Self {
            number,
            headline: headline(group),
            what: what(group),
            key: group.key.clone(),
            culprits: group.culprits.iter().enumerate().map(|(n, c)| CulpritView::new(n, c, group)).collect(),
            words: group.words.clone(),
            tree: tree::pictures(group, &format!("{id}-tree-")),
            left_out: (group.tree.left_out > 0).then(|| {
                words::counted(group.tree.left_out, "more way is not drawn.", "more ways are not drawn.")
            }),
            timeline: timeline::pictures(group, &format!("{id}-time-")),
            sample: sample(group),
            machines: machines(group, for_owner),
            pairs: pairs
                .take(MAX_PAIRS)
                .map(|pair| PairView::new(pair, &group.culprits[pair.culprit]))
                .collect(),
            advice: AdviceView::all(group, for_owner),
            id,
        }
    }
}

fn headline(group: &Group) -> String {
    match (&group.culprits[..], group.finding) {
        ([one], _) => format!("{} {}", words::name(one), words::does(one.class)),
        ([], Finding::Loop) => "A message goes round in a circle".to_owned(),
        ([], _) => "A message was sent again because the answer was late or lost".to_owned(),
        (many, _) => format!("{} servers make copies of one message", many.len()),
    }
}

fn what(group: &Group) -> String {
    let times = words::counted(group.copies, "time", "times");
    let to = words::counted(group.recipients, "recipient", "recipients");
    let which = match group.subject.as_str() {
        "" => "One message".to_owned(),
        subject => format!("The message “{subject}”"),
    };
    let when = words::from_to(group.first_seen_ms, group.last_seen_ms);
    let when = when.map(|when| format!(" ({when})")).unwrap_or_default();
    format!("{which} arrived {times}, for {to}{when}.")
}

fn sample(group: &Group) -> Option<String> {
    let drawn = group.timeline.points.len() as u64;
    (drawn < group.copies).then(|| {
        format!("The picture shows {} of the {} arrivals.", words::number(drawn), words::number(group.copies))
    })
}

/// A culprit, with what is known of it.
pub struct CulpritView {
    pub letter: String,
    pub colour: String,
    pub name: String,
    pub address: Option<String>,
    /// What it is asked, and the answer.
    pub facts: Vec<(&'static str, String)>,
    /// Per cent, for the bar.
    pub share: Option<String>,
    pub lines: Vec<LineView>,
    pub more_lines: Option<String>,
}

impl CulpritView {
    fn new(index: usize, culprit: &Culprit, group: &Group) -> Self {
        let name = words::name(culprit);
        let more = culprit.evidence.len().saturating_sub(MAX_LINES) as u64;
        Self {
            letter: words::letter(index),
            colour: colour(index),
            address: culprit.ip.map(|ip| ip.to_string()).filter(|ip| *ip != name),
            facts: facts(index, culprit, group),
            share: culprit.share_permille.map(|share| format!("{:.1}", f64::from(share.min(1_000)) / 10.0)),
            lines: culprit.evidence.iter().take(MAX_LINES).map(LineView::new).collect(),
            more_lines: (more > 0).then(|| words::counted(more, "more line", "more lines")),
            name,
        }
    }
}

fn facts(index: usize, culprit: &Culprit, group: &Group) -> Vec<(&'static str, String)> {
    let others = culprit.names.iter().filter(|name| Some(*name) != culprit.host.as_ref()).take(6).cloned();
    let others: Vec<_> = others.collect();
    let all = [
        ("What it does", Some(format!("It {}.", words::does(culprit.class)))),
        ("How many copies", words::part(culprit, group.copies)),
        ("Since when", since(culprit)),
        (
            "How sure",
            culprit
                .confidence_permille
                .map(|n| format!("{} ({})", capital(words::sure(n)), words::percent(n))),
        ),
        ("Based on", Some(based_on(index, culprit, group))),
        ("Software", culprit.software.clone()),
        ("Other names", Some(words::listed(&others)).filter(|names| !names.is_empty())),
    ];
    all.into_iter().filter_map(|(label, said)| Some((label, said?))).collect()
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

fn since(culprit: &Culprit) -> Option<String> {
    let rhythm = culprit.interval_ms.and_then(words::every).map(|every| format!("One comes {every}."));
    let span = match (culprit.first_seen_ms, culprit.last_seen_ms) {
        (None, None) => return rhythm,
        (Some(first), Some(last)) if first < last => {
            format!("First copy {} UTC, last copy {} UTC.", words::moment(first), words::moment(last))
        }
        (first, last) => format!("{} UTC.", words::moment(first.or(last).unwrap_or_default())),
    };
    Some(rhythm.map_or_else(|| span.clone(), |rhythm| format!("{span} {rhythm}")))
}

fn based_on(index: usize, culprit: &Culprit, group: &Group) -> String {
    let of_it: Vec<_> = group.comparisons.iter().filter(|pair| pair.culprit == index).collect();
    let lines = culprit.evidence.len() as u64;
    match (of_it.iter().any(|pair| pair.shared > 0), lines) {
        (true, _) => "Two copies for the same recipient are equal, line by line, up to this server, and \
             differ after it: it got one message and passed it on more than once."
            .to_owned(),
        (false, 0) if !of_it.is_empty() => {
            "The copies begin anew at this server, as the two laid side by side below show.".to_owned()
        }
        (false, 0) => "The ways that all the copies went.".to_owned(),
        (false, 1) => "The copies no longer say which way the original went. What speaks for this server is \
             the line quoted below."
            .to_owned(),
        (false, n) => format!(
            "The copies no longer say which way the original went. What speaks for this server are the {} \
             lines quoted below.",
            words::number(n)
        ),
    }
}

/// A line that speaks against a culprit.
pub struct LineView {
    pub text: String,
    pub place: Option<String>,
}

impl LineView {
    fn new(line: &EvidenceLine) -> Self {
        let offset = line.offset.map(|offset| format!("byte {}", words::number(offset)));
        let place: Vec<_> = [line.file.clone(), offset].into_iter().flatten().collect();
        Self { text: line.text.clone(), place: Some(place.join(", ")).filter(|place| !place.is_empty()) }
    }
}

/// A machine in the table of who is who.
pub struct MachineView {
    pub name: String,
    pub address: String,
    pub role: String,
    pub mark: Option<(String, String)>,
    pub messages: String,
}

/// The machines of the tree, each once however many ways lead over it, and the recipients in one line.
fn machines(group: &Group, for_owner: bool) -> Vec<MachineView> {
    let mut seen: Vec<(&TreeNode, u64)> = Vec::new();
    let same = |a: &TreeNode, b: &TreeNode| {
        a.role == b.role && (a.role == Role::Recipients || (a.name == b.name && a.ip == b.ip))
    };
    for node in &group.tree.nodes {
        match seen.iter_mut().find(|(other, _)| same(other, node)) {
            Some((_, copies)) => *copies = copies.saturating_add(node.copies),
            None => seen.push((node, node.copies)),
        }
    }
    // The recipients stand last, as on the way.
    seen.sort_by_key(|(node, _)| node.role == Role::Recipients);
    seen.into_iter().map(|(node, copies)| machine(node, copies, group, for_owner)).collect()
}

fn machine(node: &TreeNode, copies: u64, group: &Group, for_owner: bool) -> MachineView {
    let dash = || "–".to_owned();
    let (role, mark) = match node.role {
        Role::Origin => ("Where the message comes from.".to_owned(), None),
        Role::Culprit(n) if n < group.culprits.len() => {
            (format!("It {}.", words::does(group.culprits[n].class)), Some((words::letter(n), colour(n))))
        }
        // On a page for one owner others are not judged, neither way.
        _ if for_owner && node.role != Role::Recipients => ("Passes on what it gets.".to_owned(), None),
        Role::Server | Role::Culprit(_) => ("Passes on what it gets, as it should.".to_owned(), None),
        Role::Recipients => ("Where the messages arrive.".to_owned(), None),
    };
    let name = match node.role {
        Role::Recipients => words::counted(group.recipients, "recipient", "recipients"),
        _ if node.name.trim().is_empty() => dash(),
        _ => node.name.clone(),
    };
    let address = node.ip.filter(|_| node.role != Role::Recipients);
    MachineView {
        name,
        address: address.as_ref().map_or_else(dash, IpAddr::to_string),
        role,
        mark,
        messages: words::number(copies),
    }
}

/// What to do about the servers of one class.
pub struct AdviceView {
    pub names: String,
    pub advice: Advice,
    /// Server and whom to tell; nobody on a page that is for the owner.
    pub tell: Vec<(String, String)>,
}

impl AdviceView {
    fn all(group: &Group, for_owner: bool) -> Vec<Self> {
        let mut classes: Vec<Option<CulpritClass>> = Vec::new();
        for culprit in &group.culprits {
            if !classes.contains(&culprit.class) {
                classes.push(culprit.class);
            }
        }
        match (classes.is_empty(), group.finding) {
            (true, Finding::Retry) => classes.push(Some(CulpritClass::Retries)),
            (true, Finding::Loop) => classes.push(Some(CulpritClass::Loops)),
            _ => {}
        }
        classes.into_iter().map(|class| Self::of(class, group, for_owner)).collect()
    }

    fn of(class: Option<CulpritClass>, group: &Group, for_owner: bool) -> Self {
        let of_it: Vec<_> = group.culprits.iter().filter(|culprit| culprit.class == class).collect();
        let names: Vec<_> = of_it.iter().map(|culprit| words::name(culprit)).collect();
        let tell = of_it.iter().filter(|_| !for_owner);
        Self {
            names: words::listed(&names),
            advice: advice(class),
            tell: tell.map(|culprit| (words::name(culprit), whom_to_tell(culprit))).collect(),
        }
    }
}

/// A group that is only a line in the table at the end.
pub struct RowView {
    pub subject: String,
    pub messages: String,
    pub recipients: String,
    pub when: String,
    pub finding: String,
}

impl RowView {
    pub fn new(group: &Group) -> Self {
        let subject = if group.subject.is_empty() { "(no subject)" } else { &group.subject };
        Self {
            subject: subject.to_owned(),
            messages: words::number(group.copies),
            recipients: words::number(group.recipients),
            when: words::from_to(group.first_seen_ms, group.last_seen_ms).unwrap_or_else(|| "–".to_owned()),
            finding: capital(&words::finding(group)),
        }
    }
}
