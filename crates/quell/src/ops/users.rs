//! Users: the same for the running server and for a stopped one. The desk has nothing to do with them.

use quell_queue::users::{MAX_ADDRESSES, MAX_NAME_BYTES, User, UserStore, UsersError, Verifier};
use quell_storm::facts::Ms;
use quell_storm::storm::rfc3339;
use serde::{Deserialize, Serialize};

use super::{ErrorKind, Failure, Response, SLICE, shown};
use crate::sign_in::accounts::{Accounts, normal_name, normal_sender};
use crate::sign_in::verifier::well_formed;

/// What can be asked of the users. Passwords never come this far: whoever asks for them makes the
/// verifier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum UsersRequest {
    /// Users in the order of their names: [`UsersShown`].
    List {
        /// Those after this one.
        #[serde(default)]
        after: Option<String>,
        /// At most so many; 1 to [`SLICE`].
        limit: usize,
    },
    /// A new user.
    Add {
        /// The name: an address in lower case.
        name: String,
        /// What the user may send as beside the name.
        addresses: Vec<String>,
        /// What the password is checked against.
        verifier: Box<Verifier>,
    },
    /// Changes what is given, and leaves the rest.
    Change {
        /// Whom.
        name: String,
        /// What the user may send as beside the name.
        #[serde(default)]
        addresses: Option<Vec<String>>,
        /// May not sign in.
        #[serde(default)]
        disabled: Option<bool>,
        /// What the password is checked against.
        #[serde(default)]
        verifier: Option<Box<Verifier>>,
    },
    /// Takes a user out.
    Remove {
        /// Whom.
        name: String,
    },
}

/// Users.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct UsersShown {
    /// The users.
    pub users: Vec<UserShown>,
    /// Where to go on: after this name; null: that was all.
    pub next: Option<String>,
}

/// One user. Nothing of the password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserShown {
    /// The name to sign in with.
    pub name: String,
    /// What the user may send as beside the name.
    pub addresses: Vec<String>,
    /// May not sign in.
    pub disabled: bool,
    /// When the user was made.
    pub made: String,
    /// When the user last signed in, to the hour; null: never.
    pub last_sign_in: Option<String>,
}

/// Carries out a request; may wait for the disk. What it changed is durable.
pub fn run(accounts: &Accounts, request: &UsersRequest, now_ms: Ms) -> Response {
    let done = match request {
        UsersRequest::List { after, limit } => return list(accounts, after.as_deref(), *limit),
        UsersRequest::Add { name, addresses, verifier } => {
            checked(name, addresses, Some(verifier)).and_then(|()| {
                let user = User {
                    name: name.clone(),
                    addresses: addresses.clone(),
                    disabled: false,
                    made_ms: now_ms,
                    last_sign_in_ms: None,
                    verifier: (**verifier).clone(),
                };
                accounts.change(|store| store.add(&user)).map_err(failed)
            })
        }
        UsersRequest::Change { name, addresses, disabled, verifier } => {
            checked(name, addresses.as_deref().unwrap_or_default(), verifier.as_deref()).and_then(|()| {
                let parts = (addresses.as_ref(), *disabled, verifier.as_deref());
                accounts.change(|store| change(store, name, parts)).map_err(failed)
            })
        }
        UsersRequest::Remove { name } => accounts.change(|store| store.remove(name)).map_err(failed),
    };
    done.map_or_else(Response::Error, |()| Response::Done)
}

fn list(accounts: &Accounts, after: Option<&str>, limit: usize) -> Response {
    let limit = limit.clamp(1, SLICE);
    match accounts.list(after, limit) {
        Ok(users) => {
            let next = if users.len() < limit { None } else { users.last().map(|user| user.name.clone()) };
            let users = users.into_iter().map(|user| UserShown {
                name: user.name,
                addresses: user.addresses,
                disabled: user.disabled,
                made: rfc3339(user.made_ms),
                last_sign_in: user.last_sign_in_ms.map(rfc3339),
            });
            Response::Users(UsersShown { users: users.collect(), next })
        }
        Err(why) => Response::Error(failed(why)),
    }
}

fn change(
    store: &mut dyn UserStore,
    name: &str,
    (addresses, disabled, verifier): (Option<&Vec<String>>, Option<bool>, Option<&Verifier>),
) -> Result<(), UsersError> {
    let mut user = store.get(name)?.ok_or_else(|| UsersError::NotThere(name.to_owned()))?;
    if let Some(addresses) = addresses {
        user.addresses.clone_from(addresses);
    }
    user.disabled = disabled.unwrap_or(user.disabled);
    if let Some(verifier) = verifier {
        user.verifier = verifier.clone();
    }
    store.change(&user)
}

fn checked(name: &str, addresses: &[String], verifier: Option<&Verifier>) -> Result<(), Failure> {
    let bad = |message: String| Err(Failure { kind: ErrorKind::BadRequest, message });
    if normal_name(name).as_deref() != Some(name) || name.len() > MAX_NAME_BYTES {
        return bad(format!("{} is no name of a user: it must be an address in lower case", shown(name)));
    }
    if addresses.len() > MAX_ADDRESSES {
        return bad(format!("a user has at most {MAX_ADDRESSES} addresses beside the name"));
    }
    let good = |address: &&String| {
        address.len() <= MAX_NAME_BYTES && normal_sender(address).as_ref() == Some(*address)
    };
    if let Some(address) = addresses.iter().find(|address| !good(address)) {
        return bad(format!("{} is neither an address in lower case nor *@domain", shown(address)));
    }
    match verifier.map(well_formed) {
        Some(Err(why)) => bad(format!("the password's verifier cannot be kept: {why}")),
        _ => Ok(()),
    }
}

fn failed(error: UsersError) -> Failure {
    let kind = match &error {
        UsersError::There(_) | UsersError::TooMany => ErrorKind::Conflict,
        UsersError::NotThere(_) => ErrorKind::NotFound,
        UsersError::Store(_) => ErrorKind::Away,
    };
    Failure { kind, message: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::Request;
    use crate::sign_in::verifier::make;
    use quell_queue::users::MemoryUsers;

    fn add(name: &str, addresses: &[&str]) -> UsersRequest {
        let addresses = addresses.iter().map(|address| (*address).to_owned()).collect();
        UsersRequest::Add {
            name: name.to_owned(),
            addresses,
            verifier: Box::new(make("pw", &[1; 32]).unwrap()),
        }
    }

    fn disable(name: &str) -> UsersRequest {
        let name = name.to_owned();
        UsersRequest::Change { name, addresses: None, disabled: Some(true), verifier: None }
    }

    #[test]
    fn users_come_and_go() {
        let accounts = Accounts::new(MemoryUsers::default());
        let ask = |request: &UsersRequest| run(&accounts, request, 1_700_000_000_000);
        let kind = |answer: Response| match answer {
            Response::Error(failed) => Some(failed.kind),
            _ => None,
        };
        assert_eq!(ask(&add("jane@firm.example", &["*@firm.example"])), Response::Done);
        assert_eq!(kind(ask(&add("jane@firm.example", &[]))), Some(ErrorKind::Conflict));
        assert_eq!(ask(&add("bob@firm.example", &[])), Response::Done);
        let before = accounts.changes();
        assert_eq!(ask(&disable("jane@firm.example")), Response::Done);
        assert!(accounts.changes() > before);
        assert_eq!(kind(ask(&disable("anna@firm.example"))), Some(ErrorKind::NotFound));
        let list = |after: Option<String>, limit| match ask(&UsersRequest::List { after, limit }) {
            Response::Users(shown) => shown,
            other => panic!("{other:?}"),
        };
        let first = list(None, 1);
        assert_eq!(first.users[0].name, "bob@firm.example");
        let rest = list(first.next, 9);
        assert!(rest.users[0].disabled && rest.next.is_none());
        assert_eq!(rest.users[0].made, "2023-11-14T22:13:20Z");
        assert_eq!(ask(&UsersRequest::Remove { name: "bob@firm.example".to_owned() }), Response::Done);
        let capital = add("anna@firm.example", &["Info@firm.example"]);
        for bad in [add("Jane@firm.example", &[]), add("jane", &[]), capital] {
            assert_eq!(kind(ask(&bad)), Some(ErrorKind::BadRequest), "{bad:?}");
        }
    }

    #[test]
    fn a_request_carries_no_secret_into_logs() {
        let request = Request::Users { ask: add("jane@firm.example", &[]) };
        assert!(!format!("{request:?}").contains("argon2id"), "{request:?}");
        let text = serde_json::to_string(&request).unwrap();
        let read = crate::control::read_request(format!("{text}\n").as_bytes()).unwrap();
        assert_eq!(read, request);
    }
}
