//! Users without a disk: for tests, and as the contract's second witness.

use std::collections::BTreeMap;
use std::ops::Bound;

use quell_storm::facts::Ms;

use super::{MAX_USERS, User, UserStore, UsersError};

/// Users in memory.
#[derive(Debug, Default, Clone)]
pub struct MemoryUsers(BTreeMap<String, User>);

impl UserStore for MemoryUsers {
    fn get(&mut self, name: &str) -> Result<Option<User>, UsersError> {
        Ok(self.0.get(name).cloned())
    }

    fn list(&mut self, after: Option<&str>, limit: usize) -> Result<Vec<User>, UsersError> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        Ok(self
            .0
            .range::<str, _>((from, Bound::Unbounded))
            .take(limit)
            .map(|(_, user)| user.clone())
            .collect())
    }

    fn add(&mut self, user: &User) -> Result<(), UsersError> {
        if self.0.contains_key(&user.name) {
            return Err(UsersError::There(user.name.clone()));
        }
        if self.0.len() >= MAX_USERS {
            return Err(UsersError::TooMany);
        }
        self.0.insert(user.name.clone(), user.clone());
        Ok(())
    }

    fn change(&mut self, user: &User) -> Result<(), UsersError> {
        let there = self.0.get_mut(&user.name).ok_or_else(|| UsersError::NotThere(user.name.clone()))?;
        *there = user.clone();
        Ok(())
    }

    fn remove(&mut self, name: &str) -> Result<(), UsersError> {
        self.0.remove(name).map(drop).ok_or_else(|| UsersError::NotThere(name.to_owned()))
    }

    fn signed_in(&mut self, name: &str, at_ms: Ms) -> Result<(), UsersError> {
        if let Some(user) = self.0.get_mut(name) {
            user.last_sign_in_ms = Some(at_ms);
        }
        Ok(())
    }
}
