//! The contract of [`super::UserStore`] as a suite that runs on any store of users. Each case is looked
//! at twice, as written and after reopening.

use super::{Scram, User, UserStore, UsersError, Verifier};

type Found = Result<(), String>;

/// Runs all cases. `fresh` makes an empty store, `reopen` closes one and opens it again.
///
/// # Errors
/// In words: the case, and what was not as it must be.
pub fn check<S: UserStore>(fresh: &mut dyn FnMut() -> S, reopen: &mut dyn FnMut(S) -> S) -> Found {
    type Case = fn(&mut dyn UserStore) -> Result<Found, UsersError>;
    let cases: [(&str, Case, Case); 4] = [
        ("what is written is read", write_three, three_are_there),
        ("users are changed and removed", change_them, they_are_changed),
        ("nothing is done twice, and nothing to nobody", refusals, three_are_there),
        ("a sign-in changes its time alone", sign_in, time_is_changed),
    ];
    for (case, act, look) in cases {
        let said = |found: Result<Found, UsersError>| {
            found.map_err(|e| e.to_string()).and_then(|found| found).map_err(|what| format!("{case}: {what}"))
        };
        let mut store = fresh();
        said(act(&mut store))?;
        said(look(&mut store))?;
        said(look(&mut reopen(store))).map_err(|what| format!("reopened: {what}"))?;
    }
    Ok(())
}

fn user(name: &str, n: u8) -> User {
    User {
        name: name.to_owned(),
        addresses: (0..n).map(|n| format!("box{n}@firm.example")).collect(),
        disabled: n % 2 == 1,
        made_ms: 1_700_000_000_000 + i64::from(n),
        last_sign_in_ms: (n > 1).then_some(1_700_000_000_500),
        verifier: Verifier {
            argon2: format!("$argon2id$v=19$m=19456,t=2,p=1${n}"),
            scram: Scram { salt: [n; 16], iterations: 4096, stored_key: [n; 32], server_key: [n + 1; 32] },
        },
    }
}

fn three() -> Vec<User> {
    vec![user("anna@firm.example", 2), user("bob@firm.example", 0), user("jürgen@firm.example", 3)]
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: T, wanted: T) -> Found {
    if found == wanted { Ok(()) } else { Err(format!("{what}: {found:?} instead of {wanted:?}")) }
}

fn write_three(store: &mut dyn UserStore) -> Result<Found, UsersError> {
    for user in three().iter().rev() {
        store.add(user)?;
    }
    Ok(Ok(()))
}

fn three_are_there(store: &mut dyn UserStore) -> Result<Found, UsersError> {
    let all = three();
    let mut found = same("list", store.list(None, 9)?, all.clone());
    found = found.and(same("first", store.list(None, 1)?, all[..1].to_vec()));
    found = found.and(same("after", store.list(Some(&all[0].name), 9)?, all[1..].to_vec()));
    for user in all {
        found = found.and(same("user", store.get(&user.name)?, Some(user)));
    }
    found = found.and(same("another", store.get("Bob@firm.example")?, None));
    Ok(found)
}

fn change_them(store: &mut dyn UserStore) -> Result<Found, UsersError> {
    write_three(store)?.ok();
    store.change(&User { disabled: true, ..user("anna@firm.example", 7) })?;
    store.remove("bob@firm.example")?;
    Ok(same("removed", store.get("bob@firm.example")?, None))
}

fn they_are_changed(store: &mut dyn UserStore) -> Result<Found, UsersError> {
    let wanted = vec![User { disabled: true, ..user("anna@firm.example", 7) }, three().remove(2)];
    Ok(same("list", store.list(None, 9)?, wanted))
}

fn refusals(store: &mut dyn UserStore) -> Result<Found, UsersError> {
    write_three(store)?.ok();
    let again = matches!(store.add(&user("anna@firm.example", 9)), Err(UsersError::There(_)));
    let nobody = user("nobody@firm.example", 1);
    let changed = matches!(store.change(&nobody), Err(UsersError::NotThere(_)));
    let removed = matches!(store.remove(&nobody.name), Err(UsersError::NotThere(_)));
    store.signed_in(&nobody.name, 5)?;
    Ok(same("refused", (again, changed, removed), (true, true, true)))
}

fn sign_in(store: &mut dyn UserStore) -> Result<Found, UsersError> {
    write_three(store)?.ok();
    store.signed_in("bob@firm.example", 1_800_000_000_000)?;
    Ok(Ok(()))
}

fn time_is_changed(store: &mut dyn UserStore) -> Result<Found, UsersError> {
    let mut wanted = three();
    wanted[1].last_sign_in_ms = Some(1_800_000_000_000);
    Ok(same("list", store.list(None, 9)?, wanted))
}
