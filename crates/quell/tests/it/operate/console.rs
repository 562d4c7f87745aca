//! The console as its users meet it.

use super::*;
use crate::support::TempDir;
use crate::support::server::config;

/// Status and body of a request with curl.
pub(super) fn curl(server: &Server, path: &str, options: &[&str]) -> (String, String) {
    let mut command = Command::new("curl");
    let url = format!("http://127.0.0.1:{}{path}", server.console_port);
    command.args(["-sS", "--max-time", "20", "-w", "\n%{http_code}"]).args(options).arg(url);
    let said = Said::of(command);
    assert_eq!(said.status, 0, "{said:?}");
    let (body, status) = said.out.rsplit_once('\n').expect("a status");
    (status.to_owned(), body.to_owned())
}

#[test]
fn health_and_metrics() {
    let directory = TempDir::new("operate-metrics");
    let server = Server::start(&directory, &config(""));
    assert_eq!(server.get("/healthz"), (200, "ok\n".to_owned()));
    let one = mail("one");
    accepted(&server, &["jane@firm.example"], &one);
    accepted(&server, &["jane@firm.example"], &one);
    wait_for_mails(&server, "jane", 1);
    wait_for_empty_queue(&server);
    assert_eq!(send(&server, &["x@[192.0.2.1]"], &one).code, 550);
    let (status, text) = server.get("/metrics");
    assert_eq!(status, 200);
    let counted = [
        "quell_messages_total{verdict=\"pass\"} 1",
        "quell_messages_total{verdict=\"absorb\"} 1",
        "quell_messages_total{verdict=\"hold\"} 0",
        "quell_messages_total{verdict=\"refuse\"} 0",
        "quell_queue_rows{state=\"waiting\"} 0",
        "quell_queue_rows{state=\"claimed\"} 0",
        "quell_queue_rows{state=\"held\"} 0",
        "quell_queue_rows{state=\"unknown\"} 0",
        "quell_storms_open 0",
        "quell_copies_total{class=\"copies\"} 1",
        "quell_deliveries_total{outcome=\"delivered\"} 1",
        "quell_turned_away_total{why=\"recipient\"} 1",
        "quell_healthy 1",
    ];
    for line in counted {
        assert!(text.lines().any(|l| l == line), "{line} is missing in\n{text}");
    }
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        assert!(line.starts_with("quell_"), "{line}");
        assert!(!line.contains("firm.example") && !line.contains("127.0.0.1"), "a label that grows: {line}");
    }
    let rows: Vec<_> = text.lines().filter(|line| line.starts_with("quell_store_commits_total ")).collect();
    assert!(rows.len() == 1 && !rows[0].ends_with(" 0"), "{rows:?}");
}

#[test]
fn storms_over_http_and_who_may_ask() {
    let directory = TempDir::new("operate-http");
    let server = Server::start(&directory, &config(""));
    assert_eq!(server.get("/api/v1/storms"), (200, "{\"storms\":[]}".to_owned()));
    let one = mail("one");
    for _ in 0..8 {
        accepted(&server, &["jane@firm.example"], &one);
    }
    let (_, list) = server.get("/api/v1/storms");
    let list: Value = serde_json::from_str(&list).expect("JSON");
    let storm = &list["storms"][0];
    let fixed = "id class state first_seen last_seen copies absorbed held delivered recipients culprits";
    for name in fixed.split(' ') {
        assert!(storm.get(name).is_some(), "{name}: {storm}");
    }
    assert_eq!(
        (&storm["class"], &storm["state"], &storm["copies"]),
        (&"copies".into(), &"open".into(), &7.into())
    );
    let id = storm["id"].as_str().expect("an id");
    assert!(id.len() == 16 && id.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase()), "{id}");
    let (status, one) = server.get(&format!("/api/v1/storms/{id}"));
    assert_eq!((status, &serde_json::from_str::<Value>(&one).expect("JSON")["id"]), (200, &storm["id"]));
    let (status, none) = server.get("/api/v1/storms/0000000000000000");
    assert!(status == 404 && serde_json::from_str::<Value>(&none).is_ok(), "{status} {none}");
    access(&server, id);
}

fn access(server: &Server, id: &str) {
    let token = std::fs::read_to_string(server.data.join("token")).expect("a token");
    let bearer = format!("Authorization: Bearer {}", token.trim());
    let wrong = "Authorization: Bearer wrong";
    let foreign = "Host: evil.example";
    let port = format!("Host: 127.0.0.1:{}", server.console_port + 1);
    let (release, discard) = (format!("/api/v1/storms/{id}/release"), format!("/api/v1/storms/{id}/discard"));
    let cases: &[(&str, &[&str], &str)] = &[
        ("/api/v1/storms", &["-H", foreign], "403"),
        ("/api/v1/storms", &["-H", &port], "403"),
        ("/metrics", &["-H", foreign], "403"),
        ("/healthz", &["-H", foreign], "403"),
        ("/api/v1/storms", &["-H", foreign, "-H", &bearer], "200"),
        ("/api/v1/storms", &["-H", wrong], "401"),
        (&release, &["-X", "POST"], "401"),
        (&discard, &["-X", "POST"], "401"),
        (&release, &["-X", "POST", "-H", wrong], "401"),
        (&release, &["-X", "POST", "-H", &bearer], "409"),
        (&discard, &["-X", "POST", "-H", &bearer], "409"),
        ("/api/v1/storms/0000000000000000/release", &["-X", "POST", "-H", &bearer], "404"),
        ("/no/such/page", &[], "404"),
    ];
    for (path, options, expected) in cases {
        let (status, body) = curl(server, path, options);
        assert_eq!(status, *expected, "{path} {options:?}: {body}");
    }
    assert_eq!(server.get(&format!("/api/v1/storms/{id}")).0, 200);
}
