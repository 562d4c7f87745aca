//! CPU time of processes, from their clocks, proc(5) and getrusage(2).

use nix::sys::resource::{UsageWho, getrusage};
use nix::time::ClockId;
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::fs;

/// Ticks a second of `/proc/PID/stat`: USER_HZ, which is 100 on every Linux that Debian has.
const TICKS_PER_SEC: f64 = 100.0;

/// CPU seconds of a process with all its threads, ended ones too, to the nanosecond.
pub fn of_process(pid: u32) -> f64 {
    let clock = ClockId::pid_cpu_clock_id(Pid::from_raw(pid as i32));
    let time = clock.and_then(|clock| clock.now());
    time.map_or(0.0, |time| time.tv_sec() as f64 + time.tv_nsec() as f64 / 1e9)
}

/// CPU seconds of each thread that runs, by name; those whose names differ in a number are one.
pub fn of_threads(pid: u32) -> BTreeMap<String, f64> {
    let mut secs = BTreeMap::new();
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten();
    for task in tasks.flatten().map(|task| task.path()) {
        // A thread may end meanwhile.
        let read = |file: &str| fs::read_to_string(task.join(file)).unwrap_or_default();
        let name = read("comm").trim().trim_end_matches(|c: char| c.is_ascii_digit() || c == '-').to_owned();
        let ns = read("schedstat").split(' ').next().and_then(|ns| ns.parse::<f64>().ok());
        *secs.entry(name).or_default() += ns.unwrap_or(0.0) / 1e9;
    }
    secs
}

/// CPU seconds of a process that waits for all its children (Postfix's `master`), with those of its
/// children: what the ended ones took stands with their parent.
pub fn of_family(parent: u32) -> f64 {
    let master = of_process(parent) + stat(parent).map_or(0.0, |stat| stat.ended_children_secs);
    let children = processes().filter(|pid| stat(*pid).is_some_and(|stat| stat.parent == parent));
    master + children.map(of_process).sum::<f64>()
}

/// CPU seconds of all children of this process that it has waited for.
pub fn of_ended_children() -> f64 {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("our own usage");
    let secs = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    secs(usage.user_time()) + secs(usage.system_time())
}

/// Most memory that a process has had resident, in MiB; not a number if it is gone.
pub fn peak_mib(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or(f64::NAN) / 1024.0
}

struct Stat {
    parent: u32,
    ended_children_secs: f64,
}

fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold spaces. Behind it: state (field 3), ppid (4), …, cutime (16),
    // cstime (17).
    let fields: Vec<&str> = text.rsplit(')').next()?.split_whitespace().collect();
    let ticks = |field: usize| fields.get(field - 3).and_then(|text| text.parse::<f64>().ok());
    Some(Stat {
        parent: fields.get(1)?.parse().ok()?,
        ended_children_secs: (ticks(16)? + ticks(17)?) / TICKS_PER_SEC,
    })
}

fn processes() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").expect("proc");
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}
