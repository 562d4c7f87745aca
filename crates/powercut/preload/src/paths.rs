//! Paths as the log names them: absolute, without `.` and `..`, below the root.

use libc::{c_char, c_int};
use std::ffi::{CStr, CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::sync::OnceLock;

static ROOT: OnceLock<Option<Vec<u8>>> = OnceLock::new();

fn root() -> Option<&'static [u8]> {
    ROOT.get_or_init(|| {
        let root = std::env::var_os("POWERCUT_ROOT")?;
        let root = normal(root.as_bytes());
        (root.len() > 1).then_some(root)
    })
    .as_deref()
}

/// Whether there is a directory to watch. Called before `main`, so that later calls
/// find the answer ready and take no lock.
pub fn root_is_set() -> bool {
    root().is_some()
}

/// The path of the log.
pub fn log_path() -> Option<CString> {
    CString::new(std::env::var_os("POWERCUT_LOG")?.as_bytes()).ok()
}

/// `path`, seen from directory `dir` (or `AT_FDCWD`), if it lies below the root.
pub unsafe fn below_root(dir: c_int, path: *const c_char) -> Option<Vec<u8>> {
    if path.is_null() || !super::log::on() {
        return None;
    }
    let root = root()?;
    let path = unsafe { CStr::from_ptr(path) }.to_bytes();
    let full = match path.first() {
        Some(b'/') => normal(path),
        _ => normal(&[&directory(dir, path.is_empty())?, b"/".as_slice(), path].concat()),
    };
    let rest = full.strip_prefix(root)?;
    (rest.is_empty() || rest.first() == Some(&b'/')).then_some(full)
}

/// Where a relative path starts. `itself`: the path is empty and means `dir` (`AT_EMPTY_PATH`).
fn directory(dir: c_int, itself: bool) -> Option<Vec<u8>> {
    if dir == libc::AT_FDCWD && !itself {
        return Some(std::env::current_dir().ok()?.as_os_str().as_bytes().to_vec());
    }
    let link = std::fs::read_link(format!("/proc/self/fd/{dir}")).ok()?;
    Some(link.as_os_str().as_bytes().to_vec())
}

/// Removes empty parts, `.` and `..`, by their text: symbolic links are not followed,
/// which is why the root has to be given as a canonical path.
fn normal(path: &[u8]) -> Vec<u8> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    let mut out = Vec::with_capacity(path.len() + 1);
    for part in parts {
        out.push(b'/');
        out.extend_from_slice(part);
    }
    if out.is_empty() {
        out.push(b'/');
    }
    out
}

/// SQLite's shared memory file: mapped, and rebuilt after a crash.
pub fn is_shared_memory(fd: c_int) -> bool {
    std::fs::read_link(format!("/proc/self/fd/{fd}")).is_ok_and(|path| ends_with(path.as_os_str(), b"-shm"))
}

fn ends_with(path: &OsStr, end: &[u8]) -> bool {
    path.as_bytes().ends_with(end)
}
