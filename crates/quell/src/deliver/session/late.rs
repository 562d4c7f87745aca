//! Next hops that answer late, and clocks that do not make anybody wait.

use super::*;
use crate::deliver::remote::Outward;
use crate::deliver::resolver::Resolver;
use crate::metrics::Metrics;
use crate::server::desk::channel_to_desk;
use crate::server::sessions::SessionLimits;
use crate::server::time::Timekeeper;
use quell_queue::body::{Spool, SpoolSettings};
use quell_relay::attempt::fuzz::{claims, cleared, content, facts, sending};
use std::net::SocketAddr;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::sync::mpsc::UnboundedReceiver;

/// A server that answers each line so late; where it listens.
async fn late(by: Duration) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (read, mut write) = listener.accept().await.unwrap().0.into_split();
            let (mut lines, mut code) = (BufReader::new(read).lines(), "220 late\r\n");
            loop {
                tokio::time::sleep(by).await;
                if write.write_all(code.as_bytes()).await.is_err() {
                    break;
                }
                code = "250 ok\r\n";
                let Ok(Some(_)) = lines.next_line().await else { break };
            }
        }
    });
    address
}

/// What sessions share, with nobody at the desk.
fn remote(name: &str) -> (Arc<Remote>, UnboundedReceiver<Msg>) {
    let directory = std::env::temp_dir().join(format!("quell-{name}-{}", std::process::id()));
    let spool = Spool::open(&directory, [], SpoolSettings::default()).unwrap();
    let outward = Arc::new(Outward {
        routes: Arc::default(),
        sending: Arc::new(sending()),
        resolver: Arc::new(Resolver::broken()),
        clients: Arc::new(crate::deliver::tls::Clients::new(&[])),
        policies: crate::deliver::sts::Policies::open(std::path::Path::new("/nonexistent")),
        dnssec: crate::deliver::resolver::Dnssec::Off,
        dns: Vec::new(),
        limits: SessionLimits { most: 1, per_destination: 1, recipients: 100 },
        per_address: 1,
        keep_idle: Duration::ZERO,
    });
    let (desk, inbox) = channel_to_desk();
    let now = Arc::new(move || Arc::clone(&outward));
    let (time, metrics) = (Timekeeper::new(1, 0), Arc::new(Metrics::new()));
    let remote = Remote::new(desk, (spool.reader(), Arc::default()), time, metrics, now);
    std::fs::remove_dir_all(directory).unwrap();
    (remote, inbox)
}

#[tokio::test(start_paused = true)]
async fn a_next_hop_that_answers_as_late_as_it_may_holds_no_session_for_hours() {
    let destination = Destination::new(&format!("smtp://{}", late(Duration::from_secs(290)).await));
    let to: Vec<String> = (0..30).map(|n| format!("r{n}@late.example")).collect();
    let to: Vec<&str> = to.iter().map(String::as_str).collect();
    let (remote, mut inbox) = remote("late");
    let mut session = Session::new(&remote, &destination, cleared(claims(facts(1, &to))), content());
    let begun = Instant::now();
    assert!(!session.drive(None).await);
    let took = begun.elapsed();
    let expected = Duration::from_secs(30 * 60 + 30 * 10);
    assert!(took >= expected && took < expected + Duration::from_secs(60), "{took:?}");
    let temporary = |msg: &Msg| matches!(msg, Msg::Settle(_, Outcome::Temporary { .. }));
    assert_eq!(std::iter::from_fn(|| inbox.try_recv().ok()).filter(temporary).count(), to.len());
}

#[tokio::test(start_paused = true)]
async fn a_second_choice_is_not_kept_for_ever() {
    let (remote, _inbox) = remote("second");
    let destination = Destination::new("smtp://127.0.0.1:25");
    let mut session =
        Session::new(&remote, &destination, cleared(claims(facts(1, &["a@b.example"]))), content());
    for (second_choice, most_later) in [(false, MAX_MESSAGES), (true, 0)] {
        session.kept_until = kept_until(second_choice);
        assert_eq!(session.most(), MAX_MESSAGES);
        tokio::time::advance(Duration::from_secs(300)).await;
        assert_eq!(session.most(), most_later);
    }
}
