//! Where records go, and which descriptors are watched. No locks: a child between
//! `fork` and `exec` may call us while another thread of the parent was inside.

use libc::{c_int, c_void};
use quell_powercut::format::{Head, Kind, PIECE_MAX_BYTES};
use std::sync::atomic::{AtomicI32, AtomicU8, AtomicU32, Ordering};

/// Descriptors that can be watched; opening a watched file beyond is logged as
/// unsupported, which makes the test fail rather than miss writes.
const FDS: usize = 65_536;
/// Not watched, watched, watched and every write synced by itself.
const UNWATCHED: u8 = 0;
const WATCHED: u8 = 1;
const WATCHED_DSYNC: u8 = 2;

static STATE: [AtomicU8; FDS] = [const { AtomicU8::new(UNWATCHED) }; FDS];
static LOG_FD: AtomicI32 = AtomicI32::new(-1);
static PID: AtomicU32 = AtomicU32::new(0);

/// Runs before `main`: opens the log.
#[used]
#[unsafe(link_section = ".init_array")]
static START: extern "C" fn() = start;

extern "C" fn start() {
    let (Some(log), true) = (super::paths::log_path(), super::paths::root_is_set()) else {
        return;
    };
    super::fault::prepare();
    super::clock::prepare();
    let flags = libc::O_WRONLY | libc::O_APPEND | libc::O_CREAT | libc::O_CLOEXEC;
    // Raw calls: our own functions of these names must not see the log.
    let fd = unsafe { libc::syscall(libc::SYS_openat, libc::AT_FDCWD, log.as_ptr(), flags, 0o600) };
    let Ok(fd) = c_int::try_from(fd) else { return };
    if fd < 0 {
        return;
    }
    // Away from the low numbers, which programs expect to get.
    let high = unsafe { libc::syscall(libc::SYS_fcntl, fd, libc::F_DUPFD_CLOEXEC, 500) };
    let high = c_int::try_from(high).unwrap_or(-1);
    if high >= 0 {
        unsafe { libc::syscall(libc::SYS_close, fd) };
    }
    PID.store(unsafe { libc::getpid() }.cast_unsigned(), Ordering::Relaxed);
    LOG_FD.store(if high >= 0 { high } else { fd }, Ordering::Relaxed);
}

/// Whether this process records. A child after `fork` does not: its descriptors are the
/// parent's, and it is about to become another program.
pub fn on() -> bool {
    LOG_FD.load(Ordering::Relaxed) >= 0
        && PID.load(Ordering::Relaxed) == unsafe { libc::getpid() }.cast_unsigned()
}

fn slot(fd: c_int) -> Option<&'static AtomicU8> {
    STATE.get(usize::try_from(fd).ok()?)
}

/// Whether `fd` is a watched file.
pub fn watched(fd: c_int) -> bool {
    slot(fd).is_some_and(|slot| slot.load(Ordering::Relaxed) != UNWATCHED) && on()
}

/// Whether writes to `fd` are synced one by one.
pub fn dsync(fd: c_int) -> bool {
    slot(fd).is_some_and(|slot| slot.load(Ordering::Relaxed) == WATCHED_DSYNC)
}

/// From now on `fd` is watched.
pub fn watch(fd: c_int, dsync: bool) {
    match slot(fd) {
        Some(slot) => slot.store(if dsync { WATCHED_DSYNC } else { WATCHED }, Ordering::Relaxed),
        None => record(Kind::Unsupported, -1, 0, 0, b"descriptor above 65535", b""),
    }
}

/// From now on `fd` is not watched.
pub fn unwatch(fd: c_int) {
    if let Some(slot) = slot(fd) {
        slot.store(UNWATCHED, Ordering::Relaxed);
    }
}

/// Appends one record; the program's `errno` stays as it was.
pub fn record(kind: Kind, fd: c_int, a: u64, b: u64, piece1: &[u8], piece2: &[u8]) {
    let errno = unsafe { *libc::__errno_location() };
    // The kernel itself moves no more than this in one call, so nothing is cut.
    let len = |piece: &[u8]| u32::try_from(piece.len()).unwrap_or(PIECE_MAX_BYTES);
    let head = Head {
        kind,
        pid: PID.load(Ordering::Relaxed),
        tid: u32::try_from(unsafe { libc::syscall(libc::SYS_gettid) }).unwrap_or(0),
        fd,
        a,
        b,
        len1: len(piece1),
        len2: len(piece2),
    }
    .encode();
    let part = |bytes: &[u8]| libc::iovec {
        iov_base: bytes.as_ptr().cast_mut().cast::<c_void>(),
        iov_len: bytes.len(),
    };
    let parts = [part(&head), part(piece1), part(piece2)];
    // A short append leaves a record that the reader finds out and refuses.
    unsafe {
        libc::syscall(libc::SYS_writev, LOG_FD.load(Ordering::Relaxed), parts.as_ptr(), 3);
        *libc::__errno_location() = errno;
    }
}
