//! The wire that is cut.

use super::Talk;
use crate::support::peers::cutter::{Cut, Cutter};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

/// Answers each line with two of its own; what it heard.
fn server() -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let heard = Arc::new(Mutex::new(Vec::new()));
    let all = Arc::clone(&heard);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.expect("a connection"));
            stream.get_mut().write_all(b"hello\r\n").expect("written");
            let mut line = String::new();
            while stream.read_line(&mut line).is_ok_and(|count| count > 0) {
                let answer = format!("1 {line}2 {line}");
                all.lock().expect("no panic").push(std::mem::take(&mut line));
                if stream.get_mut().write_all(answer.as_bytes()).is_err() {
                    break;
                }
            }
        }
    });
    (address, heard)
}

/// All that comes to three lines at once.
fn dialogue(cutter: &Cutter) -> Vec<String> {
    let (mut talk, greeting) = Talk::to(SocketAddr::from(([127, 0, 0, 1], cutter.port)));
    talk.say("a\r\nb\r\nc");
    let mut all = vec![greeting];
    all.extend(talk.until("2 c"));
    all.retain(|line| !line.is_empty());
    all
}

#[test]
fn a_wire_is_cut_behind_a_line_or_a_byte_and_once() {
    let (address, heard) = server();
    let cutter = Cutter::start(address);
    let whole = ["hello", "1 a", "2 a", "1 b", "2 b", "1 c", "2 c"];
    let heard_next = || std::mem::take(&mut *heard.lock().expect("no panic"));
    assert_eq!(dialogue(&cutter), whole);
    assert_eq!(heard_next().len(), 3);
    for lines in 1..=7 {
        cutter.arm(Cut::ServerLines(lines));
        assert_eq!(dialogue(&cutter), whole[..lines as usize], "{lines}");
        assert!(!cutter.disarm(), "{lines}");
    }
    cutter.arm(Cut::ServerBytes(10));
    assert_eq!(dialogue(&cutter), ["hello", "1 a"], "seven bytes, and three");
    heard_next();
    // Its server hears so much, and no answer comes back.
    for (cut, lines) in
        [(Cut::ClientLines(2), vec!["a\r\n", "b\r\n"]), (Cut::ClientBytes(5), vec!["a\r\n", "b\r"])]
    {
        cutter.arm(cut);
        assert!(dialogue(&cutter).len() < 7);
        assert!(crate::support::wait_until(std::time::Duration::from_secs(5), || {
            *heard.lock().expect("no panic") == lines
        }));
        heard_next();
    }
    cutter.arm(Cut::ServerLines(8));
    assert_eq!(dialogue(&cutter), whole, "it never says so much");
    assert!(cutter.disarm());
    assert_eq!(cutter.connections(), 12);
}
