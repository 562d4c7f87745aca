//! Lets calls fail when the test says so: a full disk, a read-only one, a failed sync.
//!
//! While the file named in `POWERCUT_FAULT` exists, it says which: a line of class,
//! `errno`, how many calls of the class succeed first, and `1` if only the next one fails.

use libc::c_int;
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a call needs of the disk.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Room: writing, creating.
    Space,
    /// Leave to change something, but no room.
    Leave,
    /// To reach the disk.
    Sync,
}

static FILE: OnceLock<Option<CString>> = OnceLock::new();
/// Calls of the class since the fault was set.
static CALLS: AtomicU64 = AtomicU64::new(0);

/// Looks up the variable, before `main`.
pub fn prepare() {
    FILE.get_or_init(|| CString::new(std::env::var_os("POWERCUT_FAULT")?.as_bytes()).ok());
}

/// Whether this call is to fail; `errno` is then set.
pub fn strikes(needs: Needs) -> bool {
    let Some(Some(file)) = FILE.get() else { return false };
    let errno = unsafe { *libc::__errno_location() };
    let mut text = [0_u8; 64];
    let found = read(file, &mut text);
    if found.is_none() {
        CALLS.store(0, Ordering::Relaxed);
    }
    let found = found.and_then(|text| parse(text, needs));
    let set = match found {
        Some(fault) => {
            let call = CALLS.fetch_add(1, Ordering::Relaxed);
            let struck = if fault.once { call == fault.after } else { call >= fault.after };
            struck.then_some(fault.errno)
        }
        None => None,
    };
    unsafe { *libc::__errno_location() = set.unwrap_or(errno) };
    set.is_some()
}

struct Fault {
    errno: c_int,
    after: u64,
    once: bool,
}

/// What stands in a small file; `None` if there is none.
pub fn read<'a>(file: &CString, text: &'a mut [u8; 64]) -> Option<&'a [u8]> {
    let flags = libc::O_RDONLY | libc::O_CLOEXEC;
    let fd = unsafe { libc::syscall(libc::SYS_openat, libc::AT_FDCWD, file.as_ptr(), flags, 0) };
    if fd < 0 {
        return None;
    }
    let len = unsafe { libc::syscall(libc::SYS_read, fd, text.as_mut_ptr(), text.len()) };
    unsafe { libc::syscall(libc::SYS_close, fd) };
    text.get(..usize::try_from(len).ok()?)
}

fn parse(text: &[u8], needs: Needs) -> Option<Fault> {
    let mut words = std::str::from_utf8(text).ok()?.split_whitespace();
    let applies = match words.next()? {
        "space" => needs == Needs::Space,
        "change" => needs != Needs::Sync,
        "sync" => needs == Needs::Sync,
        _ => false,
    };
    let errno = words.next()?.parse().ok()?;
    let after = words.next()?.parse().ok()?;
    let once = words.next()? == "1";
    applies.then_some(Fault { errno, after, once })
}
