//! `recipients = "ask"`: the next hop says who is there.

use super::*;
use crate::operate::{mail, wait_for_log};
use crate::support::free_port;
use crate::support::peers::aiosmtpd::{self, At, Fault, Script, Scripted};
use crate::support::peers::lmtp::{self, Lmtp};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

fn asking(directory: &TempDir, next_hop: &str) -> Server {
    let domain = format!("[domains.\"ask.example\"]\ndeliver = \"{next_hop}\"\nrecipients = \"ask\"\n");
    Server::start(directory, &config(&format!("{domain}{JSON_LOG}")))
}

/// The answer to RCPT for each of these, in one transaction.
fn answers(server: &Server, locals: &[&str]) -> Vec<String> {
    let mut client = Client::hello(server.smtp_port);
    assert!(client.command(&format!("MAIL FROM:<{FROM}>")).expect("a reply").is_ok());
    let answer = |local: &&str| {
        let reply = client.command(&format!("RCPT TO:<{local}@ask.example>")).expect("a reply");
        let enhanced = reply.text().split(' ').next().expect("a word").to_owned();
        format!("{} {enhanced}", reply.code)
    };
    locals.iter().map(answer).collect()
}

const YES: &str = "250 2.1.5";
const NO: &str = "550 5.1.1";

#[test]
fn the_next_hop_is_asked_once_and_nothing_is_sent() {
    if !aiosmtpd::available() {
        return;
    }
    let directory = TempDir::new("hops-ask");
    let faults = [
        Fault::reply(At::Rcpt, "550 5.1.1 No such user").of("nobody@ask.example"),
        Fault::reply(At::Rcpt, "550 Unrouteable address").of("none@ask.example"),
        Fault::reply(At::Rcpt, "550 5.2.1 Closed").of("closed@ask.example"),
    ];
    let peer = Scripted::start(&directory, &Script::with(faults));
    let server = asking(&directory, &smtp(&peer));
    for _ in 0..3 {
        let said = answers(&server, &["jane", "nobody", "none", "closed", "john"]);
        assert_eq!(said, [YES, NO, NO, NO, YES], "{}", peer.log());
    }
    assert_eq!(answers(&server, &["Jane", "NOBODY"]), [YES, NO], "the same recipients");
    assert_eq!(peer.commands("RCPT").len(), 5, "asked once each: {}", peer.log());
    let refused = ["\"refused\"", "nobody@ask.example", FROM, "127.0.0.1", "550 5.1.1 No such user here"];
    for asked in ["now", "remembered"] {
        let how = format!("\"asked\":\"{asked}\"");
        wait_for_log(&server, &[&refused[..], &[&smtp(&peer), &how]].concat());
    }
    assert!(peer.commands("MAIL").iter().all(|line| line.contains("FROM:<>")), "{}", peer.log());
    assert_eq!((peer.commands("DATA"), peer.sendings().len()), (vec![], 0));
    let id = submit(&server, &["jane@ask.example"], &mail("asked"));
    wait_for_state(&server, &id, "jane@ask.example", "relayed");
    assert_eq!(peer.expect(1)[0].recipients[0].to, "jane@ask.example");
    assert_eq!(peer.commands("RCPT").len(), 6, "{}", peer.log());
}

/// One that hangs, and is asked for many, keeps nobody from asking another.
#[test]
fn a_next_hop_that_hangs_does_not_keep_others_from_being_asked() {
    if !aiosmtpd::available() {
        return;
    }
    let directory = TempDir::new("hops-ask-hangs");
    let peer = Scripted::start(&directory, &Script::default());
    let mute = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let domain = |name: &str, port: u16| {
        format!("[domains.\"{name}\"]\ndeliver = \"smtp://127.0.0.1:{port}\"\nrecipients = \"ask\"\n")
    };
    let hangs = domain("mute.example", mute.local_addr().expect("an address").port());
    let server = Server::start(&directory, &config(&format!("{hangs}{}", domain("ask.example", peer.port))));
    let ask = |number: usize| {
        let mut client = Client::hello(server.smtp_port);
        let lines = format!("MAIL FROM:<{FROM}>\r\nRCPT TO:<n{number}@mute.example>\r\n");
        client.raw(lines.as_bytes()).expect("written");
        client
    };
    let waiting: Vec<Client> = (0..30).map(ask).collect();
    // All turns of the first are taken.
    let asked: Vec<_> = (0..20).map(|_| mute.accept().expect("a question")).collect();
    let begun = std::time::Instant::now();
    assert_eq!(answers(&server, &["jane"]), [YES], "{}", server.output());
    assert!(begun.elapsed() < std::time::Duration::from_secs(10), "{:?}", begun.elapsed());
    drop((waiting, asked));
}

/// What it cannot say at this moment is 451, for that recipient and no other.
#[test]
fn a_recipient_that_is_put_off_keeps_no_other_out() {
    if !aiosmtpd::available() {
        return;
    }
    let directory = TempDir::new("hops-ask-busy");
    let faults = [
        Fault::reply(At::Rcpt, "450 4.2.1 Busy").of("busy@ask.example"),
        Fault::reply(At::Rcpt, "554 5.7.1 Not to this one").of("policy@ask.example"),
    ];
    let peer = Scripted::start(&directory, &Script::with(faults));
    let server = asking(&directory, &smtp(&peer));
    let said = answers(&server, &["busy", "jane", "policy", "john"]);
    assert_eq!([&said[1], &said[3]], [YES, YES], "{}\n{}", peer.log(), server.output());
    assert!(said[0].starts_with("451 4.") && said[2].starts_with("451 4."), "{said:?}");
}

#[test]
fn while_it_is_down_those_who_are_known_are_taken() {
    if !aiosmtpd::available() {
        return;
    }
    let directory = TempDir::new("hops-ask-down");
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let peer = Scripted::start_on(&directory, address, &Script::default());
    let server = asking(&directory, &smtp(&peer));
    assert_eq!(answers(&server, &["jane"]), [YES]);
    drop(peer);
    let said = answers(&server, &["jane", "stranger", "jane"]);
    assert_eq!([&said[0], &said[2]], [YES, YES], "{}", server.output());
    assert!(said[1].starts_with("451 4."), "{said:?}");
    wait_for_log(&server, &["not_asked", &address.to_string()]);
    // What is taken meanwhile waits, and goes out.
    let id = submit(&server, &["jane@ask.example"], &mail("meanwhile"));
    wait_for_state(&server, &id, "jane@ask.example", "waiting");
    let peer = Scripted::start_on(&directory, address, &Script::default());
    retry(&server, &id, 1);
    wait_for_state(&server, &id, "jane@ask.example", "relayed");
    peer.expect(1);
}

#[test]
fn dovecot_is_asked_over_lmtp() {
    if !lmtp::available() {
        return;
    }
    let directory = TempDir::new("hops-ask-lmtp");
    let dovecot = Lmtp::start(&directory, &["jane@ask.example"], &[]);
    let server = asking(&directory, &format!("lmtp://{}", dovecot.socket.display()));
    assert_eq!(answers(&server, &["nobody", "jane", "nobody"]), [NO, YES, NO], "{}", dovecot.log());
    let id = submit(&server, &["jane@ask.example"], &mail("asked"));
    wait_for_state(&server, &id, "jane@ask.example", "delivered");
    assert_eq!(dovecot.log().matches("saved mail to INBOX").count(), 1, "{}", dovecot.log());
}

/// What comes to this port goes to `to`, as a router or a container forwards it. How many
/// connections came is counted.
fn forward(to: u16) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let came = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&came);
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            count.fetch_add(1, Ordering::Relaxed);
            let Ok(server) = TcpStream::connect(("127.0.0.1", to)) else { return };
            for (mut from, mut into) in [(clone(&client), clone(&server)), (server, client)] {
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut from, &mut into);
                    let _ = into.shutdown(std::net::Shutdown::Write);
                });
            }
        }
    });
    (port, came)
}

fn clone(stream: &TcpStream) -> TcpStream {
    stream.try_clone().expect("a second handle")
}

/// No address tells that the next hop is this server; its greeting does.
#[test]
fn a_next_hop_that_is_this_server_in_disguise_is_seen_at_its_greeting() {
    let directory = TempDir::new("hops-ask-ourselves");
    let domain = "[domains.\"ask.example\"]\ndeliver = \"smtp://127.0.0.1:{other}\"\n";
    let mut server = Server::prepare(&directory, &config(&format!("{domain}{JSON_LOG}")), Vec::new());
    let (forwarded, came) = forward(server.smtp_port);
    let text = std::fs::read_to_string(server.config_path()).expect("a configuration");
    std::fs::write(server.config_path(), text.replace("{other}", &forwarded.to_string())).expect("written");
    server.restart();
    let mut client = Client::hello(server.smtp_port);
    let begun = std::time::Instant::now();
    assert!(client.command(&format!("MAIL FROM:<{FROM}>")).expect("a reply").is_ok());
    for _ in 0..2 {
        let reply = client.command("RCPT TO:<jane@ask.example>").expect("a reply");
        assert!(reply.code == 451, "{reply:?}");
    }
    assert!(begun.elapsed() < std::time::Duration::from_secs(5), "{:?}", begun.elapsed());
    // The second time it is left alone.
    assert_eq!(came.load(Ordering::Relaxed), 1, "{}", server.output());
    wait_for_log(&server, &["not_asked", "greets as mx.firm.example, which is this server: the route leads"]);
}
