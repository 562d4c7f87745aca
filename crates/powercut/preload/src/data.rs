//! Calls that change what is in a file, and calls that bring it onto the disk.

use crate::fault::{Needs, strikes};
use crate::log::{dsync, on, record, watched};
use crate::paths::{below_root, is_shared_memory};
use crate::real;
use libc::{AT_FDCWD, c_char, c_int, c_uint, c_void, iovec, off_t, size_t, ssize_t};
use quell_powercut::format::Kind;

/// Largest piece read back at once after the kernel copied between files by itself.
const READ_BACK_BYTES: usize = 1 << 20;

/// Where the file position of `fd` stands.
fn position(fd: c_int) -> u64 {
    let at = unsafe { libc::syscall(libc::SYS_lseek, fd, 0, libc::SEEK_CUR) };
    u64::try_from(at).unwrap_or(0)
}

/// Notes that `count` bytes of `data` were written; without `offset`, before the position.
unsafe fn wrote(fd: c_int, data: *const c_void, count: ssize_t, offset: Option<off_t>) {
    let Ok(len) = usize::try_from(count) else { return };
    if len == 0 || !watched(fd) {
        return;
    }
    let offset = offset_of(fd, len, offset);
    let data = unsafe { std::slice::from_raw_parts(data.cast::<u8>(), len) };
    record(Kind::Write, fd, offset, u64::from(dsync(fd)), data, b"");
}

fn offset_of(fd: c_int, len: usize, offset: Option<off_t>) -> u64 {
    match offset.map(u64::try_from) {
        Some(Ok(offset)) => offset,
        _ => position(fd).saturating_sub(len as u64),
    }
}

/// The same for a vector of pieces, one record each.
unsafe fn wrote_vector(
    fd: c_int,
    parts: *const iovec,
    parts_count: c_int,
    count: ssize_t,
    offset: Option<off_t>,
) {
    let Ok(mut left) = usize::try_from(count) else { return };
    if left == 0 || !watched(fd) {
        return;
    }
    let mut offset = offset_of(fd, left, offset);
    let parts_count = usize::try_from(parts_count).unwrap_or(0);
    for part in unsafe { std::slice::from_raw_parts(parts, parts_count) } {
        let len = part.iov_len.min(left);
        if len == 0 {
            continue;
        }
        let data = unsafe { std::slice::from_raw_parts(part.iov_base.cast::<u8>(), len) };
        record(Kind::Write, fd, offset, u64::from(dsync(fd)), data, b"");
        offset += len as u64;
        left -= len;
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn write(fd: c_int, data: *const c_void, len: size_t) -> ssize_t {
    if watched(fd) && strikes(Needs::Space) {
        return -1;
    }
    let count = real!(write(fd => c_int, data => *const c_void, len => size_t) -> ssize_t);
    unsafe { wrote(fd, data, count, None) };
    count
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn writev(fd: c_int, parts: *const iovec, parts_count: c_int) -> ssize_t {
    if watched(fd) && strikes(Needs::Space) {
        return -1;
    }
    let count = real!(writev(fd => c_int, parts => *const iovec, parts_count => c_int) -> ssize_t);
    unsafe { wrote_vector(fd, parts, parts_count, count, None) };
    count
}

macro_rules! pwrites {
    ($($name:ident),*) => {$(
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(
            fd: c_int, data: *const c_void, len: size_t, offset: off_t,
        ) -> ssize_t {
            if watched(fd) && strikes(Needs::Space) {
                return -1;
            }
            let count = real!($name(
                fd => c_int, data => *const c_void, len => size_t, offset => off_t
            ) -> ssize_t);
            unsafe { wrote(fd, data, count, Some(offset)) };
            count
        }
    )*};
}
pwrites!(pwrite, pwrite64);

macro_rules! pwritevs {
    ($($name:ident),*) => {$(
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(
            fd: c_int, parts: *const iovec, parts_count: c_int, offset: off_t,
        ) -> ssize_t {
            if watched(fd) && strikes(Needs::Space) {
                return -1;
            }
            let count = real!($name(
                fd => c_int, parts => *const iovec, parts_count => c_int, offset => off_t
            ) -> ssize_t);
            unsafe { wrote_vector(fd, parts, parts_count, count, Some(offset)) };
            count
        }
    )*};
}
pwritevs!(pwritev, pwritev64);

macro_rules! pwritev2s {
    ($($name:ident),*) => {$(
        /// An offset of -1 means the file position; a sync asked for by flag is not
        /// counted as one, which errs on the safe side.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(
            fd: c_int, parts: *const iovec, parts_count: c_int, offset: off_t, flags: c_int,
        ) -> ssize_t {
            if watched(fd) && strikes(Needs::Space) {
                return -1;
            }
            let count = real!($name(
                fd => c_int, parts => *const iovec, parts_count => c_int, offset => off_t,
                flags => c_int
            ) -> ssize_t);
            let offset = (offset >= 0).then_some(offset);
            unsafe { wrote_vector(fd, parts, parts_count, count, offset) };
            count
        }
    )*};
}
pwritev2s!(pwritev2, pwritev64v2);

macro_rules! truncates {
    ($($name:ident),*) => {$(
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(fd: c_int, len: off_t) -> c_int {
            if watched(fd) && strikes(Needs::Leave) {
                return -1;
            }
            let result = real!($name(fd => c_int, len => off_t) -> c_int);
            if result == 0 && watched(fd) {
                record(Kind::SetLen, fd, u64::try_from(len).unwrap_or(0), 0, b"", b"");
            }
            result
        }
    )*};
}
truncates!(ftruncate, ftruncate64);

macro_rules! truncates_path {
    ($($name:ident),*) => {$(
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(path: *const c_char, len: off_t) -> c_int {
            let result = real!($name(path => *const c_char, len => off_t) -> c_int);
            if result == 0 && let Some(path) = unsafe { below_root(AT_FDCWD, path) } {
                record(Kind::SetLenPath, -1, u64::try_from(len).unwrap_or(0), 0, &path, b"");
            }
            result
        }
    )*};
}
truncates_path!(truncate, truncate64);

fn allocated(fd: c_int, mode: c_int, offset: off_t, len: off_t) {
    if watched(fd) {
        let number = |value: off_t| u64::try_from(value).unwrap_or(0);
        record(Kind::Allocate, fd, number(offset), number(len), &mode.to_le_bytes(), b"");
    }
}

macro_rules! allocates {
    ($($name:ident),*) => {$(
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(
            fd: c_int, mode: c_int, offset: off_t, len: off_t,
        ) -> c_int {
            if watched(fd) && strikes(Needs::Space) {
                return -1;
            }
            let result =
                real!($name(fd => c_int, mode => c_int, offset => off_t, len => off_t) -> c_int);
            if result == 0 {
                allocated(fd, mode, offset, len);
            }
            result
        }
    )*};
}
allocates!(fallocate, fallocate64);

macro_rules! posix_allocates {
    ($($name:ident),*) => {$(
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(fd: c_int, offset: off_t, len: off_t) -> c_int {
            if watched(fd) && strikes(Needs::Space) {
                return unsafe { *libc::__errno_location() };
            }
            let result = real!($name(fd => c_int, offset => off_t, len => off_t) -> c_int);
            if result == 0 {
                allocated(fd, 0, offset, len);
            }
            result
        }
    )*};
}
posix_allocates!(posix_fallocate, posix_fallocate64);

macro_rules! syncs {
    ($($name:ident),*) => {$(
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(fd: c_int) -> c_int {
            let watched = watched(fd);
            if watched {
                record(Kind::SyncBegin, fd, 0, 0, b"", b"");
            }
            if watched && strikes(Needs::Sync) {
                record(Kind::SyncFailed, fd, 0, 0, b"", b"");
                return -1;
            }
            let result = real!($name(fd => c_int) -> c_int);
            if watched {
                let kind = if result == 0 { Kind::SyncEnd } else { Kind::SyncFailed };
                record(kind, fd, 0, 0, b"", b"");
            }
            result
        }
    )*};
}
syncs!(fsync, fdatasync);

/// Seen through a watched descriptor only, which is on the root's file system.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syncfs(fd: c_int) -> c_int {
    let watched = watched(fd);
    let result = real!(syncfs(fd => c_int) -> c_int);
    if watched && result == 0 {
        record(Kind::SyncAll, fd, 0, 0, b"", b"");
    }
    result
}

/// Reads back what the kernel put into `fd` without showing it to us.
fn copied(fd: c_int, count: ssize_t, offset: Option<off_t>) {
    let Ok(len) = usize::try_from(count) else { return };
    if len == 0 || !watched(fd) {
        return;
    }
    let mut offset = offset_of(fd, len, offset);
    // The descriptor may be write-only; its entry in /proc opens the file anew.
    let path = format!("/proc/self/fd/{fd}\0");
    let flags = libc::O_RDONLY | libc::O_CLOEXEC;
    let reader = unsafe { libc::syscall(libc::SYS_openat, AT_FDCWD, path.as_ptr(), flags, 0) };
    let mut left = len;
    let mut piece = vec![0_u8; len.min(READ_BACK_BYTES)];
    while left > 0 && reader >= 0 {
        let want = left.min(piece.len());
        let got = unsafe { libc::syscall(libc::SYS_pread64, reader, piece.as_mut_ptr(), want, offset) };
        let got = usize::try_from(got).unwrap_or(0);
        if got == 0 {
            break;
        }
        record(Kind::Write, fd, offset, u64::from(dsync(fd)), piece.get(..got).unwrap_or(b""), b"");
        offset += got as u64;
        left -= got;
    }
    if left > 0 {
        record(Kind::Unsupported, fd, 0, 0, b"a copied range could not be read back", b"");
    }
    unsafe { libc::syscall(libc::SYS_close, reader) };
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn copy_file_range(
    from: c_int,
    from_offset: *mut off_t,
    to: c_int,
    to_offset: *mut off_t,
    len: size_t,
    flags: c_uint,
) -> ssize_t {
    let offset = (!to_offset.is_null()).then(|| unsafe { *to_offset });
    if watched(to) && strikes(Needs::Space) {
        return -1;
    }
    let count = real!(copy_file_range(
        from => c_int, from_offset => *mut off_t, to => c_int, to_offset => *mut off_t,
        len => size_t, flags => c_uint
    ) -> ssize_t);
    copied(to, count, offset);
    count
}

macro_rules! sendfiles {
    ($($name:ident),*) => {$(
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(
            to: c_int, from: c_int, offset: *mut off_t, len: size_t,
        ) -> ssize_t {
            if watched(to) && strikes(Needs::Space) {
                return -1;
            }
            let count = real!($name(
                to => c_int, from => c_int, offset => *mut off_t, len => size_t
            ) -> ssize_t);
            copied(to, count, None);
            count
        }
    )*};
}
sendfiles!(sendfile, sendfile64);

#[unsafe(no_mangle)]
pub unsafe extern "C" fn splice(
    from: c_int,
    from_offset: *mut off_t,
    to: c_int,
    to_offset: *mut off_t,
    len: size_t,
    flags: c_uint,
) -> ssize_t {
    let offset = (!to_offset.is_null()).then(|| unsafe { *to_offset });
    if watched(to) && strikes(Needs::Space) {
        return -1;
    }
    let count = real!(splice(
        from => c_int, from_offset => *mut off_t, to => c_int, to_offset => *mut off_t,
        len => size_t, flags => c_uint
    ) -> ssize_t);
    copied(to, count, offset);
    count
}

/// A shared writable mapping would change a file behind our back.
fn mapped(protection: c_int, flags: c_int, fd: c_int) {
    let writes = protection & libc::PROT_WRITE != 0 && flags & libc::MAP_SHARED != 0;
    if writes && on() && watched(fd) && !is_shared_memory(fd) {
        record(Kind::Unsupported, fd, 0, 0, b"shared writable mapping", b"");
    }
}

macro_rules! mmaps {
    ($($name:ident),*) => {$(
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(
            at: *mut c_void, len: size_t, protection: c_int, flags: c_int, fd: c_int, offset: off_t,
        ) -> *mut c_void {
            mapped(protection, flags, fd);
            // As a number: `real!` answers -1 where libc lacks the function, MAP_FAILED here.
            let place: isize = real!($name(
                at => *mut c_void, len => size_t, protection => c_int, flags => c_int,
                fd => c_int, offset => off_t
            ) -> isize);
            place as *mut c_void
        }
    )*};
}
mmaps!(mmap, mmap64);
