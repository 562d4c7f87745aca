//! Pebble: an ACME server for tests, by the people of Let's Encrypt. It connects to us to see whether names
//! are ours, as they do.

use super::dns::Dns;
use super::{START_LIMIT, program};
use crate::support::authority::Authority;
use crate::support::process::{run, try_run};
use crate::support::{Running, TempDir, free_port, wait_until};
use std::path::PathBuf;
use std::process::Command;

pub fn available() -> bool {
    super::available(&["pebble", "curl"])
}

/// Runs until dropped.
pub struct Pebble {
    running: Running,
    /// Where it looks up names.
    pub dns: Dns,
    /// Port of 127.0.0.1 that it connects to for http-01.
    pub http_port: u16,
    /// The same for tls-alpn-01.
    pub tls_port: u16,
    /// Its certificates are good for so long.
    port: u16,
    management_port: u16,
    /// The authority of its own HTTPS.
    pub ca: PathBuf,
}

impl Pebble {
    /// `life_secs`: so long its certificates are good. Every name in the world is this machine.
    pub fn start(directory: &TempDir, life_secs: u32) -> Self {
        let home = directory.join("pebble");
        std::fs::create_dir_all(&home).expect("a directory");
        let authority = Authority::new();
        let (chain, key) = authority.issue(&home, &["localhost"], (-1, 90));
        let ca = home.join("ca.pem");
        std::fs::write(&ca, &authority.pem).expect("a file");
        let [port, management_port, http_port, tls_port] = std::array::from_fn(|_| free_port());
        let config = serde_json::json!({ "pebble": {
            "listenAddress": format!("127.0.0.1:{port}"),
            "managementListenAddress": format!("127.0.0.1:{management_port}"),
            "certificate": chain,
            "privateKey": key,
            "httpPort": http_port,
            "tlsPort": tls_port,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": false,
            "certificateValidityPeriod": life_secs,
        }});
        let file = home.join("pebble.json");
        std::fs::write(&file, config.to_string()).expect("a file");
        let dns = Dns::start("*.example A 127.0.0.1");
        let mut command = Command::new(program("pebble"));
        command.arg("-config").arg(file).args(["-strict", "-dnsserver", &dns.server()]);
        // It would sleep up to 15 s before it looks, and reject one request of twenty.
        command.env("PEBBLE_VA_NOSLEEP", "1").env("PEBBLE_WFE_NONCEREJECT", "0");
        let running = Running::start(command, &home.join("output"));
        let pebble = Self { running, dns, http_port, tls_port, port, management_port, ca };
        let answers = || try_run(&mut pebble.curl(&pebble.directory())).0;
        assert!(wait_until(START_LIMIT, answers), "{}", pebble.output());
        pebble
    }

    /// The URL of its directory.
    pub fn directory(&self) -> String {
        format!("https://localhost:{}/dir", self.port)
    }

    /// The certificate, in PEM, of the authority by which it signs: a new one with each start.
    pub fn root(&self) -> String {
        run(&mut self.curl(&format!("https://localhost:{}/roots/0", self.management_port)))
    }

    /// What it has written so far.
    pub fn output(&self) -> String {
        self.running.output()
    }

    fn curl(&self, url: &str) -> Command {
        let mut command = Command::new(program("curl"));
        command.args(["--silent", "--fail", "--cacert"]).arg(&self.ca).arg(url);
        command
    }
}
