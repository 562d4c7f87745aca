//! Pickups without a disk: for tests, and as the contract's second witness.

use std::collections::{BTreeMap, BTreeSet};

use quell_storm::facts::Ms;

use super::{
    Fate, MAX_ACCOUNTS, MAX_MESSAGES, Mark, PickupError, Pickups, Remembered, check_account, check_uids, cut,
};

/// Pickups in memory.
#[derive(Debug, Default, Clone)]
pub struct MemoryPickups(BTreeMap<String, Account>);

#[derive(Debug, Default, Clone)]
struct Account {
    mark: Mark,
    messages: BTreeMap<String, Remembered>,
}

impl MemoryPickups {
    fn messages(&self, account: &str) -> impl Iterator<Item = &Remembered> {
        self.0.get(account).into_iter().flat_map(|account| account.messages.values())
    }

    /// The account, which is made if there is none.
    fn entry(&mut self, name: &str) -> Result<&mut Account, PickupError> {
        if !self.0.contains_key(name) {
            check_account(name)?;
            if self.0.len() >= MAX_ACCOUNTS {
                return Err(PickupError::TooManyAccounts);
            }
        }
        Ok(self.0.entry(name.to_owned()).or_default())
    }

    fn check_room(&self, account: &str, messages: &[Remembered]) -> Result<(), PickupError> {
        let there = self.0.get(account).map(|account| &account.messages);
        let uids: BTreeSet<&str> = messages.iter().map(|message| message.uid.as_str()).collect();
        let new = uids.into_iter().filter(|uid| there.is_none_or(|there| !there.contains_key(*uid))).count();
        match there.map_or(0, BTreeMap::len) + new > MAX_MESSAGES {
            true => Err(PickupError::TooMany(account.to_owned())),
            false => Ok(()),
        }
    }
}

impl Pickups for MemoryPickups {
    fn remembered(&self, account: &str) -> Result<Vec<Remembered>, PickupError> {
        Ok(self.messages(account).cloned().collect())
    }

    fn find(&self, account: &str, digest: &[u8; 16]) -> Result<Vec<Remembered>, PickupError> {
        Ok(self.messages(account).filter(|message| message.digest == *digest).cloned().collect())
    }

    fn note(&mut self, account: &str, messages: &[Remembered]) -> Result<(), PickupError> {
        if messages.is_empty() {
            return Ok(());
        }
        check_uids(account, messages)?;
        self.check_room(account, messages)?;
        let there = &mut self.entry(account)?.messages;
        for message in messages {
            let mut message = message.clone();
            if let Fate::Refused(why) = &mut message.fate {
                *why = cut(why);
            }
            there.insert(message.uid.clone(), message);
        }
        Ok(())
    }

    fn seen(&mut self, account: &str, uids: &[&str], now: Ms) -> Result<(), PickupError> {
        if let Some(account) = self.0.get_mut(account) {
            for uid in uids {
                if let Some(message) = account.messages.get_mut(*uid) {
                    message.seen_ms = now;
                }
            }
        }
        Ok(())
    }

    fn forget_unseen(&mut self, account: &str, before: Ms) -> Result<u64, PickupError> {
        let Some(account) = self.0.get_mut(account) else { return Ok(0) };
        let had = account.messages.len();
        let stays =
            |message: &Remembered| message.seen_ms >= before || matches!(message.fate, Fate::Taking(_));
        account.messages.retain(|_, message| stays(message));
        Ok((had - account.messages.len()) as u64)
    }

    fn mark(&self, account: &str) -> Result<Mark, PickupError> {
        Ok(self.0.get(account).map(|account| account.mark.clone()).unwrap_or_default())
    }

    fn set_mark(&mut self, account: &str, mark: &Mark) -> Result<(), PickupError> {
        self.entry(account)?.mark = Mark { told: mark.told.as_deref().map(cut), ..mark.clone() };
        Ok(())
    }

    fn accounts(&self) -> Result<Vec<String>, PickupError> {
        Ok(self.0.keys().cloned().collect())
    }

    fn forget_account(&mut self, account: &str) -> Result<u64, PickupError> {
        Ok(self.0.remove(account).map_or(0, |account| account.messages.len() as u64))
    }
}
