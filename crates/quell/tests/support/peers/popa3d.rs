//! popa3d, by another school than Dovecot: no CAPA, no words in its answers, mboxes, and a UIDL that is a
//! hash of the message, so that two that are the same have the same.

use super::inetd::{self, Inetd, Users, in_namespace};
use crate::support::TempDir;
use std::fs;
use std::io::Write;
use std::path::PathBuf;

pub fn available() -> bool {
    inetd::available(&["@/usr/sbin/popa3d"])
}

/// Its users, mailboxes and chroot have fixed places.
const START: &str = r#"
mount --bind "$1/passwd" /etc/passwd
mount --bind "$1/shadow" /etc/shadow
mount --bind "$1/pam.d" /etc/pam.d
mount --bind "$1/mail" /var/mail
mount --bind "$1/lib" /var/lib
exec "$1/bin/popa3d"
"#;

/// Serves `jane`, in the clear, until dropped. Needs root.
pub struct Popa3d {
    inetd: Inetd,
    home: PathBuf,
}

impl Popa3d {
    pub fn start(directory: &TempDir, password: &str) -> Self {
        let home = directory.join("popa3d");
        for part in ["lib/popa3d", "mail"] {
            fs::create_dir_all(home.join(part)).expect("a directory");
        }
        super::copy_unpacked(&["@/usr/sbin/popa3d"], &home.join("bin"));
        let users = Users::make(&home, "popa3d", &["popa3d"], password);
        fs::write(home.join("mail/jane"), "").expect("a mailbox");
        users.own(&home.join("mail"));
        let of_program = home.clone();
        let inetd = Inetd::start(&home.join("log"), move || in_namespace(START, &of_program));
        Self { inetd, home }
    }

    /// On 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.inetd.port
    }

    /// Appends a message to jane's mbox. No line of it may begin with `From `.
    pub fn deliver(&self, message: &[u8]) {
        let mut file = fs::File::options().append(true).open(self.mailbox()).expect("a mailbox");
        let lines = super::with_lf(message);
        file.write_all(&[b"From a@client.example Mon Jan  1 00:00:00 2024\n", &lines[..], b"\n"].concat())
            .expect("delivered");
    }

    /// How many messages are in it.
    pub fn left(&self) -> usize {
        let text = fs::read(self.mailbox()).expect("a mailbox");
        String::from_utf8_lossy(&text).lines().filter(|line| line.starts_with("From ")).count()
    }

    fn mailbox(&self) -> PathBuf {
        self.home.join("mail/jane")
    }
}
