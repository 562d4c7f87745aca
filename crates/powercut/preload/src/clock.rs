//! Lets the wall clock jump when the test says so.
//!
//! While the file named in `POWERCUT_CLOCK` exists, `clock_gettime(CLOCK_REALTIME)` is
//! ahead by as many seconds as stand in it, or behind if the number is negative. Other
//! clocks, and file times, stay as they are.

use crate::fault::read;
use crate::real;
use libc::{c_int, clockid_t, timespec};
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::sync::OnceLock;

static FILE: OnceLock<Option<CString>> = OnceLock::new();

/// Looks up the variable, before `main`.
pub fn prepare() {
    FILE.get_or_init(|| CString::new(std::env::var_os("POWERCUT_CLOCK")?.as_bytes()).ok());
}

fn ahead_secs() -> Option<i64> {
    let file = FILE.get()?.as_ref()?;
    let errno = unsafe { *libc::__errno_location() };
    let mut text = [0_u8; 64];
    let found = read(file, &mut text).and_then(|text| std::str::from_utf8(text).ok()?.trim().parse().ok());
    unsafe { *libc::__errno_location() = errno };
    found
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(clock: clockid_t, out: *mut timespec) -> c_int {
    let result = real!(clock_gettime(clock => clockid_t, out => *mut timespec) -> c_int);
    if result == 0
        && clock == libc::CLOCK_REALTIME
        && let Some(ahead) = ahead_secs()
    {
        unsafe { (*out).tv_sec = (*out).tv_sec.saturating_add(ahead) };
    }
    result
}
