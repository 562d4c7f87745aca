//! Users hand in mail: real mail programs sign in, and what must not go through does not.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::operate::{done, json};
use crate::support::peers::counter::Counter;
use crate::support::peers::{available, swaks};
use crate::support::server::config;
use crate::support::smtp::Client;
use crate::support::tls::{Files, NAME, Secure, starttls};
use crate::support::{Server, TempDir, free_port, maildir, wait_until};

const LIMIT: Duration = Duration::from_secs(60);
const JANE: &str = "jane@firm.example";
const PASSWORD: &str = "correct horse battery";
const MESSAGE: &str =
    "From: Jane <jane@firm.example>\r\nTo: x@elsewhere.example\r\nSubject: hello\r\n\r\nbody\r\n";

struct Firm {
    server: Server,
    files: Files,
    /// After STARTTLS, and from the first byte.
    ports: [u16; 2],
    outside: Counter,
    _directory: TempDir,
}

fn firm(name: &str, more: &str) -> Firm {
    let directory = TempDir::new(name);
    let (files, ports, outside) = (Files::make(&directory), [free_port(), free_port()], Counter::start());
    let text = format!(
        "{}[submission]\nlisten = [\"127.0.0.1:{}\"]\nlisten_tls = [\"127.0.0.1:{}\"]\n{more}\n\
         [relay]\nfrom = []\nvia = \"smtp://127.0.0.1:{}\"\n",
        files.settings(),
        ports[0],
        ports[1],
        outside.port
    );
    let server = Server::start(&directory, &config(&text));
    let mut add =
        server.command(&["user", "add", JANE, "--address", "info@firm.example", "--password-stdin"]);
    let mut add = add.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("a command");
    add.stdin.take().expect("standard input").write_all(PASSWORD.as_bytes()).expect("written");
    assert!(add.wait().expect("an end").success());
    Firm { server, files, ports, outside, _directory: directory }
}

impl Firm {
    /// Over TLS and past EHLO.
    fn client(&self) -> Secure {
        let stream = starttls(self.ports[0], b"").expect("220");
        let mut client = Secure::handshake(stream, self.files.client()).expect("a handshake");
        assert!(
            client
                .command("EHLO client.example")
                .expect("a reply")
                .contains("AUTH PLAIN LOGIN SCRAM-SHA-256\r\n")
        );
        client
    }

    fn signed_in(&self) -> Secure {
        let mut client = self.client();
        let said = client.command(&plain(JANE, PASSWORD)).expect("a reply");
        assert!(said.starts_with("235 2.7.0 "), "{said}");
        client
    }

    fn sent(&self, count: usize) {
        let came = wait_until(LIMIT, || self.outside.usage().dots >= count);
        assert!(came, "{} of {count}: {}", self.outside.usage().dots, self.server.output());
    }
}

/// AUTH PLAIN with an initial response (RFC 4616).
fn plain(user: &str, password: &str) -> String {
    format!("AUTH PLAIN {}", encode(format!("\0{user}\0{password}").as_bytes()))
}

fn encode(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for part in bytes.chunks(3) {
        let number = part.iter().fold(0_u32, |n, byte| n << 8 | u32::from(*byte)) << (8 * (3 - part.len()));
        for place in 0..4 {
            let digit = DIGITS[(number >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= part.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

/// MAIL, RCPT, DATA and the content: the last reply.
fn send(client: &mut Secure, from: &str, to: &str, content: &str) -> String {
    for line in [format!("MAIL FROM:<{from}>"), format!("RCPT TO:<{to}>"), "DATA".to_owned()] {
        let said = client.command(&line).expect("a reply");
        if !said.starts_with(['2', '3']) {
            return said;
        }
    }
    client.command(&format!("{content}.")).expect("a reply")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path")
}

#[test]
fn swaks_by_plain_and_login() {
    if !swaks::available() {
        return;
    }
    let firm = firm("submission-swaks", "");
    for (n, (by, port, mechanism)) in
        [("--tls", 0, "PLAIN"), ("--tls", 0, "LOGIN"), ("--tls-on-connect", 1, "PLAIN")]
            .into_iter()
            .enumerate()
    {
        let auth = ["--auth", mechanism, "--auth-user", JANE, "--auth-password", PASSWORD];
        let tls = [by, "--tls-verify", "--tls-ca-path", text(&firm.files.ca)];
        let (content, said) =
            swaks::send(firm.ports[port], JANE, "x@elsewhere.example", &[&auth[..], &tls].concat());
        assert!(content, "{said}");
        firm.sent(n + 1);
    }
    assert!(!firm.server.output().contains(PASSWORD));
}

#[test]
fn msmtp_by_scram() {
    if !available(&["msmtp"]) {
        return;
    }
    let firm = firm("submission-msmtp", "");
    for (n, (port, starttls)) in [(0, "on"), (1, "off")].into_iter().enumerate() {
        let mut msmtp = Command::new("msmtp");
        msmtp.args(["--host=127.0.0.1", "--auth=scram-sha-256", "--tls=on", "--debug"]);
        msmtp.arg(format!("--port={}", firm.ports[port])).arg(format!("--tls-starttls={starttls}"));
        msmtp
            .arg(format!("--tls-trust-file={}", text(&firm.files.ca)))
            .arg(format!("--tls-host-override={NAME}"));
        msmtp.args([
            &format!("--user={JANE}"),
            &format!("--passwordeval=echo '{PASSWORD}'"),
            &format!("--from={JANE}"),
        ]);
        msmtp
            .args(["--", "x@elsewhere.example"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = msmtp.spawn().expect("msmtp");
        child
            .stdin
            .take()
            .expect("standard input")
            .write_all(MESSAGE.replace('\r', "").as_bytes())
            .expect("written");
        let output = child.wait_with_output().expect("an end");
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success() && said.contains("AUTH SCRAM-SHA-256"), "{said}");
        firm.sent(n + 1);
    }
}

#[test]
fn received_says_that_somebody_signed_in_and_what_is_missing_is_added() {
    let firm = firm("submission-received", "");
    let mut client = firm.signed_in();
    let said = send(&mut client, JANE, JANE, MESSAGE);
    assert!(said.starts_with("250 "), "{said}");
    let jane = firm.server.maildir("firm.example", "jane");
    assert!(wait_until(LIMIT, || maildir::count(&jane) == 1));
    let mail = String::from_utf8(maildir::read(&jane).remove(0).content).expect("text");
    assert!(mail.contains("with ESMTPSA\n"), "{mail}");
    let fields = |name: &str| mail.lines().filter(|line| line.starts_with(name)).count();
    assert_eq!((fields("Message-ID: <"), fields("Date: "), fields("From: ")), (1, 1, 1), "{mail}");
    assert!(mail.contains("@mx.firm.example>\n"), "{mail}");
}

#[test]
fn nobody_gets_further_than_sign_in() {
    let firm = firm("submission-nobody", "");
    let mut in_clear = Client::hello(firm.ports[0]);
    for (line, code) in [(plain(JANE, PASSWORD), 538), ("MAIL FROM:<jane@firm.example>".to_owned(), 530)] {
        let said = in_clear.command(&line).expect("a reply");
        assert_eq!(said.code, code, "{said:?}");
    }
    let mut client = firm.client();
    assert!(client.command("MAIL FROM:<jane@firm.example>").expect("a reply").starts_with("530 5.7.0 "));
    for wrong in [plain(JANE, "wrong"), plain("nobody@firm.example", PASSWORD)] {
        let said = client.command(&wrong).expect("a reply");
        assert!(said.starts_with("535 5.7.8 "), "{said}");
    }
    // Port 25 takes no sign-in, and whoever may relay there is in [relay] from alone.
    let stream = starttls(firm.server.smtp_port, b"").expect("220");
    let mut outside = Secure::handshake(stream, firm.files.client()).expect("a handshake");
    assert!(!outside.command("EHLO x.example").expect("a reply").contains("AUTH"));
    assert!(outside.command(&plain(JANE, PASSWORD)).expect("a reply").starts_with("502 "));
}

#[test]
fn users_write_under_their_own_addresses_only() {
    let firm = firm("submission-bound", "");
    let mut client = firm.signed_in();
    let from = |address: &str| MESSAGE.replace(JANE, address);
    for (reverse_path, content, said) in [
        ("bob@firm.example", from(JANE), "550 5.7.1 "),
        ("jane@elsewhere.example", from(JANE), "550 5.7.1 "),
        (JANE, from("bob@firm.example"), "550 5.7.1 "),
        (JANE, from("jane@firm.example>, Bob <bob@firm.example"), "550 5.7.1 "),
        (JANE, MESSAGE.replace("From:", "X-From:"), "550 5.6.0 "),
        (JANE, format!("Sender: bob@firm.example\r\n{MESSAGE}"), "550 5.7.1 "),
        ("Jane+list@FIRM.example", from("info@firm.example"), "250 "),
        ("", from(JANE), "250 "),
    ] {
        let answer = send(&mut client, reverse_path, "x@elsewhere.example", &content);
        assert!(answer.starts_with(said), "{reverse_path}: {answer}");
        client.command("RSET").expect("a reply");
    }
    firm.sent(2);
    let log = firm.server.output();
    assert!(log.matches("event=\"not_theirs\" user=\"jane@firm.example\"").count() == 5, "{log}");
}

#[test]
fn a_disabled_user_is_sent_away_at_once() {
    let firm = firm("submission-disabled", "");
    let mut client = firm.signed_in();
    assert!(client.command("NOOP").expect("a reply").starts_with("250 "));
    done(&firm.server, &["user", "disable", JANE]);
    let said = client.command(&format!("MAIL FROM:<{JANE}>")).expect("a reply");
    assert!(said.starts_with("421 4.7.0 "), "{said}");
    let mut again = firm.client();
    assert!(again.command(&plain(JANE, PASSWORD)).expect("a reply").starts_with("535 "));
}

#[test]
fn what_passes_a_users_limits_is_held_and_told() {
    let firm = firm("submission-limits", "messages_per_hour = 3\n");
    let mut client = firm.signed_in();
    for n in 0..5 {
        let content = MESSAGE.replace("hello", &format!("hello {n}"));
        let said = send(&mut client, JANE, "x@elsewhere.example", &content);
        assert!(said.starts_with("250 "), "{said}");
    }
    firm.sent(3);
    let storms = json(&firm.server, &["storms", "list"]);
    let storm = &storms["storms"][0];
    assert_eq!((&storm["class"], &storm["held"]), (&"user_limit".into(), &2.into()), "{storms}");
    assert!(firm.server.output().contains("user_limit"));
    done(&firm.server, &["storms", "release", storm["id"].as_str().expect("an id")]);
    firm.sent(5);
    // The storm is released, and with it its user.
    assert!(
        send(&mut client, JANE, "x@elsewhere.example", &MESSAGE.replace("hello", "after"))
            .starts_with("250 ")
    );
    firm.sent(6);
}

/// A connection from this address of ours, after STARTTLS and EHLO, as far as it gets.
fn from(address: [u8; 4], firm: &Firm) -> std::io::Result<Secure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let stream = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from((address, 0)))?;
        socket.connect(SocketAddr::from(([127, 0, 0, 1], firm.ports[1]))).await?.into_std()
    })?;
    stream.set_nonblocking(false)?;
    let stream: TcpStream = stream;
    let mut client = Secure::handshake(stream, firm.files.client())?;
    client.reply()?;
    client.command("EHLO guesser.example")?;
    Ok(client)
}

#[test]
fn guessing_is_refused_where_it_comes_from_and_nowhere_else() {
    let firm = firm("submission-guessing", "");
    let (mut wrong, mut refused) = (0, 0);
    // Three for a connection; those after the fifth wait a little longer each time.
    for n in 0..40 {
        let Ok(mut client) = from([127, 0, 0, 9], &firm) else { continue };
        for m in 0..3 {
            match client.command(&plain(&format!("user{n}-{m}@firm.example"), "guess")) {
                Ok(said) if said.starts_with("535 ") => wrong += 1,
                Ok(said) if said.starts_with("421 ") => refused += 1,
                _ => break,
            }
        }
        if refused > 3 {
            break;
        }
    }
    assert!((15..=25).contains(&wrong) && refused > 3, "{wrong} wrong, {refused} refused");
    let told = firm.server.output().matches("event=\"guessing\"").count();
    assert_eq!(told, 1, "{}", firm.server.output());
    // From elsewhere the user signs in as ever, and from there even the right password is not looked at.
    let mut elsewhere = from([127, 0, 0, 10], &firm).expect("a connection");
    assert!(elsewhere.command(&plain(JANE, PASSWORD)).expect("a reply").starts_with("235 "));
    let mut there = from([127, 0, 0, 9], &firm).expect("a connection");
    assert!(there.command(&plain(JANE, PASSWORD)).expect("a reply").starts_with("421 "));
}
