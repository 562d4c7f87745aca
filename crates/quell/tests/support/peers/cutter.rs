//! A wire between two programs that is cut at a place of the test's choice.

use std::io::{Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// Where a connection ends: behind the k-th line or byte of one side, which still arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    ServerLines(u64),
    ClientLines(u64),
    ServerBytes(u64),
    ClientBytes(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Client,
    Server,
}

/// Hands on what is said. Runs until dropped.
pub struct Cutter {
    /// At the server's own address.
    pub port: u16,
    address: IpAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    stopped: AtomicBool,
}

#[derive(Default)]
struct State {
    armed: Option<Cut>,
    streams: Vec<TcpStream>,
    connections: u64,
}

impl Cutter {
    /// In front of this server.
    pub fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind((server.ip(), 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let shared = Arc::new(Shared::default());
        let inner = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            for client in listener.incoming() {
                if inner.stopped.load(Ordering::Relaxed) {
                    return;
                }
                join(&inner, client.expect("a connection"), server);
            }
        });
        Self { port, address: server.ip(), shared, thread: Some(thread) }
    }

    /// The next connection that comes so far is cut there; those behind it are whole.
    pub fn arm(&self, cut: Cut) {
        self.shared.state().armed = Some(cut);
    }

    /// Whether a cut waits for a connection that comes so far; then it is taken back.
    pub fn disarm(&self) -> bool {
        self.shared.state().armed.take().is_some()
    }

    /// How many there were.
    pub fn connections(&self) -> u64 {
        self.shared.state().connections
    }
}

impl Drop for Cutter {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        for stream in self.shared.state().streams.drain(..) {
            // Fails only for one that has ended by itself.
            let _ended = stream.shutdown(Shutdown::Both);
        }
        // Wakes the thread that accepts.
        drop(TcpStream::connect((self.address, self.port)));
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(std::thread::panicking() || ended.is_some_and(|ended| ended.is_ok()), "cutter");
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn join(shared: &Arc<Shared>, client: TcpStream, server: SocketAddr) {
    // Where nobody listens the client is closed, too.
    let Ok(server) = TcpStream::connect(server) else { return };
    let clone = |stream: &TcpStream| stream.try_clone().expect("a stream");
    {
        let mut state = shared.state();
        state.connections += 1;
        // Of those that have ended only the latest are kept.
        if state.streams.len() > 64 {
            state.streams.drain(..32);
        }
        state.streams.extend([clone(&client), clone(&server)]);
    }
    for stream in [&client, &server] {
        stream.set_nodelay(true).expect("a stream");
    }
    let cut = Arc::new(AtomicBool::new(false));
    let pump = |from: &TcpStream, to: &TcpStream, side| Pump {
        from: clone(from),
        to: clone(to),
        side,
        shared: Arc::clone(shared),
        cut: Arc::clone(&cut),
        lines: 0,
        bytes: 0,
    };
    for pump in [pump(&client, &server, Side::Client), pump(&server, &client, Side::Server)] {
        std::thread::spawn(move || pump.run());
    }
}

/// One direction of a connection.
struct Pump {
    from: TcpStream,
    to: TcpStream,
    side: Side,
    shared: Arc<Shared>,
    cut: Arc<AtomicBool>,
    lines: u64,
    bytes: u64,
}

impl Pump {
    fn run(mut self) {
        let mut buffer = vec![0; 16 << 10];
        // A side that goes ends this direction, as a close does.
        while let Ok(count) = self.from.read(&mut buffer) {
            if count == 0 {
                break;
            }
            // After the cut what comes is read, so that a reset does not overtake what was handed on.
            if self.cut.load(Ordering::Relaxed) {
                continue;
            }
            let (passes, last) = self.passes(&buffer[..count]);
            if self.to.write_all(&buffer[..passes]).is_err() {
                break;
            }
            if last {
                self.cut.store(true, Ordering::Relaxed);
                let _gone = self.from.shutdown(Shutdown::Write);
                let _gone = self.to.shutdown(Shutdown::Write);
            }
        }
        let _gone = self.to.shutdown(Shutdown::Write);
    }

    /// How much of it goes on, and whether it is the last.
    fn passes(&mut self, bytes: &[u8]) -> (usize, bool) {
        let mut state = self.shared.state();
        for (at, byte) in bytes.iter().enumerate() {
            self.bytes += 1;
            self.lines += u64::from(*byte == b'\n');
            let here = match (state.armed, self.side) {
                (Some(Cut::ServerLines(lines)), Side::Server)
                | (Some(Cut::ClientLines(lines)), Side::Client) => lines == self.lines,
                (Some(Cut::ServerBytes(count)), Side::Server)
                | (Some(Cut::ClientBytes(count)), Side::Client) => count == self.bytes,
                _ => false,
            };
            if here {
                state.armed = None;
                return (at + 1, true);
            }
        }
        (bytes.len(), false)
    }
}
