//! Our serving session and a real client.

use crate::support::peers;
use crate::support::process::try_run;
use quell_wire::pop3::Uidl;
use quell_wire::pop3::server::{Admission, Listed, Session, Settings, Step};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;

/// Messages by number; none where it has been deleted.
type Maildrop = Arc<Mutex<Vec<Option<&'static [u8]>>>>;

const ONE: &[u8] = b"Subject: one\r\n\r\n.dot\r\n..\r\n.\r\nlast\r\n";
const TWO: &[u8] = b"Subject: two\r\n\r\n1\r\n2\r\n";

/// Serves jane, password `p w`, one connection after the other.
fn serve() -> (u16, Maildrop) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let maildrop: Maildrop = Arc::new(Mutex::new(vec![Some(ONE), Some(TWO)]));
    let of_server = Arc::clone(&maildrop);
    thread::spawn(move || {
        for stream in listener.incoming() {
            connection(stream.expect("a connection"), &of_server);
        }
    });
    (port, maildrop)
}

fn connection(mut stream: TcpStream, maildrop: &Maildrop) {
    let mut session = Session::new(Arc::new(Settings::new("pop.example")));
    let (mut buffer, mut used, mut filled, mut sending) = ([0; 4096], 0, 0, &b""[..]);
    loop {
        let (taken, step) = session.next(&buffer[used..filled]);
        used += taken;
        stream.write_all(session.output()).expect("written");
        session.output().clear();
        match step {
            Step::NeedInput => match stream.read(&mut buffer) {
                Ok(0) | Err(_) => return,
                Ok(count) => (used, filled) = (0, count),
            },
            Step::SignIn { question, user, password } => {
                let admission = match (user.as_str(), password.as_bytes()) {
                    ("jane", b"p w") => Admission::Admitted(listed(maildrop)),
                    _ => Admission::Refused,
                };
                session.admit(question, admission);
            }
            Step::Retrieve { number, .. } => {
                sending = maildrop
                    .lock()
                    .expect("a maildrop")
                    .iter()
                    .flatten()
                    .nth(number as usize - 1)
                    .expect("one");
            }
            Step::NeedContent if sending.is_empty() => session.content_end(),
            Step::NeedContent => sending = &sending[session.content(sending)..],
            Step::Commit { question, deleted } => {
                let mut maildrop = maildrop.lock().expect("a maildrop");
                deleted.iter().for_each(|number| maildrop[*number as usize - 1] = None);
                session.committed(question, true);
            }
            Step::Closed(_) => return,
            Step::Flush | Step::NeedAnswer => {}
        }
    }
}

fn listed(maildrop: &Maildrop) -> Vec<Listed> {
    let maildrop = maildrop.lock().expect("a maildrop");
    let listed = |message: &&[u8]| Listed {
        bytes: message.len() as u64,
        uidl: Uidl::new(format!("id-{}", message.len()).as_bytes()).expect("a UIDL"),
    };
    maildrop.iter().flatten().map(listed).collect()
}

/// What curl gets, and whether it is content.
fn curl(port: u16, path: &str, more: &[&str]) -> (bool, String) {
    let url = format!("pop3://127.0.0.1:{port}/{path}");
    try_run(Command::new("curl").args(["-sS", "--max-time", "20", "-u", "jane:p w"]).args(more).arg(url))
}

#[test]
fn curl_collects_and_deletes() {
    if !peers::available(&["curl"]) {
        return;
    }
    let (port, maildrop) = serve();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!(curl(port, "", &[]), (true, "1 35\r\n2 22\r\n".to_owned()));
    assert_eq!(curl(port, "1", &[]), (true, text(ONE)));
    assert_eq!(curl(port, "2", &[]), (true, text(TWO)));
    assert_eq!(curl(port, "", &["-X", "UIDL"]), (true, "1 id-35\r\n2 id-22\r\n".to_owned()));
    assert_eq!(curl(port, "", &["-X", "TOP 2 1"]), (true, "Subject: two\r\n\r\n1\r\n".to_owned()));
    let (taken, said) = curl(port, "3", &[]);
    assert!(!taken, "{said}");
    let (taken, said) = curl(port, "", &["-u", "jane:wrong"]);
    assert!(!taken && said.contains("denied"), "{said}");
    assert_eq!(maildrop.lock().expect("a maildrop").iter().flatten().count(), 2);
    assert!(curl(port, "1", &["-X", "DELE", "-I"]).0);
    assert_eq!(*maildrop.lock().expect("a maildrop"), [None, Some(TWO)]);
}
