//! Mailboxes at a provider: Dovecot with POP3 and IMAP, in the clear and by TLS, passwords and tokens.

use super::dovecot;
use super::{START_LIMIT, directory_of, is_root, program};
use crate::support::authority::Authority;
use crate::support::process::{run, signal};
use crate::support::{Running, TempDir, free_port, wait_until};
use base64::Engine;
use std::fs;
use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Where it listens. Dovecot takes a client at its own address for one that needs no TLS; ours comes from
/// 127.0.0.1.
pub const ADDRESS: [u8; 4] = [127, 0, 0, 2];
/// The name in its certificate, for `127.0.0.2`, too.
pub const NAME: &str = "mail.provider.example";
/// Its tokens are signed with this.
const KEY: &str = "a key of the provider's own, long enough";
const END_LIMIT: Duration = Duration::from_secs(5);

pub fn available() -> bool {
    super::available_to_root(&["dovecot", "/usr/lib/dovecot/pop3", "/usr/lib/dovecot/imap"])
}

/// What is wrong with its certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Certificate {
    #[default]
    Right,
    /// Since two days.
    Expired,
    WrongName,
}

/// How it is set up.
#[derive(Clone, Debug)]
pub struct Options {
    pub certificate: Certificate,
    /// Whether passwords are taken in the clear.
    pub plain: bool,
    /// Of `auth_mechanisms`.
    pub mechanisms: &'static str,
    /// What a UIDL is made of (`pop3_uidl_format`).
    pub uidl_format: &'static str,
    /// More lines of its configuration.
    pub more: &'static str,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            certificate: Certificate::Right,
            plain: false,
            mechanisms: "plain login xoauth2 oauthbearer",
            uidl_format: "%08Xu%08Xv",
            more: "",
        }
    }
}

/// Ports at [`ADDRESS`].
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    pub pop3: u16,
    pub pop3s: u16,
    pub imap: u16,
    pub imaps: u16,
}

/// Runs until dropped. Needs root.
pub struct Provider {
    running: Option<Running>,
    directory: TempDir,
    options: Options,
    pub ports: Ports,
    /// The authority of its certificate.
    pub ca: PathBuf,
    delivered: AtomicU64,
}

impl Provider {
    pub fn start(options: Options) -> Self {
        assert!(is_root(), "dovecot gives up root's privileges, so it must have them");
        let directory = TempDir::in_memory("provider");
        let [pop3, pop3s, imap, imaps] = std::array::from_fn(|_| free_port());
        let ca = certificate(&directory, options.certificate);
        tokens(directory.path());
        fs::write(directory.join("users"), "").expect("a file");
        for part in ["mail", "index"] {
            directory_of(&directory.join(part), "nobody:nogroup");
        }
        let ports = Ports { pop3, pop3s, imap, imaps };
        let mut provider =
            Self { running: None, directory, options, ports, ca, delivered: AtomicU64::new(0) };
        provider.restart();
        provider
    }

    /// As `server` has it: `pop3`, `pop3s`, `imap`, `imaps`, by name.
    pub fn url(&self, scheme: &str) -> String {
        format!("{scheme}://{NAME}:{}", self.port(scheme))
    }

    /// Where it listens for this scheme.
    pub fn at(&self, scheme: &str) -> SocketAddr {
        SocketAddr::from((ADDRESS, self.port(scheme)))
    }

    fn port(&self, scheme: &str) -> u16 {
        match scheme {
            "pop3" => self.ports.pop3,
            "pop3s" => self.ports.pop3s,
            "imap" => self.ports.imap,
            "imaps" => self.ports.imaps,
            other => panic!("no scheme: {other}"),
        }
    }

    /// Somebody with an empty mailbox; with this name again, only the password is new, from now on.
    pub fn add_user(&self, name: &str, password: &str) {
        let file = self.directory.join("users");
        let before = fs::read_to_string(&file).expect("users");
        let others = before.lines().filter(|line| !line.starts_with(&format!("{name}:")));
        let mut lines: Vec<String> = others.map(str::to_owned).collect();
        lines.push(format!("{name}:{{PLAIN}}{password}\n"));
        fs::write(file, lines.join("\n")).expect("users");
        if before.contains(&format!("{name}:")) {
            // It looks at the file once a second.
            std::thread::sleep(Duration::from_millis(1_100));
        }
        self.folder(name, "INBOX");
    }

    /// A token that is good for this user.
    pub fn token(&self, name: &str) -> String {
        dovecot::token(KEY, name)
    }

    /// Puts a message into the inbox, as a delivery does: also while somebody waits in IDLE.
    pub fn deliver(&self, name: &str, message: &[u8]) {
        self.deliver_into(name, "INBOX", message);
    }

    /// Puts a message into a mailbox, which is made.
    pub fn deliver_into(&self, name: &str, mailbox: &str, message: &[u8]) {
        let folder = self.folder(name, mailbox);
        // In the order of their arrival.
        let number = 1_700_000_000 + self.delivered.fetch_add(1, Ordering::Relaxed);
        let file = format!("{number}.M{number}P1.provider");
        let tmp = folder.join("tmp").join(&file);
        fs::write(&tmp, message).expect("a message");
        fs::rename(tmp, folder.join("new").join(file)).expect("delivered");
    }

    /// All that lies in a mailbox, in order of arrival.
    pub fn messages(&self, name: &str, mailbox: &str) -> Vec<Vec<u8>> {
        let folder = self.folder(name, mailbox);
        let parts = ["new", "cur"].map(|part| fs::read_dir(folder.join(part)).expect("a folder"));
        let mut paths: Vec<PathBuf> =
            parts.into_iter().flatten().map(|entry| entry.expect("an entry").path()).collect();
        paths.sort_by(|one, other| one.file_name().cmp(&other.file_name()));
        // Dovecot may move one from `new` meanwhile: then it is not read, and a test asks again.
        paths.iter().filter_map(|path| fs::read(path).ok()).collect()
    }

    /// How many lie in the inbox.
    pub fn left(&self, name: &str) -> usize {
        let folder = self.folder(name, "INBOX");
        ["new", "cur"].iter().map(|part| fs::read_dir(folder.join(part)).expect("a folder").count()).sum()
    }

    /// Somebody else deletes all that lies in the inbox.
    pub fn empty(&self, name: &str) {
        let folder = self.folder(name, "INBOX");
        for entry in ["new", "cur"].iter().flat_map(|part| fs::read_dir(folder.join(part)).expect("a folder"))
        {
            fs::remove_file(entry.expect("an entry").path()).expect("removed");
        }
    }

    /// How many of the inbox somebody has read, as far as the provider knows.
    pub fn seen(&self, name: &str) -> usize {
        let cur = fs::read_dir(self.folder(name, "INBOX").join("cur")).expect("a folder");
        let names = cur.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"));
        names.filter(|name| name.rsplit(",").next().is_some_and(|flags| flags.contains('S'))).count()
    }

    /// Waits until so many lie in the inbox: deletions follow their answer.
    pub fn expect_left(&self, name: &str, count: usize) {
        let there = wait_until(Duration::from_secs(10), || self.left(name) == count);
        assert!(there, "{} instead of {count} at the provider; {}", self.left(name), self.said());
    }

    /// Every UIDL is another one from now on; all open connections end.
    pub fn reset_uidls(&mut self) {
        self.stop();
        self.options.uidl_format = if self.options.uidl_format == "%f" { "%g" } else { "%f" };
        self.restart();
    }

    /// The inbox gets another UIDVALIDITY, and with it every UID and UIDL counts anew.
    pub fn reset_uidvalidity(&mut self, name: &str) {
        self.stop();
        let home = self.directory.join("index").join(name);
        // The highest one that was ever given stays.
        remove(&home.join("c/.INBOX/dovecot-uidlist"));
        if home.join("i").exists() {
            fs::remove_dir_all(home.join("i")).expect("removed");
        }
        self.restart();
    }

    /// Another certificate from now on.
    pub fn set_certificate(&mut self, certificate: Certificate) {
        self.stop();
        self.ca = self::certificate(&self.directory, certificate);
        self.restart();
    }

    /// Ends it with all that it has started.
    pub fn stop(&mut self) {
        let Some(mut running) = self.running.take() else { return };
        // By SIGTERM it takes a second. What it has started serves its open connections to their end.
        let children = children(running.pid());
        running.kill9();
        for child in children {
            signal(child, "KILL");
            assert!(wait_until(END_LIMIT, || !runs(child)), "{child} runs on");
        }
    }

    /// Starts it again, on the same ports.
    pub fn restart(&mut self) {
        self.stop();
        let text = config(self.directory.path().to_str().expect("a path"), &self.ports, &self.options);
        let file = self.directory.join("dovecot.conf");
        fs::write(&file, text).expect("a configuration");
        let mut command = Command::new(program("dovecot"));
        command.arg("-F").arg("-c").arg(&file);
        let mut running = Running::start(command, &self.directory.join("output"));
        let mut ended = None;
        let greeted = wait_until(START_LIMIT, || {
            ended = running.ended();
            ended.is_some() || ["pop3", "imap"].iter().all(|scheme| greets(self.at(scheme)))
        });
        assert!(ended.is_none() && greeted, "no greeting ({ended:?}):\n{}{}", running.output(), self.said());
        self.running = Some(running);
    }

    /// Its log.
    pub fn said(&self) -> String {
        fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }

    /// How many sessions of those who signed in have ended.
    pub fn sessions_over(&self) -> usize {
        self.said().lines().filter(|line| line.contains(">: Info: Disconnected: ")).count()
    }

    /// How often somebody has signed in, and how often with a wrong password.
    pub fn sign_ins(&self) -> (usize, usize) {
        let log = self.said();
        let count = |text: &str| log.lines().filter(|line| line.contains(text)).count();
        (count("-login: Info: Login: user="), count("Password mismatch"))
    }

    /// Maildir++: the inbox is the Maildir itself, other mailboxes have a dot.
    fn folder(&self, name: &str, mailbox: &str) -> PathBuf {
        let home = self.directory.join("mail").join(name);
        let folder = if mailbox == "INBOX" { home.clone() } else { home.join(format!(".{mailbox}")) };
        if !folder.is_dir() {
            for part in ["new", "cur", "tmp"] {
                fs::create_dir_all(folder.join(part)).expect("a directory");
            }
            run(Command::new("chown").args(["-R", "nobody:nogroup"]).arg(&home));
            directory_of(&self.directory.join("index").join(name), "nobody:nogroup");
        }
        folder
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.stop();
    }
}

fn remove(file: &Path) {
    match fs::remove_file(file) {
        Ok(()) => {}
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{}", file.display()),
    }
}

/// Whether something is said within a second.
fn greets(address: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect_timeout(&address, Duration::from_secs(1)) else { return false };
    stream.set_read_timeout(Some(Duration::from_secs(1))).expect("a time limit");
    stream.read(&mut [0; 64]).is_ok_and(|count| count > 0)
}

fn children(pid: u32) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().map(|pid| pid.parse().expect("a number")).collect()
}

/// Not if it only waits for its parent to ask how it ended (proc(5), stat).
fn runs(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let behind = stat.rsplit_once(") ").map(|(_, behind)| behind);
    behind.is_some_and(|behind| !behind.starts_with('Z'))
}

/// Its chain and key in `directory`/tls; the authority, which is a new one each time.
fn certificate(directory: &TempDir, certificate: Certificate) -> PathBuf {
    let folder = directory.join("tls");
    fs::create_dir_all(&folder).expect("a directory");
    let (names, days): (&[&str], _) = match certificate {
        Certificate::Right => (&[NAME, "127.0.0.2", "localhost"], (-1, 90)),
        Certificate::Expired => (&[NAME, "127.0.0.2", "localhost"], (-90, -2)),
        Certificate::WrongName => (&["mail.elsewhere.example"], (-1, 90)),
    };
    let authority = Authority::new();
    authority.issue(&folder, names, days);
    let ca = folder.join("ca.pem");
    fs::write(&ca, &authority.pem).expect("a file");
    ca
}

/// Whose a token is, Dovecot sees by itself.
fn tokens(home: &Path) {
    let keys = home.join("keys/default/HS256");
    fs::create_dir_all(&keys).expect("a directory");
    fs::write(keys.join("default"), base64::engine::general_purpose::STANDARD.encode(KEY)).expect("a key");
    let text = format!(
        "introspection_mode = local\nusername_attribute = sub\nlocal_validation_key_dict = fs:posix:prefix={}/keys/\n",
        home.display()
    );
    fs::write(home.join("oauth2.conf.ext"), text).expect("a configuration");
}

fn config(home: &str, ports: &Ports, options: &Options) -> String {
    let no_plain = if options.plain { "no" } else { "yes" };
    let Options { mechanisms, uidl_format, more, .. } = options;
    format!(
        "base_dir = {home}/base
state_dir = {home}/state
log_path = {home}/log
protocols = imap pop3
listen = 127.0.0.2
ssl = yes
ssl_cert = <{home}/tls/chain.pem
ssl_key = <{home}/tls/key.pem
disable_plaintext_auth = {no_plain}
auth_mechanisms = {mechanisms}
auth_failure_delay = 0
auth_verbose = yes
pop3_uidl_format = {uidl_format}
mail_location = maildir:{home}/mail/%u:INDEX={home}/index/%u/i:CONTROL={home}/index/%u/c
mail_uid = nobody
mail_gid = nogroup
first_valid_uid = 1
first_valid_gid = 1
{more}
passdb {{
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = {home}/oauth2.conf.ext
}}
passdb {{
  driver = passwd-file
  args = username_format=%u {home}/users
}}
userdb {{
  driver = static
  args = uid=nobody gid=nogroup home={home}/index/%u
}}
{}service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  chroot =
}}
",
        listeners("pop3", ports.pop3, ports.pop3s) + &listeners("imap", ports.imap, ports.imaps)
    )
}

fn listeners(protocol: &str, port: u16, tls_port: u16) -> String {
    format!(
        "service {protocol}-login {{
  chroot =
  inet_listener {protocol} {{
    port = {port}
  }}
  inet_listener {protocol}s {{
    port = {tls_port}
    ssl = yes
  }}
}}
"
    )
}
