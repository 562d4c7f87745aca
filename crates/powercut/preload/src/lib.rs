//! The recorder: a library for `LD_PRELOAD` that writes down what the program does to
//! the files below one directory. For tests only.
//!
//! Environment: `POWERCUT_ROOT`, the directory to watch, as a canonical path;
//! `POWERCUT_LOG`, the file to append to, outside of it. Without both it only passes on.
//!
//! Each record is one append to the log, so records of threads and of the test's own
//! marks have one order. A write, link, rename … is logged after it succeeded, a close
//! before it happens, a sync before and after: what stands in the log before the
//! beginning of a sync that has ended is on disk.
//!
//! Not seen: raw system calls, io_uring, `fopen` and other calls that stay inside libc,
//! mapped writes (logged as unsupported, except to SQLite's `-shm`, which is rebuilt).
//! A program under test must not use them for durable files.

// The named exception to the rule of the workspace: replacing functions of libc can be
// done neither without `extern "C"` nor without calling the originals through pointers.
#![allow(unsafe_code)]
#![allow(clippy::missing_safety_doc)] // Each function has the contract of its man page.

mod clock;
mod data;
mod fault;
mod log;
mod names;
mod paths;

/// Calls libc's own function of this name, the one that ours stands in front of.
/// A libc without it makes the call fail with `ENOSYS`.
macro_rules! real {
    ($name:ident ( $($arg:expr => $kind:ty),* $(,)? ) -> $result:ty) => {{
        static FOUND: std::sync::atomic::AtomicPtr<libc::c_void> =
            std::sync::atomic::AtomicPtr::new(std::ptr::null_mut());
        let mut found = FOUND.load(std::sync::atomic::Ordering::Relaxed);
        if found.is_null() {
            let name = concat!(stringify!($name), "\0");
            found = unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr().cast()) };
            FOUND.store(found, std::sync::atomic::Ordering::Relaxed);
        }
        if found.is_null() {
            unsafe { *libc::__errno_location() = libc::ENOSYS };
            -1
        } else {
            let function: unsafe extern "C" fn($($kind),*) -> $result =
                unsafe { std::mem::transmute(found) };
            unsafe { function($($arg),*) }
        }
    }};
}
pub(crate) use real;
