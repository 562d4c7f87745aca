//! A content comes again: `resent`.

use super::*;

#[test]
fn copies_of_2005_are_held_after_the_original() {
    let mut desk = Desk::new();
    assert_eq!(desk.one(&original()), "pass");
    for n in 0..5 {
        desk.now += 15 * MINUTE;
        let id = format!("{n}@server.solicitor.local");
        assert_eq!(desk.one(&marked_copy(&id, "jane@firm.example")), "resent", "copy {n}");
    }
    // Another recipient has not had the original: one passes.
    let copy = |n: u32| marked_copy(&format!("t{n}@server.solicitor.local"), "tom@firm.example");
    assert_eq!([desk.one(&copy(1)), desk.one(&copy(2))], ["pass", "resent"]);
}

#[test]
fn without_a_mark_one_more_passes_and_footers_hide_nothing() {
    let mut desk = Desk::new();
    assert_eq!(desk.one(&original()), "pass");
    let mut footers = String::new();
    for (n, wanted) in ["pass", "resent", "resent"].into_iter().enumerate() {
        desk.now += 15 * MINUTE;
        footers += "--\nThis message is confidential and for the addressee only.\n";
        let id = format!("{n}@publisher.example");
        assert_eq!(desk.one(&copy(&id, "jane@firm.example", FAULTY_ISP, &footers)), wanted, "copy {n}");
    }
    desk.now += 48 * HOUR;
    let late = copy("late@publisher.example", "jane@firm.example", FAULTY_ISP, &footers);
    assert_eq!(desk.one(&late), "pass", "it is forgotten");
}

#[test]
fn people_and_machines_that_send_again_are_not_suspected() {
    let mut desk = Desk::new();
    for n in 0..9 {
        desk.now += HOUR;
        // Other machines of the same house.
        let host = format!("out{n}.publisher.example");
        let mail = Mail {
            host: &host,
            address: n,
            ..Mail::new(
                NEWS,
                "jane@firm.example",
                newsletter(&format!("{n}@publisher.example"), PUBLISHER, ""),
            )
        };
        assert_eq!(desk.one(&mail), "pass", "{n}");
    }
    for n in 0..9 {
        // A form letter: another name in each.
        let text =
            newsletter(&format!("f{n}@x.example"), FAULTY_ISP, &format!("Dear number {n} of our readers\n"));
        let mail = Mail { host: "smtp.telecom.example", ..Mail::new(NEWS, "jane@firm.example", text) };
        assert_eq!(desk.one(&mail), "pass", "{n}");
    }
}

/// One of ours has all his mail sent on by the firm's own server.
#[test]
fn what_is_redirected_each_day_is_not_suspected() {
    let mut desk = Desk::new();
    for n in 0..9 {
        desk.now += 24 * HOUR;
        let text = |by: &str| newsletter(&format!("{n}@publisher.example"), by, "");
        let original =
            Mail { host: "out.publisher.example", ..Mail::new(NEWS, "jane@firm.example", text(PUBLISHER)) };
        assert_eq!(desk.one(&original), "pass", "{n}");
        let by = format!(
            "Received: from mx.quell.example by mail.ourfirm.example with ESMTP id C; Sat, 10 Dec 2005 09:00:02 +0000\n{PUBLISHER}"
        );
        let redirected = Mail {
            host: "mail.ourfirm.example",
            inside: true,
            ..Mail::new(NEWS, "jane@home.example", text(&by))
        };
        assert_eq!(desk.one(&redirected), "pass", "{n}");
    }
}

/// Its server makes its mail from a folder, under a name that nobody else knows.
#[test]
fn a_shop_that_says_the_same_each_hour_is_not_suspected() {
    let mut desk = Desk::new();
    for n in 0..9 {
        desk.now += HOUR;
        let by = "Received: from mail pickup service by web1.shop.local with Microsoft SMTPSVC; Sat, 10 Dec 2005 09:15:01 +0000\n";
        let text = newsletter(&format!("{n}@web1.shop.local"), by, "");
        let mail =
            Mail { host: "web1.shop.local", ..Mail::new("shop@shop.example", "jane@firm.example", text) };
        assert_eq!(desk.one(&mail), "pass", "{n}");
    }
}
