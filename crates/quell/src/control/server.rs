//! The server's end of the control socket.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{MAX_REQUEST_BYTES, short_name};
use crate::data::Data;
use crate::ops::{Ask, ErrorKind, Request, Response};

/// Connections at a time; further ones wait in the socket's queue.
const MAX_CONNECTIONS: usize = 16;
/// A client that is silent for so long, or takes so long to read its answer, is dropped.
const IDLE: Duration = Duration::from_secs(60);
/// The desk must answer within this time; then the client is told that it is away.
const DESK: Duration = Duration::from_secs(30);
/// What connections have to finish after the signal to stop.
const DRAIN: Duration = Duration::from_millis(500);

/// Makes the socket (0600). One that an earlier server has left behind is removed: whoever has
/// `data` has its lock, so nobody listens there.
///
/// # Errors
/// Those of the system.
pub fn bind(data: &Data) -> io::Result<std::os::unix::net::UnixListener> {
    let path = data.paths().control();
    match fs::remove_file(&path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let (name, _dir) = short_name(&path)?;
    let listener = std::os::unix::net::UnixListener::bind(name)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Serves until `shutdown` becomes true or its sender is gone; then within half a second.
pub async fn serve(listener: UnixListener, ask: Ask, shutdown: watch::Receiver<bool>) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut clients = JoinSet::new();
    let mut stop = shutdown.clone();
    loop {
        tokio::select! {
            () = stopped(&mut stop) => break,
            Some(_) = clients.join_next(), if !clients.is_empty() => {}
            client = accept(&listener, &room) => if let Some((stream, permit)) = client {
                let (ask, shutdown) = (Arc::clone(&ask), shutdown.clone());
                clients.spawn(async move {
                    // A client that went away is its own business.
                    let _ = talk(stream, &ask, shutdown).await;
                    drop(permit);
                });
            },
        }
    }
    drop(listener);
    let _ = timeout(DRAIN, async { while clients.join_next().await.is_some() {} }).await;
}

async fn accept(
    listener: &UnixListener,
    room: &Arc<Semaphore>,
) -> Option<(UnixStream, tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(room).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => is_ours(&stream).then_some((stream, permit)),
        Err(why) => {
            tracing::warn!(event = "control", reason = %why, "the control socket takes no connection");
            tokio::time::sleep(Duration::from_millis(100)).await;
            None
        }
    }
}

/// The socket's mode says the same, but for the moment between bind and chmod.
fn is_ours(stream: &UnixStream) -> bool {
    let us = nix::unistd::geteuid().as_raw();
    stream.peer_cred().is_ok_and(|peer| peer.uid() == 0 || peer.uid() == us)
}

async fn talk(stream: UnixStream, ask: &Ask, mut shutdown: watch::Receiver<bool>) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    loop {
        let line = tokio::select! {
            () = stopped(&mut shutdown) => return Ok(()),
            line = timeout(IDLE, read_line(&mut read)) => line??,
        };
        let Some(line) = line else { return Ok(()) };
        let whole = line.len() <= MAX_REQUEST_BYTES;
        let answer = answer(&line, ask).await;
        let mut text = serde_json::to_vec(&answer)?;
        text.push(b'\n');
        timeout(IDLE, write.write_all(&text)).await??;
        if !whole {
            return Ok(());
        }
    }
}

/// One line with its end, cut one byte past the limit. None: the client is done. Half a line at
/// the end is handed on, and is no request.
async fn read_line(read: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    read.take(MAX_REQUEST_BYTES as u64 + 1).read_until(b'\n', &mut line).await?;
    Ok(Some(line).filter(|line| !line.is_empty()))
}

async fn answer(line: &[u8], ask: &Ask) -> Response {
    let request = match read_request(line) {
        Ok(request) => request,
        Err(why) => return Response::error(ErrorKind::BadRequest, why),
    };
    match timeout(DESK, ask(request)).await {
        Ok(Some(answer)) => answer,
        Ok(None) => Response::error(ErrorKind::Away, "the server is stopping"),
        Err(_) => Response::error(ErrorKind::Away, "the server has not answered within 30 s"),
    }
}

/// The request on a line, which ends in LF.
///
/// # Errors
/// In words: too long, cut short, or no request.
pub fn read_request(line: &[u8]) -> Result<Request, String> {
    if line.len() > MAX_REQUEST_BYTES {
        return Err(format!("a request has at most {MAX_REQUEST_BYTES} bytes"));
    }
    let Some(line) = line.strip_suffix(b"\n") else {
        return Err("the request ends before its line does".to_owned());
    };
    serde_json::from_slice(line).map_err(|why| format!("no request: {why}"))
}

/// Ready once `shutdown` is true, or nobody can make it true any more.
async fn stopped(shutdown: &mut watch::Receiver<bool>) {
    let _ = shutdown.wait_for(|stop| *stop).await;
}
