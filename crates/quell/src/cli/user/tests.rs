use super::*;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// A stopped server's data, and files with passwords.
fn place(name: &str) -> (PathBuf, Config) {
    let folder = std::env::temp_dir().join(format!("quell-user-{name}-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("quell-data")).unwrap();
    let mode = std::fs::Permissions::from_mode(0o700);
    std::fs::set_permissions(folder.join("quell-data"), mode).unwrap();
    for (file, text) in [("pw", "correct horse\n"), ("pw2", "battery staple"), ("empty", "\n")] {
        std::fs::write(folder.join(file), text).unwrap();
    }
    let text = "[domains.\"firm.example\"]\n";
    let config = Config::parse(Path::new(&folder.join("quell.toml")), text, "m.example").unwrap();
    (folder, config)
}

fn asked(config: &Config, command: Command) -> Result<String, Failure> {
    let mut out = Vec::new();
    run(&Args { command }, config, &mut out).map(|()| String::from_utf8(out).unwrap())
}

#[test]
fn users_are_made_listed_changed_and_removed() {
    let (folder, config) = place("all");
    let file = |name: &str| From { password_file: Some(folder.join(name)), password_stdin: false };
    let add = |name: &str, addresses: &[&str], file: From| {
        let addresses = addresses.iter().map(|a| (*a).to_owned()).collect();
        asked(&config, Command::Add { name: name.to_owned(), addresses, password: file })
    };
    let jane = || "Jane@Firm.example".to_owned();
    let said = add(&jane(), &["*@firm.example", "jane@other.example"], file("pw")).unwrap();
    assert!(
        said.starts_with("made: jane@firm.example\njane@other.example: the domain is not ours"),
        "{said}"
    );
    for (failure, status, part) in [
        (add("jane@firm.example", &[], file("pw")), 1, "there is a user jane@firm.example"),
        (add("jane@other.example", &[], file("pw")), 1, "other.example is not ours: add [domains."),
        (add("jane", &[], file("pw")), 2, "write an address"),
        (add("bob@firm.example", &["info"], file("pw")), 2, "info: write an address"),
        (add("bob@firm.example", &[], file("none")), 1, "none: No such file"),
        (add("bob@firm.example", &[], file("empty")), 1, "the password is empty"),
        (asked(&config, Command::Disable { name: "bob@firm.example".to_owned() }), 1, "there is no user bob"),
    ] {
        let why = failure.unwrap_err();
        assert!(why.status() == status && why.to_string().contains(part), "{why}");
    }
    assert_eq!(asked(&config, Command::Disable { name: jane() }).unwrap(), "disabled: Jane@Firm.example\n");
    let list = asked(&config, Command::List { json: false }).unwrap();
    assert!(
        list.starts_with("disabled  jane@firm.example  made ") && list.contains("never signed in"),
        "{list}"
    );
    assert!(list.ends_with("sends as *@firm.example, jane@other.example too\n"), "{list}");
    asked(&config, Command::Enable { name: jane() }).unwrap();
    asked(&config, Command::Addresses { name: jane(), addresses: vec![] }).unwrap();
    let list = asked(&config, Command::List { json: true }).unwrap();
    assert!(!list.contains("argon2"), "{list}");
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    assert_eq!(list["users"][0]["disabled"], false);
    assert_eq!(list["users"][0]["addresses"], serde_json::json!([]));
    asked(&config, Command::Password { name: jane(), password: file("pw2") }).unwrap();
    let Way::Stopped(accounts, lock) = Way::open(&config).unwrap() else { panic!("no server runs") };
    let user = accounts.get("jane@firm.example").unwrap().unwrap();
    assert!(verifier::matches(Some(&user.verifier), b"battery staple"));
    assert!(!verifier::matches(Some(&user.verifier), b"correct horse"));
    let mode = std::fs::metadata(lock.paths().users()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    drop((accounts, lock));
    assert_eq!(asked(&config, Command::Remove { name: jane() }).unwrap(), "removed: Jane@Firm.example\n");
    assert_eq!(asked(&config, Command::List { json: false }).unwrap(), "");
    std::fs::remove_dir_all(&folder).unwrap();
}

/// Neither a password nor a hint of one fits on the command line.
#[test]
fn no_password_on_the_command_line() {
    use clap::Parser;
    let parse = |args: &[&str]| crate::cli::Cli::try_parse_from([&["quell", "user"], args].concat());
    assert!(parse(&["add", "jane@firm.example", "secret"]).is_err());
    assert!(parse(&["add", "jane@firm.example", "--password", "secret"]).is_err());
    assert!(parse(&["password", "jane@firm.example", "secret"]).is_err());
    assert!(parse(&["add", "j@f.example", "--password-stdin", "--password-file", "x"]).is_err());
    assert!(parse(&["add", "j@f.example", "--address", "a@f.example", "--address", "b@f.example"]).is_ok());
}
