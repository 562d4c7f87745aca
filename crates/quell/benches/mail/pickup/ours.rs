//! quell with one account.

use super::Ran;
use super::letters::Letters;
use super::maildrop::{Maildrop, PASSWORD, USER};
use super::syncs::Traced;
use crate::options::Options;
use crate::servers::{Quell, Server};
use crate::support::process::try_run;
use crate::support::{TempDir, free_port, wait_until};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const LIMIT: Duration = Duration::from_secs(120);
/// How often it is asked how far it is: what it does must not be disturbed by that. When it was done is read from the disk.
const LOOK: Duration = Duration::from_millis(100);

/// Collects into the Maildir (`delivers`), or into the queue of a domain whose next hop is down.
pub fn collect(
    options: &Options,
    delivers: bool,
    (directory, maildrop): (&TempDir, &Maildrop),
    letters: &Letters,
    traced: Option<&Traced>,
) -> Result<Ran, String> {
    let data = directory.join("quell-data");
    let program = traced.map_or_else(|| options.quell.clone(), |traced| traced.program(&options.quell));
    let more = settings(directory, maildrop.port, delivers);
    let quell = Quell::start_on(&program, directory, &data, free_port(), &more);
    first_look(options, directory)?;
    maildrop.fill(letters);
    if let Some(traced) = traced {
        traced.begin();
    }
    let (cpu, threads, start) = (quell.cpu_secs(), quell.threads(), since_1970());
    let mut command = Command::new(&options.quell);
    let (ok, said) =
        try_run(command.args(["pickup", "run", "--quiet"]).arg("--config").arg(config(directory)));
    if !ok {
        return Err(format!("quell pickup run: {said}"));
    }
    let mailbox = data.join("mail/firm.example/jane");
    let (delivered, taken) = match delivers {
        true => ("quell_deliveries_total{outcome=\"delivered\"}", letters.count()),
        false => ("quell_pickup_messages_total{result=\"taken\"}", letters.count()),
    };
    wait_until(LIMIT, || {
        std::thread::sleep(LOOK);
        quell.number(delivered) >= taken
    });
    let secs = maildrop.changed_secs().max(last_changed_secs(&mailbox)) - start;
    let grown = |(name, secs): (String, f64)| {
        let before = threads.get(&name).copied().unwrap_or(0.0);
        (name, secs - before)
    };
    let cpu_secs = quell.cpu_secs() - cpu;
    let (threads, peak_mib) = (quell.threads().into_iter().map(grown).collect(), quell.peak_mib());
    let faults = faults(&quell, delivers, letters, &mailbox);
    Box::new(quell).stop();
    Ok(Ran { secs, cpu_secs, peak_mib, threads, faults })
}

fn settings(directory: &TempDir, port: u16, delivers: bool) -> String {
    let password = directory.join("password");
    fs::write(&password, PASSWORD).expect("a password");
    fs::set_permissions(&password, fs::Permissions::from_mode(0o600)).expect("permissions");
    let deliver = if delivers { "maildir".to_owned() } else { format!("smtp://127.0.0.1:{}", free_port()) };
    format!(
        "[domains.\"firm.example\"]\ndeliver = \"{deliver}\"\nrecipients = [\"jane\"]\n[[pickup]]\nname = \"bench\"\n\
         server = \"pop3://127.0.0.1:{port}\"\ntls = \"never\"\nuser = \"{USER}\"\npassword_file = {password:?}\n\
         to = [\"jane@firm.example\"]\npoll_secs = 3600\n"
    )
}

/// As [`Quell::start_on`] names it.
fn config(directory: &TempDir) -> PathBuf {
    directory.join("quell.toml")
}

/// The first, at an empty maildrop, is at the start of the server and belongs to that.
fn first_look(options: &Options, directory: &TempDir) -> Result<(), String> {
    let mut said = String::new();
    let is_done = wait_until(LIMIT, || {
        let mut command = Command::new(&options.quell);
        command.args(["pickup", "status", "--json", "--config"]).arg(config(directory));
        said = try_run(&mut command).1;
        let answer: serde_json::Value = serde_json::from_str(&said).unwrap_or_default();
        answer["accounts"][0]["last_good"].is_string() && answer["accounts"][0]["state"] == "waiting"
    });
    if is_done { Ok(()) } else { Err(format!("no first look: {said}")) }
}

fn since_1970() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs_f64()
}

/// When the last file of a mailbox got its name, or lost that in `tmp/`; 0 if there is none.
fn last_changed_secs(mailbox: &Path) -> f64 {
    let files = fs::read_dir(mailbox.join("new")).into_iter().flatten();
    let changed = files.map(|file| {
        let meta = file.and_then(|file| file.metadata()).expect("a file");
        meta.ctime() as f64 + meta.ctime_nsec() as f64 / 1e9
    });
    changed.fold(0.0, f64::max)
}

/// What its books say, and the mailbox.
fn faults(quell: &Quell, delivers: bool, letters: &Letters, mailbox: &Path) -> Vec<String> {
    let count = letters.count();
    let open = if delivers { 0 } else { count };
    wait_until(LIMIT, || quell.open_rows() == open);
    let told = [
        ("taken", quell.number("quell_pickup_messages_total{result=\"taken\"}"), count),
        ("known before", quell.number("quell_pickup_messages_total{result=\"known\"}"), 0),
        ("refused", quell.number("quell_pickup_messages_total{result=\"refused\"}"), 0),
        ("passed", quell.number("quell_messages_total{verdict=\"pass\"}"), count),
        ("in the queue", quell.open_rows(), open),
    ];
    let wrong = told.iter().filter(|(_, is, should)| is != should);
    let books = wrong.map(|(what, is, should)| format!("{is} {what}, should be {should}"));
    let mailbox = if delivers { letters.faults(mailbox) } else { Vec::new() };
    books.chain(mailbox).collect()
}
