use serde_json::json;

use super::*;
use crate::ops::HeldShown;

fn shown(class: &str, released: bool) -> StormShown {
    let storm = json!({
        "id": "k3v9z2m1q8w7e6r5", "class": class, "state": "open", "first_seen": "2026-11-18T10:00:00Z",
        "last_seen": "2026-11-18T11:00:00Z", "copies": 48, "absorbed": 0, "held": 48, "held_now": 3,
        "released": released, "recipients": 12, "delivered": null, "culprits": []
    });
    let sample = SampleShown {
        id: "m1".into(),
        time: "2026-11-18T10:00:00Z".into(),
        source: "192.0.2.1".into(),
        recipient: "jane@firm.example".into(),
        received: None,
        header: "From: tom@firm.example\r\n".into(),
        header_bytes: 24,
    };
    StormShown {
        storm,
        keys: vec!["00ff".into()],
        by_class: [(class.to_owned(), 48)].into(),
        sources: Vec::new(),
        sources_partial: false,
        evidence: vec![sample],
    }
}

fn text(of: impl FnOnce(&mut dyn Write) -> Result<(), Failure>) -> String {
    let mut out = Vec::new();
    of(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn storms_that_are_no_copies_are_not_spoken_of_as_copies() {
    for class in Class::ALL.into_iter().filter(|class| class.suspects()) {
        let text = text(|out| show(&shown(class.name(), false), 0, out));
        assert!(text.contains("Messages:   48") && text.contains("Held:       48 in all, 3 now"), "{text}");
        assert!(
            !text.contains("Copies:") && !text.contains("COPIES") && text.contains("Message m1"),
            "{text}"
        );
        assert_eq!(text.contains("Culprit:"), class.is_of_one_message(), "{text}");
        assert!(!text.contains("have it"), "{text}");
    }
    let text = text(|out| show(&shown("copies", false), 0, out));
    assert!(text.contains("Copies:     48") && text.contains("of these have it: -"), "{text}");
    assert!(
        text.contains("What it is: The same message keeps arriving.") && text.contains("Copy m1"),
        "{text}"
    );
}

#[test]
fn the_list_says_what_is_held_now_and_what_was_released() {
    let storms = Storms { storms: vec![shown("reply_all", true).storm, shown("copies", false).storm] };
    let text = text(|out| list(&storms, 0, out));
    let words: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(words[0][3..8], ["COPIES", "ABSORBED", "HELD", "HELD", "NOW"], "{text}");
    assert_eq!(words[1][1..7], ["open,", "released", "reply_all", "48", "0", "48"], "{text}");
    assert_eq!(words[2][1..7], ["open", "copies", "48", "0", "48", "3"], "{text}");
}

#[test]
fn held_mail_is_listed_with_author_and_subject() {
    let row = |author: Option<&str>| HeldShown {
        id: "m1".into(),
        key: "m1".into(),
        recipient: "jane@firm.example".into(),
        sender: Some("bounce@list.example".into()),
        author: author.map(str::to_owned),
        subject: Some("Re: \u{1b}[31mlunch".into()),
        source: None,
        received: None,
        size_bytes: None,
        since: "2026-11-18T10:00:00Z".into(),
        reason: Some("reply_all".into()),
        storm: None,
    };
    let text = text(|out| held::list(&[row(Some("Tom <tom@firm.example>")), row(None)], 0, out));
    assert!(text.contains("Tom <tom@firm.example>") && text.contains("bounce@list.example"), "{text}");
    assert!(text.contains("lunch") && !text.contains('\u{1b}'), "{text}");
}
