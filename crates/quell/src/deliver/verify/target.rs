//! Where a question goes, and how it is put.

use std::net::SocketAddr;

use quell_relay::attempt::{Address, Target};
use quell_relay::route::{Host, NextHop, Peer};
use quell_relay::tls::Tls;
use quell_wire::client::{Envelope, Session, Settings};
use quell_wire::path::Path;
use quell_wire::server::{MailFrom, RcptTo};

use crate::deliver::remote::Outward;

/// The addresses of a next hop.
pub(super) async fn targets(outward: &Outward, hop: &NextHop) -> Result<Vec<Target>, String> {
    let rule = outward.sending.tls.of(hop);
    let (peer, lmtp) = match hop {
        NextHop::Smtp(peer) => (peer, false),
        NextHop::Lmtp(peer) => (peer, true),
        NextHop::LmtpUnix(path) => {
            let (address, tls) = (Address::Unix(path.clone()), Tls::by_rule(rule, false, path));
            return Ok(vec![Target { address, name: path.clone(), lmtp: true, tls }]);
        }
        other => return Err(format!("{other} cannot be asked")),
    };
    let Peer { host, port, implicit_tls } = peer;
    let (name, addresses) = match host {
        Host::Address(address) => (address.to_string(), vec![*address]),
        Host::Name(name) => {
            let found = outward.resolver.configured(name).await;
            (name.clone(), found.map_err(|why| format!("its address cannot be looked up: {why}"))?)
        }
    };
    let target = |address| Target {
        address: Address::Tcp(SocketAddr::new(address, *port)),
        name: name.clone(),
        lmtp,
        tls: Tls::by_rule(rule, *implicit_tls, &name),
    };
    Ok(addresses.into_iter().map(target).collect())
}

/// A session that asks whether `forward_path` would be taken.
pub(super) fn question(outward: &Outward, target: &Target, forward_path: Path) -> Result<Session, String> {
    let settings = Settings {
        lmtp: target.lmtp,
        starttls: target.tls.starttls,
        secure: target.tls.implicit,
        probe: true,
        configured: true,
        ..Settings::new(outward.sending.our_name.clone())
    };
    let mail = MailFrom {
        reverse_path: path("")?,
        size_bytes: None,
        smtputf8: false,
        eight_bit: false,
        ret: None,
        envid: None,
    };
    let rcpt = RcptTo { forward_path, notify: None, orcpt: None };
    Ok(Session::new(settings, Envelope { mail, recipients: vec![rcpt] }))
}

/// An address as a path.
pub(super) fn path(address: &str) -> Result<Path, String> {
    match Path::parse(format!("<{address}>").as_bytes()) {
        Ok((path, b"")) => Ok(path),
        _ => Err("that is no address".to_owned()),
    }
}
