//! A fingerprint against whole contents, and what only it says.

use super::*;

/// Wherever whole contents find `first` alike and not longer, its fingerprint is enough; and contents
/// that are alike have one place.
pub(super) fn agrees(first: &Content, later: &Content) {
    let fingerprint = first.fingerprint();
    let likeness = later.likeness_to(&fingerprint);
    let same_list = first.list_id == later.list_id;
    if first.key() == later.key() && same_list {
        assert_eq!(likeness, Same);
    } else if first.added_in(later).is_some() && same_list {
        assert!(matches!(likeness, Added { .. }), "{likeness:?}");
    }
    assert!(likeness != Same || first.key() == later.key());
    assert!(likeness == Different || fingerprint.place() == later.fingerprint().place());
    assert!(likeness == Different || later.fingerprint().words() >= fingerprint.words());
}

fn likeness(first: &str, later: &str) -> Likeness {
    read(later).likeness_to(&read(first).fingerprint())
}

#[test]
fn it_is_small() {
    assert!(size_of::<Fingerprint>() <= 48);
    let content = read(&plain(HEADER, TEXT));
    assert!(content.key().to_string().starts_with(&format!("{:016x}", content.fingerprint().key())));
    assert_eq!(content.fingerprint().words(), 16);
    assert_eq!(read(&html(HEADER, TEXT)).fingerprint().words(), 16);
}

#[test]
fn footers_of_every_pass_against_the_first() {
    let disclaimer = "This message is confidential, and for the addressee only.\r\n";
    let text = |passes: usize| format!("{TEXT}{}", FOOTER.repeat(passes));
    for passes in 1..=13 {
        let lines = 3 * passes;
        let wanted = Added { lines };
        assert_eq!(likeness(&plain(HEADER, TEXT), &plain(AGAIN, &text(passes))), wanted);
        assert_eq!(likeness(&html(HEADER, TEXT), &html(AGAIN, &text(passes))), wanted);
        // A later one against an earlier one; the other way round lines were lost.
        assert_eq!(
            likeness(&plain(HEADER, &text(1)), &plain(AGAIN, &text(passes + 1))),
            Added { lines: 3 * passes }
        );
        assert_eq!(likeness(&plain(HEADER, &text(passes)), &plain(AGAIN, TEXT)), Different);
    }
    assert_eq!(likeness(&plain(HEADER, TEXT), &plain(AGAIN, &text(14))), Different, "more than 40 lines");
    let warned = format!("{WARNING}{WARNING}{TEXT}{FOOTER}{disclaimer}");
    assert_eq!(likeness(&plain(HEADER, TEXT), &plain(AGAIN, &warned)), Added { lines: 6 });
    let within = TEXT.replace("Yours", &format!("{disclaimer}Yours"));
    assert_eq!(likeness(&plain(HEADER, TEXT), &plain(AGAIN, &within)), Added { lines: 1 });
    let wrapped = within.replace("figures of the", "figures\r\nof the");
    assert_eq!(likeness(&plain(HEADER, TEXT), &plain(AGAIN, &wrapped)), Added { lines: 1 });
}

#[test]
fn two_messages_are_two() {
    let patch = "diff --git a/x b/x\r\n@@ -1,3 +1,3 @@\r\n int a;\r\n-int b;\r\n+int c;\r\n--\r\n2.39\r\n";
    let footed = |text: &str| plain(AGAIN, &format!("{text}{FOOTER}"));
    for (what, first, later) in [
        ("a form letter", plain(HEADER, TEXT), plain(AGAIN, &TEXT.replace("readers", "Ann"))),
        ("a form letter, and a footer", plain(HEADER, TEXT), footed(&TEXT.replace("readers", "Ann"))),
        ("a daily report", plain(HEADER, TEXT), footed(&TEXT.replace("41", "42"))),
        ("a report that grew", plain(HEADER, TEXT), plain(AGAIN, &format!("{TEXT}sales on Friday 3\r\n"))),
        (
            "a report that grew, and a footer",
            plain(HEADER, TEXT),
            footed(&format!("{TEXT}sales on Friday 3\r\n")),
        ),
        ("a patch, v2", plain(HEADER, patch), footed(&patch.replace("int c", "int d"))),
        ("a word moved", plain(HEADER, "one two three four\r\n"), footed("one three two four\r\n")),
        ("two words", plain(HEADER, "Thank you\r\n"), footed("Thank you\r\n")),
        ("a quotation", plain(HEADER, TEXT), plain(AGAIN, &format!("{TEXT}> quoted\r\n{FOOTER}"))),
        ("HTML beside it", plain(HEADER, TEXT), mixed(AGAIN, "a", TEXT, "")),
        ("another file", mixed(HEADER, "a", TEXT, "one"), mixed(AGAIN, "a", TEXT, "two")),
    ] {
        assert_eq!(likeness(&first, &later), Different, "{what}");
    }
}

#[test]
fn lists_are_places() {
    let by = |list: &str, text: &str| plain(&format!("{HEADER}List-Id: {list}\r\n"), text);
    let one = by("Friends <friends.example>", TEXT);
    let again = by("<Friends.example>", TEXT);
    let longer = by("<friends.example>", &format!("{TEXT}{FOOTER}"));
    assert_eq!(likeness(&one, &again), Same);
    assert_eq!(likeness(&one, &longer), Added { lines: 3 });
    for other in [by("<others.example>", TEXT), by("", TEXT), plain(HEADER, TEXT)] {
        assert_eq!(likeness(&one, &other), Different);
        assert_eq!(likeness(&other, &one), Different);
    }
    let direct = read(&one).without_list();
    assert_eq!(direct.likeness_to(&read(&plain(HEADER, TEXT)).fingerprint()), Same);
}

#[test]
fn templates() {
    let answer = |number: u32, more: &str| {
        format!("Thank you for your message.\r\nYour ticket is INC{number}, of {number}:00.\r\n{more}")
    };
    let template = |text: &str| read(&plain(HEADER, text)).template();
    let first = template(&answer(41, ""));
    assert!(first.is_some());
    for text in [
        answer(42, ""),
        answer(7, "> What about the printer?\r\n"),
        answer(7, ">> What\r\n>about the printer?\r\n\r\n> x\r\n"),
        answer(7, "On 21 November jane@firm.example wrote:\r\nWhat about the printer?\r\n"),
        answer(7, "-----Original Message-----\r\nWhat about the printer?\r\n"),
        answer(7, "From: Jane\r\nSent: today\r\n\r\nWhat about the printer?\r\n"),
        format!("> On Monday Bob wrote:\r\n{}", answer(7, "")),
        format!("> From: Bob\r\n> Date: today\r\n> -----Original Message-----\r\n{}", answer(7, "")),
        answer(7, "").replace("Your ticket", "> a quotation\r\nYour\r\nticket"),
    ] {
        assert_eq!(template(&text), first, "{text}");
        assert_eq!(read(&html(AGAIN, &text.replace('>', "&gt;"))).template(), first, "{text}");
    }
    assert_ne!(template(&answer(41, "Please wait.\r\n")), first);
    assert_ne!(template(&answer(41, "").replace("ticket", "order")), first);
    let after = "On Monday Jane wrote:\r\n> What about the printer?\r\nIt works again now.\r\n";
    assert_eq!(template(after), template("It works again now.\r\n"));
    for text in
        ["", "Thank you\r\n", "> one two three four\r\n", "1 2 3 4\r\n", "a1 b2 c3 -- ** two words\r\n"]
    {
        assert_eq!(template(text), None, "{text}");
    }
}

proptest! {
    #[test]
    fn what_machines_put_in_is_seen_in_every_encoding(text in text(), at in (0usize..8, 0usize..8),
        footers in 0usize..=12, warned in any::<bool>(), place in any::<u16>()) {
        let first = read_bytes(&encodings(HEADER, &text)[at.0]);
        prop_assume!(first.words() >= MIN_WORDS);
        let lines: Vec<&str> = text.split_inclusive("\r\n").collect();
        let (start, end) = lines.split_at(usize::from(place) % (lines.len() + 1));
        let warning = if warned { WARNING } else { "" };
        let later = [warning, &start.concat(), &FOOTER.repeat(footers), &end.concat()].concat();
        let likeness = read_bytes(&encodings(AGAIN, &later)[at.1]).likeness_to(&first.fingerprint());
        let lines = usize::from(warned) + 3 * footers;
        prop_assert_eq!(likeness, if lines == 0 { Same } else { Added { lines } });
    }

    #[test]
    fn another_word_is_another_message(text in text(), at in (0usize..8, 0usize..8), change in any::<u16>(),
        footer in any::<bool>()) {
        let first = read_bytes(&encodings(HEADER, &text)[at.0]);
        let mut words: Vec<String> = text.split(' ').map(str::to_owned).collect();
        let changed = usize::from(change) % words.len();
        words[changed].insert(0, 'x');
        let later = format!("{}{}", words.join(" "), if footer { FOOTER } else { "" });
        let later = read_bytes(&encodings(AGAIN, &later)[at.1]);
        prop_assert_eq!(later.likeness_to(&first.fingerprint()), Different);
    }
}
