//! Honest mail that looks like a storm's: found by reading the rules against them. None of it is held.

use super::*;

const REPORT: &str = "The nightly backup of all volumes has completed without any warnings or errors. \
    No action is needed from your side. You find the log of this job in the console of the server as always.\n";

fn report(n: u32, by: &str) -> String {
    format!(
        "{by}From: backup@vendor.example\nTo: jane@firm.example\nSubject: Backup completed\nMessage-ID: <r{n}@vendor.example>\n\
         Date: Sat, 10 Dec 2005 09:00:00 +0000\n\n{REPORT}"
    )
}

/// The ways by which everybody's mail comes are known after some mail.
fn with_carriers(hosts: &[&str]) -> Desk {
    let mut desk = Desk::new();
    for (n, host) in (0..8).flat_map(|n| hosts.iter().map(move |host| (n, host))) {
        let from = format!("a@author{n}.example");
        let text =
            format!("From: {from}\nSubject: letter {n} by {host}\nMessage-ID: <{n}@{host}>\n\nhello\n");
        assert_eq!(desk.one(&Mail { host, ..Mail::new(&from, "jane@firm.example", text) }), "pass");
    }
    desk
}

fn circular(desk: &mut Desk) {
    let jane = "jane@firm.example";
    for part in 0..8 {
        let to: Vec<String> = (0..100).map(|n| format!("c{n}@client{part}.example")).collect();
        let _ = desk.takes(&Mail { inside: true, host: "pc.firm.example", address: 7, to: to.iter().map(String::as_str).collect(), ..Mail::new(jane, "",
            "From: jane@firm.example\nTo: customers:;\nSubject: Merry Christmas\nMessage-ID: <circular@firm.example>\n\nA merry Christmas to all of you.\n") });
    }
}

fn bounces(desk: &mut Desk) -> usize {
    let jane = "jane@firm.example";
    (0..40).filter(|n| { desk.now += MINUTE; desk.one(&Mail { reverse_path: "", ..Mail::new("", jane, format!(
        "From: mailer-daemon@client{n}.example\nTo: {jane}\nSubject: Undelivered Mail\nMessage-ID: <d{n}@client.example>\nMIME-Version: 1.0\n\
         Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n--b\nContent-Type: message/rfc822\n\nMessage-ID: <circular@firm.example>\n\nx\n--b--\n")) }) != "pass" }).count()
}

#[test]
fn alerts_and_their_acknowledgements() {
    let mut desk = Desk::new();
    let (alert, help) = ("nagios@customer.example", "support@firm.example");
    let mut got = Vec::new();
    for n in 0..5u32 {
        desk.now += 2 * HOUR;
        got.push(desk.one(&Mail::new(alert, help, format!(
            "From: {alert}\nTo: {help}\nSubject: PROBLEM disk on srv{n}\nMessage-ID: <a{n}@customer.example>\n\n\
             The free space on the volume is below the threshold, please look at srv{n} at once: {n}0 %\n"))));
        desk.now += MINUTE;
        got.push(desk.one(&Mail { inside: true, host: "otrs.firm.example", address: 7, ..Mail::new(help, alert, format!(
            "From: {help}\nTo: {alert}\nSubject: [Ticket#{n}] Your request has been received\nMessage-ID: <t{n}@firm.example>\nIn-Reply-To: <a{n}@customer.example>\nAuto-Submitted: auto-replied\n\n\
             Thank you, we have received your message and have opened ticket {n}.\n")) }));
    }
    assert_eq!(got, ["pass"; 10]);
}

#[test]
fn a_shops_own_mail_by_a_pickup_folder() {
    let mut desk = Desk::new();
    let from = "shop@brand.example";
    let mail = Mail {
        inside: true,
        host: "WEB01.firm.local",
        address: 7,
        to: vec!["x@client.example", "y@client.example"],
        ..Mail::new(
            from,
            "",
            format!(
                "Received: from mail pickup service by WEB01.firm.local with Microsoft SMTPSVC; Sat, 10 Dec 2005 09:15:01 +0000\n\
        From: {from}\nTo: x@client.example, y@client.example\nSubject: Your order\nMessage-ID: <WEB01abc@WEB01.firm.local>\n\nYour order left our house today.\n"
            ),
        )
    };
    assert_eq!(desk.takes(&mail), [("pass", "no_exact_key"); 2]);
}

#[test]
fn a_shops_own_mail_to_one_customer_after_the_other() {
    let mut desk = Desk::new();
    let from = "shop@brand.example";
    let mut got = Vec::new();
    for to in ["x@client.example", "y@other.example", "z@third.example"] {
        let mail = Mail {
            inside: true,
            host: "WEB01.firm.local",
            address: 7,
            ..Mail::new(
                from,
                to,
                format!(
                    "Received: from mail pickup service by WEB01.firm.local with Microsoft SMTPSVC; Sat, 10 Dec 2005 09:15:01 +0000\n\
        From: {from}\nTo: {to}\nSubject: Our new opening hours\nMessage-ID: <WEB01{}@WEB01.firm.local>\n\nFrom next week on our shop is open until six.\n",
                    to.len()
                ),
            )
        };
        got.push(desk.one(&mail));
    }
    assert_eq!(got, ["pass"; 3]);
}

#[test]
fn what_somebody_forged_before_holds_nothing() {
    let mut desk = Desk::new();
    let (from, jane) = ("backup@vendor.example", "jane@firm.example");
    for n in 0..2 {
        let host = ["a.attacker.example", "b.other.example"][n as usize];
        let _ = desk.one(&Mail { host, address: 66, ..Mail::new(from, jane, report(n, "")) });
    }
    desk.now += HOUR;
    assert_eq!(
        desk.one(&Mail { host: "out.vendor.example", ..Mail::new(from, jane, report(7, "")) }),
        "pass"
    );
}

#[test]
fn a_new_way_after_one_day() {
    let mut desk = with_carriers(&["mx.filter-a.example", "mx.filter-b.example"]);
    let (from, jane) = ("backup@vendor.example", "jane@firm.example");
    let mut got =
        vec![desk.one(&Mail { host: "mx.filter-b.example", ..Mail::new(from, jane, report(0, "")) })];
    for n in 1..60 {
        desk.now += 24 * HOUR;
        got.push(desk.one(&Mail {
            host: "mx.filter-a.example",
            address: 2,
            ..Mail::new(from, jane, report(n, ""))
        }));
    }
    let held = got.iter().filter(|g| **g != "pass").count();
    assert_eq!(held, 0, "{got:?}");
}

#[test]
fn a_new_way_after_thirty_days() {
    let mut desk = with_carriers(&["mx.filter-a.example", "mx.filter-b.example"]);
    let (from, jane) = ("backup@vendor.example", "jane@firm.example");
    let mut got = vec![];
    for n in 0..100 {
        desk.now += 24 * HOUR;
        let host = if n < 30 { "mx.filter-b.example" } else { "mx.filter-a.example" };
        got.push(desk.one(&Mail { host, ..Mail::new(from, jane, report(n, "")) }));
    }
    let held = got.iter().filter(|g| **g != "pass").count();
    assert_eq!(held, 0, "{got:?}");
}

#[test]
fn a_daily_report_made_in_a_folder() {
    let mut desk = Desk::new();
    let (from, jane) = ("backup@vendor.example", "jane@firm.example");
    let own = PUBLISHER.replace("publisher", "vendor");
    let by = format!("{FAULTY_ISP}{FAULTY}{own}");
    let mut got = vec![];
    for n in 0..3 {
        desk.now += 24 * HOUR;
        got.push(desk.one(&Mail { host: "smtp.telecom.example", ..Mail::new(from, jane, report(n, &by)) }));
    }
    assert_eq!(got, ["pass"; 3]);
}

#[test]
fn a_group_with_partners() {
    let mut desk = Desk::new();
    let from = "client@client.example";
    let text = format!(
        "From: {from}\nTo: project@firm.example\nCc: b@partner.example, c@partner.example\nSubject: Plans\nMessage-ID: <p1@client.example>\n\nHere are the plans for the new building, with all that we said on the phone.\n"
    );
    let _ = desk.takes(&Mail::new(from, "project@firm.example", text.clone()));
    let got = desk.takes(&Mail {
        inside: true,
        host: "exchange.firm.local",
        address: 7,
        to: vec!["b@partner.example", "c@partner.example", "dave@architect.example", "jane@firm.example"],
        ..Mail::new(from, "", text)
    });
    let (held, pass) = (("hold", "reinjected"), ("pass", "no_exact_key"));
    assert_eq!(got, [held, held, pass, pass], "who does not stand in it has no other copy");
}

#[test]
fn reports_of_mail_that_goes_out_elsewhere() {
    let mut desk = Desk::new();
    let jane = "jane@firm.example";
    desk.now += 1;
    let _ = desk.one(&Mail::new(
        "x@client.example",
        jane,
        "From: x@client.example\nTo: jane@firm.example\nSubject: hi\n\nhello\n",
    ));
    desk.now += 25 * HOUR;
    let got: Vec<_> = (0..30).map(|n| desk.one(&Mail { reverse_path: "", ..Mail::new("mailer-daemon@client.example", jane, format!(
        "From: mailer-daemon@client{n}.example\nTo: {jane}\nSubject: Undelivered Mail Returned to Sender\nMIME-Version: 1.0\n\
         Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n--b\nContent-Type: text/plain\n\nno such user {n}\n--b\nContent-Type: message/rfc822\n\nMessage-ID: <circular{n}@firm.example>\nFrom: {jane}\n\nx\n--b--\n")) })).collect();
    assert_eq!(got, ["pass"; 30]);
}

/// EDI: an order program sends the same words each time, and the shop acknowledges each order.
#[test]
fn orders_and_acknowledgements() {
    let mut desk = Desk::new();
    let (buyer, orders) = ("erp@customer.example", "orders@firm.example");
    let mut got = Vec::new();
    for n in 0..4u32 {
        desk.now += 60 * MINUTE;
        got.push(desk.one(&Mail::new(buyer, orders, format!(
            "From: {buyer}\nTo: {orders}\nSubject: Purchase order {n}\nMessage-ID: <o{n}@customer.example>\n\n\
             Dear supplier, please find our purchase order attached. Kind regards, purchasing.\n"))));
        desk.now += MINUTE;
        got.push(desk.one(&Mail { inside: true, host: "erp.firm.example", address: 7, ..Mail::new(orders, buyer, format!(
            "From: {orders}\nTo: {buyer}\nSubject: Re: Purchase order {n}\nMessage-ID: <k{n}@firm.example>\nIn-Reply-To: <o{n}@customer.example>\n\n\
             Thank you for your order. We have received it and will confirm the date of delivery shortly.\n")) }));
    }
    assert_eq!(got, ["pass"; 8]);
}

#[test]
fn a_long_to_does_not_switch_off_reply_all() {
    let mut desk = Desk::new();
    let many = (0..1300).map(|n| format!("p{n}@partner.example")).collect::<Vec<_>>().join(",\n ");
    let mut passed = 0;
    for n in 0..400 {
        let from = format!("a{n}@elsewhere.example");
        passed += u32::from(desk.one(&Mail::new(&from, "bob@firm.example", format!(
            "From: {from}\nTo: {many}\nSubject: Re: project\nIn-Reply-To: <root@partner.example>\nReferences: <root@partner.example>\nMessage-ID: <f{n}@x>\n\nx {n}\n"))) == "pass");
    }
    assert!(passed <= 260, "{passed}");
}

/// Failover: the first by the backup, all others by the primary, hourly.
#[test]
fn a_monitor_whose_first_message_came_by_the_backup() {
    let mut desk = with_carriers(&["mx2.backup-mx.example", "mx1.provider.example"]);
    let (from, jane) = ("backup@vendor.example", "jane@firm.example");
    let text = "From: backup@vendor.example\nTo: jane@firm.example\nSubject: All is well\nMessage-ID: <m{n}@vendor.example>\n\n\
        All services of your account answer as they should. You get this message each hour as long as that is so. You need do nothing.\n";
    let mut got = vec![
        desk.one(&Mail { host: "mx2.backup-mx.example", ..Mail::new(from, jane, text.replace("{n}", "0")) }),
    ];
    for n in 1..200 {
        desk.now += 60 * MINUTE;
        got.push(desk.one(&Mail {
            host: "mx1.provider.example",
            address: 2,
            ..Mail::new(from, jane, text.replace("{n}", &n.to_string()))
        }));
    }
    let held = got.iter().filter(|g| **g != "pass").count();
    assert_eq!(held, 0);
}

/// With refuse the answer tells whether jane has had this text: an oracle.
#[test]
fn a_refusal_is_no_oracle() {
    let ask = |had: bool| {
        let mut desk = Desk::new();
        desk.limits.policies.resent = quell_storm::policy::Policy::Refuse;
        if had {
            let _ = desk.takes(&Mail {
                host: "out.publisher.example",
                ..Mail::new(
                    "news@publisher.example",
                    "jane@firm.example",
                    newsletter("1@publisher.example", PUBLISHER, ""),
                )
            });
        }
        desk.takes(&Mail {
            host: "x.attacker.example",
            address: 66,
            ..Mail::new(
                "news@publisher.example",
                "jane@firm.example",
                newsletter("z@x.example", &format!("{FAULTY_ISP}{FAULTY}{PUBLISHER}"), ""),
            )
        })[0]
            .0
    };
    assert_eq!(ask(true), ask(false));
}

#[test]
fn reports_that_somebody_else_gets_do_not_count() {
    let mut desk = Desk::new();
    let jane = "jane@firm.example";
    // One message of jane's to one outside, known to go out here.
    desk.now += 25 * HOUR;
    let _ = desk.takes(&Mail { inside: true, host: "pc.firm.example", address: 7, ..Mail::new(jane, "x@client.example",
        "From: jane@firm.example\nTo: x@client.example\nSubject: offer\nMessage-ID: <offer@firm.example>\n\nhere it is\n") });
    let dsn = |n: u32| {
        format!(
            "From: mailer-daemon@client.example\nTo: {jane}\nSubject: Undelivered Mail\nMessage-ID: <d{n}@x>\nMIME-Version: 1.0\n\
         Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n--b\nContent-Type: message/rfc822\n\nMessage-ID: <offer@firm.example>\n\nx\n--b--\n"
        )
    };
    for n in 0..10 {
        let _ = desk.one(&Mail {
            reverse_path: "",
            host: "x.attacker.example",
            address: 66,
            ..Mail::new("", "bob@firm.example", dsn(n))
        });
    }
    assert_eq!(desk.one(&Mail { reverse_path: "", ..Mail::new("", jane, dsn(99)) }), "pass");
}

#[test]
fn reports_of_a_circular_after_a_restart() {
    let mut desk = Desk::new();
    circular(&mut desk);
    assert_eq!(bounces(&mut desk), 0, "known");
    desk = Desk::new();
    assert_eq!(bounces(&mut desk), 0, "after a restart");
}
