//! One machine of the tree: what is written on it, and its shape, which tells its role without colour.

use quell_storm::trace::report::{Group, Role, TreeNode};

use super::super::super::words;
use super::super::svg::{Svg, colour};

/// Letters that fit on a pixel of width, at the size of names and in a wide typeface.
const LETTERS_PER_PIXEL: f64 = 0.112;
/// Room of a box left and right of its words.
const SIDES: f64 = 26.0;

/// What is to be seen of a machine.
pub struct Look {
    /// What it is.
    pub label: String,
    /// Its name.
    pub name: String,
    /// Its address, or how many messages lie there.
    pub under: Option<String>,
    /// `1 in, 46 out`, where the copies part.
    pub parting: Option<String>,
    /// The name in at most two lines.
    lines: Vec<String>,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Origin,
    Server,
    Culprit(usize),
    Recipients,
}

impl Look {
    /// How `node` looks in a box of this width; a culprit that the group does not know is a server.
    pub fn of(node: &TreeNode, group: &Group, width: f64) -> Self {
        let kind = match node.role {
            Role::Origin => Kind::Origin,
            Role::Culprit(index) if index < group.culprits.len() => Kind::Culprit(index),
            Role::Server | Role::Culprit(_) => Kind::Server,
            Role::Recipients => Kind::Recipients,
        };
        let label = match kind {
            Kind::Origin => "Starts here".to_owned(),
            Kind::Server => "Passes it on".to_owned(),
            Kind::Culprit(index) => {
                let class = group.culprits.get(index).and_then(|culprit| culprit.class);
                format!("Server {}: {}", words::letter(index), words::does_in_short(class))
            }
            Kind::Recipients => "Arrives here".to_owned(),
        };
        let address = node.ip.map(|ip| ip.to_string());
        let named = !node.name.trim().is_empty();
        let name = match (&address, kind) {
            _ if named => node.name.clone(),
            (Some(address), _) => address.clone(),
            (None, Kind::Recipients) => words::counted(node.recipients, "mailbox", "mailboxes"),
            (None, _) => "name not known".to_owned(),
        };
        let under = match kind {
            Kind::Recipients => Some(words::counted(node.copies, "message", "messages")),
            _ => address.filter(|address| *address != name),
        };
        let lines = two_lines(&name, ((width - SIDES) * LETTERS_PER_PIXEL) as usize);
        Self { label, name, under, parting: parting(node), lines, kind }
    }

    /// Height of its box.
    pub fn height(&self) -> f64 {
        let lines = self.lines.len() + usize::from(self.under.is_some());
        30.0 + 16.0 * lines as f64 + if self.parting.is_some() { 26.0 } else { 0.0 }
    }
}

fn parting(node: &TreeNode) -> Option<String> {
    let out = words::number(node.copies);
    node.parting.then(|| match node.came_in {
        Some(n) => format!("{} in, {out} out", words::number(n)),
        None => format!("{out} out"),
    })
}

/// Draws it into the box of `x, y, width, height`.
pub fn draw_box(svg: &mut Svg, (x, y, w, h): (f64, f64, f64, f64), look: &Look) {
    let class = match look.kind {
        Kind::Origin => "node origin".to_owned(),
        Kind::Server => "node server".to_owned(),
        Kind::Culprit(index) => format!("node culprit {}", colour(index)),
        Kind::Recipients => "node recipients".to_owned(),
    };
    let title = [Some(look.label.clone()), Some(look.name.clone()), look.under.clone(), look.parting.clone()];
    svg.open(&class, &title.into_iter().flatten().collect::<Vec<_>>().join(", "));
    shape(svg, (x, y, w, h), look.kind);
    let left = x + 14.0;
    svg.text(left, y + 18.0, "label", &look.label);
    let mut baseline = y + 35.0;
    for line in &look.lines {
        svg.text(left, baseline, "name", line);
        baseline += 16.0;
    }
    if let Some(under) = &look.under {
        svg.text(left, baseline, "under", under);
    }
    if let Some(parting) = &look.parting {
        let (top, wide) = (y + h - 28.0, 16.0 + 7.6 * parting.len() as f64);
        svg.add(format_args!(
            "<rect class=\"badge\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{wide:.1}\" height=\"20\" rx=\"3\"/>"
        ));
        svg.text(left + wide / 2.0, top + 14.5, "badge-text", parting);
    }
    svg.close();
}

/// A culprit has eight corners, an origin an arrow's point, recipients are round, servers plain.
fn shape(svg: &mut Svg, (x, y, w, h): (f64, f64, f64, f64), kind: Kind) {
    let (r, b, c) = (x + w, y + h, 10.0);
    match kind {
        Kind::Culprit(_) => svg.add(format_args!(
            "<path class=\"shape\" d=\"M{:.1} {y:.1}H{:.1}L{r:.1} {:.1}V{:.1}L{:.1} {b:.1}H{:.1}L{x:.1} {:.1}V{:.1}Z\"/>",
            x + c, r - c, y + c, b - c, r - c, x + c, b - c, y + c
        )),
        Kind::Origin => svg.add(format_args!(
            "<path class=\"shape\" d=\"M{x:.1} {y:.1}H{:.1}L{r:.1} {:.1}L{:.1} {b:.1}H{x:.1}Z\"/>",
            r - c, y + h / 2.0, r - c
        )),
        Kind::Server | Kind::Recipients => {
            let round = if kind == Kind::Server { 4.0 } else { 18.0 };
            svg.add(format_args!(
                "<rect class=\"shape\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{w:.1}\" height=\"{h:.1}\" rx=\"{round}\"/>"
            ));
        }
    }
}

/// A name in one line, or in two that break where its parts join; what does not fit goes from the
/// middle of the second.
fn two_lines(name: &str, most: usize) -> Vec<String> {
    let letters: Vec<char> = name.chars().collect();
    if letters.len() <= most {
        return vec![name.to_owned()];
    }
    let joint = letters[..most].iter().rposition(|c| matches!(c, '.' | '-' | '_' | '@' | ' ' | ':'));
    let first = joint.map_or(most, |at| at + 1);
    vec![letters[..first].iter().collect(), shortened(&letters[first..], most)]
}

/// At most `most` letters: both ends of a host name tell, its middle does not.
fn shortened(letters: &[char], most: usize) -> String {
    if letters.len() <= most {
        return letters.iter().collect();
    }
    let tail = most.saturating_sub(1) / 2;
    let head = most.saturating_sub(1) - tail;
    [&letters[..head], &['…'], &letters[letters.len() - tail..]].concat().into_iter().collect()
}
