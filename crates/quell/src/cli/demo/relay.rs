//! `quell demo-relay`: the plain relay of the demonstration, in a process of its own.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;

use quell_sim::host::{Address, Service};

use super::net::{self, Directory, Notes};
use super::world;
use crate::cli::Failure;

/// Pass on every message that comes, once for each time that it comes: for `quell demo`
///
/// Prints where it listens, and ends when its standard input does.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Where mail goes, by LMTP
    pub to: SocketAddr,
}

/// Runs it.
///
/// # Errors
/// No socket, no threads.
pub fn run(args: &Args, out: &mut dyn Write) -> Result<(), Failure> {
    super::runtime()?.block_on(relay(args.to, out))
}

async fn relay(to: SocketAddr, out: &mut dyn Write) -> Result<(), Failure> {
    let host = world::relay();
    let at = Address { host: Arc::clone(&host.place().name), service: Service::Smtp };
    let mut directory = Directory::new();
    let placed = net::place(host, &mut directory).await?;
    directory.insert(Address { host: world::isp(), service: Service::Lmtp }, to);
    let listening = directory.get(&at).ok_or_else(|| Failure::Failed("it does not listen".to_owned()))?;
    writeln!(out, "{listening}")?;
    out.flush()?;
    let notes: Notes = Arc::new(|_, _| {});
    // A thread that hangs in a read keeps no runtime from ending: the process ends with main.
    let (over, ended) = tokio::sync::oneshot::channel::<()>();
    std::thread::spawn(move || {
        // Whatever it is, the end of it is the end of us.
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        drop(over);
    });
    tokio::select! {
        () = net::run(placed, Arc::new(directory), notes) => {}
        _ = ended => {}
    }
    Ok(())
}
