use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use super::*;
use crate::ops::testing::Bench;
use crate::ops::{Request, Response};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

type Question = (Request, oneshot::Sender<Response>);

/// A console before a real door.
struct Site {
    address: SocketAddr,
    metrics: Arc<Metrics>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// The desk's thread: a door with one storm, or one whose store is away.
fn desk(away: bool) -> Ask {
    desk_with(away, false)
}

/// The same; `holds`: the storm holds three messages.
fn desk_with(away: bool, holds: bool) -> Ask {
    let (questions, asked): (Sender<Question>, Receiver<Question>) = channel();
    std::thread::spawn(move || {
        let mut bench = Bench::new();
        for _ in 0..8 {
            bench.arrive(1, &["jane@firm.example"]);
        }
        if away {
            bench.door.failed(&quell_queue::store::StoreError::Broken("EIO".into()));
        }
        bench.ms += 1_000;
        let id = bench.door.storms(1).ok().and_then(|storms| Some(storms.first()?.id.to_string()));
        if let Some(id) = id.filter(|_| holds) {
            bench.hold(9, &["jane@firm.example", "tom@firm.example"], &id);
            bench.hold(8, &["jane@firm.example"], &id);
        }
        for (request, answer) in asked {
            let _ = answer.send(bench.ask(&request));
        }
    });
    Arc::new(move |request| {
        let (answer, answered) = oneshot::channel();
        let _ = questions.send((request, answer));
        Box::pin(async move { answered.await.ok() })
    })
}

async fn site(ask: Ask) -> Site {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let metrics = Arc::new(Metrics::new());
    let console = Console {
        ask,
        metrics: Arc::clone(&metrics),
        token: Token::new(TOKEN).unwrap(),
        hosts: KnownHosts::new(address, "mx.firm.example"),
        tls: None,
    };
    let (stop, stopped) = watch::channel(false);
    Site { address, metrics, stop, task: tokio::spawn(serve(listener, console, stopped)) }
}

impl Site {
    /// Sends raw bytes, and reads until the server closes: status and body.
    async fn raw(&self, request: &str) -> (u16, String, String) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        // The server may close before it has read all.
        let _ = stream.write_all(request.as_bytes()).await;
        let mut text = Vec::new();
        let _ = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut text)).await.unwrap();
        let text = String::from_utf8(text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
        (status, head.to_ascii_lowercase(), body.to_owned())
    }

    async fn ask(&self, method: &str, path: &str, fields: &str) -> (u16, String, String) {
        let host =
            if fields.contains("Host:") { String::new() } else { format!("Host: {}\r\n", self.address) };
        self.raw(&format!("{method} {path} HTTP/1.1\r\n{host}{fields}Connection: close\r\n\r\n")).await
    }

    async fn post(&self, path: &str, body: &str) -> (u16, Value) {
        let length = body.len();
        let head = format!("Host: {}\r\n{}Content-Length: {length}\r\n", self.address, bearer(TOKEN));
        let request = format!("POST {path} HTTP/1.1\r\n{head}Connection: close\r\n\r\n{body}");
        let (status, _, body) = self.raw(&request).await;
        (status, serde_json::from_str(&body).unwrap())
    }

    async fn json(&self, method: &str, path: &str, fields: &str) -> (u16, Value) {
        let (status, _, body) = self.ask(method, path, fields).await;
        (status, serde_json::from_str(&body).unwrap())
    }
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

#[tokio::test]
async fn health_and_its_loss() {
    let site = site(desk(false)).await;
    let (status, head, body) = site.ask("GET", "/healthz", "").await;
    assert_eq!((status, body.as_str()), (200, "ok\n"));
    assert!(head.contains("cache-control: no-store") && head.contains("nosniff"), "{head}");
    site.metrics.set_trouble(Some("no room left on the disk".into()));
    let (status, _, body) = site.ask("GET", "/healthz", "").await;
    assert_eq!((status, body.as_str()), (503, "no room left on the disk\n"));
    let (_, _, text) = site.ask("GET", "/metrics", "").await;
    assert!(text.contains("\nquell_healthy 0\n"), "{text}");
}

#[tokio::test]
async fn a_store_that_is_away_is_told() {
    let site = site(desk(true)).await;
    assert_eq!(site.ask("GET", "/healthz", "").await.0, 503);
    assert_eq!(site.ask("GET", "/api/v1/storms", "").await.0, 503);
    assert_eq!(site.ask("GET", "/metrics", "").await.0, 200);
}

#[tokio::test]
async fn a_desk_that_is_gone_is_told() {
    let site = site(Arc::new(|_| Box::pin(async { None }))).await;
    assert_eq!(site.ask("GET", "/healthz", "").await.0, 503);
    assert_eq!(site.json("GET", "/api/v1/storms", "").await.0, 503);
}

#[tokio::test]
async fn metrics_hold_what_the_desk_counts() {
    let site = site(desk(false)).await;
    let (status, head, text) = site.ask("GET", "/metrics", "").await;
    assert_eq!(status, 200);
    assert!(head.contains("content-type: application/openmetrics-text"), "{head}");
    for line in ["quell_storms_open 1", "quell_queue_rows{state=\"waiting\"} 1", "quell_healthy 1"] {
        assert!(text.lines().any(|l| l == line), "{line} is missing in\n{text}");
    }
}

#[tokio::test]
async fn storms_are_listed_and_shown() {
    let site = site(desk(false)).await;
    let (status, list) = site.json("GET", "/api/v1/storms", "").await;
    let storm = &list["storms"][0];
    assert_eq!((status, storm["copies"].as_u64()), (200, Some(7)));
    let mut names: Vec<_> = storm.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    let fixed = [
        "absorbed",
        "class",
        "copies",
        "culprits",
        "delivered",
        "first_seen",
        "held",
        "id",
        "last_seen",
        "recipients",
        "state",
    ];
    assert_eq!(names, fixed);
    let path = format!("/api/v1/storms/{}", storm["id"].as_str().unwrap());
    assert_eq!(site.json("GET", &path, "").await, (200, storm.clone()));
    let (status, error) = site.json("GET", "/api/v1/storms/0000000000000000", "").await;
    assert!(status == 404 && error["error"].is_string(), "{status} {error}");
    for wish in ["release", "discard"] {
        let (status, error) = site.json("POST", &format!("{path}/{wish}"), &bearer(TOKEN)).await;
        assert!(
            status == 409 && error["error"].as_str().unwrap().contains("holds no mail"),
            "{status} {error}"
        );
        let unknown = format!("/api/v1/storms/0000000000000000/{wish}");
        assert_eq!(site.json("POST", &unknown, &bearer(TOKEN)).await.0, 404);
    }
}

#[tokio::test]
async fn held_mail_is_listed_released_and_discarded() {
    let site = site(desk_with(false, true)).await;
    let (_, list) = site.json("GET", "/api/v1/storms", "").await;
    let path = format!("/api/v1/storms/{}", list["storms"][0]["id"].as_str().unwrap());
    let (status, first) = site.json("GET", &format!("{path}/held?limit=2"), "").await;
    assert_eq!((status, first["held"].as_array().unwrap().len()), (200, 2));
    let row = &first["held"][0];
    assert_eq!((&row["reason"], &row["size_bytes"]), (&"a_test".into(), &2048.into()));
    assert_eq!(
        (&row["sender"], &row["recipient"]),
        (&"ann@client.example".into(), &"jane@firm.example".into())
    );
    assert!(!first.to_string().to_lowercase().contains("subject"));
    let after = first["next"].as_str().unwrap();
    let (_, second) = site.json("GET", &format!("{path}/held?limit=2&after={after}"), "").await;
    assert_eq!((second["held"].as_array().unwrap().len(), &second["next"]), (1, &Value::Null));
    for bad in ["held?after=x", "held?limit=0", "held?limit=x", "held?subject=1"] {
        assert_eq!(site.json("GET", &format!("{path}/{bad}"), "").await.0, 400, "{bad}");
    }
    let (status, head, _) = site.ask("POST", &format!("{path}/release"), "").await;
    assert!(status == 401 && head.contains("www-authenticate: bearer"), "{head}");
    for bad in ["{", "[]", "{\"recipients\": 1}", "{\"recipient\": \"a b@\"}", "{\"message\": \"x\"}"] {
        assert_eq!(site.post(&format!("{path}/release"), bad).await.0, 400, "{bad}");
    }
    let to_tom = "{\"recipient\": \"Tom@firm.example\"}";
    let (status, done) = site.post(&format!("{path}/discard"), to_tom).await;
    assert_eq!((status, &done["done"], &done["next"]), (200, &1.into(), &Value::Null));
    assert_eq!(site.post(&format!("{path}/discard"), to_tom).await.0, 409);
    let message = format!("{{\"message\": {}}}", row["id"]);
    let (status, done) = site.post(&format!("{path}/release"), &message).await;
    assert_eq!((status, &done["done"]), (200, &2.into()), "what was discarded, too");
    let (status, done) = site.post(&format!("{path}/release"), "").await;
    assert_eq!((status, &done["done"]), (200, &1.into()));
    assert_eq!(site.post(&format!("{path}/release"), "").await.0, 409);
    let large = format!("{{\"recipient\": \"{}\"}}", "x".repeat(20 << 10));
    assert_eq!(site.post(&format!("{path}/release"), &large).await.0, 413);
}

#[tokio::test]
async fn changing_anything_takes_the_token() {
    let site = site(desk(false)).await;
    let path = "/api/v1/storms/0000000000000000/discard";
    let (status, head, _) = site.ask("POST", path, "").await;
    assert!(status == 401 && head.contains("www-authenticate: bearer"), "{head}");
    for wrong in ["", "x", &TOKEN[1..], &format!("{TOKEN}x"), &TOKEN.to_uppercase()] {
        assert_eq!(site.ask("POST", path, &bearer(wrong)).await.0, 401, "{wrong}");
        assert_eq!(site.ask("GET", "/healthz", &bearer(wrong)).await.0, 401, "{wrong}");
    }
    assert_eq!(site.ask("POST", path, &format!("Authorization: Basic {TOKEN}\r\n")).await.0, 401);
    assert_eq!(site.ask("POST", path, &format!("Authorization: bearer {TOKEN}\r\n")).await.0, 404);
}

#[tokio::test]
async fn without_the_token_the_host_must_be_ours() {
    let site = site(desk(false)).await;
    let port = site.address.port();
    for host in ["localhost", "LocalHost", "127.0.0.1", "[::1]", "mx.firm.example"] {
        assert_eq!(site.ask("GET", "/healthz", &format!("Host: {host}:{port}\r\n")).await.0, 200, "{host}");
    }
    for host in ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "[::2]", ""] {
        let fields = format!("Host: {host}:{port}\r\n");
        assert_eq!(site.ask("GET", "/healthz", &fields).await.0, 403, "{host}");
        assert_eq!(site.ask("GET", "/healthz", &(fields + &bearer(TOKEN))).await.0, 200, "{host}");
    }
    assert_eq!(site.ask("GET", "/healthz", "Host: localhost\r\n").await.0, 403, "another port");
    let two = format!("Host: localhost:{port}\r\nHost: localhost:{port}\r\n");
    assert!([400, 403].contains(&site.ask("GET", "/healthz", &two).await.0));
    assert_eq!(site.raw("GET /healthz HTTP/1.0\r\n\r\n").await.0, 403, "none");
}

#[test]
fn from_elsewhere_the_token_is_needed() {
    let address: SocketAddr = "192.0.2.1:8025".parse().unwrap();
    let console = Console {
        ask: Arc::new(|_| Box::pin(async { None })),
        metrics: Arc::new(Metrics::new()),
        token: Token::new(TOKEN).unwrap(),
        hosts: KnownHosts::new(address, "mx.firm.example"),
        tls: None,
    };
    let status = |peer: &str, token: bool| {
        let mut headers = axum::http::HeaderMap::new();
        headers.insert("host", "192.0.2.1:8025".parse().unwrap());
        if token {
            headers.insert("authorization", format!("Bearer {TOKEN}").parse().unwrap());
        }
        let peer = SocketAddr::new(peer.parse().unwrap(), 40_000);
        access::check(&console, peer, &axum::http::Method::GET, &headers)
            .map_err(|(status, _)| status.as_u16())
    };
    assert_eq!(status("192.0.2.7", false), Err(403));
    assert_eq!(status("192.0.2.7", true), Ok(()));
    for loopback in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
        assert_eq!(status(loopback, false), Ok(()), "{loopback}");
    }
}

#[tokio::test]
async fn what_is_not_there_and_what_is_too_much() {
    let site = site(desk(false)).await;
    assert_eq!(site.json("GET", "/", "").await.0, 404);
    assert_eq!(site.json("DELETE", "/api/v1/storms", &bearer(TOKEN)).await.0, 405);
    assert_eq!(site.ask("GET", "/healthz", &format!("X: {}\r\n", "x".repeat(64 << 10))).await.0, 431);
    assert_eq!(site.ask("GET", "/healthz", &"A: b\r\n".repeat(100)).await.0, 431);
    assert_eq!(site.raw("\u{16}\u{3}\u{1}garbage\r\n\r\n").await.0, 400);
}

#[tokio::test]
async fn ends_within_a_second_with_clients_connected() {
    let site = site(desk(false)).await;
    let mut idle = TcpStream::connect(site.address).await.unwrap();
    let mut half = TcpStream::connect(site.address).await.unwrap();
    half.write_all(b"GET /healthz HT").await.unwrap();
    assert_eq!(site.ask("GET", "/healthz", "").await.0, 200);
    let began = Instant::now();
    site.stop.send(true).unwrap();
    site.task.await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(idle.read(&mut [0; 8]).await.unwrap_or(0), 0);
}

proptest! {
    #[test]
    fn only_our_names_are_known(host in "(localhost|LOCALHOST|127.0.0.1|\\[::1\\]|mx|[.:@ +\\[\\]]|8025|80|.firm.example){0,6}") {
        let hosts = KnownHosts::new("127.0.0.1:8025".parse().unwrap(), "mx.firm.example");
        let known = ["localhost:8025", "127.0.0.1:8025", "[::1]:8025", "mx.firm.example:8025"];
        let ours = known.iter().any(|name| host.eq_ignore_ascii_case(name));
        prop_assert_eq!(hosts.knows(&host), ours);
    }
}
