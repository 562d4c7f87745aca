//! The answer as one page: for whoever looks after the server that makes the copies, who may never
//! have read a header.
//!
//! The page is one file: styles and pictures stand in it, nothing is loaded, nothing runs.

use askama::Template;
use quell_storm::facts::Ms;
use quell_storm::trace::report::{Finding, Group, Report};

use super::clean::clean;
use super::owner::{Owner, select, strip};
use super::words;

mod advice;
mod pair;
mod svg;
mod timeline;
mod tree;
mod views;

use views::{GroupView, RowView};

/// How to make it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageOptions {
    /// For whoever runs a faulty server: stripped of all that concerns people. None: for ourselves.
    pub for_owner: Option<Owner>,
    /// When it is made, in milliseconds since 1970.
    pub made_ms: Ms,
    /// The version of quell.
    pub version: String,
}

/// Groups told at length; those beyond are only counted. A page of so many has about 2 MB.
pub const MAX_GROUPS: usize = 50;
/// Groups in the table at the end; those beyond are only counted.
pub const MAX_ROWS: usize = 500;

/// The whole page, as HTML.
pub fn page(report: &Report, options: &PageOptions) -> String {
    let report = match &options.for_owner {
        None => clean(report),
        Some(Owner::Any) => clean(&strip(report)),
        Some(Owner::Of(who)) => clean(&strip(&select(report, who))),
    };
    let page = Page::new(&report, options);
    // Writing into a String cannot fail; the empty page would be seen by every test.
    page.render().unwrap_or_default()
}

#[derive(Template)]
#[template(path = "trace/page.html")]
struct Page {
    title: String,
    lede: String,
    for_owner: bool,
    owners: String,
    figures: Vec<(String, &'static str)>,
    groups: Vec<GroupView>,
    more_groups: Option<String>,
    rows: Vec<RowView>,
    more_rows: Option<String>,
    made: String,
    version: String,
}

impl Page {
    fn new(report: &Report, options: &PageOptions) -> Self {
        let ordered = words::in_order(&report.groups);
        let (told, listed): (Vec<&Group>, Vec<&Group>) = ordered.into_iter().partition(|g| is_told(g));
        let for_owner = options.for_owner.is_some();
        let views = told.iter().take(MAX_GROUPS).enumerate();
        let names = culprits(&told);
        Self {
            title: title(&names, &told),
            lede: lede(&names, &told),
            for_owner,
            owners: words::listed(&names),
            figures: figures(report, &told, for_owner),
            groups: views.map(|(n, group)| GroupView::new(n + 1, group, for_owner)).collect(),
            more_groups: beyond(told.len(), MAX_GROUPS),
            rows: listed.iter().take(MAX_ROWS).map(|group| RowView::new(group)).collect(),
            more_rows: beyond(listed.len(), MAX_ROWS),
            made: words::moment(options.made_ms),
            version: options.version.clone(),
        }
    }
}

/// True of groups that are told at length; the others are a line in the table at the end.
fn is_told(group: &Group) -> bool {
    !group.culprits.is_empty() || matches!(group.finding, Finding::Retry | Finding::Loop)
}

fn beyond(all: usize, most: usize) -> Option<String> {
    let more = all.saturating_sub(most) as u64;
    (more > 0).then(|| words::counted(more, "more group is not shown.", "more groups are not shown."))
}

/// The names of all culprits, each once.
fn culprits(groups: &[&Group]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for culprit in groups.iter().flat_map(|group| &group.culprits) {
        let name = words::name_and_address(culprit);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn title(names: &[String], groups: &[&Group]) -> String {
    match (names, groups) {
        ([], []) => "No server was found that makes copies".to_owned(),
        ([], _) => "Copies, and how they came about".to_owned(),
        ([_], groups) => {
            let culprit = groups.iter().find_map(|group| group.culprits.first());
            let said = culprit.map(|culprit| (words::name(culprit), words::does(culprit.class)));
            said.map(|(name, does)| format!("{name} {does}")).unwrap_or_default()
        }
        (names, _) => format!("{} servers make copies of mail", names.len()),
    }
}

/// How many names a lede holds.
const MAX_NAMED: usize = 4;

fn lede(names: &[String], groups: &[&Group]) -> String {
    let messages = groups.iter().fold(0_u64, |all, group| all.saturating_add(group.copies));
    let of = match groups.len() {
        1 => "one message".to_owned(),
        n => format!("{n} different messages"),
    };
    let arrived = format!(
        "What should have been {of} for each recipient arrived {} times in all",
        words::number(messages)
    );
    let copies = match made(groups) {
        0 => "the copies were".to_owned(),
        1 => "one of these is a copy".to_owned(),
        n => format!("{} of these are copies", words::number(n)),
    };
    match names {
        [] if groups.is_empty() => "Every copy that was read has a good reason, or too little is left of it \
             to tell who made it."
            .to_owned(),
        [] => format!("{arrived}."),
        [one] => format!(
            "{arrived}; {copies} made by {one}. This page shows how that can be seen, and what to do."
        ),
        many => {
            let more = many.len().saturating_sub(MAX_NAMED);
            let mut named = many[..many.len() - more].to_vec();
            if more > 0 {
                named.push(format!("{more} more"));
            }
            format!("{arrived}; {copies} made by {}.", words::listed(&named))
        }
    }
}

/// Copies that servers made.
fn made(groups: &[&Group]) -> u64 {
    let copies = groups.iter().flat_map(|group| &group.culprits).filter_map(|culprit| culprit.copies);
    copies.fold(0, u64::saturating_add)
}

/// The numbers at the top. How much was read besides is nothing to its owner.
fn figures(report: &Report, told: &[&Group], for_owner: bool) -> Vec<(String, &'static str)> {
    let recipients = if let [one] = told { one.recipients } else { 0 };
    let damaged = if for_owner { 0 } else { report.damaged };
    let read = if for_owner { 0 } else { report.messages };
    let figures = [
        (read, "messages read"),
        (made(told), "unwanted copies"),
        (recipients, "recipients"),
        (damaged, "messages damaged, not read"),
    ];
    let known = figures.into_iter().filter(|(n, _)| *n > 0);
    known.map(|(n, what)| (words::number(n), what)).collect()
}
