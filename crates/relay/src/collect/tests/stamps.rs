//! What a provider's server has stamped, and what only looks like it.

use super::*;

/// Field, header above the host's stamp, header below it, who gets it, why.
type Case = (Option<&'static str>, &'static str, &'static str, &'static [&'static str], How);
const CASES: [Case; 22] = [
    (Some("delivered-to"), "Delivered-To: jane@firm.example\r\n", "", &["jane@firm.example"], How::Stamped),
    (
        Some("delivered-to"),
        "delivered-to:\r\n <JANE@Firm.Example>\r\n",
        "",
        &["jane@firm.example"],
        How::Stamped,
    ),
    (
        Some("delivered-to"),
        "Delivered-To: joe@firm.example\r\nDelivered-To: jane@firm.example\r\n",
        "",
        &["joe@firm.example"],
        How::Stamped,
    ),
    (Some("delivered-to"), "", "Delivered-To: jane@firm.example\r\n", &["boss@firm.example"], How::NoStamp),
    (
        Some("delivered-to"),
        "Delivered-To: box17@provider.example\r\n",
        "Delivered-To: jane@firm.example\r\n",
        &["boss@firm.example"],
        How::NotOurs,
    ),
    (
        Some("delivered-to"),
        "Delivered-To: box17@provider.example\r\nDelivered-To: jane@firm.example\r\n",
        "",
        &["boss@firm.example"],
        How::NotOurs,
    ),
    (Some("delivered-to"), "Delivered-To: nobody@firm.example\r\n", "", &["boss@firm.example"], How::NotOurs),
    (
        Some("delivered-to"),
        "Delivered-To: all@firm.example\r\n",
        "",
        &["jane@firm.example", "joe@firm.example"],
        How::Stamped,
    ),
    (Some("delivered-to"), "Delivered-To: jane+x@firm.example\r\n", "", &["jane@firm.example"], How::Stamped),
    (Some("delivered-to"), "Delivered-To: new@ask.example\r\n", "", &["new@ask.example"], How::Stamped),
    (Some("delivered-to"), "Delivered-To: nobody@ask.example\r\n", "", &["boss@firm.example"], How::NotOurs),
    (Some("delivered-to"), "Delivered-To: maria@box.example\r\n", "", &["maria@box.example"], How::Stamped),
    (
        Some("delivered-to"),
        "Delivered-To: stranger@elsewhere.example\r\n",
        "",
        &["boss@firm.example"],
        How::NotOurs,
    ),
    (Some("delivered-to"), "Delivered-To: x@[192.0.2.1]\r\n", "", &["boss@firm.example"], How::NotOurs),
    (
        Some("delivered-to"),
        "Delivered-To: jane@firm.example (and more)\r\n",
        "",
        &["boss@firm.example"],
        How::NoStamp,
    ),
    (
        Some("delivered-to"),
        "Delivered-To: team: jane@firm.example;\r\n",
        "",
        &["boss@firm.example"],
        How::NoStamp,
    ),
    (Some("delivered-to"), "Delivered-To: \"jane@firm.example\r\n", "", &["boss@firm.example"], How::NoStamp),
    (
        Some("delivered-to"),
        "Delivered-To: jane%elsewhere.example@firm.example\r\n",
        "",
        &["boss@firm.example"],
        How::NotOurs,
    ),
    (
        Some("envelope-to"),
        "Envelope-To: jane@firm.example, x@elsewhere.example,\r\n joe@firm.example\r\n",
        "",
        &["jane@firm.example", "joe@firm.example"],
        How::Stamped,
    ),
    (
        Some("x-original-to"),
        "Delivered-To: joe@firm.example\r\nX-Original-To: jane@firm.example\r\n",
        "",
        &["jane@firm.example"],
        How::Stamped,
    ),
    (None, "Delivered-To: jane@firm.example\r\n", "", &["joe@firm.example"], How::Stamped),
    (Some("x-rcpt"), "X-Rcpt:\r\n", "", &["boss@firm.example"], How::NoStamp),
];

#[test]
fn the_topmost_stamp_above_the_hosts_counts_and_nothing_else() {
    for (field, above, below, who, how) in CASES {
        let message = format!("{above}{RECEIVED}{below}{REST}");
        let placed = placed(&account(stamped(field)), message.as_bytes());
        assert_eq!((names(&placed).as_slice(), placed.how), (who, how), "{field:?} {above:?} {below:?}");
        assert_eq!(placed.reports_to.as_deref(), Some("boss@firm.example"));
    }
}

/// Received fields above everything else, and whether the stamp above them counts.
#[test]
fn only_the_named_hosts_vouch() {
    for (by, counts) in [
        ("by mx.provider.example with SMTP", true),
        ("by MX.Provider.Example. with SMTP", true),
        ("by a1.in.provider.example with SMTP", true),
        ("by in.provider.example with SMTP", false),
        ("by evilin.provider.example with SMTP", false),
        ("by mx.provider.example.evil.example with SMTP", false),
        ("from mx.provider.example by evil.example with SMTP", false),
        ("with SMTP", false),
    ] {
        let message =
            format!("X-To: jane@firm.example\r\nReceived: {by}; Mon, 30 Nov 2026 06:00:00 +0000\r\n{REST}");
        let placed = placed(&account(stamped(Some("x-to"))), message.as_bytes());
        let who = if counts { "jane@firm.example" } else { "boss@firm.example" };
        assert_eq!(names(&placed), [who], "{by}");
        assert_eq!(placed.how, if counts { How::Stamped } else { How::NotByHost }, "{by}");
    }
    // The clause of the newest stamp counts, though a forged one stands below; one that names several names nobody.
    let forged = RECEIVED.replace("joe@", "jane@");
    for (clause, who) in [
        ("for <joe@firm.example>", "joe@firm.example"),
        ("for <a@b.example>, <joe@firm.example>", "boss@firm.example"),
        ("", "boss@firm.example"),
    ] {
        let newest = RECEIVED.replace("for <joe@firm.example>", clause);
        let placed = placed(&account(stamped(None)), format!("{newest}{forged}{REST}").as_bytes());
        assert_eq!(names(&placed), [who], "{clause}");
    }
}

/// Some servers write down what the client called itself as it is, spaces included.
#[test]
fn a_client_that_calls_itself_a_stamp_makes_no_recipient() {
    let from = |name: &str, by: &str| {
        format!(
            "Received: from {name} (client [192.0.2.9])\r\n\tby {by} (by hand) with ESMTP id 1{{}}; Mon, 30 Nov 2026 06:00:00 +0000\r\n"
        )
    };
    let forged = RECEIVED.replace("joe@", "jane@");
    for (name, by, clause, who) in [
        ("x for jane@firm.example", "mx.provider.example", "", "boss@firm.example"),
        ("x for jane@firm.example", "mx.provider.example", " for <joe@firm.example>", "joe@firm.example"),
        ("x by mx.provider.example for jane@firm.example", "out.example", "", "joe@firm.example"),
        // Else the stamp below would count, which the client has written.
        ("x by y.example", "mx.provider.example", "", "boss@firm.example"),
    ] {
        let below = if name == "x by y.example" { &forged } else { RECEIVED };
        let message = from(name, by).replace("{}", clause) + below + REST;
        assert_eq!(names(&placed(&account(stamped(None)), message.as_bytes())), [who], "{name}");
    }
}

#[test]
fn a_prefix_is_taken_off() {
    let stamp = Stamp {
        field: Some("delivered-to".into()),
        hosts: vec!["mx.provider.example".into()],
        prefix: "mb-".into(),
    };
    for (value, who) in [
        ("MB-jane@firm.example", "jane@firm.example"),
        ("jane@firm.example", "jane@firm.example"),
        ("mb-@firm.example", "boss@firm.example"),
    ] {
        let message = format!("Delivered-To: {value}\r\n{RECEIVED}{REST}");
        assert_eq!(
            names(&placed(&account(Whose::Stamped(stamp.clone())), message.as_bytes())),
            [who],
            "{value}"
        );
    }
}
