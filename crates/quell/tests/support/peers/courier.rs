//! Courier's POP3 and IMAP, from their unpacked packages.

use super::inetd::{self, Inetd, Users, in_namespace};
use super::{START_LIMIT, unpacked_root};
use crate::support::process::run;
use crate::support::{Running, TempDir, wait_until};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

const PROGRAMS: [&str; 5] = [
    "@/usr/lib/courier/courier/courierpop3login",
    "@/usr/lib/courier/courier/courierpop3d",
    "@/usr/lib/courier/courier/imaplogin",
    "@/usr/bin/imapd",
    "@/usr/lib/courier/courier-authlib/authdaemond",
];

pub fn available() -> bool {
    inetd::available(&PROGRAMS)
}

/// Its settings, users and sockets have fixed places.
const START: &str = r#"
mount --bind "$1/mail" /var/mail
mount --bind "$1/run" /run
cp -a /etc/ld.so.cache /etc/nsswitch.conf "$1/etc"
mount --bind "$1/etc" /etc
cd /
"#;
const AUTH: &str = r#"exec "$1/bin/authdaemond""#;
const POP3: &str = r#"exec "$1/bin/courierpop3login" "$1/bin/courierpop3d" Maildir"#;
const IMAP: &str = r#"exec "$1/bin/imaplogin" "$1/bin/imapd" Maildir"#;

/// Of courier's own /etc/courier/imapd.
const SETTINGS: [(&str, &str); 9] = [
    ("TCPREMOTEIP", "127.0.0.1"),
    ("TCPREMOTEPORT", "1"),
    ("TCPLOCALIP", "127.0.0.1"),
    ("TCPLOCALPORT", "1"),
    ("IMAP_CAPABILITY", "IMAP4rev1 UIDPLUS CHILDREN NAMESPACE IDLE"),
    ("IMAP_KEYWORDS", "1"),
    ("IMAP_USELOCKS", "1"),
    ("IMAP_IDLE_TIMEOUT", "60"),
    ("IMAP_ULIMITD", "131072"),
];

/// Serves `jane`, in the clear, until dropped. Needs root.
pub struct Courier {
    pop3: Inetd,
    imap: Inetd,
    // Behind those that ask it.
    _auth: Running,
    home: PathBuf,
    users: Users,
}

impl Courier {
    pub fn start(directory: &TempDir, password: &str) -> Self {
        let home = directory.join("courier");
        for part in ["run/courier/authdaemon", "etc/courier", "mail/jane/Maildir"] {
            fs::create_dir_all(home.join(part)).expect("a directory");
        }
        for part in ["new", "cur", "tmp"] {
            fs::create_dir_all(home.join("mail/jane/Maildir").join(part)).expect("a directory");
        }
        super::copy_unpacked(&PROGRAMS, &home.join("bin"));
        let libraries = r#"cp -a "$1"/usr/lib/*.so* "$1"/usr/lib/courier-authlib/*.so* "$2""#;
        run(Command::new("sh").args(["-euc", libraries, "sh"]).arg(unpacked_root()).arg(home.join("bin")));
        let users = Users::make(&home.join("etc"), "courier", &["pop3", "imap"], password);
        users.own(&home.join("mail/jane"));
        let settings = "authmodulelist=\"authpam\"\nauthmodulelistorig=\"authpam\"\ndaemons=1\n\
                        authdaemonvar=/run/courier/authdaemon\nDEFAULTOPTIONS=\"\"\nLOGGEROPTS=\"\"\n";
        fs::write(home.join("etc/courier/authdaemonrc"), settings).expect("a configuration");
        let auth = Running::start(command(AUTH, &home), &home.join("log"));
        let socket = home.join("run/courier/authdaemon/socket");
        assert!(wait_until(START_LIMIT, || socket.exists()), "no socket:\n{}", auth.output());
        let inetd = |script: &'static str| {
            let of_program = home.clone();
            Inetd::start(&home.join("log"), move || command(script, &of_program))
        };
        Self { pop3: inetd(POP3), imap: inetd(IMAP), _auth: auth, users, home }
    }

    /// On 127.0.0.1.
    pub fn pop3_port(&self) -> u16 {
        self.pop3.port
    }

    /// On 127.0.0.1.
    pub fn imap_port(&self) -> u16 {
        self.imap.port
    }

    /// Delivers into jane's inbox.
    pub fn deliver(&self, number: usize, message: &[u8]) {
        let name = format!("{}.M{number}P1.provider", 1_700_000_000 + number);
        let maildir = self.home.join("mail/jane/Maildir");
        fs::write(maildir.join("tmp").join(&name), super::with_lf(message)).expect("a message");
        self.users.own(&maildir.join("tmp").join(&name));
        fs::rename(maildir.join("tmp").join(&name), maildir.join("new").join(name)).expect("delivered");
    }

    /// How many lie in it.
    pub fn left(&self) -> usize {
        crate::support::maildir::count(&self.home.join("mail/jane/Maildir"))
    }

    /// What all its parts said.
    pub fn said(&self) -> String {
        fs::read_to_string(self.home.join("log")).unwrap_or_default()
    }
}

fn command(script: &str, home: &std::path::Path) -> Command {
    let mut command = in_namespace(&format!("{START}{script}"), home);
    // Its modules lie beside its programs.
    command.env("LD_LIBRARY_PATH", home.join("bin")).env("LTDL_LIBRARY_PATH", home.join("bin"));
    command.envs(SETTINGS);
    command
}
