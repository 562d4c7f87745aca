//! Golden files of both answers, and what must hold whatever the strings are.
//!
//! `UPDATE_GOLDEN=1 cargo test -p quell --lib cli::trace` writes the files of `golden/` anew; look at
//! the difference before it is committed.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use quell_storm::trace::report::Report;

use super::html::{PageOptions, page};
use super::owner::Owner;
use super::testing::{HOSTILE, START, all_strings, only, report, retry, storm};
use super::text::{TextOptions, text};

fn golden(name: &str, is: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli/trace/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, is).unwrap();
    }
    let should = fs::read_to_string(&path).unwrap_or_default();
    let first = is.lines().zip(should.lines()).position(|(a, b)| a != b);
    assert!(is == should, "{name} differs, first at line {first:?}; see the top of tests.rs");
}

fn options(width: usize) -> TextOptions {
    TextOptions { width, colour: false, all: false }
}

fn for_us() -> PageOptions {
    PageOptions { for_owner: None, made_ms: START + 86_400_000, version: "0.1.0".to_owned() }
}

fn for_owner(owner: Owner) -> PageOptions {
    PageOptions { for_owner: Some(owner), ..for_us() }
}

#[test]
fn terminal_answers_are_as_they_were() {
    golden("all-80.txt", &text(&report(), &options(80)));
    golden("all-140.txt", &text(&report(), &options(140)));
    golden("everything-140.txt", &text(&report(), &TextOptions { all: true, ..options(140) }));
    golden("colour-100.txt", &text(&only(retry()), &TextOptions { colour: true, ..options(100) }));
    golden("hostile-100.txt", &text(&hostile(), &options(100)));
}

#[test]
fn pages_are_as_they_were() {
    golden("all.html", &page(&report(), &for_us()));
    golden("storm.html", &page(&only(storm()), &for_us()));
    golden("owner.html", &page(&report(), &for_owner(Owner::Of("203.0.113.9".to_owned()))));
    golden("hostile.html", &page(&hostile(), &for_us()));
    golden("nothing.html", &page(&Report::default(), &for_us()));
}

fn hostile() -> Report {
    Report { groups: HOSTILE.map(all_strings).into(), ..Report::default() }
}

#[test]
fn a_page_for_one_owner_names_no_other_as_guilty() {
    let page = page(&report(), &for_owner(Owner::Of("MAIL.kearney.example".to_owned())));
    assert!(page.contains("Server A: makes copies") && !page.contains("Server B"));
    assert!(page.contains("mail.kearney.example") && !page.contains("mail.builder.example"));
    assert!(!page.contains("198.51.100.77"), "nor by its address");
    let nobody = super::html::page(&report(), &for_owner(Owner::Of("nobody.example".to_owned())));
    assert!(!nobody.contains("kearney"));
}

/// What a reader of HTML would take for markup.
fn tags(page: &str) -> Vec<&str> {
    let starts = page.match_indices('<').map(|(at, _)| &page[at..]);
    starts.map(|rest| &rest[..=rest.find('>').expect("a tag without an end")]).collect()
}

/// Only our own elements, with attributes of our own; every attribute's value ends where it should.
fn assert_well_formed(page: &str) {
    let body = page.split_once("</style>").expect("a style").1;
    for tag in tags(body) {
        let name: String =
            tag[1..].trim_start_matches('/').chars().take_while(char::is_ascii_alphanumeric).collect();
        assert!(OURS.contains(&name.as_str()), "{tag}");
        let inside = &tag[1 + name.len()..tag.len() - 1];
        let values = inside.matches('"').count();
        assert!(values.is_multiple_of(2) && !inside.contains('<'), "{tag}");
        let names = inside.split('"').step_by(2).flat_map(|part| part.split_whitespace());
        assert!(
            names.clone().all(|name| !name.starts_with("on") && name != "style" && name != "src"),
            "{tag}"
        );
        assert!(!inside.contains("href=") || inside.contains("href=\"#g"), "{tag}");
    }
    assert_eq!(body.matches("<article").count(), body.matches("</article>").count());
    assert_eq!(body.matches("<svg").count(), body.matches("</svg>").count());
    assert_eq!(body.matches("<g ").count(), body.matches("</g>").count());
}

const OURS: [&str; 54] = [
    "html",
    "head",
    "meta",
    "title",
    "style",
    "body",
    "header",
    "div",
    "p",
    "span",
    "h1",
    "h2",
    "h3",
    "h4",
    "dl",
    "dt",
    "dd",
    "nav",
    "ol",
    "ul",
    "li",
    "a",
    "main",
    "section",
    "article",
    "aside",
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "bdi",
    "footer",
    "code",
    "strong",
    "b",
    "figure",
    "figcaption",
    "svg",
    "desc",
    "g",
    "rect",
    "path",
    "text",
    "small",
    "em",
    "i",
    "br",
    "hr",
    "pre",
    "abbr",
    "time",
    "q",
];

#[test]
fn pages_hold_only_our_elements() {
    for page in [page(&report(), &for_us()), page(&hostile(), &for_us())] {
        assert_well_formed(&page);
        assert!(!page.contains("<script") && !page.contains("http:") && !page.contains("https:"));
    }
    let broken = std::panic::catch_unwind(|| assert_well_formed("</style><p onload=\"x\">"));
    assert!(broken.is_err(), "the check can fail");
}

/// Colours taken out, as our own codes; whatever is left of a sequence stays.
fn without_colours(text: &str) -> String {
    let codes = ["\u{1b}[1m", "\u{1b}[2m", "\u{1b}[1;31m", "\u{1b}[33m", "\u{1b}[32m", "\u{1b}[0m"];
    codes.iter().fold(text.to_owned(), |text, code| text.replace(code, ""))
}

fn assert_harmless(text: &str) {
    let obeyed = |c: char| {
        (c.is_control() && c != '\n') || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    assert!(!text.chars().any(obeyed), "{text:?}");
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    for width in [40, 60, 80, 99, 100, 140, 200] {
        for report in [report(), hostile()] {
            let drawn = text(&report, &TextOptions { all: true, ..options(width) });
            for line in drawn.lines() {
                assert!(line.chars().count() <= width, "{width}: {line}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_string_is_only_letters(
        any_text in any::<String>(),
        markup in "[<>&\"'=/a-z \u{1b}\u{202e}\\[\\]{}%-]{0,40}",
        width in 0_usize..300,
    ) {
        for shown in [&any_text, &markup] {
            let report = only(all_strings(shown));
            assert_well_formed(&page(&report, &for_us()));
            assert_well_formed(&page(&report, &for_owner(Owner::Any)));
            let drawn = text(&report, &TextOptions { width, colour: true, all: true });
            assert_harmless(&without_colours(&drawn));
            assert_harmless(&text(&report, &TextOptions { width, colour: false, all: true }));
        }
    }

    #[test]
    fn any_number_can_be_drawn(
        times in prop::collection::vec(any::<i64>(), 0..80),
        parents in prop::collection::vec(prop::option::of(0_usize..90), 0..80),
        numbers in any::<(u64, u64, u16, usize)>(),
    ) {
        let report = only(super::testing::numbered(&times, &parents, numbers));
        assert_well_formed(&page(&report, &for_us()));
        assert_harmless(&text(&report, &options(80)));
    }
}
