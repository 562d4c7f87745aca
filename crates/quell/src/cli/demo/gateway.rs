//! What stands at the gateway: quell as it is, or the plain relay; each a process of its own, so that
//! their memory can be compared.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::child::{Running, ourselves};
use super::console;
use super::figures::Disk;
use super::folder::disk_bytes;

/// A gateway must have started within this time; quell makes its files durable first.
const START: Duration = Duration::from_secs(20);
/// One that says no more is waited for so long: then it is told how it ended.
const ENDING: Duration = Duration::from_secs(2);
/// How often one that starts is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long it may take to stop; then it is killed.
const STOP: Duration = Duration::from_secs(12);
/// quell is given ports that were free a moment ago; if another program was quicker, others.
const MAX_STARTS: u32 = 3;
/// How it says so ([`crate::serve::ServeError::Listen`]).
const PORT_TAKEN: &str = "cannot listen on";

/// A running gateway. Dropping it kills it.
pub struct Gateway {
    running: Running,
    /// The relay ends when this is closed: even if we are killed.
    _lifeline: Option<ChildStdin>,
    smtp: SocketAddr,
    quell: Option<Quell>,
}

/// What only quell has.
struct Quell {
    console: SocketAddr,
    data: PathBuf,
}

/// What quell says of itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Verdicts "absorb", one for each recipient.
    pub absorbed: u64,
    /// Verdicts "hold".
    pub held: u64,
    /// Verdicts "refuse".
    pub refused: u64,
    /// Rows that wait, or are being delivered.
    pub open_rows: u64,
}

impl Gateway {
    /// Starts the plain relay, which passes everything on to `isp`.
    ///
    /// # Errors
    /// In words, with the end of its log.
    pub async fn relay(isp: SocketAddr, folder: &Path) -> Result<Self, String> {
        let mut command = Command::new(ourselves().map_err(|why| cannot(&why))?);
        command.args(["demo-relay", &isp.to_string()]);
        let log = folder.join("relay.log");
        let mut running = Running::start("the plain relay", command, log).map_err(|why| cannot(&why))?;
        let (stdin, stdout) = running.pipes();
        let first_line = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            stdout.map(|out| BufReader::new(out).read_line(&mut line));
            line
        });
        let line = timeout(START, first_line).await.ok().and_then(Result::ok).unwrap_or_default();
        match line.trim().parse() {
            Ok(smtp) => Ok(Self { running, _lifeline: stdin, smtp, quell: None }),
            Err(_) => {
                // Its output ends a moment before it does.
                running.wait(ENDING).await;
                Err(running.obituary("has not said where it listens"))
            }
        }
    }

    /// Starts quell for these domains, whose mail it hands to `isp`.
    ///
    /// # Errors
    /// In words, with the end of its log.
    pub async fn quell(domains: &[String], isp: SocketAddr, folder: &Path) -> Result<Self, String> {
        let mut failure = String::new();
        for _ in 0..MAX_STARTS {
            let [smtp, console] = free_ports().map_err(|why| cannot(&why))?;
            let file = folder.join("quell.toml");
            fs::write(&file, configuration(domains, isp, smtp, console)).map_err(|why| cannot(&why))?;
            let mut command = Command::new(ourselves().map_err(|why| cannot(&why))?);
            command.arg("serve").arg("--config").arg(&file);
            let log = folder.join("quell.log");
            let mut running = Running::start("quell", command, log).map_err(|why| cannot(&why))?;
            if let Err(how) = greeted(&mut running, smtp).await {
                failure = running.obituary(&how);
                if failure.contains(PORT_TAKEN) {
                    continue;
                }
                break;
            }
            let data = folder.join("quell-data");
            let quell = Some(Quell { console, data });
            return Ok(Self { running, _lifeline: None, smtp, quell });
        }
        Err(failure)
    }

    /// Where it takes mail.
    pub fn smtp(&self) -> SocketAddr {
        self.smtp
    }

    /// That it has died, in words; `None` while it runs.
    pub fn dead(&mut self) -> Option<String> {
        self.running.ended().map(|_| self.running.obituary("ended"))
    }

    /// The same, where it has just failed to answer: it may be about to end.
    pub async fn dying(&mut self) -> Option<String> {
        self.running.wait(ENDING).await;
        self.dead()
    }

    /// What quell counts; `None` for the relay.
    ///
    /// # Errors
    /// In words: it does not answer.
    pub async fn counts(&self) -> Result<Option<Counts>, String> {
        let Some(quell) = &self.quell else { return Ok(None) };
        let text = console::get(quell.console, "/metrics").await.map_err(|why| no_answer(&why))?;
        let value = |series: &str| {
            console::value(&text, series).ok_or_else(|| format!("quell's /metrics have no {series}"))
        };
        let verdict = |name| value(&format!("quell_messages_total{{verdict=\"{name}\"}}"));
        let rows = |state| value(&format!("quell_queue_rows{{state=\"{state}\"}}"));
        Ok(Some(Counts {
            absorbed: verdict("absorb")?,
            held: verdict("hold")?,
            refused: verdict("refuse")?,
            open_rows: rows("waiting")? + rows("claimed")?,
        }))
    }

    /// The storms that quell has seen; none for the relay, which sees none.
    ///
    /// # Errors
    /// In words: it does not answer.
    pub async fn storms(&self) -> Result<Vec<Value>, String> {
        let Some(quell) = &self.quell else { return Ok(Vec::new()) };
        let all = console::get_json(quell.console, "/api/v1/storms").await;
        let all = all.map_err(|why| no_answer(&why))?;
        let storms = all.get("storms").and_then(Value::as_array);
        storms.cloned().ok_or_else(|| "quell's list of storms has no `storms`".to_owned())
    }

    /// What it takes on the disk; `None` for the relay, whose queue is in memory.
    pub fn disk(&self) -> Option<Disk> {
        self.quell.as_ref().map(|quell| Disk {
            bytes: disk_bytes(&quell.data, &|_| true),
            set_aside_bytes: disk_bytes(&quell.data, &is_set_aside),
        })
    }

    /// The most memory that it has had; `None` if the system does not say.
    pub fn peak_bytes(&self) -> Option<u64> {
        self.running.peak_bytes()
    }

    /// Ends it.
    pub async fn stop(self) {
        // A relay that is killed loses what it holds in memory, and so it would by a power cut.
        self.running.stop(STOP).await;
    }
}

/// The reserve for a full disk, segments of the body store, room for the next log of dots.
fn is_set_aside(name: &str) -> bool {
    name == "reserve" || name == "dots-spare" || name.starts_with("seg-")
}

fn cannot(why: &io::Error) -> String {
    format!("the gateway cannot be started: {why}")
}

fn no_answer(why: &io::Error) -> String {
    format!("quell's console does not answer: {why}")
}

/// Two ports of this machine that are free at this moment.
fn free_ports() -> io::Result<[SocketAddr; 2]> {
    let one = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let two = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok([one.local_addr()?, two.local_addr()?])
}

/// Waits until it greets (RFC 5321 §4.2).
async fn greeted(running: &mut Running, smtp: SocketAddr) -> Result<(), String> {
    let begun = Instant::now();
    while begun.elapsed() < START {
        if running.ended().is_some() {
            return Err("ended".to_owned());
        }
        if let Ok(Ok(())) = timeout(Duration::from_secs(1), greeting(smtp)).await {
            return Ok(());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Err("has not greeted".to_owned())
}

async fn greeting(smtp: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect(smtp).await?;
    let mut code = [0; 3];
    stream.read_exact(&mut code).await?;
    if &code == b"220" { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
}

/// quell with its defaults but where a comment says why.
fn configuration(domains: &[String], isp: SocketAddr, smtp: SocketAddr, console: SocketAddr) -> String {
    let mut text = format!(
        r#"[server]
hostname = "gateway.isp.example"
data = "quell-data"
# Nobody waits for the last answers: the data are thrown away.
stop_secs = 1

[smtp]
listen = ["{smtp}"]
# All firms of the demonstration may come from one address, 127.0.0.1.
max_connections_per_address = 1000

[console]
listen = "{console}"

[relay]
from = ["127.0.0.0/8"]
# What goes to nobody's domain here (torn addresses, reports to the publisher) is for the ISP to
# refuse: nothing leaves this machine, no name is looked up.
via = "lmtp://{isp}"

[log]
level = "warn"
"#
    );
    for domain in domains {
        text += &format!("\n[domains.\"{domain}\"]\ndeliver = \"lmtp://{isp}\"\nrecipients = [\"*\"]\n");
    }
    text
}
