//! `quell demo`, as a user runs it, with small numbers.

mod ends;
mod figures;
mod picture;

use crate::support::TempDir;
use crate::support::process::Running;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// `quell demo` whose folder for temporary files is `directory`.
fn demo(directory: &TempDir, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quell"));
    command.arg("demo").args(arguments).env("TMPDIR", temporary(directory)).stdin(Stdio::null());
    command
}

fn temporary(directory: &TempDir) -> PathBuf {
    let path = directory.join("tmp");
    std::fs::create_dir_all(&path).expect("a directory");
    path
}

/// Runs it to its end.
fn run(directory: &TempDir, arguments: &[&str]) -> Output {
    demo(directory, arguments).output().expect("quell")
}

fn start(directory: &TempDir, arguments: &[&str]) -> Running {
    Running::start(demo(directory, arguments), &directory.join("log"))
}

/// Processes with this folder for temporary files in their environment: the demonstration's own.
fn processes(directory: &TempDir) -> Vec<(u32, String)> {
    let mark = format!("TMPDIR={}\0", temporary(directory).display());
    let entries = std::fs::read_dir("/proc").expect("proc");
    let ids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    ids.filter_map(|id| {
        let environment = std::fs::read(format!("/proc/{id}/environ")).ok()?;
        let ours = String::from_utf8_lossy(&environment).contains(&mark);
        let command = std::fs::read(format!("/proc/{id}/cmdline")).ok().filter(|_| ours)?;
        Some((id, String::from_utf8_lossy(&command).replace('\0', " ")))
    })
    .collect()
}

/// Nothing runs and nothing lies there any more.
fn assert_nothing_left(directory: &TempDir) {
    assert_eq!(processes(directory), Vec::new());
    assert_eq!(files(&temporary(directory)), Vec::<PathBuf>::new());
}

fn files(below: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(below).expect("a directory").map(|entry| entry.expect("an entry").path()).collect()
}
