//! Dovecot reads a Maildir back, over IMAP.

use super::{START_LIMIT, directory_of, is_root, program};
use crate::support::process::run;
use crate::support::{Running, TempDir, free_port};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

pub fn available() -> bool {
    super::available_to_root(&["dovecot", "/usr/lib/dovecot/imap"])
}

/// The messages of a Maildir as IMAP hands them out, with CRLF. Dovecot works on a copy
/// that belongs to a user without privileges, so the Maildir stays as it is. Needs root.
pub fn read(directory: &TempDir, maildir: &Path) -> Vec<Vec<u8>> {
    assert!(is_root(), "dovecot gives up root's privileges, so it must have them");
    let (home, port) = (directory.join("dovecot"), free_port());
    fs::create_dir_all(&home).expect("a directory");
    run(Command::new("cp").arg("-a").arg(maildir).arg(home.join("mail")));
    directory_of(&home.join("index"), "nobody");
    run(Command::new("chown").args(["-R", "nobody:nogroup"]).arg(home.join("mail")));
    let mut running = serve(&home, port, "imap", "driver = static\n  args = password=test");
    let mails = fetch_all(port);
    running.term(Duration::from_secs(5));
    fs::remove_dir_all(&home).expect("removed");
    mails.unwrap_or_else(|error| panic!("IMAP: {error}\n{}", running.output()))
}

/// Dovecot serves the Maildir `home`/mail by one protocol (`imap` or `pop3`), its own files in `home`/index;
/// both belong to `nobody`. `passdb` says who may sign in.
pub fn serve(home: &Path, port: u16, protocol: &str, passdb: &str) -> Running {
    let text = config(home.to_str().expect("a path"), port, protocol, passdb);
    fs::write(home.join("dovecot.conf"), text).expect("a configuration");
    let mut command = Command::new(program("dovecot"));
    command.arg("-F").arg("-c").arg(home.join("dovecot.conf"));
    let mut running = Running::start(command, &home.join("output"));
    running.wait_for_greeting(port, START_LIMIT);
    running
}

fn fetch_all(port: u16) -> std::io::Result<Vec<Vec<u8>>> {
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    reader.read_line(&mut String::new())?;
    let mut mails = Vec::new();
    for command in ["a LOGIN jane test", "a SELECT INBOX", "a FETCH 1:* (BODY.PEEK[])"] {
        writer.write_all(format!("{command}\r\n").as_bytes())?;
        mails = answer(&mut reader, command)?;
    }
    writer.write_all(b"a LOGOUT\r\n")?;
    Ok(mails)
}

/// The literals of one answer (RFC 3501 §4.3).
fn answer(reader: &mut BufReader<TcpStream>, command: &str) -> std::io::Result<Vec<Vec<u8>>> {
    let mut literals = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim_end();
        if line.starts_with("a OK") {
            return Ok(literals);
        }
        // An empty mailbox has no message 1.
        if line.starts_with("a BAD") && command.contains("FETCH") && line.contains("Invalid messageset") {
            return Ok(literals);
        }
        if line.starts_with("a ") {
            return Err(std::io::Error::other(format!("{command}: {line}")));
        }
        let length = line.strip_suffix('}').and_then(|line| line.rsplit_once('{'));
        if let Some(length) = length.and_then(|(_, length)| length.parse().ok()) {
            let mut literal = vec![0; length];
            reader.read_exact(&mut literal)?;
            literals.push(literal);
        }
    }
}

fn config(home: &str, port: u16, protocol: &str, passdb: &str) -> String {
    format!(
        "base_dir = {home}/base
state_dir = {home}/state
log_path = {home}/log
protocols = {protocol}
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
auth_failure_delay = 0
mail_location = maildir:{home}/mail:INDEX={home}/index/i:CONTROL={home}/index/c
mail_uid = nobody
mail_gid = nogroup
first_valid_uid = 1
first_valid_gid = 1
passdb {{
  {passdb}
}}
userdb {{
  driver = static
  args = uid=nobody gid=nogroup home={home}/index
}}
service {protocol}-login {{
  chroot =
  inet_listener {protocol} {{
    address = 127.0.0.1
    port = {port}
  }}
  inet_listener {protocol}s {{
    port = 0
  }}
}}
service anvil {{
  chroot =
}}
"
    )
}

/// Dovecot says who may sign in, at the socket that is returned. `users`: lines of a passwd-file.
/// Bearer tokens are JWTs signed with `key` (HS256, here in base64), and say whose they are in `sub`.
pub fn serve_auth(home: &Path, users: &str, key: &str) -> (Running, std::path::PathBuf) {
    assert!(is_root(), "dovecot gives up root's privileges, so it must have them");
    let keys = home.join("keys/default/HS256");
    fs::create_dir_all(&keys).expect("a directory");
    fs::write(keys.join("default"), key).expect("a key");
    fs::write(home.join("users"), users).expect("users");
    let tokens = format!(
        "introspection_mode = local\nusername_attribute = sub\nlocal_validation_key_dict = fs:posix:prefix={}/keys/\n",
        home.display()
    );
    fs::write(home.join("oauth2.conf.ext"), tokens).expect("a configuration");
    let text = auth_config(home.to_str().expect("a path"));
    fs::write(home.join("dovecot.conf"), text).expect("a configuration");
    let mut command = Command::new(program("dovecot"));
    command.arg("-F").arg("-c").arg(home.join("dovecot.conf"));
    let (running, socket) = (Running::start(command, &home.join("output")), home.join("auth-client"));
    let listens = || std::os::unix::net::UnixStream::connect(&socket).is_ok();
    assert!(crate::support::wait_until(START_LIMIT, listens), "no socket:\n{}", running.output());
    (running, socket)
}

fn auth_config(home: &str) -> String {
    format!(
        "base_dir = {home}/base
state_dir = {home}/state
log_path = {home}/log
protocols =
ssl = no
disable_plaintext_auth = yes
auth_mechanisms = plain login scram-sha-256 oauthbearer
auth_failure_delay = 0
auth_verbose = yes
passdb {{
  driver = oauth2
  mechanisms = oauthbearer
  args = {home}/oauth2.conf.ext
}}
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {home}/users
}}
userdb {{
  driver = static
  args = uid=nobody gid=nogroup home={home}
}}
service auth {{
  unix_listener {home}/auth-client {{
    mode = 0666
  }}
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
"
    )
}

/// A JWT with this subject, signed with `key` (HS256, here as it is).
pub fn token(key: &str, subject: &str) -> String {
    let part = |text: String| URL_SAFE_NO_PAD.encode(text);
    let head = part(r#"{"alg":"HS256","typ":"JWT"}"#.to_owned());
    let body = part(format!(r#"{{"sub":"{subject}","iat":1700000000,"nbf":1700000000,"exp":4000000000}}"#));
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes());
    let mac = hmac::sign(&key, format!("{head}.{body}").as_bytes());
    format!("{head}.{body}.{}", URL_SAFE_NO_PAD.encode(mac))
}
