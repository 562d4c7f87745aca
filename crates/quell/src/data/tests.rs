use super::*;
use proptest::prelude::*;
use std::os::unix::fs::PermissionsExt;

/// A directory of its own for one test, removed at its end.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("quell-data-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        Self(dir)
    }

    fn mode(&self, file: &str, mode: u32) {
        fs::set_permissions(self.0.join(file), fs::Permissions::from_mode(mode)).unwrap();
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn mode_of(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o777
}

#[test]
fn makes_what_is_missing_with_narrow_modes_and_keeps_it() {
    let dir = Dir::new("fresh");
    let data = Data::open(&dir.0).unwrap();
    let key = quell_mail::key::ExactKey([3; 32]);
    let secret = data.secret(None).unwrap();
    data.token().unwrap();
    let [ledger, users, pickups] = [data.ledger(), data.users(), data.pickups()].map(Result::unwrap);
    assert_eq!(mode_of(&dir.0), 0o700);
    let private = [data.paths().secret(), data.paths().token(), data.paths().lock(), ledger, users, pickups];
    for path in &private {
        assert_eq!(mode_of(path), 0o600, "{}", path.display());
    }
    assert_eq!(data.secret(None).unwrap().ledger_key(&key), secret.ledger_key(&key));
    let text = fs::read_to_string(data.paths().token()).unwrap();
    assert!(data.token().unwrap().is(text.trim().as_bytes()));
    assert!(!data.token().unwrap().is(b""));
}

#[test]
fn a_second_opener_is_told_who_has_it() {
    let dir = Dir::new("locked");
    let data = Data::open(&dir.0).unwrap();
    let refused = Data::open_existing(&dir.0).unwrap_err();
    assert!(refused.to_string().ends_with(&format!("in use by process {}", std::process::id())));
    drop(data);
    Data::open_existing(&dir.0).unwrap();
}

#[test]
fn a_command_makes_no_directory() {
    let dir = Dir::new("missing");
    assert!(matches!(Data::open_existing(&dir.0), Err(DataError::Missing(_))));
    assert!(!dir.0.exists());
}

#[test]
fn refuses_what_is_open_to_others() {
    let dir = Dir::new("open");
    let data = Data::open(&dir.0).unwrap();
    data.secret(None).unwrap();
    data.token().unwrap();
    for file in ["secret", "token"] {
        dir.mode(file, 0o640);
    }
    assert!(matches!(data.secret(None), Err(DataError::Open { mode: 0o640, .. })));
    assert!(matches!(data.token(), Err(DataError::Open { mode: 0o640, .. })));
    for (made, again) in [
        (data.users().unwrap(), Data::users as fn(&Data) -> Result<PathBuf, DataError>),
        (data.pickups().unwrap(), Data::pickups),
    ] {
        fs::set_permissions(&made, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(again(&data), Err(DataError::Open { path, mode: 0o644, .. }) if path == made));
    }
    drop(data);
    dir.mode("", 0o770);
    assert!(matches!(Data::open_existing(&dir.0), Err(DataError::Open { mode: 0o770, .. })));
}

#[test]
fn names_everything_that_is_open_and_how_to_close_it() {
    let dir = Dir::new("modes");
    let data = Data::open(&dir.0).unwrap();
    data.secret(None).unwrap();
    data.token().unwrap();
    data.ledger().unwrap();
    data.users().unwrap();
    data.pickups().unwrap();
    for made in ["spool", "mail"] {
        fs::create_dir(dir.0.join(made)).unwrap();
        dir.mode(made, 0o700);
    }
    for made in ["control.sock", "ledger.db-wal", "pickup.db-shm", "dots-3"] {
        make_private(&dir.0.join(made), b"").unwrap();
    }
    let secret = data.paths().secret();
    let open = || open_to_others(data.paths(), &secret).iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(open(), Vec::<String>::new());
    // An IMAP server may look into `mail`, nobody else may write there.
    dir.mode("mail", 0o755);
    assert_eq!(open(), Vec::<String>::new());
    for (name, mode, fix) in [
        ("", 0o710, "700"),
        ("secret", 0o640, "600"),
        ("token", 0o602, "600"),
        ("ledger.db", 0o604, "600"),
        ("ledger.db-wal", 0o660, "600"),
        ("users.db", 0o640, "600"),
        ("pickup.db", 0o606, "600"),
        ("pickup.db-shm", 0o604, "600"),
        ("control.sock", 0o666, "600"),
        ("dots-3", 0o644, "600"),
        ("spool", 0o755, "700"),
        ("mail", 0o775, "go-w"),
    ] {
        let path = if name.is_empty() { dir.0.clone() } else { dir.0.join(name) };
        let before = mode_of(&path);
        dir.mode(name, mode);
        let found = open();
        assert_eq!(found.len(), 1, "{name}: {found:?}");
        assert!(found[0].ends_with(&format!("run `chmod {fix} {}`", path.display())), "{found:?}");
        dir.mode(name, before);
    }
    assert_eq!(open(), Vec::<String>::new());
}

#[test]
fn a_folder_of_another_user_is_named_with_both() {
    let dir = Dir::new("owner");
    fs::create_dir(&dir.0).unwrap();
    let (us, other) = (nix::unistd::geteuid(), nix::unistd::Uid::from_raw(4_000_000));
    assert!(belongs_to_another(&dir.0, us).is_none());
    assert!(belongs_to_another(&dir.0.join("missing"), other).is_none());
    let said = belongs_to_another(&dir.0, other).unwrap().to_string();
    assert!(said.ends_with(&format!("run `chown -R 4000000 {}`", dir.0.display())), "{said}");
}

#[test]
fn a_group_may_read_a_tls_key_and_nobody_else() {
    let dir = Dir::new("key");
    fs::create_dir(&dir.0).unwrap();
    let key = dir.0.join("key.pem");
    fs::write(&key, "key").unwrap();
    for (mode, good) in [(0o600, true), (0o640, true), (0o400, true), (0o644, false), (0o660, false)] {
        dir.mode("key.pem", mode);
        assert_eq!(check_key_mode(&key).is_ok(), good, "{mode:o}");
    }
    assert!(check_key_mode(&dir.0.join("missing")).is_err());
}

#[test]
fn never_keys_an_old_ledger_with_a_new_secret() {
    let dir = Dir::new("gone");
    let data = Data::open(&dir.0).unwrap();
    data.secret(None).unwrap();
    fs::write(data.ledger().unwrap(), b"rows").unwrap();
    fs::remove_file(data.paths().secret()).unwrap();
    assert!(matches!(data.secret(None), Err(DataError::SecretGone(_))));
}

#[test]
fn never_makes_a_new_ledger_beside_old_bodies() {
    let dir = Dir::new("ledgerless");
    let data = Data::open(&dir.0).unwrap();
    fs::create_dir(data.paths().spool()).unwrap();
    fs::write(data.paths().spool().join("numbers"), "1").unwrap();
    let ledger = data.ledger().unwrap();
    let body = data.paths().spool().join("seg-2.qs");
    fs::write(&body, "a body").unwrap();
    // The first start was killed before it had a secret; or someone has lost everything.
    for empty in [true, false] {
        if !empty {
            fs::remove_file(&ledger).unwrap();
        }
        for refused in [data.ledger().unwrap_err(), data.secret(None).unwrap_err()] {
            let said = refused.to_string();
            assert!(matches!(refused, DataError::LedgerGone { .. }), "{said}");
            assert!(
                said.contains("ledger.db: ") && said.contains("spool") && said.contains("backup"),
                "{said}"
            );
        }
        assert!(body.exists() && ledger.exists() == empty && !data.paths().secret().exists());
    }
    // SQLite would delete a log without its file.
    fs::write(dir.0.join("ledger.db-wal"), "rows").unwrap();
    assert!(matches!(data.ledger(), Err(DataError::LedgerGone { .. })));
    let rewritten = dir.0.join("ledger.rewritten");
    fs::write(&rewritten, "rows").unwrap();
    data.ledger().unwrap();
    fs::remove_file(&rewritten).unwrap();
    fs::write(&ledger, "rows").unwrap();
    data.ledger().unwrap();
    // As the message advises.
    fs::remove_file(&ledger).unwrap();
    fs::rename(data.paths().spool(), dir.0.join("lost")).unwrap();
    data.secret(None).unwrap();
    data.ledger().unwrap();
}

#[test]
fn a_secret_file_is_read_and_never_made() {
    let dir = Dir::new("elsewhere");
    let data = Data::open(&dir.0).unwrap();
    let path = dir.0.join("shared-secret");
    assert!(matches!(data.secret(Some(&path)), Err(DataError::Io(..))));
    make_private(&path, format!("7 {}\n", "0a".repeat(32)).as_bytes()).unwrap();
    assert_eq!(data.secret(Some(&path)).unwrap().id(), 7);
    fs::write(&path, "7 0a").unwrap();
    assert!(matches!(data.secret(Some(&path)), Err(DataError::Damaged(..))));
}

proptest! {
    #[test]
    fn secrets_are_read_as_written(id: u8, bytes: [u8; 32]) {
        let text = format!("{id} {}\n", hex(&bytes));
        let read = parse_secret(text.as_bytes()).unwrap();
        let key = quell_mail::key::ExactKey([9; 32]);
        prop_assert_eq!(read.ledger_key(&key), Secret::new(id, bytes).ledger_key(&key));
        prop_assert_eq!(read.id(), id);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
        let _ = parse_secret(&bytes);
        let text = String::from_utf8_lossy(&bytes);
        prop_assert_eq!(Token::new(&text).is_some_and(|t| t.is(b"")), false);
    }
}
