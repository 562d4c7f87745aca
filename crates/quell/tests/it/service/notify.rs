//! What the service manager hears (sd_notify(3)).

use crate::operate::{LIMIT, accepted, mail, wait_for_log};
use crate::support::process::signal;
use crate::support::server::{Environment, config};
use crate::support::{Server, TempDir, wait_until};
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

/// The service manager's end.
struct Manager {
    socket: UnixDatagram,
    heard: Vec<String>,
}

impl Manager {
    fn new(directory: &TempDir) -> Self {
        let socket = UnixDatagram::bind(directory.join("notify")).expect("a socket");
        socket.set_read_timeout(Some(Duration::from_millis(100))).expect("a time limit");
        Manager { socket, heard: Vec::new() }
    }

    fn environment(directory: &TempDir, watchdog_usec: &str) -> Environment {
        vec![("NOTIFY_SOCKET", directory.join("notify").into()), ("WATCHDOG_USEC", watchdog_usec.into())]
    }

    /// Waits for a message after those heard so far that has `words`.
    fn hear(&mut self, words: &str) -> String {
        let end = Instant::now() + LIMIT;
        let mut bytes = [0; 4096];
        while Instant::now() < end {
            let Ok(length) = self.socket.recv(&mut bytes) else { continue };
            let said = String::from_utf8_lossy(&bytes[..length]).into_owned();
            self.heard.push(said.clone());
            if said.contains(words) {
                return said;
            }
        }
        panic!("no {words} in {:?}", self.heard);
    }
}

#[test]
fn the_service_manager_hears_of_start_state_life_reload_and_stop() {
    let directory = TempDir::new("service-notify");
    let mut manager = Manager::new(&directory);
    let environment = Manager::environment(&directory, "3000000");
    let mut server = Server::start_with(&directory, &config(""), environment);
    manager.hear("READY=1");
    manager.hear("STATUS=0 waiting, 0 on their way, 0 held, 0 unknown; storms open: 0");
    for _ in 0..2 {
        manager.hear("WATCHDOG=1");
    }
    signal(server.pid(), "HUP");
    let said = manager.hear("RELOADING=1");
    assert!(said.contains("\nMONOTONIC_USEC="), "{said}");
    manager.hear("READY=1");
    wait_for_log(&server, &["event=\"reloaded\""]);
    // Five copies for one recipient are a storm, and the state says so. (More are sent: one that comes
    // after a late answer counts as the client's own retry.)
    for _ in 0..12 {
        accepted(&server, &["jane@firm.example"], &mail("one"));
    }
    let said = manager.hear("storms open: 1");
    assert!(!said.contains('@'), "{said}");
    assert_eq!(server.term().code(), Some(0));
    let said = manager.hear("STOPPING=1");
    // 60 s for answers of next hops, and three times 10 s.
    assert!(said.contains("EXTEND_TIMEOUT_USEC=90000000\n"), "{said}");
}

#[test]
fn the_operators_command_is_not_told_what_the_service_manager_says() {
    let directory = TempDir::new("service-environment");
    let _manager = Manager::new(&directory);
    let told = directory.join("told");
    let command =
        format!("[tell]\ncommand = [\"sh\", \"-c\", \"env > {0}.new && mv {0}.new {0}\"]\n", told.display());
    let mut environment = Manager::environment(&directory, "60000000");
    environment.push(("LISTEN_FDNAMES", "smtp".into()));
    let server = Server::start_with(&directory, &config(&command), environment);
    for _ in 0..12 {
        accepted(&server, &["jane@firm.example"], &mail("one"));
    }
    assert!(wait_until(LIMIT, || told.exists()), "{}", server.output());
    let said = std::fs::read_to_string(&told).expect("an environment");
    assert!(said.contains("QUELL_EVENT=opened"), "{said}");
    for name in ["NOTIFY_SOCKET", "WATCHDOG_USEC", "LISTEN_FDNAMES"] {
        assert!(!said.contains(name), "{said}");
    }
}
