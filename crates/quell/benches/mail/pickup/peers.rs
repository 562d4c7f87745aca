//! The programs that people collect mail with, as Debian has them.

use super::Ran;
use super::letters::Letters;
use super::maildrop::{Maildrop, PASSWORD, USER};
use super::syncs::Traced;
use crate::cpu;
use crate::support::peers::program;
use crate::support::process::run as run_to_end;
use crate::support::{Running, TempDir};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// None of them may take longer.
const LIMIT: Duration = Duration::from_secs(900);
/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// Debian's numbers.
const NOBODY: u32 = 65_534;
const NOGROUP: u32 = 65_534;
/// Of what a program says when it fails, so many characters: it may say that of each message.
const SAID_CHARS: usize = 400;

/// One of them.
#[derive(Clone, Copy)]
pub enum Peer {
    Mpop,
    Getmail,
    Fetchmail,
}

/// Runs it once over a maildrop that is filled for it.
pub fn collect(
    peer: &Peer,
    (directory, maildrop): (&TempDir, &Maildrop),
    letters: &Letters,
    traced: Option<&Traced>,
) -> Result<Ran, String> {
    let maildir = directory.join("Maildir");
    for folder in ["new", "cur", "tmp"] {
        fs::create_dir_all(maildir.join(folder)).expect("a directory");
    }
    let (program, arguments) = peer.prepare(directory, maildrop.port, &maildir);
    let mut command = traced.map_or_else(|| Command::new(&program), |traced| traced.command(&program));
    // None of them reads its user's own files.
    command.args(arguments).env("HOME", directory.path());
    if matches!(peer, Peer::Getmail) {
        // It delivers nothing as root.
        command.uid(NOBODY).gid(NOGROUP);
        chown_all(directory.path());
    }
    maildrop.fill(letters);
    let (secs, cpu_secs, peak_mib) = run(command, directory)?;
    Ok(Ran { secs, cpu_secs, peak_mib, threads: BTreeMap::new(), faults: letters.faults(&maildir) })
}

impl Peer {
    /// Writes its configuration. The program, and what it is called with.
    fn prepare(self, directory: &TempDir, port: u16, maildir: &Path) -> (PathBuf, Vec<String>) {
        let path = |name: &str| directory.join(name).display().to_string();
        let maildir = maildir.display();
        match self {
            Self::Mpop => {
                let text = format!(
                    "account default\nhost 127.0.0.1\nport {port}\ntls off\nauth user\nuser {USER}\npassword {PASSWORD}\n\
                     keep off\ndelivery maildir {maildir}\nuidls_file {}\n",
                    path("uidls")
                );
                private(&directory.join("mpoprc"), &text);
                (program("mpop"), vec![format!("--file={}", path("mpoprc")), "--quiet".to_owned()])
            }
            Self::Getmail => {
                let text = format!(
                    "[retriever]\ntype = SimplePOP3Retriever\nserver = 127.0.0.1\nport = {port}\nusername = {USER}\n\
                     password = {PASSWORD}\n[destination]\ntype = Maildir\npath = {maildir}/\n[options]\ndelete = true\n\
                     verbose = 0\n"
                );
                private(&directory.join("getmailrc"), &text);
                let getmaildir = format!("--getmaildir={}", directory.path().display());
                (program("getmail"), vec![getmaildir, "--rcfile=getmailrc".to_owned()])
            }
            Self::Fetchmail => {
                private(&directory.join("filter"), &format!("to \"{maildir}\"\n"));
                let text = format!(
                    "poll 127.0.0.1 protocol pop3 port {port}\nuser \"{USER}\" password \"{PASSWORD}\" is \"root\" here\n\
                     fetchall nokeep sslproto \"\" mda \"{} {}\"\n",
                    program("maildrop").display(),
                    path("filter")
                );
                private(&directory.join("fetchmailrc"), &text);
                let arguments = [
                    "--fetchmailrc",
                    &path("fetchmailrc"),
                    "--idfile",
                    &path("ids"),
                    "--pidfile",
                    &path("pid"),
                ];
                let arguments = arguments.map(str::to_owned).into_iter().chain(["--silent".to_owned()]);
                (program("fetchmail"), arguments.collect())
            }
        }
    }
}

/// All of them look whether others could read it.
fn private(path: &Path, text: &str) {
    fs::write(path, text).expect("a configuration");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("permissions");
}

fn chown_all(directory: &Path) {
    run_to_end(Command::new("chown").arg("-R").arg(format!("{NOBODY}:{NOGROUP}")).arg(directory));
}

/// Seconds, CPU seconds with those of its children, most MiB of itself.
fn run(command: Command, directory: &TempDir) -> Result<(f64, f64, f64), String> {
    let (before, start, mut peak) = (cpu::of_ended_children(), Instant::now(), 0.0_f64);
    let mut running = Running::start(command, &directory.join("output"));
    loop {
        // Gone is not a number, which is never the greater one.
        peak = peak.max(cpu::peak_mib(running.pid()));
        match running.ended() {
            Some(status) if status.success() => break,
            Some(status) => {
                let said: String = running.output().trim().chars().take(SAID_CHARS).collect();
                return Err(format!("ended with {status}: {said}"));
            }
            None if start.elapsed() > LIMIT => return Err(format!("had not ended after {LIMIT:?}")),
            None => std::thread::sleep(LOOK),
        }
    }
    Ok((start.elapsed().as_secs_f64(), cpu::of_ended_children() - before, peak))
}
