//! The users of the store, shared by whoever signs people in and whoever changes them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use quell_queue::users::{User, UserStore, UsersError};
use quell_relay::directory::{normal_domain, normal_local};
use quell_storm::facts::Ms;

/// A sign-in is written down once in this time; more often nobody wants to know.
const SEEN_MS: Ms = 3_600_000;

/// A store of users. All calls may wait for the disk.
pub struct Accounts {
    store: Mutex<Box<dyn UserStore>>,
    changes: AtomicU64,
}

impl Accounts {
    /// The users of `store`.
    pub fn new(store: impl UserStore + 'static) -> Self {
        Self { store: Mutex::new(Box::new(store)), changes: AtomicU64::new(0) }
    }

    /// The user of that name.
    ///
    /// # Errors
    /// [`UsersError::Store`].
    pub fn get(&self, name: &str) -> Result<Option<User>, UsersError> {
        self.lock().get(name)
    }

    /// Users in the order of their names.
    ///
    /// # Errors
    /// [`UsersError::Store`].
    pub fn list(&self, after: Option<&str>, limit: usize) -> Result<Vec<User>, UsersError> {
        self.lock().list(after, limit)
    }

    /// Changes users. From then on [`Accounts::changes`] is another number, so that whoever is signed in
    /// is looked at again.
    pub fn change<T>(&self, change: impl FnOnce(&mut dyn UserStore) -> T) -> T {
        let done = change(&mut **self.lock());
        self.changes.fetch_add(1, Ordering::SeqCst);
        done
    }

    /// How often users were changed since the start.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::SeqCst)
    }

    /// The user has signed in.
    ///
    /// # Errors
    /// [`UsersError::Store`]; the sign-in is good all the same.
    pub fn seen(&self, user: &User, now_ms: Ms) -> Result<(), UsersError> {
        let lately = user.last_sign_in_ms.is_some_and(|last| (0..SEEN_MS).contains(&(now_ms - last)));
        if lately { Ok(()) } else { self.lock().signed_in(&user.name, now_ms) }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Box<dyn UserStore>> {
        // A change is whole or undone, whatever became of the thread that made it.
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A name in the form in which users are stored: an address, local part and domain in lower case.
/// None: it is no address, or one that means all of a domain ([`normal_sender`]).
pub fn normal_name(name: &str) -> Option<String> {
    let (local, domain) = name.trim().rsplit_once('@')?;
    let local = normal_local(local).filter(|local| local != "*")?;
    Some(format!("{local}@{}", normal_domain(domain)?))
}

/// What a user may send as, in normal form: an address, or `*@domain`.
pub fn normal_sender(address: &str) -> Option<String> {
    match address.trim().strip_prefix("*@") {
        Some(domain) => normal_domain(domain).map(|domain| format!("*@{domain}")),
        None => normal_name(address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_in_one_form() {
        assert_eq!(normal_name(" Jane@Firm.EXAMPLE ").as_deref(), Some("jane@firm.example"));
        assert_eq!(normal_name("\"jane\"@firm.example").as_deref(), Some("jane@firm.example"));
        assert_eq!(normal_name("jane@bücher.example").as_deref(), Some("jane@xn--bcher-kva.example"));
        for none in ["jane", "", "@firm.example", "jane@", "jane doe@firm.example", "ja\0ne@firm.example"]
            .into_iter()
            .chain(["*@firm.example", "\"*\"@firm.example"])
        {
            assert_eq!(normal_name(none), None, "{none}");
        }
        assert_eq!(normal_sender("*@Firm.Example").as_deref(), Some("*@firm.example"));
        assert_eq!(normal_sender("*@"), None);
        assert_eq!(normal_sender("Info@firm.example").as_deref(), Some("info@firm.example"));
    }
}
