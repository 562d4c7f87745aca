use std::os::unix::fs::PermissionsExt;

use super::*;

/// A folder of its own per test, deleted at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("quell-maildir-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn store(&self) -> MaildirStore {
        MaildirStore::new(self.0.join("mail"), "mx.firm.example")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const BODY: &[u8] = b"Received: by mx\r\nReturn-Path: <old@x>\r\nSubject: s\r\n\r\nbody\r\n";

fn row(counter: u32) -> Delivery<'static> {
    Delivery {
        queue_id: QueueId::new(1_700_000_000_000, 0, counter),
        recipient: "jane@firm.example",
        delivered_to: "jane@firm.example",
        domain: "firm.example",
        mailbox: "jane",
        reverse_path: Some("a@sender.example"),
        search_first: false,
    }
}

fn ready(scratch: &Scratch) -> MaildirStore {
    let store = scratch.store();
    assert_eq!(store.ensure("firm.example", "jane").unwrap(), Added::Made);
    store
}

fn names(folder: PathBuf) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_message_lies_in_new_once() {
    let scratch = Scratch::new("once");
    let store = ready(&scratch);
    assert_eq!(store.deliver(&row(1), &mut &*BODY).unwrap(), Delivered::Now);
    assert_eq!(store.deliver(&row(1), &mut &*BODY).unwrap(), Delivered::Before);
    let path = store.path("firm.example", "jane");
    let found = names(path.join("new"));
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("1700000000.Q"), "{found:?}");
    assert!(found[0].ends_with(".mx.firm.example"), "{found:?}");
    assert_eq!(names(path.join("tmp")).len(), 0);
    let text = fs::read_to_string(path.join("new").join(&found[0])).unwrap();
    assert_eq!(
        text,
        "Return-Path: <a@sender.example>\nDelivered-To: jane@firm.example\n\
         Received: by mx\nSubject: s\n\nbody\n"
    );
}

#[test]
fn rows_differ_by_id_and_by_recipient() {
    let scratch = Scratch::new("rows");
    let store = ready(&scratch);
    let other = Delivery { recipient: "info@firm.example", ..row(1) };
    for row in [row(1), row(2), other] {
        assert_eq!(store.deliver(&row, &mut &*BODY).unwrap(), Delivered::Now);
    }
}

#[test]
fn modes_keep_others_out() {
    let scratch = Scratch::new("modes");
    let store = ready(&scratch);
    store.deliver(&row(1), &mut &*BODY).unwrap();
    let path = store.path("firm.example", "jane");
    let file = path.join("new").join(&names(path.join("new"))[0]);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(&path.join("cur")), mode(&file)), (0o700, 0o700, 0o600));
}

#[test]
fn after_a_restart_the_mailbox_is_searched() {
    let scratch = Scratch::new("search");
    let store = ready(&scratch);
    let path = store.path("firm.example", "jane");
    for (counter, flags) in [(1, ":2,S"), (2, ",S=120:2,"), (3, "")] {
        store.deliver(&row(counter), &mut &*BODY).unwrap();
        let name = names(path.join("new")).pop().unwrap();
        fs::rename(path.join("new").join(&name), path.join("cur").join(name + flags)).unwrap();
    }
    let restarted = MaildirStore::new(scratch.0.join("mail"), "renamed.firm.example");
    for counter in 1..=3 {
        let again = Delivery { search_first: true, ..row(counter) };
        assert_eq!(restarted.deliver(&again, &mut &*BODY).unwrap(), Delivered::Before);
    }
    let never = Delivery { search_first: true, ..row(4) };
    assert_eq!(restarted.deliver(&never, &mut &*BODY).unwrap(), Delivered::Now);
    assert_eq!(names(path.join("new")).len(), 1);
}

#[test]
fn mail_makes_no_mailbox() {
    let scratch = Scratch::new("nobody");
    let store = ready(&scratch);
    let nobody = Delivery { mailbox: "../../x", ..row(1) };
    let error = store.deliver(&nobody, &mut &*BODY).unwrap_err();
    assert_eq!((error.kind, error.status), (Kind::Missing, "4.3.5"));
    assert_eq!(store.list().unwrap().len(), 1);
    assert_eq!(names(scratch.0.clone()), ["mail"]);
}

#[test]
fn a_body_that_fails_leaves_nothing() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("disk"))
        }
    }
    let scratch = Scratch::new("broken");
    let store = ready(&scratch);
    let error = store.deliver(&row(1), &mut (b"A: 1\r\n".chain(Broken))).unwrap_err();
    assert_eq!((error.kind, error.step), (Kind::Temporary, "read of the message"));
    let path = store.path("firm.example", "jane");
    assert_eq!((names(path.join("tmp")).len(), names(path.join("new")).len()), (0, 0));
    assert_eq!(store.deliver(&row(1), &mut &*BODY).unwrap(), Delivered::Now);
}

#[test]
fn what_a_crash_left_in_tmp_is_overwritten_and_cleaned() {
    let scratch = Scratch::new("tmp");
    let store = ready(&scratch);
    let tmp = store.path("firm.example", "jane").join("tmp");
    fs::write(tmp.join(store.file_name(&row(1))), "half a mess").unwrap();
    assert_eq!(store.deliver(&row(1), &mut &*BODY).unwrap(), Delivered::Now);
    fs::write(tmp.join("old"), "x").unwrap();
    let hours = |n: u64| SystemTime::now() + Duration::from_secs(n * 3600);
    // Sorted before jane: one without tmp/, and one whose tmp/ cannot be read.
    for (local, made) in [("a", false), ("b", true)] {
        store.ensure("firm.example", local).unwrap();
        let tmp = store.path("firm.example", local).join("tmp");
        fs::remove_dir(&tmp).unwrap();
        if made {
            fs::write(&tmp, "").unwrap();
        }
    }
    assert_eq!(store.clean_tmp(hours(35)).unwrap(), 0);
    assert_eq!(store.clean_tmp(hours(37)).unwrap(), 1);
}

#[test]
fn temporary_and_permanent() {
    use errno::*;
    for (code, kind, status) in [
        (ENOSPC, Kind::Temporary, "4.3.1"),
        (EDQUOT, Kind::Temporary, "4.2.2"),
        (EROFS, Kind::Temporary, "4.3.0"),
        (EIO, Kind::Temporary, "4.3.0"),
        (EACCES, Kind::Temporary, "4.3.0"),
        (ENOENT, Kind::Missing, "4.3.5"),
        (ENOTDIR, Kind::Missing, "4.3.5"),
        (ENAMETOOLONG, Kind::Permanent, "5.1.3"),
    ] {
        let error = DeliverError::at("write", io::Error::from_raw_os_error(code));
        assert_eq!((error.kind, error.status), (kind, status), "{code}");
    }
}

/// Linux' error numbers (errno(3)).
mod errno {
    pub const ENOENT: i32 = 2;
    pub const EIO: i32 = 5;
    pub const EACCES: i32 = 13;
    pub const ENOTDIR: i32 = 20;
    pub const ENOSPC: i32 = 28;
    pub const EROFS: i32 = 30;
    pub const ENAMETOOLONG: i32 = 36;
    pub const EDQUOT: i32 = 122;
}

#[test]
fn mailboxes_come_and_go() {
    let scratch = Scratch::new("boxes");
    let store = scratch.store();
    assert_eq!(store.list().unwrap(), []);
    assert!(store.exists("firm.example", "we ird").is_err(), "not even the domain");
    store.ensure_domain("firm.example").unwrap();
    assert!(!store.exists("firm.example", "we ird").unwrap());
    assert_eq!(store.ensure("firm.example", "we ird").unwrap(), Added::Made);
    assert_eq!(store.ensure("firm.example", "we ird").unwrap(), Added::WasThere);
    assert!(store.exists("firm.example", "we ird").unwrap());
    store.ensure("firm.example", "jane").unwrap();
    store.deliver(&row(1), &mut &*BODY).unwrap();
    let all = store.list().unwrap();
    let locals: Vec<_> = all.iter().map(|m| (m.local.as_str(), store.count(m).unwrap())).collect();
    assert_eq!(locals, [("jane", 1), ("we ird", 0)]);
    let remove = |local, force| store.remove("firm.example", local, force).unwrap();
    assert_eq!(remove("we ird", false), Removed::Gone);
    assert_eq!(remove("we ird", false), Removed::WasNotThere);
    assert_eq!(remove("jane", false), Removed::NotEmpty);
    assert_eq!(store.deliver(&row(1), &mut &*BODY).unwrap(), Delivered::Before);
    assert_eq!(remove("jane", true), Removed::Gone);
    assert!(!store.exists("firm.example", "jane").unwrap());
}

#[test]
fn what_cannot_be_looked_at_is_not_called_missing() {
    let scratch = Scratch::new("trouble");
    let store = ready(&scratch);
    let (domain, jane) = (scratch.0.join("mail/firm.example"), store.path("firm.example", "jane"));
    let exists = |local| store.exists("firm.example", local).map_err(|e| e.kind());
    std::os::unix::fs::symlink("nowhere", domain.join("away")).unwrap();
    std::os::unix::fs::symlink("circle", domain.join("circle")).unwrap();
    fs::write(domain.join("file"), "").unwrap();
    assert_eq!((exists("jane"), exists("nobody"), exists("file")), (Ok(true), Ok(false), Ok(false)));
    assert_eq!(exists("away"), Err(io::ErrorKind::NotFound));
    assert!(exists("circle").is_err_and(|kind| kind != io::ErrorKind::NotFound));
    // A mailbox without its folder is none; a domain, or a root, without its folder is trouble.
    fs::remove_dir(jane.join("new")).unwrap();
    assert_eq!(exists("jane"), Ok(false));
    fs::rename(&domain, scratch.0.join("elsewhere")).unwrap();
    assert_eq!(exists("jane"), Err(io::ErrorKind::NotFound));
    fs::write(&domain, "").unwrap();
    assert_eq!(exists("jane"), Err(io::ErrorKind::NotADirectory));
    fs::remove_dir_all(scratch.0.join("mail")).unwrap();
    assert_eq!(exists("jane"), Err(io::ErrorKind::NotFound));
}

#[test]
fn a_missing_tmp_is_made_where_the_mailbox_is_there() {
    let scratch = Scratch::new("no-tmp");
    let store = ready(&scratch);
    let path = store.path("firm.example", "jane");
    fs::remove_dir(path.join("tmp")).unwrap();
    assert_eq!(store.deliver(&row(1), &mut &*BODY).unwrap(), Delivered::Now);
    assert_eq!(fs::metadata(path.join("tmp")).unwrap().permissions().mode() & 0o777, 0o700);
    for folder in ["tmp", "new"] {
        fs::remove_dir_all(path.join(folder)).unwrap();
    }
    assert_eq!(store.deliver(&row(2), &mut &*BODY).unwrap_err().kind, Kind::Missing);
    assert!(!path.join("tmp").exists());
}

#[test]
fn listings_stay_within_their_limit_and_searches_stay_right() {
    let scratch = Scratch::new("listings");
    let mut store = ready(&scratch);
    store.ensure("firm.example", "bob").unwrap();
    for counter in 1..=4 {
        store.deliver(&row(counter), &mut &*BODY).unwrap();
    }
    let bob = |counter| Delivery { mailbox: "bob", search_first: true, ..row(counter) };
    store.deliver(&bob(1), &mut &*BODY).unwrap();
    store.deliver(&Delivery { search_first: false, ..bob(2) }, &mut &*BODY).unwrap();
    for (most, mailboxes) in [(3, 1), (4, 1), (5, 1), (6, 2)] {
        store.max_listed_names = most;
        store.forget_listings();
        for counter in [1, 4] {
            let again = Delivery { search_first: true, ..row(counter) };
            assert_eq!(store.deliver(&again, &mut &*BODY).unwrap(), Delivered::Before, "{most}");
        }
        assert_eq!(store.deliver(&bob(2), &mut &*BODY).unwrap(), Delivered::Before);
        let listings = store.lock();
        assert_eq!(listings.len(), mailboxes, "{most}");
        assert!(listings.values().map(|listing| listing.len()).sum::<usize>() <= most);
    }
}

#[test]
fn each_of_several_ends_as_it_would_alone() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("disk"))
        }
    }
    let scratch = Scratch::new("together");
    let store = ready(&scratch);
    store.ensure("firm.example", "bob").unwrap();
    store.deliver(&row(2), &mut &*BODY).unwrap();
    let bob = Delivery { mailbox: "bob", ..row(5) };
    let searched = Delivery { search_first: true, ..row(2) };
    let nobody = Delivery { mailbox: "nobody", ..row(4) };
    let text = || -> Box<dyn Read> { Box::new(BODY) };
    let rows: Vec<(Delivery<'_>, Box<dyn Read>)> = vec![
        (row(1), text()),
        (row(2), text()),
        (searched, text()),
        (row(3), Box::new(Broken)),
        (nobody, text()),
        (bob, text()),
        (row(6), text()),
    ];
    let became = store.deliver_all(rows.into_iter());
    let words: Vec<String> = became
        .iter()
        .map(|became| match became {
            Ok(delivered) => format!("{delivered:?}"),
            Err(why) => format!("{:?} at {}", why.kind, why.step),
        })
        .collect();
    let expected = [
        "Now",
        "Before",
        "Before",
        "Temporary at read of the message",
        "Missing at create in tmp",
        "Now",
        "Now",
    ];
    assert_eq!(words, expected);
    for (mailbox, files) in [("jane", 3), ("bob", 1)] {
        let path = store.path("firm.example", mailbox);
        assert_eq!((names(path.join("tmp")).len(), names(path.join("new")).len()), (0, files), "{mailbox}");
    }
}
