//! Style as a test: borders between crates, banned calls, sizes, leftovers. Each check is shown to
//! be able to fail by the self-tests at the end.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]

use std::fs;
use std::path::{Path, PathBuf};

/// Longest file and function, in lines; tests at the end of a file are not counted.
const MAX_FILE_LINES: usize = 500;
const MAX_FUNCTION_LINES: usize = 70;

/// What each crate may use of the others (DESIGN.md, "The house").
const BORDERS: [(&str, &[&str]); 6] = [
    ("mail", &[]),
    ("storm", &["mail"]),
    ("wire", &["mail"]),
    ("queue", &["storm", "mail"]),
    ("relay", &["queue", "wire", "storm", "mail"]),
    ("sim", &["relay", "queue", "wire", "storm", "mail"]),
];

/// Crates without I/O and clock, and what they must not say.
const PURE: [&str; 5] = ["mail", "storm", "wire", "relay", "sim"];
const BANNED: [&str; 13] = [
    "tokio",
    "UnixStream",
    "UnixListener",
    "net::TcpStream",
    "net::TcpListener",
    "net::UdpSocket",
    "net::{Tcp",
    "net::{Udp",
    "std::fs",
    "SystemTime",
    "Instant::now",
    "thread_rng",
    "rand::",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Files below `folder` whose name ends with one of `ends`; build products are left out.
fn files(folder: &Path, ends: &[&str], found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let (path, name) = (entry.path(), entry.file_name().into_string().unwrap_or_default());
        if path.is_dir() && !["target", ".git", "quell-data", "corpus"].contains(&name.as_str()) {
            files(&path, ends, found);
        } else if ends.iter().any(|end| name.ends_with(end)) {
            found.push(path);
        }
    }
}

fn sources() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    files(&root().join("crates"), &[".rs"], &mut found);
    assert!(found.len() > 20, "the sources were not found");
    let read = |path: PathBuf| fs::read_to_string(&path).map(|text| (path, text));
    found.into_iter().map(read).collect::<Result<_, _>>().unwrap()
}

/// The name of the crate that `path` belongs to.
fn crate_of(path: &Path) -> String {
    let text = path.to_string_lossy().into_owned();
    let after = text.rsplit("crates/").next().unwrap_or_default();
    after.split('/').next().unwrap_or_default().to_owned()
}

fn is_test_file(path: &Path) -> bool {
    let text = path.to_string_lossy();
    text.contains("/tests/") || text.ends_with("tests.rs") || text.ends_with("_tests.rs")
}

/// What stands before the tests of a file, comments left out.
fn code(text: &str) -> Vec<(usize, &str)> {
    let before_tests = text.lines().take(lines_before_tests(text)).enumerate();
    before_tests.filter(|(_, line)| !line.trim_start().starts_with("//")).collect()
}

/// Lines up to the tests that stand in the file itself. A `mod tests;` near the top names another
/// file, and what follows it is no test.
fn lines_before_tests(text: &str) -> usize {
    let lines: Vec<&str> = text.lines().collect();
    let inline = |pair: &[&str]| pair[0].starts_with("#[cfg(test)]") && !pair[1].trim_end().ends_with(';');
    lines.windows(2).position(inline).unwrap_or(lines.len())
}

fn banned_calls(text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    for (number, line) in code(text) {
        for word in BANNED.iter().filter(|word| line.contains(**word)) {
            faults.push(format!("{}: {word}", number + 1));
        }
    }
    faults
}

/// Uses of our own crates that `allowed` does not name.
fn border_crossings(text: &str, allowed: &[&str]) -> Vec<String> {
    let mut faults = Vec::new();
    for (number, line) in code(text) {
        for other in ["mail", "storm", "wire", "queue", "relay", "sim"] {
            let used = [format!("quell_{other}::"), format!("quell-{other}.")];
            if !allowed.contains(&other) && used.iter().any(|name| line.contains(name)) {
                faults.push(format!("{}: quell-{other}", number + 1));
            }
        }
    }
    faults
}

fn long_functions(text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let mut open: Option<(usize, usize, &str)> = None;
    for (number, line) in text.lines().enumerate() {
        let indent = line.len() - line.trim_start().len();
        match open {
            None if is_function(line) && !line.trim_end().ends_with(['}', ';']) => {
                open = Some((number, indent, line.trim()));
            }
            Some((start, depth, name)) if indent == depth && line.trim_start().starts_with('}') => {
                let length = number - start + 1;
                if length > MAX_FUNCTION_LINES {
                    faults.push(format!("{}: {length} lines: {name}", start + 1));
                }
                open = None;
            }
            _ => {}
        }
    }
    faults
}

fn is_function(line: &str) -> bool {
    let mut rest = line.trim_start();
    for word in ["pub(crate) ", "pub(super) ", "pub ", "const ", "async ", "unsafe ", "extern \"C\" "] {
        rest = rest.strip_prefix(word).unwrap_or(rest);
    }
    rest.starts_with("fn ")
}

fn leftovers(text: &str) -> Vec<String> {
    let words = [["to", "do!("], ["unimple", "mented!("], ["FIX", "ME"], ["TO", "DO"], ["XX", "X:"]];
    let words = words.map(|halves| halves.concat());
    let lines = text.lines().enumerate();
    let found = lines.filter(|(_, line)| words.iter().any(|word| line.contains(word.as_str())));
    found.map(|(number, line)| format!("{}: {}", number + 1, line.trim())).collect()
}

/// Paths of a developer's machine.
fn machine_paths(text: &str) -> Vec<String> {
    let words = [["/ho", "me/"], ["/ro", "ot/"], ["/wo", "rk/"], ["/Us", "ers/"]];
    let words = words.map(|halves| halves.concat());
    let lines = text.lines().enumerate();
    let found = lines.filter(|(_, line)| words.iter().any(|word| line.contains(word.as_str())));
    found.map(|(number, line)| format!("{}: {}", number + 1, line.trim())).collect()
}

/// Runs `check` on every source, and fails with all that it finds.
fn sweep(check: impl Fn(&Path, &str) -> Vec<String>) {
    let mut faults = Vec::new();
    for (path, text) in sources() {
        let name = path.strip_prefix(root()).unwrap_or(&path).display().to_string();
        faults.extend(check(&path, &text).into_iter().map(|fault| format!("{name}:{fault}")));
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn crates_without_io_stay_without() {
    sweep(|path, text| match PURE.contains(&crate_of(path).as_str()) && !is_test_file(path) {
        true => banned_calls(text),
        false => Vec::new(),
    });
}

#[test]
fn crates_use_only_what_lies_below() {
    for (name, allowed) in BORDERS {
        let manifest = root().join("crates").join(name).join("Cargo.toml");
        let text = fs::read_to_string(&manifest).unwrap();
        let crossed = border_crossings(&text, allowed);
        assert!(crossed.is_empty(), "crates/{name}/Cargo.toml: {crossed:?}");
        for banned in ["tokio", "rand", "axum", "hyper"] {
            let used = text.lines().any(|line| {
                line.starts_with(&format!("{banned}.")) || line.starts_with(&format!("{banned} "))
            });
            assert!(!used, "crates/{name}/Cargo.toml uses {banned}");
        }
        sweep(|path, text| match crate_of(path) == name && !is_test_file(path) {
            // A crate may name itself: in its own doc tests and examples.
            true => border_crossings(text, &[allowed, &[name]].concat()),
            false => Vec::new(),
        });
    }
}

#[test]
fn functions_and_files_are_small() {
    sweep(|path, text| {
        let before_tests = lines_before_tests(text);
        let mut faults = long_functions(text);
        if before_tests > MAX_FILE_LINES && !is_test_file(path) {
            faults.push(format!("1: {before_tests} lines"));
        }
        faults
    });
}

#[test]
fn nothing_is_left_for_later() {
    sweep(|_, text| leftovers(text));
}

#[test]
fn no_path_of_a_developers_machine() {
    sweep(|_, text| machine_paths(text));
    let mut others = Vec::new();
    files(&root().join("scripts"), &[""], &mut others);
    files(&root().join("docs"), &[""], &mut others);
    others.extend(["README.md", "Makefile", "CHANGELOG.md"].map(|name| root().join(name)));
    for path in others {
        let found = machine_paths(&fs::read_to_string(&path).unwrap());
        assert!(found.is_empty(), "{}: {found:?}", path.display());
    }
}

#[test]
fn every_crate_takes_the_lints_of_the_workspace() {
    let mut manifests = Vec::new();
    files(&root().join("crates"), &["Cargo.toml"], &mut manifests);
    for path in manifests.into_iter().filter(|path| crate_of(path) != "powercut") {
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains("[lints]\nworkspace = true"), "{}", path.display());
    }
}

#[test]
fn each_check_can_fail() {
    assert_eq!(banned_calls("fn a() {\n    std::fs::read(x);\n}\n").len(), 1);
    assert_eq!(banned_calls("// std::fs\nuse tokio::net;\n").len(), 1);
    assert_eq!(banned_calls("use std::net::{TcpStream};\n").len(), 1);
    assert_eq!(banned_calls("fn a() {}\n#[cfg(test)]\nmod tests {\nuse std::fs;\n}\n").len(), 0);
    assert_eq!(banned_calls("#[cfg(test)]\nmod tests;\nuse std::fs;\n").len(), 1);
    assert_eq!(border_crossings("use quell_queue::door;\n", &["mail"]).len(), 1);
    assert_eq!(border_crossings("quell-queue.workspace = true\n", &["mail"]).len(), 1);
    assert_eq!(border_crossings("use quell_mail::id;\n", &["mail"]).len(), 0);
    let function = |lines: usize| format!("    pub fn a() {{\n{}    }}\n", "        b();\n".repeat(lines));
    assert_eq!(long_functions(&function(MAX_FUNCTION_LINES - 2)).len(), 0);
    assert_eq!(long_functions(&function(MAX_FUNCTION_LINES - 1)).len(), 1);
    assert_eq!(leftovers(&format!("    to{}!()\n// FIX{}\n", "do", "ME")).len(), 2);
    assert_eq!(machine_paths(&format!("let a = \"/ho{}/me\";\n", "me")).len(), 1);
}
