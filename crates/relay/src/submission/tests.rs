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
        refused("From: <boss\r\n @firm.example>\r\n"),
        "550 5.7.1 <boss @firm.example> in From is not yours: write under one of your own addresses, or have the postmaster add this one to them"
    );
    assert!(refused(&format!("From: <{}@x>\r\n", "\u{fc}".repeat(5000))).len() < 900);
    let said = refused("Subject: x\r\n");
    assert_eq!(said, "550 5.6.0 The message does not say who wrote it: it has no From (RFC 5322 3.6)");
    assert!(refused("From: jane@firm.example\r\nSender: undisclosed:;\r\n").contains("no address in Sender"));
}

proptest! {
    /// Whatever the header: what is let through names the user and nobody else.
    #[test]
    fn only_the_users_addresses_pass(
        header in "((From|Sender|from |To): ([<>,;:()\" a-c@.]|jane@firm\\.example|boss@x\\.y|\r\n ){0,8}\r\n){0,4}",
    ) {
        let jane = user(&["jane@firm.example"]);
        if check_header(&jane, header.as_bytes()).is_ok() {
            let named: Vec<_> =
                fields(header.as_bytes()).filter(|f| f.is("from") || f.is("sender")).collect();
            let from = named.iter().filter(|f| f.is("from")).count();
            prop_assert!(from == 1 && named.len() <= 2);
            for address in named.iter().flat_map(|field| address::in_field(field.value)) {
                prop_assert!(jane.may_use(str::from_utf8(address).unwrap().trim()));
            }
        }
    }
}
