//! Connections: taken, bounded, ended.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{Console, handlers};
use crate::tls::{Acceptor, Stream};

/// Connections at a time; further ones wait in the socket's queue.
const MAX_CONNECTIONS: usize = 64;
/// A header must be here within this time, from the connection's start or the last answer.
const HEADER: Duration = Duration::from_secs(10);
/// A connection ends after this time, whatever it does: no answer takes long.
const LIFE: Duration = Duration::from_secs(120);
/// Header fields and bytes; more are answered 431, and the connection is closed.
const MAX_FIELDS: usize = 64;
const MAX_HEADER_BYTES: usize = 16 << 10;
/// What connections have to finish after the signal to stop.
const DRAIN: Duration = Duration::from_millis(500);

/// Serves until `shutdown` becomes true or its sender is gone; then within half a second.
pub async fn serve(listener: TcpListener, mut console: Console, shutdown: watch::Receiver<bool>) {
    // A configured port of 0 is another one by now.
    if let Ok(address) = listener.local_addr() {
        console.hosts.set_port(address.port());
    }
    let tls = console.tls.take();
    let router = handlers::router(Arc::new(console));
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut clients = JoinSet::new();
    let mut stop = shutdown.clone();
    loop {
        tokio::select! {
            () = stopped(&mut stop) => break,
            Some(_) = clients.join_next(), if !clients.is_empty() => {}
            client = accept(&listener, &room) => if let Some((stream, peer, permit)) = client {
                // A certificate that was taken away ends HTTPS, and does not make it HTTP.
                let acceptor = tls.as_ref().map(|now| now());
                let (router, shutdown) = (router.clone(), shutdown.clone());
                clients.spawn(async move {
                    let _permit = permit;
                    match secured(stream, acceptor).await {
                        Ok(stream) => talk(stream, peer, router, shutdown).await,
                        Err(why) => tracing::debug!(event = "tls_failed", %peer, reason = %why, "a TLS handshake with the console failed"),
                    }
                });
            },
        }
    }
    drop(listener);
    let _ = timeout(DRAIN, async { while clients.join_next().await.is_some() {} }).await;
}

async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let permit = Arc::clone(room).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => Some((stream, peer, permit)),
        Err(why) => {
            tracing::warn!(event = "console", reason = %why, "the console takes no connection");
            tokio::time::sleep(Duration::from_millis(100)).await;
            None
        }
    }
}

/// The connection as it is, or after a handshake with what `acceptor` is now.
async fn secured(stream: TcpStream, acceptor: Option<Option<Acceptor>>) -> std::io::Result<Stream> {
    match acceptor {
        None => Ok(Stream::Plain(stream)),
        Some(None) => Err(std::io::ErrorKind::Unsupported.into()),
        Some(Some(acceptor)) => timeout(HEADER, acceptor.accept(Stream::Plain(stream))).await?,
    }
}

async fn talk(stream: Stream, peer: SocketAddr, router: Router, mut shutdown: watch::Receiver<bool>) {
    let service = TowerToHyperService::new(router.layer(Extension(handlers::Peer(peer))));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER)
        .max_headers(MAX_FIELDS)
        .max_buf_size(MAX_HEADER_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    // A client that went away, or broke the protocol, is its own business.
    tokio::select! {
        _ = &mut connection => return,
        () = tokio::time::sleep(LIFE) => {}
        () = stopped(&mut shutdown) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = timeout(DRAIN, connection).await;
}

/// Ready once `shutdown` is true, or nobody can make it true any more.
async fn stopped(shutdown: &mut watch::Receiver<bool>) {
    let _ = shutdown.wait_for(|stop| *stop).await;
}
