//! Calls that open files and change directories.

use crate::fault::{Needs, strikes};
use crate::log::{dsync, on, record, unwatch, watch, watched};
use crate::paths::below_root;
use crate::real;
use libc::{AT_FDCWD, c_char, c_int, c_uint, c_ulong, mode_t};
use quell_powercut::format::Kind;

/// Notes a successful open of a file below the root.
unsafe fn opened(fd: c_int, dir: c_int, path: *const c_char, flags: c_int) -> c_int {
    if fd < 0 || !on() {
        return fd;
    }
    // A descriptor that libc closed inside itself may be in our table still.
    unwatch(fd);
    if flags & libc::O_TMPFILE == libc::O_TMPFILE {
        if unsafe { below_root(dir, path) }.is_some() {
            record(Kind::Unsupported, fd, 0, 0, b"O_TMPFILE", b"");
        }
    } else if let Some(path) = unsafe { below_root(dir, path) } {
        watch(fd, flags & libc::O_DSYNC != 0);
        record(Kind::Open, fd, u64::from(flags.cast_unsigned()), 0, &path, b"");
    }
    fd
}

/// Whether a call that makes or changes something at this path is to fail.
unsafe fn fails(needs: Needs, dir: c_int, path: *const c_char) -> bool {
    unsafe { below_root(dir, path) }.is_some() && strikes(needs)
}

/// Whether an open is to fail: only one that may create or cut, as the others need nothing.
unsafe fn open_fails(flags: c_int, dir: c_int, path: *const c_char) -> bool {
    let needs = if flags & libc::O_CREAT != 0 { Needs::Space } else { Needs::Leave };
    let changes = flags & (libc::O_CREAT | libc::O_TRUNC) != 0;
    changes && unsafe { fails(needs, dir, path) }
}

macro_rules! opens {
    ($($name:ident),*) => {$(
        /// Third argument only with `O_CREAT`; passed on in any case, as the register holds it.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
            if unsafe { open_fails(flags, AT_FDCWD, path) } {
                return -1;
            }
            let fd = real!($name(path => *const c_char, flags => c_int, mode => mode_t) -> c_int);
            unsafe { opened(fd, AT_FDCWD, path, flags) }
        }
    )*};
}
opens!(open, open64);

macro_rules! opens_at {
    ($($name:ident),*) => {$(
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(
            dir: c_int, path: *const c_char, flags: c_int, mode: mode_t,
        ) -> c_int {
            if unsafe { open_fails(flags, dir, path) } {
                return -1;
            }
            let fd = real!(
                $name(dir => c_int, path => *const c_char, flags => c_int, mode => mode_t) -> c_int
            );
            unsafe { opened(fd, dir, path, flags) }
        }
    )*};
}
opens_at!(openat, openat64);

macro_rules! creates {
    ($($name:ident),*) => {$(
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(path: *const c_char, mode: mode_t) -> c_int {
            let fd = real!($name(path => *const c_char, mode => mode_t) -> c_int);
            let flags = libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC;
            unsafe { opened(fd, AT_FDCWD, path, flags) }
        }
    )*};
}
creates!(creat, creat64);

/// Notes that `new` is the same open file as `old`.
fn duplicated(old: c_int, new: c_int) -> c_int {
    if new >= 0 && old != new && on() {
        if watched(old) {
            watch(new, dsync(old));
            record(Kind::Dup, old, u64::from(new.cast_unsigned()), 0, b"", b"");
        } else {
            unwatch(new);
        }
    }
    new
}

/// Logged before it happens: afterwards another thread may get the number at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn close(fd: c_int) -> c_int {
    if watched(fd) {
        unwatch(fd);
        record(Kind::Close, fd, 0, 0, b"", b"");
    }
    real!(close(fd => c_int) -> c_int)
}

/// It closes its descriptor inside libc, where our `close` does not see it, and the
/// number may be a socket next.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn closedir(directory: *mut libc::DIR) -> c_int {
    let fd = unsafe { libc::dirfd(directory) };
    if watched(fd) {
        unwatch(fd);
        record(Kind::Close, fd, 0, 0, b"", b"");
    }
    real!(closedir(directory => *mut libc::DIR) -> c_int)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn dup(old: c_int) -> c_int {
    duplicated(old, real!(dup(old => c_int) -> c_int))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn dup2(old: c_int, new: c_int) -> c_int {
    duplicated(old, real!(dup2(old => c_int, new => c_int) -> c_int))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn dup3(old: c_int, new: c_int, flags: c_int) -> c_int {
    duplicated(old, real!(dup3(old => c_int, new => c_int, flags => c_int) -> c_int))
}

macro_rules! fcntls {
    ($($name:ident),*) => {$(
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(fd: c_int, command: c_int, argument: c_ulong) -> c_int {
            let result = real!($name(fd => c_int, command => c_int, argument => c_ulong) -> c_int);
            match command {
                libc::F_DUPFD | libc::F_DUPFD_CLOEXEC => duplicated(fd, result),
                _ => result,
            }
        }
    )*};
}
fcntls!(fcntl, fcntl64);

/// Notes a successful call about one path.
unsafe fn one(result: c_int, kind: Kind, dir: c_int, path: *const c_char) -> c_int {
    if result == 0
        && let Some(path) = unsafe { below_root(dir, path) }
    {
        record(kind, -1, 0, 0, &path, b"");
    }
    result
}

/// Notes a successful call about two paths. One outside of the root is given as empty.
unsafe fn two(
    result: c_int,
    (kind, flags): (Kind, c_uint),
    (from_dir, from): (c_int, *const c_char),
    (to_dir, to): (c_int, *const c_char),
) -> c_int {
    if result == 0 {
        let from = unsafe { below_root(from_dir, from) };
        let to = unsafe { below_root(to_dir, to) };
        if from.is_some() || to.is_some() {
            let (from, to) = (from.unwrap_or_default(), to.unwrap_or_default());
            record(kind, -1, u64::from(flags), 0, &from, &to);
        }
    }
    result
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mkdir(path: *const c_char, mode: mode_t) -> c_int {
    if unsafe { fails(Needs::Space, AT_FDCWD, path) } {
        return -1;
    }
    let result = real!(mkdir(path => *const c_char, mode => mode_t) -> c_int);
    unsafe { one(result, Kind::Mkdir, AT_FDCWD, path) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mkdirat(dir: c_int, path: *const c_char, mode: mode_t) -> c_int {
    if unsafe { fails(Needs::Space, dir, path) } {
        return -1;
    }
    let result = real!(mkdirat(dir => c_int, path => *const c_char, mode => mode_t) -> c_int);
    unsafe { one(result, Kind::Mkdir, dir, path) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn rmdir(path: *const c_char) -> c_int {
    if unsafe { fails(Needs::Leave, AT_FDCWD, path) } {
        return -1;
    }
    let result = real!(rmdir(path => *const c_char) -> c_int);
    unsafe { one(result, Kind::Rmdir, AT_FDCWD, path) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn unlink(path: *const c_char) -> c_int {
    if unsafe { fails(Needs::Leave, AT_FDCWD, path) } {
        return -1;
    }
    let result = real!(unlink(path => *const c_char) -> c_int);
    unsafe { one(result, Kind::Unlink, AT_FDCWD, path) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn unlinkat(dir: c_int, path: *const c_char, flags: c_int) -> c_int {
    if unsafe { fails(Needs::Leave, dir, path) } {
        return -1;
    }
    let result = real!(unlinkat(dir => c_int, path => *const c_char, flags => c_int) -> c_int);
    let kind = if flags & libc::AT_REMOVEDIR != 0 { Kind::Rmdir } else { Kind::Unlink };
    unsafe { one(result, kind, dir, path) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn remove(path: *const c_char) -> c_int {
    if unsafe { fails(Needs::Leave, AT_FDCWD, path) } {
        return -1;
    }
    let result = real!(remove(path => *const c_char) -> c_int);
    unsafe { one(result, Kind::Unlink, AT_FDCWD, path) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn rename(from: *const c_char, to: *const c_char) -> c_int {
    if unsafe { fails(Needs::Leave, AT_FDCWD, to) } {
        return -1;
    }
    let result = real!(rename(from => *const c_char, to => *const c_char) -> c_int);
    unsafe { two(result, (Kind::Rename, 0), (AT_FDCWD, from), (AT_FDCWD, to)) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn renameat(
    from_dir: c_int,
    from: *const c_char,
    to_dir: c_int,
    to: *const c_char,
) -> c_int {
    if unsafe { fails(Needs::Leave, to_dir, to) } {
        return -1;
    }
    let result = real!(renameat(
        from_dir => c_int, from => *const c_char, to_dir => c_int, to => *const c_char
    ) -> c_int);
    unsafe { two(result, (Kind::Rename, 0), (from_dir, from), (to_dir, to)) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn renameat2(
    from_dir: c_int,
    from: *const c_char,
    to_dir: c_int,
    to: *const c_char,
    flags: c_uint,
) -> c_int {
    if unsafe { fails(Needs::Leave, to_dir, to) } {
        return -1;
    }
    let result = real!(renameat2(
        from_dir => c_int, from => *const c_char, to_dir => c_int, to => *const c_char,
        flags => c_uint
    ) -> c_int);
    unsafe { two(result, (Kind::Rename, flags), (from_dir, from), (to_dir, to)) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn link(from: *const c_char, to: *const c_char) -> c_int {
    if unsafe { fails(Needs::Space, AT_FDCWD, to) } {
        return -1;
    }
    let result = real!(link(from => *const c_char, to => *const c_char) -> c_int);
    unsafe { two(result, (Kind::Link, 0), (AT_FDCWD, from), (AT_FDCWD, to)) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn linkat(
    from_dir: c_int,
    from: *const c_char,
    to_dir: c_int,
    to: *const c_char,
    flags: c_int,
) -> c_int {
    if unsafe { fails(Needs::Space, to_dir, to) } {
        return -1;
    }
    let result = real!(linkat(
        from_dir => c_int, from => *const c_char, to_dir => c_int, to => *const c_char,
        flags => c_int
    ) -> c_int);
    unsafe { two(result, (Kind::Link, 0), (from_dir, from), (to_dir, to)) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn symlink(target: *const c_char, path: *const c_char) -> c_int {
    let result = real!(symlink(target => *const c_char, path => *const c_char) -> c_int);
    unsafe { two(result, (Kind::Unsupported, 0), (AT_FDCWD, path), (AT_FDCWD, path)) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn symlinkat(target: *const c_char, dir: c_int, path: *const c_char) -> c_int {
    let result = real!(symlinkat(target => *const c_char, dir => c_int, path => *const c_char) -> c_int);
    unsafe { two(result, (Kind::Unsupported, 0), (dir, path), (dir, path)) }
}
