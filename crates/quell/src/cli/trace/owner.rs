//! What may leave the house: hop lines, and nothing of people or of what they write.
//!
//! [`strip`] works on the report before anything is drawn, so no picture, title or sentence can give
//! away what it never saw. It trusts nothing that the engine says to be harmless: names, ids and lines
//! are rebuilt from the pieces that [`hop`] knows, everything else is left out.

use quell_storm::storm::{Culprit, EvidenceLine};
use quell_storm::trace::report::{
    Comparison, Group, Point, Report, Role, Side, Stamp, Timeline, Tree, TreeNode,
};

pub mod hop;
mod software;

use hop::{hop_line, host, id, message_id};
use software::software;

/// Whose server a page is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// Whoever runs one of the servers found.
    Any,
    /// Who runs the server of this name or address; the page says nothing against others.
    Of(String),
}

/// Digits of a key that are given away: enough to speak of a group, too few to look a message up.
const KEY_DIGITS: usize = 8;

/// The report without local parts, recipients, subjects, bodies, file names and our own sentences,
/// and without the groups that concern no culprit.
pub fn strip(report: &Report) -> Report {
    let groups = report.groups.iter().filter(|group| !group.culprits.is_empty());
    Report { groups: groups.map(strip_group).collect(), ..report.clone() }
}

/// The report with the groups that a server had a part in, and with nothing said against other
/// servers: they are machines on the way like any other. `who` is a name or an address.
pub fn select(report: &Report, who: &str) -> Report {
    let groups = report.groups.iter().filter_map(|group| {
        let chosen = group.culprits.iter().position(|culprit| is_called(culprit, who))?;
        Some(select_in(group, chosen))
    });
    Report { groups: groups.collect(), ..report.clone() }
}

/// What is told of an archive to the owner of one of the servers found there. How much was read besides is
/// nothing to him.
pub fn report_for(report: &Report, owner: &Owner) -> Report {
    let report = match owner {
        Owner::Any => strip(report),
        Owner::Of(who) => strip(&select(report, who)),
    };
    let messages = report.groups.iter().map(|group| group.copies).sum();
    Report { messages, singles: 0, damaged: 0, ..report }
}

/// The servers that make copies and are called `who`, each once, as they are named to people; with an
/// empty `who` all of them.
pub fn candidates(report: &Report, who: &str) -> Vec<String> {
    let mut machines: Vec<(Option<std::net::IpAddr>, Option<String>)> = Vec::new();
    let mut names = Vec::new();
    for culprit in report.groups.iter().flat_map(|group| &group.culprits) {
        if !who.is_empty() && !is_called(culprit, who) {
            continue;
        }
        // One machine is one address; only without one a name must do.
        let host = culprit.host.clone().filter(|_| culprit.ip.is_none());
        if !machines.contains(&(culprit.ip, host.clone())) {
            machines.push((culprit.ip, host));
            names.push(super::words::name_and_address(culprit));
        }
    }
    names
}

fn is_called(culprit: &Culprit, who: &str) -> bool {
    let who = who.trim_matches(['[', ']', '.', ' ']);
    let names = culprit.host.iter().chain(&culprit.names);
    names.into_iter().any(|name| name.trim_end_matches('.').eq_ignore_ascii_case(who))
        || culprit.ip.is_some_and(|ip| who.parse() == Ok(ip))
}

fn select_in(group: &Group, chosen: usize) -> Group {
    let node = |node: &TreeNode| match node.role {
        Role::Culprit(index) if index == chosen => TreeNode { role: Role::Culprit(0), ..node.clone() },
        // Not by name: whoever gets the page is told about his own server, and of no other that it is
        // guilty or that it is not.
        Role::Culprit(_) => {
            TreeNode { role: Role::Server, name: String::new(), ip: None, parting: false, ..node.clone() }
        }
        _ => TreeNode { parting: false, ..node.clone() },
    };
    let point = |point: &Point| Point {
        at_ms: point.at_ms,
        culprit: point.culprit.filter(|index| *index == chosen).map(|_| 0),
    };
    let of_it: Vec<_> =
        group.comparisons.iter().filter(|comparison| comparison.culprit == chosen).cloned().collect();
    let is_shown = |id: &&String| {
        let mut sides = of_it.iter().flat_map(|pair| [&pair.left, &pair.right]);
        sides.any(|side| side.message_id.as_ref() == Some(*id))
    };
    Group {
        // Those that other servers gave their copies name them.
        message_ids: group.message_ids.iter().filter(is_shown).cloned().collect(),
        culprits: group.culprits.get(chosen).cloned().into_iter().collect(),
        // They may speak of other servers.
        words: Vec::new(),
        tree: Tree { nodes: group.tree.nodes.iter().map(node).collect(), left_out: group.tree.left_out },
        timeline: Timeline { points: group.timeline.points.iter().map(point).collect() },
        comparisons: of_it.into_iter().map(|pair| Comparison { culprit: 0, ..pair }).collect(),
        ..group.clone()
    }
}

fn strip_group(group: &Group) -> Group {
    Group {
        key: group.key.chars().filter(char::is_ascii_hexdigit).take(KEY_DIGITS).collect(),
        subject: String::new(),
        message_ids: group.message_ids.iter().map(|id| message_id(id)).collect(),
        culprits: group.culprits.iter().map(strip_culprit).collect(),
        words: Vec::new(),
        tree: Tree {
            nodes: group.tree.nodes.iter().map(strip_node).collect(),
            left_out: group.tree.left_out,
        },
        comparisons: group.comparisons.iter().map(strip_comparison).collect(),
        ..group.clone()
    }
}

fn strip_culprit(culprit: &Culprit) -> Culprit {
    let line = |line: &EvidenceLine| EvidenceLine { text: hop_line(&line.text), file: None, offset: None };
    Culprit {
        host: culprit.host.as_deref().and_then(host),
        names: culprit.names.iter().filter_map(|name| host(name)).collect(),
        software: culprit.software.as_deref().map(software).filter(|text| !text.is_empty()),
        evidence: culprit.evidence.iter().map(line).filter(|line| !line.text.is_empty()).collect(),
        ..culprit.clone()
    }
}

fn strip_node(node: &TreeNode) -> TreeNode {
    let name = match node.role {
        Role::Recipients if node.recipients == 1 => "1 mailbox".to_owned(),
        Role::Recipients => format!("{} mailboxes", node.recipients),
        _ => host(&node.name).unwrap_or_default(),
    };
    TreeNode { name, ..node.clone() }
}

fn strip_comparison(comparison: &Comparison) -> Comparison {
    Comparison {
        culprit: comparison.culprit,
        what: String::new(),
        recipient: String::new(),
        left: strip_side(&comparison.left),
        right: strip_side(&comparison.right),
        shared: comparison.shared,
    }
}

fn strip_side(side: &Side) -> Side {
    Side {
        message_id: side.message_id.as_deref().map(message_id),
        file: None,
        offset: None,
        stamps: side.stamps.iter().map(strip_stamp).collect(),
    }
}

fn strip_stamp(stamp: &Stamp) -> Stamp {
    Stamp {
        text: hop_line(&stamp.text),
        by: stamp.by.as_deref().and_then(host),
        from: stamp.from.as_deref().and_then(|from| host(from).or_else(|| pickup(from))),
        ip: stamp.ip,
        id: stamp.id.as_deref().and_then(id),
        for_: None,
        at_ms: stamp.at_ms,
    }
}

/// What servers name as the sender of mail from their own pickup folder.
fn pickup(from: &str) -> Option<String> {
    const NAME: &str = "mail pickup service";
    from.eq_ignore_ascii_case(NAME).then(|| NAME.to_owned())
}

#[cfg(test)]
mod tests;
