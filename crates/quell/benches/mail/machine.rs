//! What was measured on: a figure without its machine says nothing.

use crate::support::TempDir;
use std::fs;
use std::io::Write;
use std::process::Command;
use std::time::Instant;

/// Tried so often.
const SYNCS: usize = 200;

/// The load averages of 1, 5 and 15 minutes.
pub fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

/// Processor, cores, memory, kernel and file system, one line each.
pub fn lines() -> Vec<String> {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let models: Vec<&str> = cpus.lines().filter_map(|line| line.strip_prefix("model name")).collect();
    let model = models.first().map_or("unknown", |line| line.trim_start_matches(['\t', ' ', ':']));
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = memory.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = total.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0);
    let temporary = std::env::temp_dir();
    let file_system = said("findmnt", &["-no", "FSTYPE", "-T", &temporary.to_string_lossy()]);
    vec![
        format!("Processor: {model}, {} cores", models.len()),
        format!("Memory: {:.0} GiB", kib as f64 / f64::from(1 << 20)),
        format!("Kernel: {}", said("uname", &["-sr"])),
        format!("Queues on: {file_system} (`{}`); {}", temporary.display(), sync_times()),
    ]
}

/// What making something durable costs there when nothing else does.
fn sync_times() -> String {
    let directory = TempDir::new("bench-sync");
    let mut file = fs::File::create(directory.join("file")).expect("a file");
    let mut times_ms: Vec<f64> = Vec::new();
    for _ in 0..SYNCS {
        let start = Instant::now();
        file.write_all(&[0; 4096]).and_then(|()| file.sync_data()).expect("written");
        times_ms.push(start.elapsed().as_secs_f64() * 1000.0);
    }
    times_ms.sort_by(f64::total_cmp);
    let (median, p99) = (times_ms[SYNCS / 2], times_ms[SYNCS * 99 / 100]);
    format!("4 KiB appended and synced in {median:.2} ms (p99 {p99:.2} ms)")
}

/// Versions of what was measured.
pub fn versions(quell: &std::path::Path) -> Vec<String> {
    let commit = said("git", &["rev-parse", "--short", "HEAD"]);
    let changed =
        !said("git", &["status", "--porcelain", "--untracked-files=no", "--", ":/crates", ":/Cargo.lock"])
            .is_empty();
    let state = if changed { ", with changes that are not committed" } else { "" };
    vec![
        format!("quell: {} at commit {commit}{state}", said(&quell.to_string_lossy(), &["--version"])),
        format!("Postfix: {}", said("postconf", &["-dh", "mail_version"])),
    ]
}

/// What a command says, in one line; empty if it fails.
fn said(program: &str, arguments: &[&str]) -> String {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let output = Command::new(program).args(arguments).env("PATH", path).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.trim().replace('\n', " ")
}
