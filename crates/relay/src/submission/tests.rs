//! Whose an address is.

use proptest::prelude::*;

use super::*;

fn user(addresses: &[&str]) -> User {
    User { name: "jane".to_owned(), addresses: addresses.iter().map(|a| (*a).to_owned()).collect() }
}

#[test]
fn addresses_are_compared_as_mail_does() {
    let own = ["Jane@Firm.example", "jane+shop@other.example", "*@b\u{fc}cher.example", "nonsense", "*@", ""];
    let jane = user(&own);
    for own in [
        "jane@firm.example",
        "JANE@FIRM.EXAMPLE.",
        "jane+a+b@firm.example",
        "\"jane\"@firm.example",
        "jane+shop@other.example",
        "any.body@xn--bcher-kva.example",
        "\u{e4}@B\u{dc}CHER.example",
    ] {
        assert!(jane.may_use(own), "{own}");
    }
    for strange in [
        "",
        "@",
        "jane",
        "nonsense",
        "jane@",
        "@firm.example",
        "janet@firm.example",
        "+jane@firm.example",
        "jane@other.example",
        "jane+other@other.example",
        "jane@firm.example.org",
        "x@sub.xn--bcher-kva.example",
        "boss@firm.example, jane@firm.example",
        "jane @firm.example",
        "*@firm.example",
        "boss@x@firm.example",
    ] {
        assert!(!jane.may_use(strange), "{strange}");
    }
    assert!(!user(&[]).may_use("jane@firm.example"));
}

#[test]
fn a_refusal_says_which_address_and_what_to_do() {
    let jane = user(&["jane@firm.example"]);
    let refused = |header: &str| check_header(&jane, header.as_bytes()).unwrap_err().to_string();
    assert_eq!(
        refused("From: <boss@firm.example>\r\n"),
        "550 5.7.1 <boss@firm.example> in From is not yours: write under one of your own addresses, or have the postmaster add this one to them"
    );
    assert!(refused(&format!("From: <{}@x>\r\n", "\u{fc}".repeat(5000))).len() < 900);
    let said = refused("Subject: x\r\n");
    assert_eq!(said, "550 5.6.0 The message does not say who wrote it: it has no From (RFC 5322 3.6)");
    let said = refused("From: jane@firm.example\r\nSender: undisclosed:;\r\n");
    assert_eq!(
        said,
        "550 5.6.0 Sender cannot be read: it is no list of addresses; write it as Jane Doe <jane@example.org>, a name with special characters in quotes, a comma between two (RFC 5322 3.4)"
    );
}

#[test]
fn what_cannot_be_read_in_one_way_does_not_pass() {
    let jane = user(&["jane@firm.example", "info@firm.example"]);
    for good in [
        " jane@firm.example",
        " Jane Doe\r\n <Jane@firm.example>",
        " J\u{e4}ne D. <jane@firm.example>",
        " =?utf-8?q?J=C3=A4ne?= <jane@firm.example> (at work)",
        " \"boss@firm.example\" <jane@firm.example>",
        " jane@firm.example (for boss@firm.example)",
        " Jane <jane@firm.example>,\r\n\tinfo@firm.example",
    ] {
        for header in [format!("From:{good}\r\n"), format!("From: jane@firm.example\r\nSender:{good}\r\n")] {
            assert_eq!(check_header(&jane, header.as_bytes()), Ok(()), "{header}");
        }
    }
    for bad in [
        "jane@firm.example boss@firm.example",
        "<jane@firm.example> boss@firm.example",
        "boss@firm.example <jane@firm.example>",
        "jane@firm.example (x, boss@firm.example",
        "boss@firm.example: jane@firm.example;",
        "Friends: jane@firm.example;",
        "\"Jane <jane@firm.example>",
        "jane@firm.example,, info@firm.example",
        "",
    ] {
        for header in [format!("From: {bad}\r\n"), format!("From: jane@firm.example\r\nSender: {bad}\r\n")] {
            let said = check_header(&jane, header.as_bytes()).unwrap_err().to_string();
            assert!(said.starts_with("550 5.6.0 ") && said.contains("write it as"), "{header}{said}");
        }
    }
}

proptest! {
    /// Whatever the header: a stranger's address that stands in it outside of quotes and comments is
    /// found, wherever it is hidden.
    #[test]
    fn only_the_users_addresses_pass(
        header in "((From|Sender|from |To): ([<>,;:() a-c@.]|jane@firm\\.example|<jane@firm\\.example>|boss@x\\.y|\r\n ){0,8}\r\n){0,4}",
    ) {
        let jane = user(&["jane@firm.example"]);
        if check_header(&jane, header.as_bytes()).is_ok() {
            let named: Vec<_> =
                fields(header.as_bytes()).filter(|f| f.is("from") || f.is("sender")).collect();
            let from = named.iter().filter(|f| f.is("from")).count();
            prop_assert!(from == 1 && named.len() <= 2);
            for field in named {
                let bare = without_comments(str::from_utf8(field.value).unwrap());
                prop_assert!(!bare.contains("boss") && bare.matches('@').count() >= 1, "{}", header);
                prop_assert_eq!(bare.matches('@').count(), bare.matches("jane@firm.example").count());
            }
        }
    }
}

/// There are no quotes in it.
fn without_comments(value: &str) -> String {
    let mut depth = 0;
    let is_bare = |c: &char| {
        depth += i32::from(*c == '(') - i32::from(*c == ')');
        depth == 0 && *c != ')'
    };
    value.chars().filter(is_bare).collect()
}
