//! Routes by DNS: MX records and what stands in for them, trouble with DNS, ourselves, limits.

mod crowded;
mod hosts;
mod names;
mod ourselves;
mod sessions;
mod trouble;

use crate::operate::{LIMIT, accepted, done, mail, queue_id, row, wait_for_row};
use crate::support::peers::aiosmtpd::{At, Fault, Script, Scripted, Sending, available, shared_port};
use crate::support::peers::dns::{self, Dns};
use crate::support::server::config;
use crate::support::smtp::{Client, Reply, date_now, message, send_all};
use crate::support::{Server, TempDir, wait_until};
use serde_json::Value;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};

/// All addresses of peers: one port is free on each.
const ADDRESSES: [&str; 5] = ["127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4", "::1"];

/// A server that finds its next hops by a DNS of its own.
struct World {
    server: Server,
    dns: Dns,
    /// Of all servers that DNS names.
    port: u16,
    sent: AtomicU32,
    directory: TempDir,
}

impl World {
    /// With these records, and `more` keys of `[relay]`. No connection is kept for a next message.
    fn start(name: &str, zone: &str, more: &str) -> Self {
        let port = shared_port(&ADDRESSES.map(|address| address.parse().expect("an address")));
        Self::start_with(name, zone, &format!("port = {port}\nkeep_idle_secs = 0\n{more}"), port)
    }

    /// Next hops have the server's own port.
    fn start_on_own_port(name: &str, zone: &str) -> Self {
        let mut world = Self::start_with(name, zone, "port = {smtp}\nkeep_idle_secs = 0\n", 0);
        world.port = world.server.smtp_port;
        world
    }

    fn start_with(name: &str, zone: &str, relay: &str, port: u16) -> Self {
        let (directory, dns) = (TempDir::new(&format!("mx-{name}")), Dns::start(zone));
        let text = format!("[relay]\n{relay}[dns]\nservers = [\"{}\"]\n", dns.server());
        let server = Server::start(&directory, &config(&text));
        World { server, dns, port, sent: AtomicU32::new(0), directory }
    }

    /// A peer on this address that follows a script.
    fn peer(&self, address: &str, script: &Script) -> Scripted {
        let address: IpAddr = address.parse().expect("an address");
        Scripted::start_on(&self.directory, SocketAddr::new(address, self.port), script)
    }

    /// A peer on this address that takes everything.
    fn taker(&self, address: &str) -> Scripted {
        self.peer(address, &Script::default())
    }

    /// A new message; its queue id.
    fn send(&self, to: &str) -> String {
        accepted(&self.server, &[to], &self.message())
    }

    fn message(&self) -> Vec<u8> {
        mail(&format!("m{}", self.sent.fetch_add(1, Ordering::Relaxed)))
    }

    /// Waits until the row is in this state, and its status begins so; the row.
    fn wait_for(&self, id: &str, state: &str, status: &str) -> Value {
        let row = wait_for_row(&self.server, id, |row| row["state"] == state && tried(row));
        let text = row["status"].as_str().unwrap_or_default();
        assert!(text.starts_with(status), "not {status}: {row}\n{}", self.server.output());
        row
    }

    /// A new message arrives at this peer, once, as its next one; what came.
    fn arrives(&self, to: &str, peer: &Scripted) -> Sending {
        let before = peer.sendings().len();
        let id = self.send(to);
        self.wait_for(&id, "relayed", "");
        let all = peer.sendings();
        assert_eq!(all.len(), before + 1, "{to}\n{}\n{}", peer.log(), self.server.output());
        let one = all.last().expect("a message").clone();
        assert_eq!(one.recipients.len(), 1, "{one:?}");
        assert_eq!(one.recipients[0].to, to);
        one
    }

    /// A new message fails at once with this status.
    fn fails(&self, to: &str, status: &str) -> Value {
        let id = self.send(to);
        let failed = self.wait_for(&id, "failed", status);
        assert_eq!(failed["attempts"], 1, "{failed}");
        failed
    }

    /// A new message waits with this status; its id.
    fn waits(&self, to: &str, status: &str) -> String {
        let id = self.send(to);
        self.wait_for(&id, "waiting", status);
        id
    }

    /// `quell queue retry`.
    fn retry(&self, id: &str) {
        assert_eq!(done(&self.server, &["queue", "retry", id]), "1 row to be tried now\n");
    }
}

/// It is not the row as it came.
fn tried(row: &Value) -> bool {
    row["attempts"].as_u64().is_some_and(|attempts| attempts > 0)
}

/// Nobody did what must never be done.
fn all_well(peers: &[&Scripted]) {
    for peer in peers {
        assert!(peer.violations().is_empty() && peer.output().is_empty(), "{}", peer.log());
    }
}
