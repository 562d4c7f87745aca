use std::net::Ipv4Addr;
use std::sync::mpsc::Receiver;

use quell_queue::users::{MemoryUsers, User, UserStore};
use quell_storm::tell::Alert;

use super::*;

const PASSWORD: &[u8] = b"correct horse";

struct World {
    sign_in: Arc<SignIn>,
    metrics: Arc<Metrics>,
    alerts: Receiver<Alert>,
}

fn user(name: &str, password: &[u8]) -> User {
    let verifier = verifier::make(std::str::from_utf8(password).unwrap(), &[9; 32]).unwrap();
    let addresses = vec!["info@firm.example".to_owned()];
    User { name: name.to_owned(), addresses, disabled: false, made_ms: 5, last_sign_in_ms: None, verifier }
}

fn rules() -> Rules {
    let domains = vec!["firm.example".to_owned(), "other.example".to_owned()];
    Rules { users: Users::Store, token_command: None, shared_hosts: Vec::new(), domains }
}

/// Jane signs in, Bob is disabled, both with the same password.
fn world(rules: Rules) -> World {
    let mut users = MemoryUsers::default();
    users.add(&user("jane@firm.example", PASSWORD)).unwrap();
    users.add(&User { disabled: true, ..user("bob@firm.example", PASSWORD) }).unwrap();
    let (outbox, alerts) = crate::tell::outbox();
    let metrics = Arc::new(Metrics::new());
    let means = Means {
        accounts: Arc::new(Accounts::new(users)),
        secret: Secret::new(1, [3; 32]),
        time: Timekeeper::new(0, 0),
        metrics: Arc::clone(&metrics),
        outbox: Some(outbox),
    };
    World { sign_in: SignIn::new(means, rules), metrics, alerts }
}

fn client(last: u8) -> Client {
    let address = |last| IpAddr::V4(Ipv4Addr::new(192, 0, 2, last));
    Client { remote: address(last), local: address(250) }
}

impl World {
    async fn password(&self, from: u8, name: &str, password: &[u8]) -> Verdict {
        self.sign_in.password(&client(from), name, password).await
    }

    async fn jane(&self) -> SignedIn {
        match self.password(1, "jane@firm.example", PASSWORD).await {
            Verdict::Yes(jane) => jane,
            other => panic!("{other:?}"),
        }
    }

    fn count(&self, verdict: &str) -> u64 {
        let text = self.metrics.text();
        let name = format!("quell_sign_ins_total{{verdict=\"{verdict}\"}} ");
        text.lines().find_map(|line| line.strip_prefix(&name)).unwrap().parse().unwrap()
    }
}

#[tokio::test]
async fn passwords_are_checked() {
    let world = world(rules());
    let jane = world.jane().await;
    assert_eq!(jane.name, "jane@firm.example");
    assert_eq!(jane.addresses, ["jane@firm.example", "info@firm.example"]);
    assert!(matches!(world.password(1, "JANE@Firm.Example", PASSWORD).await, Verdict::Yes(_)));
    for (from, (name, password)) in (10..).zip([
        ("jane@firm.example", &b"correct hors"[..]),
        ("jane@firm.example", b""),
        ("nobody@firm.example", PASSWORD),
        ("bob@firm.example", PASSWORD),
        ("jane", PASSWORD),
        ("", b""),
        ("anna@firm.example", &[b'a'; 5000]),
    ]) {
        // Each from an address of its own: nobody waits.
        assert_eq!(world.password(from, name, password).await, Verdict::No, "{name}");
    }
    let seen = |name: &str| world.sign_in.accounts().get(name).unwrap().unwrap().last_sign_in_ms;
    assert!(seen("jane@firm.example").is_some_and(|at| at > 1_600_000_000_000));
    assert_eq!(seen("bob@firm.example"), None);
    assert_eq!((world.count("yes"), world.count("no")), (2, 7));
}

#[tokio::test]
async fn whoever_is_signed_in_is_looked_at_again() {
    let world = world(rules());
    let (jane, accounts) = (world.jane().await, Arc::clone(world.sign_in.accounts()));
    assert_eq!(world.sign_in.still(&jane).await, Verdict::Yes(jane.clone()));
    let stored = accounts.get(&jane.name).unwrap().unwrap();
    accounts.change(|store| store.change(&User { addresses: vec![], ..stored.clone() })).unwrap();
    let Verdict::Yes(now) = world.sign_in.still(&jane).await else { panic!() };
    assert_eq!(now.addresses, ["jane@firm.example"]);
    accounts.change(|store| store.change(&User { disabled: true, ..stored.clone() })).unwrap();
    assert_eq!(world.sign_in.still(&jane).await, Verdict::No);
    accounts.change(|store| store.change(&stored)).unwrap();
    assert!(matches!(world.sign_in.still(&jane).await, Verdict::Yes(_)));
    let other = user(&jane.name, b"battery staple").verifier;
    accounts.change(|store| store.change(&User { verifier: other, ..stored.clone() })).unwrap();
    assert_eq!(world.sign_in.still(&jane).await, Verdict::No);
    accounts.change(|store| store.remove(&jane.name)).unwrap();
    assert_eq!(world.sign_in.still(&jane).await, Verdict::No);
}

#[tokio::test]
async fn scram_looks_the_same_for_everybody() {
    let world = world(rules());
    let stored = world.sign_in.accounts().get("jane@firm.example").unwrap().unwrap().verifier.scram;
    let begin = async |name: &str, from: u8| world.sign_in.scram_for(&client(from), name).await.ok().unwrap();
    let jane = begin("Jane@firm.example", 1).await;
    assert_eq!(jane.stored, stored);
    let verdict = world.sign_in.scram_done(jane, true).await;
    assert!(matches!(verdict, Verdict::Yes(jane) if jane.name == "jane@firm.example"));
    let jane = begin("jane@firm.example", 1).await;
    assert_eq!(world.sign_in.scram_done(jane, false).await, Verdict::No);
    let (nobody, again) = (begin("nobody@firm.example", 2).await, begin("nobody@firm.example", 3).await);
    assert_eq!(nobody.stored, again.stored);
    assert_eq!(nobody.stored.iterations, stored.iterations);
    assert_eq!(world.sign_in.scram_done(nobody, true).await, Verdict::No);
    drop(again);
    let bob = begin("bob@firm.example", 4).await;
    assert_eq!(bob.stored, verifier::fake_scram(&Secret::new(1, [3; 32]), "bob@firm.example"));
    assert_eq!(world.sign_in.scram_done(bob, true).await, Verdict::No);
    // The password is changed while she proves that she has the old one.
    let jane = begin("jane@firm.example", 5).await;
    let other = user("jane@firm.example", b"battery staple");
    let other = User { verifier: verifier::make("battery staple", &[8; 32]).unwrap(), ..other };
    world.sign_in.accounts().change(|store| store.change(&other)).unwrap();
    assert_eq!(world.sign_in.scram_done(jane, true).await, Verdict::No);
}

#[tokio::test(start_paused = true)]
async fn an_exchange_that_is_broken_off_counts_as_a_failure() {
    let world = world(rules());
    for _ in 0..10 {
        drop(world.sign_in.scram_for(&client(1), "jane@firm.example").await.ok().unwrap());
    }
    let jane = world.sign_in.scram_for(&client(1), "jane@firm.example").await;
    assert!(matches!(jane, Err(Verdict::Refused)));
    assert!(world.sign_in.scram_for(&client(1), "anna@firm.example").await.is_ok());
    // From another network she signs in.
    let home = Client { remote: IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9)), ..client(1) };
    assert!(matches!(world.sign_in.password(&home, "jane@firm.example", PASSWORD).await, Verdict::Yes(_)));
}

/// The proof: bounded CPU, other sign-ins still work, the operator is told once.
#[tokio::test(start_paused = true)]
async fn ten_thousand_guesses_cost_few_checks() {
    let world = world(rules());
    for n in 0..10_000 {
        let name = format!("user{}@firm.example", n % 500);
        let verdict = world.password(1, &name, format!("guess {n}").as_bytes()).await;
        assert!(matches!(verdict, Verdict::No | Verdict::Refused), "{verdict:?}");
    }
    assert_eq!((world.count("no"), world.count("refused")), (20, 9_980));
    assert!(world.sign_in.is_refused(client(1).remote) && !world.sign_in.is_refused(client(2).remote));
    let Verdict::Yes(_) = world.password(2, "jane@firm.example", PASSWORD).await else { panic!() };
    let told: Vec<Alert> = world.alerts.try_iter().collect();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].subject, "quell: somebody guesses passwords from 192.0.2.1");
    world.sign_in.stop();
    assert!(world.alerts.recv().is_err(), "the teller must be able to end");
}

#[tokio::test(start_paused = true)]
async fn many_guesses_at_the_same_time_are_told_to_come_again() {
    let world = world(rules());
    let mut all = tokio::task::JoinSet::new();
    for n in 0..500 {
        let (sign_in, name) = (Arc::clone(&world.sign_in), format!("user{n}@firm.example"));
        all.spawn(async move { sign_in.password(&client(1), &name, b"guess").await });
    }
    while all.join_next().await.is_some() {}
    assert!(world.count("no") <= 20, "{} checks", world.count("no"));
    assert_eq!(world.count("no") + world.count("trouble") + world.count("refused"), 500);
}

#[tokio::test]
async fn a_token_is_the_commands_business() {
    let none = world(rules());
    assert!(!none.sign_in.mechanisms().await.token);
    assert_eq!(none.sign_in.token(&client(1), None, b"good").await, Verdict::No);
    let script = "case \"$(cat)\" in good) echo Jane@firm.example;; bob) echo bob@firm.example;; \
                  new) echo new@firm.example;; out) echo eve@elsewhere.example;; all) echo '*@firm.example';; \
                  guest) echo guest@elsewhere.example;; odd) echo odd;; ill) kill -9 $$;; *) exit 1;; esac";
    let command = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
    let world = world(Rules { token_command: Some(command), ..rules() });
    let offered = Mechanisms { password: true, scram: ScramBy::Us, token: true };
    assert_eq!(world.sign_in.mechanisms().await, offered);
    let token = async |user: Option<&str>, token: &[u8]| world.sign_in.token(&client(1), user, token).await;
    let Verdict::Yes(jane) = token(Some("jane@FIRM.example"), b"good").await else { panic!() };
    assert_eq!(jane.addresses, ["jane@firm.example", "info@firm.example"]);
    let Verdict::Yes(new) = token(None, b"new").await else { panic!() };
    assert_eq!(new.addresses, ["new@firm.example"]);
    assert_eq!(token(Some("anna@firm.example"), b"good").await, Verdict::No, "another's token");
    assert_eq!(token(None, b"bob").await, Verdict::No, "disabled here");
    assert_eq!(token(None, b"bad").await, Verdict::No);
    assert!(matches!(token(None, b"odd").await, Verdict::Trouble(_)));
    assert!(matches!(token(None, b"ill").await, Verdict::Trouble(_)));
    assert!(matches!(token(None, b"all").await, Verdict::Trouble(_)), "nobody is all of a domain");
    // Of another domain only who is a user.
    assert_eq!(token(None, b"out").await, Verdict::No);
    let guest_user = user("guest@elsewhere.example", PASSWORD);
    world.sign_in.accounts().change(|store| store.add(&guest_user)).unwrap();
    let Verdict::Yes(guest) = token(None, b"guest").await else { panic!() };
    assert!(matches!(world.sign_in.still(&guest).await, Verdict::Yes(_)));
    world.sign_in.accounts().change(|store| store.remove(&guest.name)).unwrap();
    assert_eq!(world.sign_in.still(&guest).await, Verdict::No);
    let accounts = world.sign_in.accounts();
    let stored = accounts.get("jane@firm.example").unwrap().unwrap();
    accounts.change(|store| store.change(&User { disabled: true, ..stored })).unwrap();
    assert_eq!(world.sign_in.still(&jane).await, Verdict::No);
    assert!(matches!(world.sign_in.still(&new).await, Verdict::Yes(_)));
}

#[tokio::test]
async fn rules_may_change_while_it_runs() {
    let world = world(rules());
    let socket = PathBuf::from("/nonexistent/auth-client");
    world.sign_in.set(&Rules { users: Users::Dovecot(socket), ..rules() });
    let Verdict::Trouble(why) = world.password(1, "jane@firm.example", PASSWORD).await else { panic!() };
    assert!(why.starts_with("Dovecot's socket /nonexistent/auth-client: "), "{why}");
    let offered = world.sign_in.mechanisms().await;
    assert_eq!(offered, Mechanisms { password: true, scram: ScramBy::Nobody, token: false });
    world.sign_in.set(&rules());
    world.jane().await;
}

#[tokio::test]
async fn what_is_too_long_for_dovecot_is_wrong_and_counts() {
    let (socket, verdict) =
        (PathBuf::from("/nonexistent/auth-client"), Verdict::from(dovecot::Trouble::TooLong));
    assert_eq!(verdict, Verdict::No);
    let world = world(Rules { users: Users::Dovecot(socket), ..rules() });
    // Nobody is there to ask: that counts for nobody, however often, and has few lines.
    for n in 0..200 {
        let Verdict::Trouble(_) = world.password(1, &format!("{n}@firm.example"), b"x").await else {
            panic!()
        };
    }
    assert_eq!((world.count("trouble"), world.count("no")), (200, 0));
    let lines = format!("{:?}", world.sign_in.troubles);
    assert!(lines.contains("most: 5") && !lines.contains("events: 0"), "{lines}");
}

/// Whoever others call `*` is not all of a domain.
#[tokio::test]
async fn a_name_is_no_wildcard() {
    let world = world(rules());
    for name in ["*@firm.example", "*", "\"*\"@firm.example"] {
        let verdict = world.sign_in.found_by_dovecot(&world.sign_in.now(), name.to_owned()).await;
        let Verdict::Yes(user) = verdict else { panic!() };
        assert_eq!(user.addresses, [""; 0], "{name}");
        assert_eq!(world.sign_in.still(&user).await, Verdict::Yes(user));
    }
}
