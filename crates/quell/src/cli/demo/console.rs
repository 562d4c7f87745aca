//! Asking quell's console.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// An answer must be there within this time.
const ANSWER: Duration = Duration::from_secs(10);
/// Largest answer; a larger one is cut, and is then no answer.
const MAX_BYTES: u64 = 4 << 20;

/// What `GET path` answers with status 200.
///
/// # Errors
/// No connection, no answer in time, or another status.
pub async fn get(at: SocketAddr, path: &str) -> io::Result<String> {
    let answer = timeout(ANSWER, exchange(at, path)).await.map_err(|_| io::ErrorKind::TimedOut)??;
    body(&answer).map(str::to_owned).ok_or_else(|| {
        let line = answer.lines().next().unwrap_or_default();
        io::Error::other(format!("GET {path} was answered `{line}`"))
    })
}

/// The same as JSON.
///
/// # Errors
/// As [`get`], and an answer that is no JSON.
pub async fn get_json(at: SocketAddr, path: &str) -> io::Result<Value> {
    Ok(serde_json::from_str(&get(at, path).await?)?)
}

async fn exchange(at: SocketAddr, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(at).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(MAX_BYTES).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// The body of a whole answer with status 200 (RFC 9112 §4). quell gives the length of each.
fn body(answer: &str) -> Option<&str> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let mut lines = head.split("\r\n");
    lines.next()?.strip_prefix("HTTP/1.1 200")?;
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    (length == Some(body.len())).then_some(body)
}

/// The value of one series in the text of `/metrics`, such as `quell_messages_total{verdict="absorb"}`.
pub fn value(metrics: &str, series: &str) -> Option<u64> {
    let line = |line: &str| line.strip_prefix(series)?.strip_prefix(' ')?.trim().parse::<f64>().ok();
    // A count of ours, far below 2^53.
    metrics.lines().find_map(line).filter(|value| *value >= 0.0).map(|value| value as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_answers_and_series() {
        assert_eq!(body("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok\n"), Some("ok\n"));
        assert_eq!(body("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nok\n"), None);
        assert_eq!(body("HTTP/1.1 503 Away\r\ncontent-length: 3\r\n\r\nok\n"), None);
        let text = "# TYPE a counter\nquell_a_total{b=\"c\"} 12\nquell_a_total{b=\"cd\"} 13\n";
        assert_eq!(value(text, "quell_a_total{b=\"c\"}"), Some(12));
        assert_eq!(value(text, "quell_a_total"), None);
    }

    proptest! {
        #[test]
        fn any_answer_is_read_without_a_panic(answer in any::<String>(), series in any::<String>()) {
            let got = body(&answer);
            prop_assert!(got.is_none_or(|body| answer.ends_with(body)));
            let _ = value(&answer, &series);
        }
    }
}
