//! It leaves the house: `reinjected`.

use super::*;

#[test]
fn the_fault_is_caught_at_its_source_at_the_first_copy() {
    let mut desk = Desk::new();
    assert_eq!(desk.one(&original()), "pass");
    let sent_on = |to: Vec<&'static str>| Mail {
        host: "server.firm.local",
        inside: true,
        to,
        ..Mail::new(NEWS, "", newsletter("2@server.firm.local", "", ""))
    };
    // A redirect to one address, though it stands in To.
    assert_eq!(desk.one(&sent_on(vec!["tom@solicitor.example"])), "pass");
    let both = sent_on(vec!["tom@solicitor.example", "ann@other.example"]);
    assert_eq!(desk.takes(&both), [("hold", "reinjected"); 2]);
    // One transaction each: the second recipient tells.
    let mut desk = Desk::new();
    desk.one(&original());
    assert_eq!(desk.one(&sent_on(vec!["tom@solicitor.example"])), "pass");
    assert_eq!(desk.one(&sent_on(vec!["ann@other.example"])), "reinjected");
    // What a collector of ours handed in for somebody here came in, too.
    let mut desk = Desk::new();
    desk.one(&Mail { host: "server.firm.local", inside: true, ..original() });
    assert_eq!(desk.takes(&both), [("hold", "reinjected"); 2]);
    let mut desk = Desk::new();
    desk.one(&original());
    assert_eq!(desk.takes(&both), [("hold", "reinjected"); 2]);
    // Our own people are no exception once it goes to others.
    assert_eq!(desk.one(&sent_on(vec!["jane@firm.example"])), "reinjected");
    // To people who do not stand in it: a forwarding.
    let mut desk = Desk::new();
    desk.one(&original());
    let list = sent_on(vec!["a@x.example", "b@x.example", "c@x.example"]);
    assert_eq!(desk.takes(&list), [("pass", "no_exact_key"); 3]);
}
