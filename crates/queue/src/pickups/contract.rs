//! The contract of [`super::Pickups`] as a suite that runs on any store of pickups. Each case is looked
//! at twice, as written and after reopening.

use quell_mail::id::QueueId;
use quell_storm::facts::Ms;

use super::{
    Fate, MAX_ACCOUNT_BYTES, MAX_UID_BYTES, MAX_WORDS_CHARS, Mark, PickupError, Pickups, Remembered,
};

type Found = Result<(), String>;

const OFFICE: &str = "office@pop.provider.example";
const SHOP: &str = "shop";
const NOW: Ms = 1_800_000_000_000;

/// Runs all cases. `fresh` makes an empty store, `reopen` closes one and opens it again.
///
/// # Errors
/// In words: the case, and what was not as it must be.
pub fn check<S: Pickups>(fresh: &mut dyn FnMut() -> S, reopen: &mut dyn FnMut(S) -> S) -> Found {
    type Case = fn(&mut dyn Pickups) -> Result<Found, PickupError>;
    let cases: [(&str, Case, Case); 7] = [
        ("a store begins with nothing", ask_nothing, nothing_is_there),
        ("what is noted is remembered", note_three, three_are_there),
        ("a note takes the place of one of that uid", note_again, they_are_replaced),
        ("what was not seen is forgotten, what is being taken is not", forget, seen_are_there),
        ("a mark is kept as a whole", mark, marks_are_there),
        ("an account is forgotten alone", forget_office, shop_is_there),
        ("nothing of what is refused is kept", refusals, three_are_there),
    ];
    for (case, act, look) in cases {
        let said = |found: Result<Found, PickupError>| {
            found.map_err(|e| e.to_string()).and_then(|found| found).map_err(|what| format!("{case}: {what}"))
        };
        let mut store = fresh();
        said(act(&mut store))?;
        said(look(&mut store))?;
        said(look(&mut reopen(store))).map_err(|what| format!("reopened: {what}"))?;
    }
    Ok(())
}

fn message(uid: &str, n: u8, fate: Fate) -> Remembered {
    Remembered {
        uid: uid.to_owned(),
        size_bytes: 1000 + u64::from(n),
        digest: [n; 16],
        fate,
        at_ms: NOW + Ms::from(n),
        seen_ms: NOW + 1000 * Ms::from(n),
    }
}

/// In the order of their uids: not as numbers, and capitals first.
fn three() -> Vec<Remembered> {
    vec![
        message("17.10", 1, Fate::Taking(QueueId::new(NOW.unsigned_abs(), 1, 7))),
        message("17.9", 2, Fate::Refused("larger than 50 MB, größer".to_owned())),
        message("a!~", 2, Fate::Taken),
    ]
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: T, wanted: T) -> Found {
    if found == wanted { Ok(()) } else { Err(format!("{what}: {found:?} instead of {wanted:?}")) }
}

fn ask_nothing(store: &mut dyn Pickups) -> Result<Found, PickupError> {
    store.note(OFFICE, &[])?;
    store.seen(OFFICE, &["1"], NOW)?;
    Ok(same("forgotten", (store.forget_unseen(OFFICE, NOW)?, store.forget_account(OFFICE)?), (0, 0)))
}

fn nothing_is_there(store: &mut dyn Pickups) -> Result<Found, PickupError> {
    let found = same("accounts", store.accounts()?, Vec::new());
    let found = found.and(same("mark", store.mark(OFFICE)?, Mark::default()));
    let found = found.and(same("digest", store.find(OFFICE, &[0; 16])?, Vec::new()));
    Ok(found.and(same("remembered", store.remembered(OFFICE)?, Vec::new())))
}

fn note_three(store: &mut dyn Pickups) -> Result<Found, PickupError> {
    let all = three();
    store.note(OFFICE, &[all[2].clone(), all[0].clone()])?;
    store.note(OFFICE, &all[1..2])?;
    store.note(SHOP, &[message("a!~", 9, Fate::Taken)])?;
    Ok(Ok(()))
}

fn three_are_there(store: &mut dyn Pickups) -> Result<Found, PickupError> {
    let all = three();
    let mut found = same("remembered", store.remembered(OFFICE)?, all.clone());
    found = found.and(same("one digest", store.find(OFFICE, &[1; 16])?, all[..1].to_vec()));
    found = found.and(same("two of a digest", store.find(OFFICE, &[2; 16])?, all[1..].to_vec()));
    found = found.and(same("another's digest", store.find(OFFICE, &[9; 16])?, Vec::new()));
    found = found.and(same("another account", store.remembered(SHOP)?, vec![message("a!~", 9, Fate::Taken)]));
    found = found.and(same("no account", store.remembered("Shop")?, Vec::new()));
    found = found.and(same("mark", store.mark(OFFICE)?, Mark::default()));
    Ok(found.and(same("accounts", store.accounts()?, vec![OFFICE.to_owned(), SHOP.to_owned()])))
}

fn replaced() -> Vec<Remembered> {
    let cut = Fate::Refused("ü".repeat(MAX_WORDS_CHARS));
    vec![message("17.10", 5, Fate::Taken), message("17.9", 6, cut), three().remove(2)]
}

fn note_again(store: &mut dyn Pickups) -> Result<Found, PickupError> {
    note_three(store)?.ok();
    let long = Fate::Refused("ü".repeat(MAX_WORDS_CHARS + 1));
    let again =
        [message("17.10", 4, Fate::Taken), message("17.9", 6, long), message("17.10", 5, Fate::Taken)];
    store.note(OFFICE, &again)?;
    Ok(Ok(()))
}

fn they_are_replaced(store: &mut dyn Pickups) -> Result<Found, PickupError> {
    let found = same("remembered", store.remembered(OFFICE)?, replaced());
    let found = found.and(same("the digest before", store.find(OFFICE, &[1; 16])?, Vec::new()));
    Ok(found.and(same("the digest", store.find(OFFICE, &[5; 16])?, replaced()[..1].to_vec())))
}

fn forget(store: &mut dyn Pickups) -> Result<Found, PickupError> {
    note_three(store)?.ok();
    store.note(OFFICE, &[message("b", 3, Fate::Taken), message("c", 4, Fate::Taken)])?;
    store.seen(OFFICE, &["a!~", "never noted", "b"], NOW + 60_000)?;
    store.seen(OFFICE, &["b"], NOW + 59_999)?;
    // Taking is older, 17.9 and c are; a!~ was seen in that very moment, b just before.
    Ok(same("forgotten", store.forget_unseen(OFFICE, NOW + 60_000)?, 3))
}

fn seen_are_there(store: &mut dyn Pickups) -> Result<Found, PickupError> {
    let all = three();
    let wanted = vec![all[0].clone(), Remembered { seen_ms: NOW + 60_000, ..all[2].clone() }];
    let found = same("remembered", store.remembered(OFFICE)?, wanted);
    let found = found.and(same("the digest", store.find(OFFICE, &[3; 16])?, Vec::new()));
    Ok(found.and(same("another account", store.remembered(SHOP)?, vec![message("a!~", 9, Fate::Taken)])))
}

fn full_mark() -> Mark {
    Mark {
        uid_validity: Some(u32::MAX),
        listed_to: Some(0),
        first_ms: Some(NOW),
        last_good_ms: Some(-1),
        told: Some("é".repeat(MAX_WORDS_CHARS)),
        taken: u64::MAX,
        bytes: 1 << 63,
    }
}

fn mark(store: &mut dyn Pickups) -> Result<Found, PickupError> {
    note_three(store)?.ok();
    store.set_mark(SHOP, &full_mark())?;
    store.set_mark(SHOP, &Mark::default())?;
    store.set_mark("new", &Mark { taken: 1, ..Mark::default() })?;
    store.set_mark(OFFICE, &Mark { told: Some("é".repeat(MAX_WORDS_CHARS + 9)), ..full_mark() })?;
    Ok(Ok(()))
}

fn marks_are_there(store: &mut dyn Pickups) -> Result<Found, PickupError> {
    let found = same("mark", store.mark(OFFICE)?, full_mark());
    let found = found.and(same("an emptied mark", store.mark(SHOP)?, Mark::default()));
    let found = found.and(same("messages", store.remembered(OFFICE)?, three()));
    let all = ["new", OFFICE, SHOP].map(str::to_owned).to_vec();
    Ok(found.and(same("accounts", store.accounts()?, all)))
}

fn forget_office(store: &mut dyn Pickups) -> Result<Found, PickupError> {
    note_three(store)?.ok();
    store.set_mark(OFFICE, &full_mark())?;
    store.set_mark(SHOP, &full_mark())?;
    Ok(same("forgotten", store.forget_account(OFFICE)?, 3))
}

fn shop_is_there(store: &mut dyn Pickups) -> Result<Found, PickupError> {
    let found = same("remembered", store.remembered(OFFICE)?, Vec::new());
    let found = found.and(same("the digest", store.find(OFFICE, &[2; 16])?, Vec::new()));
    let found = found.and(same("mark", store.mark(OFFICE)?, Mark::default()));
    let found = found.and(same("another mark", store.mark(SHOP)?, full_mark()));
    let found = found.and(same("another", store.remembered(SHOP)?, vec![message("a!~", 9, Fate::Taken)]));
    Ok(found.and(same("accounts", store.accounts()?, vec![SHOP.to_owned()])))
}

fn refusals(store: &mut dyn Pickups) -> Result<Found, PickupError> {
    note_three(store)?.ok();
    let mut found = Ok(());
    let long = "x".repeat(MAX_UID_BYTES + 1);
    for uid in ["", "a b", "a\r\n", "ü", "\u{7f}", &long] {
        let both = [message("17.9", 8, Fate::Taken), message(uid, 8, Fate::Taken)];
        let refused = matches!(store.note(OFFICE, &both), Err(PickupError::Uid { .. }));
        found = found.and(same(&format!("uid {uid:?} is refused"), refused, true));
    }
    let long = "x".repeat(MAX_ACCOUNT_BYTES + 1);
    for account in ["", "a\nb", &long] {
        let note = matches!(store.note(account, &three()), Err(PickupError::Account(_)));
        let mark = matches!(store.set_mark(account, &full_mark()), Err(PickupError::Account(_)));
        found = found.and(same(&format!("account {account:?} is refused"), (note, mark), (true, true)));
    }
    let longest = [message(&long[..MAX_UID_BYTES], 8, Fate::Taken)];
    store.note(&long[..MAX_ACCOUNT_BYTES], &longest)?;
    found = found.and(same("longest names", store.remembered(&long[..MAX_ACCOUNT_BYTES])?, longest.to_vec()));
    store.forget_account(&long[..MAX_ACCOUNT_BYTES])?;
    Ok(found)
}
