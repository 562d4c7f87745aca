//! What the server may do once its ports are open: as little as there is.
//!
//! Linux keeps capabilities and `no_new_privs` for each thread, and a new thread has those of the one
//! that made it. So all of this is done while there is only one.

use std::ffi::CString;
use std::io;

use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::unistd::{
    Gid, Uid, User, geteuid, getgroups, getresgid, getresuid, initgroups, setgid, setgroups, setuid,
};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities,
};
use tracing::warn;

use super::ServeError;
use crate::config::Config;

/// Becomes `[server] user`, if one is set, and gives up every capability that is left, for good: no
/// program it runs can have more than it has itself. Nobody else of the same user can look into its
/// memory, and no core file is written.
///
/// A server that was started as root and is to stay it keeps root's capabilities: a warning says so.
///
/// # Errors
/// [`ServeError::User`], [`ServeError::Privileges`]: then nothing must be served.
pub(super) fn give_up(config: &Config) -> Result<(), ServeError> {
    if let Some(name) = &config.settings.server.user {
        become_user(name)?;
    }
    if geteuid().is_root() {
        warn!(event = "runs_as_root", "{}", STAYS_ROOT);
    } else {
        drop_capabilities().map_err(|e| ServeError::Privileges("capabilities cannot be given up", e))?;
        verify()?;
    }
    no_new_privileges().map_err(|e| ServeError::Privileges("the process cannot be closed off", e.into()))
}

/// What `quell check` and the log say of a server that stays root.
pub(crate) const STAYS_ROOT: &str = "quell serve started as root stays root: set [server] user, or start it \
     as another user, as packaging/systemd/quell.service does";

/// Ports below 1024 need root, or a capability; nothing else does.
fn become_user(name: &str) -> Result<(), ServeError> {
    let failed = |why: String| ServeError::User(name.to_owned(), why);
    let user = User::from_name(name).map_err(|e| failed(e.to_string()))?;
    let user = user.ok_or_else(|| failed("there is no such user".to_owned()))?;
    if geteuid() == user.uid {
        return Ok(());
    }
    if !geteuid().is_root() {
        return Err(failed("the start must be as root, or as that user".to_owned()));
    }
    // What bounds all that may come later, while there is still the right to narrow it. A kernel that
    // knows fewer says EINVAL, one in a container that may not says EPERM; `verify` counts, not this.
    for bit in 0..u64::BITS {
        let _unknown = remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(1 << bit));
    }
    let c_name = CString::new(name).map_err(|e| failed(e.to_string()))?;
    setgroups(&[])
        .and_then(|()| initgroups(&c_name, user.gid))
        .and_then(|()| setgid(user.gid))
        .and_then(|()| setuid(user.uid))
        .map_err(|e| failed(e.to_string()))?;
    is_only(&user, &c_name).map_err(failed)
}

/// Whether real, effective and saved ids are those of `user`, and the groups its own.
fn is_only(user: &User, c_name: &std::ffi::CStr) -> Result<(), String> {
    let text = |e: nix::Error| e.to_string();
    let (uids, gids) = (getresuid().map_err(text)?, getresgid().map_err(text)?);
    if [uids.real, uids.effective, uids.saved] != [user.uid; 3]
        || [gids.real, gids.effective, gids.saved] != [user.gid; 3]
    {
        return Err("not all of its ids were taken".to_owned());
    }
    let own = nix::unistd::getgrouplist(c_name, user.gid).map_err(text)?;
    let foreign = getgroups().map_err(text)?.into_iter().find(|group| !own.contains(group));
    foreign.map_or(Ok(()), |group| Err(format!("the group {group} is still there")))
}

fn drop_capabilities() -> io::Result<()> {
    let none = CapabilitySet::empty();
    clear_ambient_capability_set()?;
    Ok(set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?)
}

/// Believes nothing: no capability is left, and root is not to be had again.
fn verify() -> Result<(), ServeError> {
    let failed = |what| move |e| ServeError::Privileges(what, e);
    let left = capabilities(None).map_err(|e| failed("capabilities cannot be read")(e.into()))?;
    if !(left.effective | left.permitted | left.inheritable).is_empty() {
        return Err(failed("capabilities are left")(io::Error::other(format!("{:?}", left.permitted))));
    }
    if setuid(Uid::from_raw(0)).is_ok() || setgid(Gid::from_raw(0)).is_ok() && !in_group_root() {
        return Err(failed("root can be had again")(io::ErrorKind::PermissionDenied.into()));
    }
    Ok(())
}

/// A user whose own group is root's may always take it.
fn in_group_root() -> bool {
    getresgid().is_ok_and(|gids| gids.real.as_raw() == 0)
}

fn no_new_privileges() -> nix::Result<()> {
    prctl::set_no_new_privs()?;
    // After the change of user, which sets it anew.
    prctl::set_dumpable(false)?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0)
}
