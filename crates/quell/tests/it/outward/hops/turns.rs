//! Fair turns: one bulk sender does not hold up the others.

use super::*;
use crate::support::peers::aiosmtpd::{self, At, Fault, Script, Scripted};

/// Messages of the bulk sender, in so many connections.
const BULK: usize = 2_000;
const CONNECTIONS: usize = 4;

fn send_bulk(server: &Server) {
    let date = date_now();
    std::thread::scope(|scope| {
        for connection in 0..CONNECTIONS {
            let (port, date) = (server.smtp_port, &date);
            scope.spawn(move || {
                let mut client = Client::hello_from([127, 0, 0, 2], port);
                for n in (connection..BULK).step_by(CONNECTIONS) {
                    let message = message(&format!("bulk{n}"), date, "One of many.");
                    let to = format!("r{n}@slow.example");
                    let replies = client.send_pipelined(FROM, &[&to], &message).expect("replies");
                    assert!(replies.iter().all(|reply| reply.is_ok()), "{replies:?}");
                }
            });
        }
    });
}

#[test]
fn another_source_does_not_wait_behind_thousands() {
    if !aiosmtpd::available() {
        return;
    }
    let directory = TempDir::new("hops-turns");
    let peer = Scripted::start(&directory, &Script::with([Fault::delay(At::Dot, 100)]));
    let relay = "[relay]\nmax_sessions_per_next_hop = 2\n";
    let server = server(&directory, &[("slow.example", &smtp(&peer))], relay);
    send_bulk(&server);
    let mut client = Client::hello_from([127, 0, 0, 3], server.smtp_port);
    let reply = client.send(FROM, &["one@slow.example"], &mail("one")).expect("a reply");
    assert_eq!(reply.code, 250, "{reply:?}");
    let before = peer.sendings().len();
    let is_it = |sending: &aiosmtpd::Sending| sending.field("X-Test-Id").as_deref() == Some("one");
    let mut place = None;
    wait_until(LIMIT, || {
        place = peer.sendings().iter().position(is_it);
        place.is_some()
    });
    let place = place.unwrap_or_else(|| panic!("it did not come:\n{}", server.output()));
    eprintln!("{before} of {BULK} were out; it came as number {}", place + 1);
    // Both sessions may have had a message under way, and it shares the turns with one other.
    assert!(place <= before + 6, "number {} when {before} were out", place + 1);
    assert!(before < BULK / 2, "too fast a next hop to show anything: {before}");
}
