//! What an archive may be made of.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use super::*;

fn names(archive: &Archive, below: &Path) -> Vec<String> {
    let name = |file: &FileInfo| file.path().strip_prefix(below).unwrap().to_string_lossy().into_owned();
    archive.files().iter().map(name).collect()
}

#[test]
fn a_maildir_with_strange_names() {
    let folder = Folder::new("maildir");
    let strange = OsStr::from_bytes(b"Maildir/cur/1.\xff:2,S");
    folder.put("Maildir/new/1.x y\n", "Subject: new\n\nx\n");
    fs::create_dir_all(folder.0.join("Maildir/cur")).unwrap();
    fs::write(folder.0.join(strange), "Subject: cur\n\nx\n").unwrap();
    folder.put("Maildir/cur/packed,Z", gzip(b"Subject: packed\n\nx\n"));
    folder.put("Maildir/cur/.hidden", "Subject: no\n\n");
    folder.put("Maildir/tmp/unfinished", "Subject: no\n\n");
    folder.put("Maildir/dovecot-uidlist", "Subject: no\n\n");
    folder.put("Maildir/.Sent.2026/cur/a", "Subject: sent\n\nx\n");
    fs::create_dir(folder.0.join("Maildir/.Sent.2026/new")).unwrap();
    let archive = open(&folder.0.join("Maildir"));
    let subjects = ["cur", "packed", "new", "sent"].map(|name| format!("Subject: {name}\n\nx\n"));
    assert_eq!(texts(&archive), subjects);
    let owner = folder.0.file_name().unwrap().to_str();
    assert!(archive.files().iter().all(|file| file.mailbox() == owner && file.kind == Kind::Message));
    // Found below a folder it is the same, and a Maildir by another name is that one's.
    assert_eq!(texts(&open(&folder.0)), subjects);
    fs::rename(folder.0.join("Maildir"), folder.0.join("jane")).unwrap();
    assert_eq!(open(&folder.0).files()[0].mailbox(), Some("jane"));
}

#[test]
fn a_folder_of_anything() {
    let folder = Folder::new("folder");
    folder.put("a.eml", "Subject: a\n\n1\n");
    folder.put("b/c/no-ending", "Received: x\n\n2\n");
    folder.put("b/box.mbox.gz", gzip(format!("{P}Subject: b\n\n3\n").as_bytes()));
    folder.put("b/notes.md", "# From here\n");
    folder.put("empty", "");
    folder.put("photo", [0xff, 0xd8, 0xff, 0xe0, 0, 0]);
    symlink(&folder.0, folder.0.join("b/loop")).unwrap();
    symlink("nowhere", folder.0.join("b/dangling")).unwrap();
    symlink(folder.0.join("a.eml"), folder.0.join("b/again")).unwrap();
    mkfifo(&folder.0.join("b/fifo"), Mode::S_IRWXU).unwrap();
    let archive = open(&folder.0);
    assert_eq!(names(&archive, &folder.0), ["a.eml", "b/box.mbox.gz", "b/c/no-ending"]);
    assert_eq!(archive.passed_over(), 3);
    assert_eq!(archive.files()[1].mailbox(), Some("box"));
    assert_eq!(texts(&archive), ["Subject: a\n\n1\n", "Subject: b\n\n3\n", "Received: x\n\n2\n"]);
    assert_eq!(archive.bytes_total(), archive.files().iter().map(|file| file.bytes).sum::<u64>());
}

#[test]
fn hard_links_are_copies_and_one_file_named_twice_is_not() {
    let folder = Folder::new("links");
    let message = folder.put("jane/new/1", "Subject: a\n\nx\n");
    for name in ["jane/cur", "joe/cur", "joe/new"] {
        fs::create_dir_all(folder.0.join(name)).unwrap();
    }
    let twice = [message.clone(), message.clone()];
    let archive = Archive::open_with(&twice, small(), &mut io::empty()).unwrap();
    assert_eq!(archive.files().len(), 1);
    fs::hard_link(&message, folder.0.join("joe/new/1")).unwrap();
    let archive = open(&folder.0);
    assert_eq!(
        archive.files().iter().map(FileInfo::mailbox).collect::<Vec<_>>(),
        [Some("jane"), Some("joe")]
    );
}

#[test]
fn standard_input_can_be_read_twice() {
    let (text, messages) = mbox(50);
    for bytes in [text.clone().into_bytes(), gzip(text.as_bytes()), zstd(text.as_bytes())] {
        let archive = Archive::open_with(&["-".into()], small(), &mut &bytes[..]).unwrap();
        assert_eq!(archive.files()[0].path(), Path::new("-"));
        assert_eq!(archive.files()[0].mailbox(), None);
        assert_eq!(texts(&archive), messages);
    }
    let limits = Limits { spool_bytes: 10, ..small() };
    let error = Archive::open_with(&["-".into()], limits, &mut text.as_bytes()).unwrap_err();
    assert!(error.to_string().contains("more than 10 bytes"), "{error}");
}

#[test]
fn a_pipe_is_read_to_its_end_and_one_without_a_writer_is_empty() {
    let folder = Folder::new("pipe");
    let path = folder.0.join("fifo");
    mkfifo(&path, Mode::S_IRWXU).unwrap();
    assert!(texts(&open(&path)).is_empty());
    let (text, messages) = mbox(50);
    // Open for both, so that it has a writer before anyone reads; all of it fits into the pipe.
    let mut writer = fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
    writer.write_all(text.as_bytes()).unwrap();
    let reader = std::thread::spawn(move || texts(&open(&path)));
    // Only when the reader has taken everything may the pipe be closed: what nobody holds is gone.
    while nix::poll::poll(
        &mut [nix::poll::PollFd::new(std::os::fd::AsFd::as_fd(&writer), nix::poll::PollFlags::POLLIN)],
        nix::poll::PollTimeout::ZERO,
    )
    .unwrap()
        > 0
    {
        std::thread::yield_now();
    }
    drop(writer);
    assert_eq!(reader.join().unwrap(), messages);
}

#[test]
fn mailboxes_by_name() {
    let folder = Folder::new("names");
    for (name, mailbox) in [
        ("jane", "jane"),
        ("jane.doe", "jane.doe"),
        ("jane@doe.example.mbox.xz", "jane@doe.example"),
        ("Inbox.mbx", "Inbox"),
    ] {
        let archive = open(&folder.put(name, format!("{P}A: 1\n")));
        assert_eq!(archive.files()[0].mailbox(), Some(mailbox), "{name}");
    }
}

#[test]
fn what_is_not_opened_says_why() {
    let folder = Folder::new("why");
    let error = |path: &Path| {
        Archive::open_with(&[path.to_owned()], small(), &mut io::empty()).unwrap_err().to_string()
    };
    let notes = folder.put("notes", "# Notes\n");
    assert!(error(&notes).contains("notes holds no mail"), "{}", error(&notes));
    assert!(error(&folder.0.join("nothing")).contains("nothing: No such file"));
    assert!(error(&folder.0).contains("no mail in "), "{}", error(&folder.0));
    assert!(error(Path::new("/dev/null")).contains("is no file, folder or pipe"));
    folder.put("a", "To: a\n\n");
    let few = Limits { files: 1, ..small() };
    let error = Archive::open_with(std::slice::from_ref(&folder.0), few, &mut io::empty()).unwrap_err();
    assert!(error.to_string().starts_with("more than 1 files below"), "{error}");
    assert!(texts(&open(&folder.put("empty", ""))).is_empty());
}
