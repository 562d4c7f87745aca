//! A Dovecot that goes away, or says strange things. The real one is met in `tests/it`.

use std::sync::atomic::{AtomicU32, Ordering};

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::UnixListener;

use super::*;

const HELLO: &str = "VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nMECH\tNTLM\nMECH\tSCRAM-SHA-256\nSPID\t1\nDONE\n";

/// Listens at a path of its own. Each connection is greeted with the first text of a script, its requests
/// are answered with the others, then it is closed. Ends with what was heard.
fn scripted(scripts: Vec<Vec<String>>) -> (Dovecot, tokio::task::JoinHandle<Vec<String>>) {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let n = COUNT.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("quell-dovecot-{}-{n}", std::process::id()));
    let listener = UnixListener::bind(&path).unwrap();
    let dovecot = Dovecot::at(&path);
    let task = tokio::spawn(async move {
        let mut heard = Vec::new();
        for script in scripts {
            let (stream, _) = listener.accept().await.unwrap();
            let (read, mut write) = stream.into_split();
            let mut lines = BufReader::new(read).lines();
            let mut answers = script.into_iter();
            write.write_all(answers.next().unwrap().as_bytes()).await.unwrap();
            assert_eq!(lines.next_line().await.unwrap().unwrap(), "VERSION\t1\t2");
            assert!(lines.next_line().await.unwrap().unwrap().starts_with("CPID\t"));
            for answer in answers {
                let Some(line) = lines.next_line().await.unwrap() else { break };
                heard.push(line);
                write.write_all(answer.as_bytes()).await.unwrap();
            }
        }
        std::fs::remove_file(path).unwrap();
        heard
    });
    (dovecot, task)
}

fn script(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|line| (*line).to_owned()).collect()
}

async fn plain(dovecot: &Dovecot) -> Result<Step, Trouble> {
    dovecot.begin("PLAIN", None, Some(b"\0jane\0pw")).await.map(|(step, _)| step)
}

#[tokio::test]
async fn a_connection_is_used_again_and_renewed_when_it_is_lost() {
    let (dovecot, task) = scripted(vec![
        script(&[HELLO, "OK\t1\tuser=jane\n", "OK\t1\tuser=late\nFAIL\t2\tuser=jane\n"]),
        script(&[HELLO, "NOTFD\t1\nOK\t1\tuser=jane\n"]),
    ]);
    assert_eq!(plain(&dovecot).await.unwrap(), Step::Yes("jane".to_owned()));
    // What is said of other requests is passed over.
    assert_eq!(plain(&dovecot).await.unwrap(), Step::No);
    // It was closed by then.
    assert_eq!(plain(&dovecot).await.unwrap(), Step::Yes("jane".to_owned()));
    assert_eq!(dovecot.mechanisms().await.unwrap(), ["PLAIN", "SCRAM-SHA-256"]);
    let heard = task.await.unwrap();
    let ids: Vec<_> = heard.iter().filter_map(|line| line.split('\t').nth(1)).collect();
    assert_eq!(ids, ["1", "2", "1"]);
    assert!(heard[0].starts_with("AUTH\t1\tPLAIN\tservice=smtp\tnologin\tsecured\tresp="), "{}", heard[0]);
}

#[tokio::test]
async fn messages_go_to_and_fro() {
    let answers = script(&[HELLO, "CONT\t1\tb25l\n", "CONT\t1\t\n", "OK\t1\tuser=jane\n"]);
    let (dovecot, task) = scripted(vec![answers]);
    let (step, mut exchange) = dovecot.begin("SCRAM-SHA-256", None, None).await.unwrap();
    assert_eq!(step, Step::Continue(b"one".to_vec()));
    assert_eq!(exchange.answer(b"two").await.unwrap(), Step::Continue(vec![]));
    assert_eq!(exchange.answer(b"").await.unwrap(), Step::Yes("jane".to_owned()));
    assert_eq!(exchange.answer(b"more").await.unwrap(), Step::No, "it is over");
    assert_eq!(task.await.unwrap()[1..], ["CONT\t1\tdHdv", "CONT\t1\t"]);
}

#[tokio::test]
async fn trouble_is_not_a_no() {
    let long = format!("OK\t1\tuser={}\n", "a".repeat(MAX_LINE_BYTES));
    for (lines, part) in [
        (&[HELLO, "FAIL\t1\tuser=jane\ttemp\n"][..], "trouble of its own"),
        (&[HELLO, "OK\tone\n"], "cannot be read"),
        (&[HELLO, &long], "more than 8192 bytes"),
        (&["VERSION\t2\t0\nDONE\n"], "version 2"),
        (&["MECH"], "unexpected end of file"),
    ] {
        let (dovecot, task) = scripted(vec![script(lines)]);
        let why = plain(&dovecot).await.unwrap_err().to_string();
        assert!(why.contains(part), "{why}");
        task.await.unwrap();
    }
    let nobody = Dovecot::at(Path::new("/nonexistent/socket"));
    assert!(matches!(plain(&nobody).await, Err(Trouble::Socket(..))));
    assert!(nobody.mechanisms().await.is_err());
}

#[tokio::test]
async fn what_is_too_long_is_not_sent() {
    let (dovecot, task) = scripted(vec![script(&[HELLO])]);
    let why = dovecot.begin("OAUTHBEARER", None, Some(&[b'a'; 9000])).await.map(|_| ());
    assert!(matches!(why, Err(Trouble::TooLong)));
    assert!(task.await.unwrap().is_empty());
}

/// A Dovecot that says nothing, one that does not answer, and one whose greeting never ends.
#[tokio::test(start_paused = true)]
async fn nobody_waits_for_ever() {
    let path = std::env::temp_dir().join(format!("quell-dovecot-silent-{}", std::process::id()));
    let listener = UnixListener::bind(&path).unwrap();
    let silent = tokio::spawn(async move {
        let mut kept = Vec::new();
        for greeting in ["", HELLO] {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(greeting.as_bytes()).await.unwrap();
            kept.push(stream);
        }
        let (mut stream, _) = listener.accept().await.unwrap();
        while stream.write_all(b"SPID\t1\n").await.is_ok() {}
    });
    let dovecot = Dovecot::at(&path);
    assert!(matches!(plain(&dovecot).await, Err(Trouble::TooLate)));
    assert!(matches!(plain(&dovecot).await, Err(Trouble::TooLate)));
    assert!(matches!(plain(&dovecot).await, Err(Trouble::Malformed(_))));
    silent.await.unwrap();
    std::fs::remove_file(path).unwrap();
}
