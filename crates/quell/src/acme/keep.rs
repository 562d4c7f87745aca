//! What is kept in `<data>/acme/`: nobody else may read it.
//!
//! ```text
//! account.json     the account's key, and where it is good
//! certificate.pem  the certificate's key, then its chain: one file, so that both change at once
//! tries.json       where the certificate is from, and what the last tries came to
//! ```

use std::fs::DirBuilder;
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use instant_acme::AccountCredentials;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::when::Tries;
use crate::data::{DataError, make_private, read_private};

/// An account with an authority.
#[derive(Serialize, Deserialize)]
pub struct KeptAccount {
    /// The authority.
    pub directory: String,
    /// The mail address it was told.
    pub contact: String,
    /// Id and key.
    pub credentials: AccountCredentials,
}

/// What was done so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The authority that the certificate is from; empty: there is none.
    pub from: String,
    /// The tries.
    pub tries: Tries,
}

/// The folder.
#[derive(Debug, Clone)]
pub struct Keep(PathBuf);

impl Keep {
    /// Of this folder; it is made with the first file.
    pub fn new(folder: &Path) -> Self {
        Self(folder.to_owned())
    }

    /// The account, if there is one by now.
    ///
    /// # Errors
    /// Those of the system; a file that others may read, or that holds no account.
    pub fn account(&self) -> Result<Option<KeptAccount>, DataError> {
        self.read("account.json", "it holds no account: move it away, and a new one is made")
    }

    /// The state; one that was never written says so.
    ///
    /// # Errors
    /// As [`Keep::account`].
    pub fn state(&self) -> Result<State, DataError> {
        let damaged = "it cannot be read: move it away";
        Ok(self.read("tries.json", damaged)?.unwrap_or_default())
    }

    /// Keeps the account.
    ///
    /// # Errors
    /// Those of the system.
    pub fn store_account(&self, account: &KeptAccount) -> Result<(), DataError> {
        self.write_json("account.json", account)
    }

    /// Keeps the state.
    ///
    /// # Errors
    /// Those of the system.
    pub fn store_state(&self, state: &State) -> Result<(), DataError> {
        self.write_json("tries.json", state)
    }

    /// Keeps the certificate and its key.
    ///
    /// # Errors
    /// Those of the system.
    pub fn store_certificate(&self, pem: &str) -> Result<(), DataError> {
        self.write("certificate.pem", pem.as_bytes())
    }

    fn read<T: DeserializeOwned>(&self, name: &str, damaged: &'static str) -> Result<Option<T>, DataError> {
        let path = self.0.join(name);
        match read_private(&path) {
            Err(DataError::Io(_, why)) if why.kind() == ErrorKind::NotFound => Ok(None),
            Err(why) => Err(why),
            Ok(bytes) => {
                serde_json::from_slice(&bytes).map(Some).map_err(|_| DataError::Damaged(path, damaged))
            }
        }
    }

    fn write_json<T: Serialize>(&self, name: &str, value: &T) -> Result<(), DataError> {
        let bytes = serde_json::to_vec(value).map_err(|why| DataError::Io(self.0.join(name), why.into()))?;
        self.write(name, &bytes)
    }

    /// All of it or nothing, durable when this returns.
    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), DataError> {
        // Sockets are served meanwhile.
        tokio::task::block_in_place(|| self.write_now(name, bytes))
    }

    fn write_now(&self, name: &str, bytes: &[u8]) -> Result<(), DataError> {
        let io = |why| DataError::Io(self.0.clone(), why);
        match DirBuilder::new().mode(0o700).create(&self.0) {
            Err(why) if why.kind() == ErrorKind::AlreadyExists => {}
            made => made.and_then(|()| sync_above(&self.0)).map_err(io)?,
        }
        make_private(&self.0.join(name), bytes)
    }
}

/// The folder's own name is to outlive a power cut, too.
fn sync_above(folder: &Path) -> std::io::Result<()> {
    folder.parent().map_or(Ok(()), |above| std::fs::File::open(above)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const CREDENTIALS: &str = r#"{"directory":"https://a.example/","contact":"a@b.example","credentials":{"id":"id","key_pkcs8":"MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgJVWC_QzOTCS5vtsJp2IG-UDc8cdDfeoKtxSZxaznM-mhRANCAAQenCPoGgPFTdPJ7VLLKt56RxPlYT1wNXnHc54PEyBg3LxKaH0-sJkX0mL8LyPEdsfL_Oz4TxHkWLJGrXVtNhfH","directory":"https://a.example/"}}"#;

    #[test]
    fn what_is_kept_comes_back_and_is_nobody_elses_to_read() {
        let folder = std::env::temp_dir().join(format!("quell-acme-keep-{}", std::process::id()));
        let _old = std::fs::remove_dir_all(&folder);
        let keep = Keep::new(&folder);
        assert!(keep.account().unwrap().is_none());
        assert_eq!(keep.state().unwrap(), State::default());
        let state =
            State { from: "https://a.example/".to_owned(), tries: Tries { failures: 3, last_secs: 9 } };
        keep.store_state(&state).unwrap();
        assert_eq!(keep.state().unwrap(), state);
        keep.store_account(&serde_json::from_str(CREDENTIALS).unwrap()).unwrap();
        let account = keep.account().unwrap().unwrap();
        assert_eq!(serde_json::to_string(&account).unwrap(), CREDENTIALS);
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode(&folder), 0o700);
        let file = folder.join("account.json");
        assert_eq!((mode(&file), mode(&folder.join("tries.json"))), (0o600, 0o600));
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(keep.account(), Err(DataError::Open { .. })));
        std::fs::write(folder.join("tries.json"), "{").unwrap();
        let why = keep.state().unwrap_err().to_string();
        assert!(why.contains("tries.json: it cannot be read"), "{why}");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
