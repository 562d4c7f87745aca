//! The ways the copies went, as a picture: from left to right where there is room, else downwards.

use quell_storm::trace::report::{Group, MAX_NODES, Tree, TreeNode};

use super::super::words;
use super::svg::Svg;

mod boxes;

use boxes::{Look, draw_box};

/// Sizes of the wide picture.
const WIDE: Sizes = Sizes { node: 206.0, across: 52.0, apart: 16.0 };
/// Sizes of the narrow one.
const TALL: Sizes = Sizes { node: 280.0, across: 22.0, apart: 26.0 };
/// Width of the narrow picture: a phone's, less its margins.
const TALL_WIDTH: f64 = 340.0;
/// Width that a wide window leaves for a picture, and how much smaller one may be drawn.
const PAGE: f64 = 1_050.0;
const SMALLEST: f64 = 0.75;
/// Room around the pictures.
const MARGIN: f64 = 10.0;
/// Machines a description names.
const DESCRIBED: usize = 12;

struct Sizes {
    node: f64,
    across: f64,
    apart: f64,
}

/// Where a machine stands.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    x: f64,
    y: f64,
    w: f64,
    h: f64,
}

/// The tree with what it hangs together by: parents before children, whatever the engine said.
struct Shape<'a> {
    nodes: &'a [TreeNode],
    parents: Vec<Option<usize>>,
    children: Vec<Vec<usize>>,
}

impl<'a> Shape<'a> {
    fn new(tree: &'a Tree) -> Self {
        let nodes = &tree.nodes[..tree.nodes.len().min(MAX_NODES)];
        let parent = |(n, node): (usize, &TreeNode)| node.parent.filter(|parent| *parent < n);
        let parents: Vec<_> = nodes.iter().enumerate().map(parent).collect();
        let mut children = vec![Vec::new(); nodes.len()];
        for (n, parent) in parents.iter().enumerate() {
            if let Some(parent) = parent {
                children[*parent].push(n);
            }
        }
        Self { nodes, parents, children }
    }

    fn roots(&self) -> impl Iterator<Item = usize> {
        (0..self.nodes.len()).filter(|n| self.parents[*n].is_none())
    }

    /// All machines, each behind its parent and the whole family of the brother before it.
    fn downwards(&self) -> Vec<usize> {
        let mut waiting: Vec<_> = self.roots().collect();
        waiting.reverse();
        let mut order = Vec::new();
        while let Some(n) = waiting.pop() {
            order.push(n);
            waiting.extend(self.children[n].iter().rev());
        }
        order
    }
}

/// Both pictures of a group's tree, the wide one first; None without a tree. `id` is ours.
pub fn pictures(group: &Group, id: &str) -> Option<(String, String)> {
    let shape = Shape::new(&group.tree);
    if shape.nodes.is_empty() {
        return None;
    }
    let (title, description) = ("The ways the copies went", described(&shape, group));
    let (wide, class) = fitted(wide(&shape, group));
    let wide = wide.finish(&format!("{id}w"), class, title, &description);
    let tall = tall(&shape, group).finish(&format!("{id}n"), "tree narrow", title, &description);
    Some((wide, tall))
}

/// A picture as wide as the page is shown as it is, a wider one smaller, and one that would become too
/// small to read is moved under the reader's finger.
fn fitted(picture: Svg) -> (Svg, &'static str) {
    match picture.width() {
        ..=PAGE => (picture, "tree wide"),
        width if width * SMALLEST <= PAGE => (picture, "tree wide deep"),
        _ => (picture.scaled(SMALLEST), "tree wide deepest"),
    }
}

fn described(shape: &Shape<'_>, group: &Group) -> String {
    let said = |n: &usize| {
        let node = &shape.nodes[*n];
        let look = Look::of(node, group, WIDE.node);
        let messages = words::counted(node.copies, "message", "messages");
        format!(
            "{} ({}, {messages}{})",
            look.name,
            look.label,
            look.parting.map(|p| format!(", {p}")).unwrap_or_default()
        )
    };
    let order = shape.downwards();
    let named: Vec<_> = order.iter().take(DESCRIBED).map(said).collect();
    let more = order.len().saturating_sub(DESCRIBED);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    format!("From the origin to the recipients: {}{more}.", named.join("; "))
}

fn wide(shape: &Shape<'_>, group: &Group) -> Svg {
    let looks: Vec<_> = shape.nodes.iter().map(|node| Look::of(node, group, WIDE.node)).collect();
    let count = shape.nodes.len();
    // The room a machine needs with all behind it; children stand behind their parents.
    let mut room: Vec<f64> = looks.iter().map(Look::height).collect();
    for n in (0..count).rev() {
        room[n] = room[n].max(together(&shape.children[n], &room));
    }
    let mut places = vec![Place::default(); count];
    let mut tops = vec![0.0; count];
    let mut next_root = MARGIN;
    let mut right: f64 = 0.0;
    for n in 0..count {
        let (x, top) = match shape.parents[n] {
            Some(parent) => (places[parent].x + WIDE.node + WIDE.across, tops[n]),
            None => (MARGIN, next_root),
        };
        if shape.parents[n].is_none() {
            next_root += room[n] + WIDE.apart;
        }
        let h = looks[n].height();
        places[n] = Place { x, y: top + (room[n] - h) / 2.0, w: WIDE.node, h };
        right = right.max(x + WIDE.node);
        let mut child_top = top + (room[n] - together(&shape.children[n], &room)) / 2.0;
        for child in &shape.children[n] {
            tops[*child] = child_top;
            child_top += room[*child] + WIDE.apart;
        }
    }
    let mut svg = Svg::new(right + MARGIN, next_root - WIDE.apart + MARGIN);
    for n in 0..count {
        if let Some(parent) = shape.parents[n] {
            across(&mut svg, places[parent], places[n], &shape.nodes[n], most(shape));
        }
    }
    for (place, look) in places.iter().zip(&looks) {
        draw_box(&mut svg, (place.x, place.y, place.w, place.h), look);
    }
    svg
}

/// Height of brothers with all behind them.
fn together(children: &[usize], room: &[f64]) -> f64 {
    let gaps = WIDE.apart * children.len().saturating_sub(1) as f64;
    children.iter().map(|child| room[*child]).sum::<f64>() + gaps
}

/// The most messages that went one way.
fn most(shape: &Shape<'_>) -> u64 {
    shape.nodes.iter().map(|node| node.copies).max().unwrap_or(1).max(1)
}

/// How thick a way is drawn: 1.5 for one message, 11 for the most.
fn thickness(copies: u64, most: u64) -> f64 {
    1.5 + 9.5 * (copies.min(most) as f64 / most as f64).sqrt()
}

/// A way from left to right with its number of messages.
fn across(svg: &mut Svg, from: Place, to: Place, node: &TreeNode, most: u64) {
    let (x1, y1) = (from.x + from.w, from.y + from.h / 2.0);
    let (x2, y2) = (to.x, to.y + to.h / 2.0);
    let middle = f64::midpoint(x1, x2);
    let line = thickness(node.copies, most);
    svg.add(format_args!(
        "<path class=\"way\" stroke-width=\"{line:.1}\" d=\"M{x1:.1} {y1:.1}C{middle:.1} {y1:.1} {middle:.1} \
         {y2:.1} {x2:.1} {y2:.1}\"/>"
    ));
    count_on(svg, middle + 6.0, f64::midpoint(y1, y2).midpoint(y2), node.copies);
}

/// The number of messages on a way, on a patch so that the way does not cross it.
fn count_on(svg: &mut Svg, x: f64, y: f64, copies: u64) {
    let text = words::number(copies);
    let w = 10.0 + 7.0 * text.len() as f64;
    let (left, top) = (x - w / 2.0, y - 9.0);
    svg.add(format_args!(
        "<rect class=\"patch\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{w:.1}\" height=\"18\" rx=\"9\"/>"
    ));
    svg.text(x, y + 4.0, "count", &text);
}

fn tall(shape: &Shape<'_>, group: &Group) -> Svg {
    let order = shape.downwards();
    let mut places = vec![Place::default(); shape.nodes.len()];
    let mut depths = vec![0_usize; shape.nodes.len()];
    let mut bottom = MARGIN;
    for n in &order {
        // A way without a fork goes straight down; only a fork sets its branches in.
        depths[*n] =
            shape.parents[*n].map_or(0, |p| depths[p] + usize::from(shape.children[p].len() > 1)).min(5);
        let x = 4.0 + TALL.across * depths[*n] as f64;
        let w = TALL.node.min(TALL_WIDTH - 4.0 - x);
        let h = Look::of(&shape.nodes[*n], group, w).height();
        places[*n] = Place { x, y: bottom, w, h };
        bottom += h + TALL.apart;
    }
    let mut svg = Svg::new(TALL_WIDTH, bottom - TALL.apart + MARGIN);
    // Last children first, so that a box never lies under a later one's way.
    for n in order.iter().rev() {
        if let Some(parent) = shape.parents[*n] {
            down(&mut svg, places[parent], places[*n], &shape.nodes[*n], most(shape));
        }
    }
    for n in &order {
        let place = places[*n];
        let look = Look::of(&shape.nodes[*n], group, place.w);
        draw_box(&mut svg, (place.x, place.y, place.w, place.h), &look);
    }
    svg
}

/// A way downwards: straight to an only child, along the left edge to a branch.
fn down(svg: &mut Svg, from: Place, to: Place, node: &TreeNode, most: u64) {
    let line = thickness(node.copies, most);
    let (x1, y1) = (from.x + 11.0, from.y + from.h);
    let y2 = to.y + to.h / 2.0;
    if to.x > from.x {
        let (corner, x2) = (y2 - 8.0, to.x);
        let turn = x1 + 8.0;
        svg.add(format_args!(
            "<path class=\"way\" stroke-width=\"{line:.1}\" d=\"M{x1:.1} {y1:.1}V{corner:.1}Q{x1:.1} {y2:.1} \
             {turn:.1} {y2:.1}H{x2:.1}\"/>"
        ));
        count_on(svg, to.x + 24.0, to.y - 11.0, node.copies);
    } else {
        let (x, y) = (from.x + from.w / 2.0, to.y);
        svg.add(format_args!(
            "<path class=\"way\" stroke-width=\"{line:.1}\" d=\"M{x:.1} {y1:.1}V{y:.1}\"/>"
        ));
        count_on(svg, x, f64::midpoint(y1, y), node.copies);
    }
}
