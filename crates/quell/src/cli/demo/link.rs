//! One connection of a host: a task that carries bytes both ways.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use quell_sim::host::Conn;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;

use super::net::Happened;

/// Bytes of one read.
const READ_BYTES: usize = 16 << 10;
/// Bytes that may wait to be sent on one connection. Hosts wait for `Drained` long before; one that
/// does not loses the connection.
const MAX_WAITING_BYTES: usize = 16 << 20;
/// A connection on this machine is there at once or not at all.
const CONNECT: Duration = Duration::from_secs(10);
/// How long the other side may take to close after we have.
const LINGER: Duration = Duration::from_secs(1);

type Events = mpsc::Sender<Happened>;

/// The host's end. Dropping it closes the connection once everything has left.
#[derive(Debug)]
pub struct Link {
    outgoing: mpsc::UnboundedSender<Vec<u8>>,
    /// Bytes that have not been written yet.
    waiting: Arc<AtomicUsize>,
    /// Wakes the task to break the connection.
    overrun: Arc<Notify>,
}

/// What the task has of a [`Link`].
struct Outgoing {
    from: mpsc::UnboundedReceiver<Vec<u8>>,
    waiting: Arc<AtomicUsize>,
    overrun: Arc<Notify>,
}

impl Link {
    fn new() -> (Self, Outgoing) {
        let (outgoing, from) = mpsc::unbounded_channel();
        let (waiting, overrun) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let theirs = Outgoing { from, waiting: Arc::clone(&waiting), overrun: Arc::clone(&overrun) };
        (Self { outgoing, waiting, overrun }, theirs)
    }

    /// Sends, or, on a connection that is closed, does not.
    pub fn send(&self, bytes: Vec<u8>) {
        if self.waiting.load(Ordering::Relaxed) > MAX_WAITING_BYTES {
            return self.overrun.notify_one();
        }
        self.waiting.fetch_add(bytes.len(), Ordering::Relaxed);
        // The task is gone once the connection is; the host hears of that by an event.
        let _ = self.outgoing.send(bytes);
    }
}

/// Carries what somebody else has opened.
pub fn over(conn: Conn, stream: TcpStream, events: Events) -> (Link, impl Future<Output = ()> + Send) {
    let (link, outgoing) = Link::new();
    (link, carry(conn, stream, outgoing, events))
}

/// Connects from `from`, if that is an address of this machine, to `to`, and carries. Without `to` it
/// fails.
pub fn to(
    conn: Conn,
    from: IpAddr,
    to: Option<SocketAddr>,
    events: Events,
) -> (Link, impl Future<Output = ()> + Send) {
    let (link, outgoing) = Link::new();
    let carrying = async move {
        let connected = match to {
            Some(to) => timeout(CONNECT, connect(from, to)).await.ok().and_then(Result::ok),
            None => None,
        };
        // Fails only where the host is gone.
        match connected {
            Some(stream) => {
                if events.send(Happened::Connected(conn)).await.is_ok() {
                    carry(conn, stream, outgoing, events).await;
                }
            }
            None => drop(events.send(Happened::Failed(conn)).await),
        }
    };
    (link, carrying)
}

/// Each host has a loopback address of its own, so that they can be told apart; where such an address
/// cannot be used (not every system has all of 127.0.0.0/8) the system chooses.
async fn connect(from: IpAddr, to: SocketAddr) -> io::Result<TcpStream> {
    if from.is_loopback() && from.is_ipv4() {
        let socket = TcpSocket::new_v4()?;
        if socket.bind(SocketAddr::new(from, 0)).is_ok()
            && let Ok(stream) = socket.connect(to).await
        {
            return Ok(stream);
        }
    }
    TcpStream::connect(to).await
}

async fn carry(conn: Conn, stream: TcpStream, outgoing: Outgoing, events: Events) {
    // It only makes small answers quicker.
    let _ = stream.set_nodelay(true);
    let (mut reader, writer) = stream.into_split();
    let overrun = Arc::clone(&outgoing.overrun);
    let closed_by_host = tokio::select! {
        closed_by_host = write(conn, writer, outgoing, &events) => closed_by_host,
        () = read(conn, &mut reader, &events) => false,
        () = overrun.notified() => false,
    };
    if closed_by_host {
        // What the other side still sends is read away: a close with unread bytes is a reset, which
        // can overtake our last ones.
        let _ = timeout(LINGER, discard(&mut reader)).await;
    } else {
        // Fails only where the host is gone.
        let _ = events.send(Happened::Closed(conn)).await;
    }
}

/// Until the other side closes, or the connection breaks.
async fn read(conn: Conn, reader: &mut OwnedReadHalf, events: &Events) {
    let mut buffer = vec![0; READ_BYTES];
    while let Ok(count @ 1..) = reader.read(&mut buffer).await {
        let bytes = buffer[..count].to_vec();
        if events.send(Happened::Bytes(conn, bytes)).await.is_err() {
            return;
        }
    }
}

async fn discard(reader: &mut OwnedReadHalf) {
    let mut buffer = vec![0; READ_BYTES];
    while let Ok(1..) = reader.read(&mut buffer).await {}
}

/// Until the host closes (true) or the connection breaks.
async fn write(conn: Conn, mut writer: OwnedWriteHalf, mut outgoing: Outgoing, events: &Events) -> bool {
    while let Some(bytes) = outgoing.from.recv().await {
        if writer.write_all(&bytes).await.is_err() {
            return false;
        }
        let waiting = outgoing.waiting.fetch_sub(bytes.len(), Ordering::Relaxed) - bytes.len();
        if waiting == 0 && events.send(Happened::Drained(conn)).await.is_err() {
            return false;
        }
    }
    writer.shutdown().await.is_ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "test code")]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (client, listener.accept().await.unwrap().0)
    }

    #[tokio::test]
    async fn a_close_lets_everything_leave_first() {
        let (mut client, server) = pair().await;
        let (events, mut happens) = mpsc::channel(4);
        let (link, carrying) = over(Conn::accepted(0), server, events);
        let carried = tokio::spawn(carrying);
        client.write_all(b"never read by the host").await.unwrap();
        let sent = vec![b'x'; 4 << 20];
        link.send(sent.clone());
        drop(link);
        let mut got = Vec::new();
        let reading = client.read_to_end(&mut got);
        let (read, ()) = tokio::join!(reading, async { while happens.recv().await.is_some() {} });
        read.unwrap();
        assert_eq!(got.len(), sent.len());
        drop(client);
        carried.await.unwrap();
    }

    #[tokio::test]
    async fn tells_what_came_and_that_it_closed() {
        let (mut client, server) = pair().await;
        let (events, mut happens) = mpsc::channel(4);
        let conn = Conn::accepted(0);
        let (link, carrying) = over(conn, server, events);
        tokio::spawn(carrying);
        link.send(b"hello".to_vec());
        client.read_exact(&mut [0; 5]).await.unwrap();
        assert!(matches!(happens.recv().await, Some(Happened::Drained(at)) if at == conn));
        client.write_all(b"there").await.unwrap();
        assert!(matches!(happens.recv().await, Some(Happened::Bytes(_, bytes)) if bytes == b"there"));
        drop(client);
        assert!(matches!(happens.recv().await, Some(Happened::Closed(at)) if at == conn));
    }

    #[tokio::test]
    async fn who_sends_without_end_loses_the_connection() {
        let (_client, server) = pair().await;
        let (events, mut happens) = mpsc::channel(4);
        let (link, carrying) = over(Conn::accepted(0), server, events);
        tokio::spawn(carrying);
        for _ in 0..MAX_WAITING_BYTES / READ_BYTES + 2 {
            link.send(vec![0; READ_BYTES]);
        }
        assert!(link.waiting.load(Ordering::Relaxed) <= MAX_WAITING_BYTES + READ_BYTES);
        assert!(matches!(happens.recv().await, Some(Happened::Closed(_))));
    }

    #[tokio::test]
    async fn nobody_there_is_a_failure() {
        let (events, mut happens) = mpsc::channel(4);
        let loopback = IpAddr::from([127, 0, 0, 9]);
        let conn = Conn::opened(1);
        let (_link, carrying) = to(conn, loopback, None, events);
        carrying.await;
        assert!(matches!(happens.recv().await, Some(Happened::Failed(at)) if at == conn));
    }
}
