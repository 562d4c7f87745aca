use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use tokio::sync::watch;

use super::*;
use crate::data::Data;
use crate::ops::{Ask, ErrorKind, Request, Response, Status};

/// A server in a thread of its own, whose desk answers `Status` only, and is silent to the rest.
struct Server {
    dir: PathBuf,
    data: Option<Data>,
    stop: watch::Sender<bool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

fn desk() -> Ask {
    Arc::new(|request| {
        Box::pin(async move {
            match request {
                Request::Status {} => Some(Response::Status(Status::default())),
                _ => None,
            }
        })
    })
}

impl Server {
    fn start(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("quell-control-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        let data = Data::open(&dir).unwrap();
        // What an earlier server has left behind.
        drop(std::os::unix::net::UnixListener::bind(short_name(&data.paths().control()).unwrap().0).unwrap());
        let listener = bind(&data).unwrap();
        let (stop, stopped) = watch::channel(false);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::UnixListener::from_std(listener).unwrap();
                serve(listener, desk(), stopped).await;
            });
        });
        Self { dir, data: Some(data), stop, thread: Some(thread) }
    }

    fn path(&self) -> PathBuf {
        self.dir.join("control.sock")
    }

    fn raw(&self) -> UnixStream {
        let stream = UnixStream::connect(short_name(&self.path()).unwrap().0).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream
    }

    fn end(&mut self) {
        self.stop.send(true).unwrap();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.end();
        }
        self.data = None;
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn error(line: &str) -> ErrorKind {
    match serde_json::from_str(line) {
        Ok(Response::Error(failed)) => failed.kind,
        other => panic!("{other:?} of {line}"),
    }
}

#[test]
fn asks_and_answers_many_times_and_the_socket_is_private() {
    let server = Server::start("many");
    let mode = std::fs::metadata(server.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let mut client = Client::connect(&server.path()).unwrap();
    for _ in 0..3 {
        assert_eq!(client.ask(&Request::Status {}).unwrap(), Response::Status(Status::default()));
    }
    let Response::Error(away) = client.ask(&Request::MailboxesChanged {}).unwrap() else { panic!() };
    assert_eq!(away.kind, ErrorKind::Away);
}

#[test]
fn a_path_longer_than_an_address_works() {
    let server = Server::start(&"d".repeat(150));
    let mut client = Client::connect(&server.path()).unwrap();
    assert_eq!(client.ask(&Request::Status {}).unwrap(), Response::Status(Status::default()));
}

#[test]
fn garbage_is_answered_and_the_connection_goes_on() {
    let server = Server::start("garbage");
    let mut stream = BufReader::new(server.raw());
    for garbage in
        ["\n", "{}\n", "\0\u{ff}\n", "{\"op\":\"nothing\"}\n", "{\"op\":\"status\",\"x\":1}\n", "[[[[\n"]
    {
        stream.get_mut().write_all(garbage.as_bytes()).unwrap();
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        assert_eq!(error(&line), ErrorKind::BadRequest, "{garbage:?}");
    }
    stream.get_mut().write_all(b"{\"op\":\"status\"}\n").unwrap();
    let mut line = String::new();
    stream.read_line(&mut line).unwrap();
    assert!(line.contains("\"answer\":\"status\""), "{line}");
}

#[test]
fn half_a_request_is_none() {
    let server = Server::start("half");
    let mut stream = server.raw();
    stream.write_all(b"{\"op\":\"status\"}").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert_eq!(error(&text), ErrorKind::BadRequest);
}

#[test]
fn a_request_over_the_limit_is_answered_and_ends_the_connection() {
    let server = Server::start("large");
    let mut stream = server.raw();
    stream.write_all(&vec![b' '; MAX_REQUEST_BYTES + 1]).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert_eq!(error(&text), ErrorKind::BadRequest);
    let mut at_limit = b"{\"op\":\"status\"}".to_vec();
    at_limit.resize(MAX_REQUEST_BYTES - 1, b' ');
    at_limit.push(b'\n');
    assert!(matches!(read_request(&at_limit), Ok(Request::Status {})));
    at_limit.insert(0, b' ');
    assert!(read_request(&at_limit).is_err());
}

#[test]
fn ends_within_a_second_with_clients_connected() {
    let mut server = Server::start("stop");
    let mut idle = server.raw();
    let mut busy = server.raw();
    busy.write_all(b"{\"op\":").unwrap();
    std::thread::sleep(Duration::from_millis(50));
    let began = Instant::now();
    server.end();
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(idle.read(&mut [0; 1]).unwrap(), 0);
    assert!(matches!(Client::connect(&server.path()), Err(ClientError::NobodyThere)));
}

#[test]
fn an_answer_of_another_version_is_called_strange() {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let mut client = Client::on(ours);
    theirs.write_all(b"{\"answer\":\"of the future\"}\n").unwrap();
    assert!(matches!(client.ask(&Request::Status {}), Err(ClientError::Strange(_))));
    drop(theirs);
    assert!(matches!(client.ask(&Request::Status {}), Err(ClientError::Silent(_))));
}

proptest! {
    #[test]
    fn any_line_is_read_or_refused(line: Vec<u8>) {
        let _ = read_request(&line);
    }

    #[test]
    fn what_is_written_is_read(to in "\\PC{0,50}", since_ms: i64) {
        let request = Request::LedgerForget { to, since_ms, after: None };
        let mut line = serde_json::to_vec(&request).unwrap();
        line.push(b'\n');
        prop_assert_eq!(read_request(&line), Ok(request));
    }
}
