//! The picture of a group: the ways of its copies machine by machine, and when they came.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::actor::{Actor, actor};
use super::case::Case;
use super::chain::Chain;
use super::names;
use super::report::{MAX_NODES, MAX_POINTS, Point, Role, Timeline, Tree, TreeNode};

/// Machines drawn of one way; a longer one is cut in the middle of nothing: its end is drawn at the last.
const MAX_DEPTH: usize = 12;

/// One machine of a way, before ways are put together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Step {
    name: String,
    ip: Option<IpAddr>,
    culprit: Option<usize>,
}

/// A machine of a way, and the stamp with which the message came to it.
type Stage = (Step, Option<u128>);

/// Ways put together.
#[derive(Debug, Default)]
struct Ways {
    copies: f64,
    recipients: BTreeSet<String>,
    /// Stamps with which messages came in: as many messages.
    came_in: BTreeSet<u128>,
    ended: f64,
    ended_for: BTreeSet<String>,
    next: BTreeMap<Step, Ways>,
}

/// The ways of all copies; weights times `scale` are messages.
pub(super) fn tree(case: &Case, scale: f64) -> Tree {
    let mut ways = Ways::default();
    for chain in &case.chains {
        ways.add(&steps(case, chain), chain);
    }
    let mut tree = Tree::default();
    let mut todo: Vec<(Option<usize>, Step, Ways)> = Vec::new();
    push_next(&mut todo, None, ways.next);
    while let Some((parent, step, ways)) = todo.pop() {
        if tree.nodes.len() + 2 > MAX_NODES {
            tree.left_out += 1;
            continue;
        }
        let this = tree.nodes.len();
        tree.nodes.push(node(parent, &step, &ways, scale));
        if ways.ended > 0.0 || !ways.ended_for.is_empty() {
            tree.nodes.push(recipients(this, &ways, scale));
        }
        push_next(&mut todo, Some(this), ways.next);
    }
    tree
}

/// The busiest way is drawn first.
fn push_next(todo: &mut Vec<(Option<usize>, Step, Ways)>, parent: Option<usize>, next: BTreeMap<Step, Ways>) {
    let mut next: Vec<(Step, Ways)> = next.into_iter().collect();
    next.sort_by(|a, b| a.1.copies.total_cmp(&b.1.copies));
    todo.extend(next.into_iter().map(|(step, ways)| (parent, step, ways)));
}

impl Ways {
    fn add(&mut self, stages: &[Stage], chain: &Chain) {
        let mut at = self;
        for (step, came_in) in stages {
            at = at.next.entry(step.clone()).or_default();
            at.came_in.extend(*came_in);
            at.copies += chain.weight;
            at.recipients.insert(chain.recipient.to_string());
        }
        at.ended += chain.weight;
        at.ended_for.insert(chain.recipient.to_string());
    }
}

fn count(weight: f64, scale: f64) -> u64 {
    (weight * scale).round() as u64
}

fn node(parent: Option<usize>, step: &Step, ways: &Ways, scale: f64) -> TreeNode {
    let role = match (step.culprit, parent) {
        (Some(culprit), _) => Role::Culprit(culprit),
        (None, None) => Role::Origin,
        (None, Some(_)) => Role::Server,
    };
    TreeNode {
        parent,
        name: step.name.clone(),
        ip: step.ip,
        role,
        copies: count(ways.copies, scale),
        recipients: ways.recipients.len() as u64,
        came_in: (!ways.came_in.is_empty()).then_some(ways.came_in.len() as u64),
        parting: step.culprit.is_some(),
    }
}

fn recipients(parent: usize, ways: &Ways, scale: f64) -> TreeNode {
    let name = match ways.ended_for.len() {
        1 => ways.ended_for.first().cloned().unwrap_or_default(),
        n => format!("{n} recipients"),
    };
    TreeNode {
        parent: Some(parent),
        name,
        ip: None,
        role: Role::Recipients,
        copies: count(ways.ended, scale),
        recipients: ways.ended_for.len() as u64,
        came_in: None,
        parting: false,
    }
}

/// The machines that a copy passed, each once where it stays in a row.
fn steps(case: &Case, chain: &Chain) -> Vec<Stage> {
    let mut steps: Vec<Stage> = Vec::new();
    for i in 0..chain.hops.len() {
        let machine = actor(chain, i);
        let came_in = i.checked_sub(1).map(|before| chain.hops[before].hash);
        push(&mut steps, step(case, &machine), came_in);
        let by = chain.hops[i].by.clone().filter(|by| names::is_telling(by));
        // Its own sight of itself comes with the stamp of the next; the last has none.
        if i + 1 == chain.hops.len() {
            let last = Actor { names: by.into_iter().collect(), ..Actor::default() };
            push(&mut steps, step(case, &last), None);
        }
    }
    if steps.len() > MAX_DEPTH {
        let end = steps.split_off(steps.len() - MAX_DEPTH / 2);
        steps.truncate(MAX_DEPTH / 2);
        steps.extend(end);
    }
    steps
}

fn step(case: &Case, machine: &Actor) -> Step {
    let culprit = case.judgement.convicts.iter().position(|c| machine.is_known() && c.actor.is_same(machine));
    let known = culprit.map_or(machine, |i| &case.judgement.convicts[i].actor);
    let hidden = known.client_of.as_ref().map(|server| format!("a client of {server}"));
    let told = known.names.iter().find(|name| !names::is_made_of_address(name, known.ip));
    let name = told.or(known.names.first()).cloned().or(hidden);
    let name = name.or_else(|| known.ip.map(|ip| ip.to_string())).unwrap_or_else(|| "unknown".to_owned());
    Step { name, ip: known.ip, culprit }
}

fn push(steps: &mut Vec<Stage>, step: Step, came_in: Option<u128>) {
    let again = steps.last_mut().map(|(last, _)| last).filter(|last| {
        last.name == step.name || names::same_owner(&last.name, &step.name) && last.culprit == step.culprit
    });
    match again {
        Some(last) => last.ip = last.ip.or(step.ip),
        None if step.name == "unknown" => {}
        None => steps.push((step, came_in)),
    }
}

/// When the copies came.
pub(super) fn timeline(case: &Case) -> Timeline {
    let mut makers: Vec<Option<usize>> = vec![None; case.chains.len()];
    for (who, convict) in case.judgement.convicts.iter().enumerate() {
        convict.made.iter().for_each(|i| makers[*i] = Some(who));
    }
    let points = case.chains.iter().zip(makers);
    let mut points: Vec<Point> =
        points.filter_map(|(chain, culprit)| Some(Point { at_ms: chain.arrived_ms?, culprit })).collect();
    points.sort_by_key(|point| point.at_ms);
    let step = points.len().div_ceil(MAX_POINTS).max(1);
    Timeline { points: points.into_iter().step_by(step).collect() }
}
