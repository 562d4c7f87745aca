//! Peers that read a Maildir that we wrote.

use crate::message;
use crate::support::TempDir;
use crate::support::maildir;
use crate::support::peers::dovecot;
use crate::support::peers::mutt;

/// A Maildir with one new and one seen message.
fn written(directory: &TempDir) -> std::path::PathBuf {
    let maildir = directory.join("maildir");
    for part in ["tmp", "new", "cur"] {
        std::fs::create_dir_all(maildir.join(part)).expect("a directory");
    }
    for (id, name) in [("one", "new/1.Qone.mx"), ("two", "cur/2.Qtwo.mx:2,S")] {
        std::fs::write(maildir.join(name), message(id)).expect("a message");
    }
    maildir
}

#[test]
fn a_maildir_is_read_back() {
    let directory = TempDir::new("maildir");
    let maildir = written(&directory);
    let mails = maildir::read(&maildir);
    let ids: Vec<_> = mails.iter().map(|mail| mail.test_id.as_deref().expect("an id")).collect();
    assert_eq!((ids, maildir::count(&maildir)), (vec!["one", "two"], 2));
    assert_eq!(mails[0].message_id.as_deref(), Some("<one@client.example>"));
    assert!(maildir::read(&directory.join("absent")).is_empty());
}

#[test]
fn dovecot_reads_a_maildir() {
    if dovecot::available() {
        let directory = TempDir::new("dovecot");
        let maildir = written(&directory);
        let mut ids: Vec<_> = dovecot::read(&directory, &maildir)
            .iter()
            .map(|mail| maildir::field(mail, "X-Test-Id").expect("an id"))
            .collect();
        ids.sort();
        assert_eq!(ids, ["one", "two"]);
        std::fs::remove_file(maildir.join("new/1.Qone.mx")).expect("removed");
        std::fs::remove_file(maildir.join("cur/2.Qtwo.mx:2,S")).expect("removed");
        assert!(dovecot::read(&directory, &maildir).is_empty());
    }
}

#[test]
fn mutt_reads_a_maildir() {
    if mutt::available() {
        let directory = TempDir::new("mutt");
        let read = mutt::read(&directory, &written(&directory));
        let found: Vec<_> = read.lines().filter(|line| line.starts_with("X-Test-Id:")).collect();
        assert_eq!(found.len(), 2, "{read}");
    }
}
