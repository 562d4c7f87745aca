//! A real Dovecot says who may sign in.

use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use quell::metrics::Metrics;
use quell::server::time::Timekeeper;
use quell::sign_in::accounts::Accounts;
use quell::sign_in::dovecot::{Dovecot, Step};
use quell::sign_in::{Client, Means, Mechanisms, Rules, ScramBy, SignIn, Turn, Users, Verdict, verifier};
use quell_mail::key::Secret;
use quell_queue::users::{MemoryUsers, User, UserStore};
use ring::{digest, hmac, pbkdf2};

use crate::support::peers::dovecot::{self, token};
use crate::support::process::signal;
use crate::support::{TempDir, wait_until};

const USERS: &str = "jane@firm.example:correct horse\nbob:bobs own\nanna@firm.example:annas own\n";
const KEY: &str = "a key of the test's own, long enough";

struct World {
    sign_in: Arc<SignIn>,
    running: crate::support::Running,
    _directory: TempDir,
}

fn means(users: MemoryUsers) -> Means {
    Means {
        accounts: Arc::new(Accounts::new(users)),
        secret: Secret::new(1, [4; 32]),
        time: Timekeeper::new(0, 0),
        metrics: Arc::new(Metrics::new()),
        outbox: None,
    }
}

fn rules(socket: &Path) -> Rules {
    Rules {
        users: Users::Dovecot(socket.to_owned()),
        token_command: None,
        shared_hosts: Vec::new(),
        domains: vec!["firm.example".to_owned()],
    }
}

/// Jane has a further address in quell's own store, where Anna is disabled.
fn world(name: &str) -> Option<World> {
    if !dovecot::available() {
        return None;
    }
    let directory = TempDir::new(name);
    let home = directory.join("dovecot");
    std::fs::create_dir_all(&home).expect("a directory");
    let (running, socket) = dovecot::serve_auth(&home, USERS, &STANDARD.encode(KEY));
    let mut users = MemoryUsers::default();
    let user = |name: &str, disabled| User {
        name: name.to_owned(),
        addresses: vec!["info@firm.example".to_owned()],
        disabled,
        made_ms: 0,
        last_sign_in_ms: None,
        verifier: verifier::make("not asked for", &[1; 32]).expect("a verifier"),
    };
    users.add(&user("jane@firm.example", false)).expect("a user");
    users.add(&user("anna@firm.example", true)).expect("a user");
    let sign_in = SignIn::new(means(users), rules(&socket));
    Some(World { sign_in, running, _directory: directory })
}

fn client() -> Client {
    let address = |text: &str| text.parse().expect("an address");
    Client { remote: address("192.0.2.7"), local: address("2001:db8::1") }
}

impl World {
    async fn password(&self, name: &str, password: &str) -> Verdict {
        self.sign_in.password(&client(), name, password.as_bytes()).await
    }

    fn addresses(&self, verdict: Verdict) -> Vec<String> {
        let log = std::fs::read_to_string(self._directory.join("dovecot/log")).unwrap_or_default();
        match verdict {
            Verdict::Yes(user) => user.addresses,
            other => panic!("{other:?}\n{}{log}", self.running.output()),
        }
    }
}

#[tokio::test]
async fn passwords_are_asked_of_dovecot() {
    let Some(world) = world("sign-in-password") else { return };
    let offered = world.sign_in.mechanisms().await;
    assert_eq!(offered, Mechanisms { password: true, scram: ScramBy::Dovecot, token: true });
    let jane = world.addresses(world.password("jane@firm.example", "correct horse").await);
    assert_eq!(jane, ["jane@firm.example", "info@firm.example"]);
    // A name without a domain.
    assert_eq!(world.addresses(world.password("bob", "bobs own").await), ["bob@firm.example"]);
    // One after the other over the same connection, and several at the same time.
    let mut all = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let sign_in = Arc::clone(&world.sign_in);
        all.spawn(async move { sign_in.password(&client(), "bob", b"bobs own").await });
    }
    while let Some(verdict) = all.join_next().await {
        assert!(matches!(verdict.expect("no panic"), Verdict::Yes(_)));
    }
    assert_eq!(world.password("jane@firm.example", "wrong").await, Verdict::No);
    assert_eq!(world.password("nobody", "wrong").await, Verdict::No);
    assert_eq!(world.password("anna@firm.example", "annas own").await, Verdict::No, "disabled by us");
    assert_eq!(world.password("jane@firm.example", "correct\0horse").await, Verdict::No);
}

#[tokio::test]
async fn tokens_are_passed_on() {
    let Some(world) = world("sign-in-token") else { return };
    let ask = async |user: Option<&str>, token: String| {
        world.sign_in.token(&client(), user, token.as_bytes()).await
    };
    let jane = ask(Some("jane@firm.example"), token(KEY, "jane@firm.example")).await;
    assert_eq!(world.addresses(jane), ["jane@firm.example", "info@firm.example"]);
    assert_eq!(ask(Some("jane@firm.example"), token("another key", "jane@firm.example")).await, Verdict::No);
    assert_eq!(ask(Some("jane@firm.example"), "no token".to_owned()).await, Verdict::No);
    // Too long for a line of Dovecot's: no trouble of ours.
    assert_eq!(ask(None, "a".repeat(9_000)).await, Verdict::No);
}

/// A client's part of SCRAM-SHA-256 (RFC 5802 §3): its last message, and what the server must prove.
fn scram_proof(first: &str, challenge: &str, password: &str) -> (String, Vec<u8>) {
    let part = |name: &str| challenge.split(',').find_map(|part| part.strip_prefix(name)).expect("a part");
    let (nonce, salt) = (part("r="), STANDARD.decode(part("s=")).expect("a salt"));
    let rounds = part("i=").parse().expect("a number");
    let mut salted = [0; 32];
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, &salt, password.as_bytes(), &mut salted);
    let sign = |key: &[u8], text: &str| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes());
    let client_key = sign(&salted, "Client Key");
    let stored = digest::digest(&digest::SHA256, client_key.as_ref());
    let message = format!("{first},{challenge},c=biws,r={nonce}");
    let signature = sign(stored.as_ref(), &message);
    let proof: Vec<u8> =
        client_key.as_ref().iter().zip(signature.as_ref()).map(|(key, sign)| key ^ sign).collect();
    let server = sign(sign(&salted, "Server Key").as_ref(), &message);
    (format!("c=biws,r={nonce},p={}", STANDARD.encode(proof)), server.as_ref().to_vec())
}

#[tokio::test]
async fn scram_is_passed_on() {
    let Some(world) = world("sign-in-scram") else { return };
    for (password, right) in [("correct horse", true), ("wrong", false)] {
        let first = "n=jane@firm.example,r=rOprNGfwEbeRWgbNEkqO";
        let initial = Some(format!("n,,{first}").into_bytes());
        let begun = world.sign_in.pass_on(&client(), "SCRAM-SHA-256", "jane@firm.example", initial).await;
        let (Turn::Challenge(challenge), Some(mut exchange)) = begun else { panic!("no challenge") };
        let challenge = String::from_utf8(challenge).expect("text");
        let (proof, server) = scram_proof(first, &challenge, password);
        let turn = exchange.answer(proof.into_bytes()).await;
        if !right {
            assert!(matches!(turn, Turn::Over(Verdict::No)));
            continue;
        }
        // Dovecot sends its own proof as a challenge, and wants an empty answer.
        let Turn::Challenge(last) = turn else { panic!("no proof of the server's") };
        assert_eq!(String::from_utf8(last).expect("text"), format!("v={}", STANDARD.encode(server)));
        let Turn::Over(verdict) = exchange.answer(Vec::new()).await else { panic!("it goes on") };
        assert_eq!(world.addresses(verdict), ["jane@firm.example", "info@firm.example"]);
    }
}

/// Dovecot is started anew while we hold a connection to it.
#[tokio::test]
async fn a_dovecot_that_comes_again_is_found_again() {
    if !dovecot::available() {
        return;
    }
    let directory = TempDir::new("sign-in-again");
    let home = directory.join("dovecot");
    std::fs::create_dir_all(&home).expect("a directory");
    let (mut first, socket) = dovecot::serve_auth(&home, USERS, KEY);
    let asked = Dovecot::at(&socket);
    let ask = async || asked.begin("PLAIN", None, Some(b"\0bob\0bobs own")).await.map(|(step, _)| step);
    let yes = Step::Yes("bob".to_owned());
    assert_eq!(ask().await.expect("an answer"), yes);
    // What it has started serves its open connections to their end: it must end, too.
    let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", first.pid()));
    let children = children.expect("a running dovecot");
    first.term(std::time::Duration::from_secs(10));
    for child in children.split_whitespace().map(|pid| pid.parse().expect("a number")) {
        signal(child, "KILL");
        let gone = || !Path::new(&format!("/proc/{child}")).exists();
        assert!(wait_until(std::time::Duration::from_secs(10), gone), "{child} runs on");
    }
    assert!(ask().await.is_err(), "nobody is there");
    let (_second, _) = dovecot::serve_auth(&home, USERS, KEY);
    assert_eq!(ask().await.expect("an answer"), yes);
}
