//! Strings of mail made harmless before anything is drawn with them.

use quell_storm::storm::{Culprit, EvidenceLine};
use quell_storm::trace::report::{Comparison, Group, Report, Side, Stamp, Tree, TreeNode};

/// Longest string shown, in characters; a longer one is cut and ends in an ellipsis. The longest real
/// stamps have about 1,000.
pub const MAX_CHARS: usize = 2_000;
/// Marks that may stand on one letter; more are left out, since towers of them cover other lines.
const MAX_MARKS: usize = 2;

/// The report with every string made harmless.
pub fn clean(report: &Report) -> Report {
    map(report, &harmless)
}

/// `text` in one line, without what a terminal or a browser obeys: controls, characters that turn
/// the direction of writing and those that cannot be seen become U+FFFD, every kind of space a space.
pub fn harmless(text: &str) -> String {
    let (mut shown, mut chars, mut marks) = (String::new(), 0, 0);
    for c in text.chars() {
        marks = if is_mark(c) { marks + 1 } else { 0 };
        if marks > MAX_MARKS || (marks > 0 && chars == 0) {
            continue;
        }
        if chars == MAX_CHARS {
            shown.push('…');
            break;
        }
        chars += 1;
        shown.push(match c {
            '\t' | '\n' | '\r' => ' ',
            c if c.is_whitespace() && !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}') => ' ',
            c if is_obeyed(c) || is_unseen(c) => '\u{fffd}',
            c => c,
        });
    }
    shown
}

/// Whether terminals or browsers do something at this character but draw it. All of them have at most 16
/// bits.
pub(super) fn is_obeyed(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2066}'..='\u{206f}' | '\u{fff9}'..='\u{fffb}')
}

/// Characters without a shape of their own: two texts that look alike need not be alike.
fn is_unseen(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}')
        || matches!(c, '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2065}')
        || matches!(c, '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}')
        || matches!(c, '\u{e000}'..='\u{f8ff}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}')
        || c >= '\u{e0000}'
}

/// A mark that stands on the letter before it and takes no room.
pub(super) fn is_mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{483}'..='\u{489}' | '\u{591}'..='\u{5bd}' | '\u{5bf}')
        || matches!(c, '\u{610}'..='\u{61a}' | '\u{64b}'..='\u{65f}' | '\u{670}' | '\u{6d6}'..='\u{6dc}')
        || matches!(c, '\u{93c}' | '\u{941}'..='\u{948}' | '\u{94d}' | '\u{e31}' | '\u{e34}'..='\u{e3a}')
        || matches!(c, '\u{e47}'..='\u{e4e}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}')
        || matches!(c, '\u{20d0}'..='\u{20ff}' | '\u{302a}'..='\u{302d}' | '\u{3099}' | '\u{309a}')
        || matches!(c, '\u{fe20}'..='\u{fe2f}' | '\u{1e000}'..='\u{1e02a}')
}

/// The report with `f` done to every string in it.
fn map(report: &Report, f: &dyn Fn(&str) -> String) -> Report {
    Report { groups: report.groups.iter().map(|g| group(g, f)).collect(), ..report.clone() }
}

fn group(group: &Group, f: &dyn Fn(&str) -> String) -> Group {
    Group {
        key: f(&group.key),
        subject: f(&group.subject),
        message_ids: each(&group.message_ids, f),
        culprits: group.culprits.iter().map(|c| culprit(c, f)).collect(),
        words: each(&group.words, f),
        tree: tree(&group.tree, f),
        comparisons: group.comparisons.iter().map(|c| comparison(c, f)).collect(),
        ..group.clone()
    }
}

fn each(texts: &[String], f: &dyn Fn(&str) -> String) -> Vec<String> {
    texts.iter().map(|text| f(text)).collect()
}

fn culprit(culprit: &Culprit, f: &dyn Fn(&str) -> String) -> Culprit {
    let line = |line: &EvidenceLine| EvidenceLine {
        text: f(&line.text),
        file: line.file.as_deref().map(f),
        offset: line.offset,
    };
    Culprit {
        host: culprit.host.as_deref().map(f),
        names: each(&culprit.names, f),
        software: culprit.software.as_deref().map(f),
        evidence: culprit.evidence.iter().map(line).collect(),
        ..culprit.clone()
    }
}

fn tree(tree: &Tree, f: &dyn Fn(&str) -> String) -> Tree {
    let node = |node: &TreeNode| TreeNode { name: f(&node.name), ..node.clone() };
    Tree { nodes: tree.nodes.iter().map(node).collect(), left_out: tree.left_out }
}

fn comparison(comparison: &Comparison, f: &dyn Fn(&str) -> String) -> Comparison {
    Comparison {
        what: f(&comparison.what),
        recipient: f(&comparison.recipient),
        left: side(&comparison.left, f),
        right: side(&comparison.right, f),
        ..comparison.clone()
    }
}

fn side(side: &Side, f: &dyn Fn(&str) -> String) -> Side {
    Side {
        message_id: side.message_id.as_deref().map(f),
        file: side.file.as_deref().map(f),
        offset: side.offset,
        stamps: side.stamps.iter().map(|s| stamp(s, f)).collect(),
    }
}

fn stamp(stamp: &Stamp, f: &dyn Fn(&str) -> String) -> Stamp {
    let some = |text: &Option<String>| text.as_deref().map(f);
    Stamp {
        text: f(&stamp.text),
        by: some(&stamp.by),
        from: some(&stamp.from),
        id: some(&stamp.id),
        for_: some(&stamp.for_),
        ..stamp.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_obeyed_or_unseen_is_shown_as_such() {
        assert_eq!(harmless("a\u{1b}[31mb\r\n\tc"), "a\u{fffd}[31mb   c");
        assert_eq!(harmless("\u{202e}gpj.exe\u{200b}\u{feff}"), "\u{fffd}gpj.exe\u{fffd}\u{fffd}");
        assert_eq!(harmless("Grüße, 日本語, e\u{301}"), "Grüße, 日本語, e\u{301}");
        assert_eq!(harmless(&format!("a{}", "\u{301}".repeat(50))), "a\u{301}\u{301}");
        assert_eq!(harmless(&"x".repeat(5_000)).chars().count(), MAX_CHARS + 1);
    }

    proptest! {
        #[test]
        fn nothing_obeyed_is_left(text in any::<String>()) {
            let shown = harmless(&text);
            prop_assert!(!shown.chars().any(|c| is_obeyed(c) || is_unseen(c)));
            prop_assert_eq!(harmless(&shown), shown);
        }
    }
}
