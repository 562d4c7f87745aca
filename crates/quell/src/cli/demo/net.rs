//! Gives simulated hosts real sockets on the loopback network: one task for each host, which turns
//! what happens on its sockets into events and does the actions that come out.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use quell_sim::host::{Action, Address, Conn, Event, Host, HostName, Moment, Note, Service};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::link::{self, Link};

/// Events that wait for a host; when so many do, its sockets are not read.
const WAITING_EVENTS: usize = 64;
/// Connections of one host at a time. One more that comes in is closed at once; one more that it wants
/// fails.
const MAX_CONNECTIONS: usize = 1_000;

/// A socket on which nobody could be accepted is tried again after this time.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);

/// Where hosts listen.
pub type Directory = HashMap<Address, SocketAddr>;

/// What is done with the notes of a host.
pub type Notes = Arc<dyn Fn(Note, Moment) + Send + Sync>;

/// Something that happens to a host.
#[derive(Debug)]
pub enum Happened {
    /// Somebody connected.
    Accepted(Service, TcpStream, IpAddr),
    /// Or did not: see [`Event`].
    Connected(Conn),
    /// See [`Event`].
    Failed(Conn),
    /// See [`Event`].
    Bytes(Conn, Vec<u8>),
    /// See [`Event`].
    Drained(Conn),
    /// See [`Event`].
    Closed(Conn),
}

/// A host and the sockets on which it listens.
pub struct Placed {
    host: Box<dyn Host>,
    listeners: Vec<(Service, TcpListener)>,
}

impl Placed {
    /// The host's.
    pub fn name(&self) -> &HostName {
        &self.host.place().name
    }
}

/// The wall clock.
pub fn now() -> Moment {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    Moment { ms: i64::try_from(since).unwrap_or(i64::MAX) }
}

/// Gives `host` its sockets, at ports that the system chooses, and writes them into `directory`.
///
/// # Errors
/// Those of the system.
pub async fn place(host: Box<dyn Host>, directory: &mut Directory) -> io::Result<Placed> {
    let mut listeners = Vec::new();
    for &service in host.listens() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = Address { host: Arc::clone(&host.place().name), service };
        directory.insert(address, listener.local_addr()?);
        listeners.push((service, listener));
    }
    Ok(Placed { host, listeners })
}

/// Runs a host for ever. Dropping this ends it, and breaks its connections.
pub async fn run(placed: Placed, directory: Arc<Directory>, notes: Notes) {
    let (events, mut happens) = mpsc::channel(WAITING_EVENTS);
    let mut tasks = JoinSet::new();
    for (service, listener) in placed.listeners {
        tasks.spawn(accept(service, listener, events.clone()));
    }
    let mut desk = Desk::new(placed.host, directory, notes, events, tasks);
    desk.tell(Event::Start);
    loop {
        let alarm = desk.until_alarm();
        tokio::select! {
            // A closed channel cannot be: the desk itself has a sender.
            Some(happened) = happens.recv() => desk.happened(happened),
            () = tokio::time::sleep(alarm.unwrap_or_default()), if alarm.is_some() => desk.wake(),
            Some(_) = desk.tasks.join_next() => {}
        }
    }
}

async fn accept(service: Service, listener: TcpListener, events: mpsc::Sender<Happened>) {
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            // Out of descriptors, or the client is gone already: later again.
            tokio::time::sleep(ACCEPT_AGAIN).await;
            continue;
        };
        if events.send(Happened::Accepted(service, stream, peer.ip())).await.is_err() {
            return;
        }
    }
}

/// A host at work.
struct Desk {
    host: Box<dyn Host>,
    directory: Arc<Directory>,
    notes: Notes,
    events: mpsc::Sender<Happened>,
    tasks: JoinSet<()>,
    links: HashMap<Conn, Link>,
    accepted: u64,
    alarm: Option<Moment>,
    actions: Vec<Action>,
}

impl Desk {
    fn new(
        host: Box<dyn Host>,
        directory: Arc<Directory>,
        notes: Notes,
        events: mpsc::Sender<Happened>,
        tasks: JoinSet<()>,
    ) -> Self {
        let (links, actions) = (HashMap::new(), Vec::new());
        Self { host, directory, notes, events, tasks, links, accepted: 0, alarm: None, actions }
    }

    fn until_alarm(&self) -> Option<Duration> {
        self.alarm.map(|at| Duration::from_millis(at.ms_since(now())))
    }

    fn wake(&mut self) {
        self.alarm = None;
        self.tell(Event::Wake);
    }

    fn happened(&mut self, happened: Happened) {
        match happened {
            Happened::Accepted(service, stream, peer) => self.accepted(service, stream, peer),
            // What a connection says after the host has closed it concerns nobody.
            Happened::Connected(conn) if self.links.contains_key(&conn) => {
                self.tell(Event::Connected { conn });
            }
            Happened::Bytes(conn, bytes) if self.links.contains_key(&conn) => {
                self.tell(Event::Bytes { conn, bytes: &bytes });
            }
            Happened::Drained(conn) if self.links.contains_key(&conn) => self.tell(Event::Drained { conn }),
            Happened::Failed(conn) if self.links.remove(&conn).is_some() => self.tell(Event::Failed { conn }),
            Happened::Closed(conn) if self.links.remove(&conn).is_some() => self.tell(Event::Closed { conn }),
            _ => {}
        }
    }

    fn accepted(&mut self, service: Service, stream: TcpStream, peer: IpAddr) {
        if self.links.len() >= MAX_CONNECTIONS {
            return;
        }
        let conn = Conn::accepted(self.accepted);
        self.accepted += 1;
        let (link, carrying) = link::over(conn, stream, self.events.clone());
        self.links.insert(conn, link);
        self.tasks.spawn(carrying);
        self.tell(Event::Accepted { conn, service, peer });
    }

    fn tell(&mut self, event: Event<'_>) {
        let now = now();
        let mut actions = std::mem::take(&mut self.actions);
        self.host.on(event, now, &mut actions);
        for action in actions.drain(..) {
            self.act(action, now);
        }
        self.actions = actions;
    }

    fn act(&mut self, action: Action, now: Moment) {
        match action {
            Action::Connect { conn, to } => self.connect(conn, &to),
            Action::Send { conn, bytes } => {
                if let Some(link) = self.links.get(&conn) {
                    link.send(bytes);
                }
            }
            // Dropping it lets what was sent before leave, then closes.
            Action::Close { conn } => drop(self.links.remove(&conn)),
            Action::WakeAt(at) => self.alarm = Some(self.alarm.map_or(at, |set| set.min(at))),
            Action::Note(note) => (self.notes)(note, now),
        }
    }

    fn connect(&mut self, conn: Conn, to: &Address) {
        // Above the limit nobody is asked, and the attempt fails like one to a host that is not there.
        let room = self.links.len() < MAX_CONNECTIONS;
        let to = self.directory.get(to).copied().filter(|_| room);
        let (link, carrying) = link::to(conn, self.host.place().ip, to, self.events.clone());
        self.links.insert(conn, link);
        self.tasks.spawn(carrying);
    }
}
