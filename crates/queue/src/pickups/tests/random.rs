//! Random histories of both stores against a plain list.

use proptest::prelude::*;

use super::*;

const ACCOUNTS: [&str; 3] = ["office", "shop", "Shop"];

#[derive(Debug, Clone)]
enum Act {
    Note(usize, Vec<Remembered>),
    /// A note with one uid that is none: nothing of it is kept.
    Refused(usize, Vec<Remembered>),
    Seen(usize, Vec<String>, Ms),
    Forget(usize, Ms),
    Mark(usize, Mark),
    ForgetAccount(usize),
    Reopen,
}

fn uid() -> impl Strategy<Value = String> {
    // Few, so that they meet again.
    prop_oneof!["[ab]{1,2}", "[0-9]\\.[0-3]", "[!-~]{1,80}"]
}

fn words() -> impl Strategy<Value = String> {
    prop_oneof![".{0,20}", "\\PC{295,305}"]
}

fn message() -> impl Strategy<Value = Remembered> {
    let fate = prop_oneof![
        any::<[u8; 10]>().prop_map(|id| Fate::Taking(QueueId::from_bytes(id))),
        Just(Fate::Taken),
        words().prop_map(Fate::Refused),
    ];
    (uid(), any::<u64>(), 0u8..3, fate, any::<Ms>(), 0..9i64).prop_map(
        |(uid, size_bytes, n, fate, at_ms, seen_ms)| Remembered {
            uid,
            size_bytes,
            digest: [n; 16],
            fate,
            at_ms,
            seen_ms,
        },
    )
}

fn mark() -> impl Strategy<Value = Mark> {
    let optional = (any::<Option<u32>>(), any::<Option<u32>>(), any::<Option<Ms>>(), any::<Option<Ms>>());
    (optional, proptest::option::of(words()), any::<[u64; 2]>()).prop_map(
        |((uid_validity, listed_to, first_ms, last_good_ms), told, [taken, bytes])| Mark {
            uid_validity,
            listed_to,
            first_ms,
            last_good_ms,
            told,
            taken,
            bytes,
        },
    )
}

fn act() -> impl Strategy<Value = Act> {
    let (n, messages) = (0..ACCOUNTS.len(), || prop::collection::vec(message(), 0..6));
    prop_oneof![
        8 => (n.clone(), messages()).prop_map(|(n, messages)| Act::Note(n, messages)),
        1 => (n.clone(), messages()).prop_map(|(n, messages)| Act::Refused(n, messages)),
        4 => (n.clone(), prop::collection::vec(uid(), 0..6), 0..9i64).prop_map(|(n, uids, now)| Act::Seen(n, uids, now)),
        3 => (n.clone(), 0..9i64).prop_map(|(n, before)| Act::Forget(n, before)),
        2 => (n.clone(), mark()).prop_map(|(n, mark)| Act::Mark(n, mark)),
        1 => n.prop_map(Act::ForgetAccount),
        1 => Just(Act::Reopen),
    ]
}

/// What a store must say: messages in the order in which they came, and nothing clever.
#[derive(Default)]
struct Model {
    accounts: Vec<(&'static str, Mark)>,
    messages: Vec<(&'static str, Remembered)>,
}

impl Model {
    fn account(&mut self, name: &'static str) -> &mut Mark {
        if !self.accounts.iter().any(|(there, _)| *there == name) {
            self.accounts.push((name, Mark::default()));
        }
        &mut self.accounts.iter_mut().find(|(there, _)| *there == name).unwrap().1
    }

    fn note(&mut self, name: &'static str, messages: &[Remembered]) {
        for message in messages {
            self.account(name);
            self.messages.retain(|(there, old)| !(*there == name && old.uid == message.uid));
            let mut message = message.clone();
            if let Fate::Refused(why) = &mut message.fate {
                *why = why.chars().take(300).collect();
            }
            self.messages.push((name, message));
        }
    }

    fn seen(&mut self, name: &'static str, uids: &[String], now: Ms) {
        let listed = self.messages.iter_mut().filter(|(there, m)| *there == name && uids.contains(&m.uid));
        listed.for_each(|(_, message)| message.seen_ms = now);
    }

    fn forget(&mut self, name: &'static str, mut goes: impl FnMut(&Remembered) -> bool) -> u64 {
        let had = self.messages.len();
        self.messages.retain(|(there, message)| *there != name || !goes(message));
        (had - self.messages.len()) as u64
    }

    fn of(&self, name: &str, digest: Option<[u8; 16]>) -> Vec<Remembered> {
        let all =
            self.messages.iter().filter(|(there, m)| *there == name && digest.is_none_or(|d| d == m.digest));
        let mut all: Vec<_> = all.map(|(_, message)| message.clone()).collect();
        all.sort_by(|a, b| a.uid.as_bytes().cmp(b.uid.as_bytes()));
        all
    }

    /// What the act gives back.
    fn act(&mut self, act: &Act) -> u64 {
        match act {
            Act::Note(n, messages) => self.note(ACCOUNTS[*n], messages),
            Act::Seen(n, uids, now) => self.seen(ACCOUNTS[*n], uids, *now),
            Act::Forget(n, before) => {
                let goes = |m: &Remembered| m.seen_ms < *before && !matches!(m.fate, Fate::Taking(_));
                return self.forget(ACCOUNTS[*n], goes);
            }
            Act::Mark(n, mark) => {
                let told = mark.told.as_ref().map(|told| told.chars().take(300).collect());
                *self.account(ACCOUNTS[*n]) = Mark { told, ..mark.clone() };
            }
            Act::ForgetAccount(n) => {
                self.accounts.retain(|(there, _)| *there != ACCOUNTS[*n]);
                return self.forget(ACCOUNTS[*n], |_| true);
            }
            Act::Refused(..) | Act::Reopen => {}
        }
        0
    }

    fn check(&self, store: &dyn Pickups) {
        let mut names: Vec<_> = self.accounts.iter().map(|(name, _)| (*name).to_owned()).collect();
        names.sort();
        assert_eq!(store.accounts().unwrap(), names);
        for name in ACCOUNTS {
            let mark = self.accounts.iter().find(|(there, _)| *there == name).map(|(_, mark)| mark.clone());
            assert_eq!(store.mark(name).unwrap(), mark.unwrap_or_default());
            assert_eq!(store.remembered(name).unwrap(), self.of(name, None));
            for n in 0..3 {
                assert_eq!(store.find(name, &[n; 16]).unwrap(), self.of(name, Some([n; 16])));
            }
        }
    }
}

fn run(store: &mut dyn Pickups, act: &Act) -> u64 {
    match act {
        Act::Note(n, messages) => store.note(ACCOUNTS[*n], messages).unwrap(),
        Act::Refused(n, messages) => {
            let mut messages = messages.clone();
            messages.push(Remembered { uid: "a b".to_owned(), ..somewhat(1) });
            let refused = store.note(ACCOUNTS[*n], &messages).unwrap_err();
            assert!(matches!(refused, PickupError::Uid { .. }));
        }
        Act::Seen(n, uids, now) => {
            let uids: Vec<_> = uids.iter().map(String::as_str).collect();
            store.seen(ACCOUNTS[*n], &uids, *now).unwrap();
        }
        Act::Forget(n, before) => return store.forget_unseen(ACCOUNTS[*n], *before).unwrap(),
        Act::Mark(n, mark) => store.set_mark(ACCOUNTS[*n], mark).unwrap(),
        Act::ForgetAccount(n) => return store.forget_account(ACCOUNTS[*n]).unwrap(),
        Act::Reopen => {}
    }
    0
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn both_stores_say_what_a_plain_list_says(acts in prop::collection::vec(act(), 1..40)) {
        let dir = TempDir::new();
        let path = dir.path().join("pickup.db");
        let (mut model, mut memory, mut sqlite) = (Model::default(), MemoryPickups::default(), Some(open(&path)));
        for act in &acts {
            let wanted = model.act(act);
            prop_assert_eq!(run(&mut memory, act), wanted);
            prop_assert_eq!(run(sqlite.as_mut().unwrap(), act), wanted);
            if matches!(act, Act::Reopen) {
                // Closed before it is opened: it has the lock.
                drop(sqlite.take());
                sqlite = Some(open(&path));
            }
        }
        model.check(&memory);
        model.check(sqlite.as_ref().unwrap());
        model.check(&SqlitePickups::open_read_only(&path).unwrap());
        // What is counted in memory is what is there.
        let sqlite = sqlite.as_ref().unwrap();
        for (name, count) in &sqlite.counts {
            prop_assert_eq!(*count, model.of(name, None).len());
        }
    }
}
