//! Other mail programs, each in a directory of its own on loopback ports.
//!
//! `scripts/setup-tests` brings them onto the machine. Where one is missing a test says
//! so and does nothing; with `CI=true` it fails instead.

pub mod aiosmtpd;
pub mod counter;
pub mod courier;
pub mod cutter;
pub mod dns;
pub mod dovecot;
pub mod exim;
pub mod hostile;
pub mod inetd;
pub mod lmtp;
pub mod mutt;
pub mod opensmtpd;
pub mod pebble;
pub mod popa3d;
pub mod postfix;
pub mod provider;
pub mod sink;
pub mod smtp_source;
pub mod swaks;

use super::process::run;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// How long a peer may take to start.
pub const START_LIMIT: Duration = Duration::from_secs(20);

/// Whether these programs are here; where not, says so, and panics with `CI=true`.
/// A name with a slash is a path; one that begins with `@/` is only unpacked.
pub fn available(programs: &[&str]) -> bool {
    let missing: Vec<&&str> = programs.iter().filter(|program| find(program).is_none()).collect();
    missing.is_empty() || skip(&format!("{missing:?} not here: run scripts/setup-tests as root"))
}

/// The same for peers that must be started by root, to give up its privileges.
pub fn available_to_root(programs: &[&str]) -> bool {
    available(programs) && (is_root() || skip(&format!("{programs:?} must be started by root")))
}

/// Says loudly that a test does nothing, which it may not do with `CI=true`.
pub fn skip(why: &str) -> bool {
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{why}");
    eprintln!("\n*** SKIPPED: {why}\n");
    false
}

/// Whether we are root, which some peers need to give up their privileges.
pub fn is_root() -> bool {
    run(Command::new("id").arg("-u")).trim() == "0"
}

fn find(program: &str) -> Option<PathBuf> {
    let path = match program.strip_prefix('@') {
        Some(path) => unpacked_root().join(path.trim_start_matches('/')),
        None if program.contains('/') => PathBuf::from(program),
        None => {
            let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
            let mut directories = path.split(':').map(|directory| Path::new(directory).join(program));
            directories.find(|path| path.is_file())?
        }
    };
    path.is_file().then_some(path)
}

/// Path of a program; panics if it is not here, so ask [`available`] before.
pub fn program(name: &str) -> PathBuf {
    find(name).unwrap_or_else(|| panic!("{name} is not here: run scripts/setup-tests as root"))
}

/// Where `scripts/setup-tests` unpacks packages that exclude each other.
fn unpacked_root() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    // Like the script: a relative target directory is relative to the workspace.
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    workspace.join(target).join("peers/root")
}

/// Copies an unpacked program and the libraries to `directory`, where a user without
/// privileges may reach it: the checkout may be in a home that only root can enter.
fn copy_unpacked(programs: &[&str], directory: &Path) {
    let libraries = unpacked_root().join(format!("usr/lib/{}-linux-gnu", std::env::consts::ARCH));
    std::fs::create_dir_all(directory).expect("a directory");
    let sources = programs.iter().map(|name| program(name));
    for source in sources.chain([libraries.join(".")]) {
        run(Command::new("cp").arg("-a").arg(source).arg(directory));
    }
}

/// Makes a directory that belongs to a user.
fn directory_of(path: &Path, owner: &str) {
    std::fs::create_dir_all(path).expect("a directory");
    run(Command::new("chown").arg(owner).arg(path));
}

/// Runs a command with a message on its standard input; panics if it fails.
fn feed(command: &mut Command, message: &[u8]) {
    use std::io::Write;
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let mut input = child.stdin.take().expect("stdin");
    // A program that ends early says why on its own.
    let _ = input.write_all(message);
    drop(input);
    let output = child.wait_with_output().expect("an end");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed:\n{said}");
}

/// Local programs want lines that end in LF.
fn with_lf(message: &[u8]) -> Vec<u8> {
    String::from_utf8_lossy(message).replace("\r\n", "\n").into_bytes()
}
