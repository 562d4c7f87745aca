//! One GET of a policy (RFC 8461 §3.3): a valid certificate, no redirect, bounded in time and size.

use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::{Body, Incoming};
use hyper::header::{CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use quell_relay::route::DnsError;
use quell_relay::tls::sts::{MAX_POLICY_BYTES, Policy};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::deliver::resolver::Resolver;
use crate::deliver::tls::{Clients, in_words};

/// Where policies are.
pub(super) const HTTPS_PORT: u16 = 443;
/// The whole of it (RFC 8461 §3.3: one minute).
const WITHIN: Duration = Duration::from_secs(60);
/// One address.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// Addresses that are tried.
const MAX_ADDRESSES: usize = 4;

/// The policy of a domain.
///
/// # Errors
/// Why it cannot be had, in words for the operator.
pub(super) async fn fetch(
    domain: &str,
    port: u16,
    resolver: &Resolver,
    clients: &Clients,
) -> Result<Policy, String> {
    let fetched = async {
        let host = format!("mta-sts.{domain}");
        let stream = connect(&host, port, resolver).await?;
        let stream = secure(&host, stream, clients).await?;
        let body = get(&host, stream).await?;
        Policy::parse(&body).map_err(|why| why.to_string())
    };
    timeout(WITHIN, fetched).await.unwrap_or_else(|_| Err("it takes too long".to_owned()))
}

async fn connect(host: &str, port: u16, resolver: &Resolver) -> Result<TcpStream, String> {
    let addresses: Vec<IpAddr> = resolver.addresses(host).await.map_err(|why| match why {
        DnsError::NoSuchDomain | DnsError::NoRecords => format!("{host} has no address"),
        DnsError::Trouble(why) => format!("the address of {host} cannot be looked up: {why}"),
    })?;
    let mut trouble = String::new();
    for address in addresses.into_iter().take(MAX_ADDRESSES) {
        match timeout(CONNECT_WITHIN, TcpStream::connect(SocketAddr::new(address, port))).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(why)) => trouble = why.to_string(),
            Err(_) => "it does not answer".clone_into(&mut trouble),
        }
    }
    Err(format!("no connection to {host}: {trouble}"))
}

async fn secure(host: &str, stream: TcpStream, clients: &Clients) -> Result<TlsStream<TcpStream>, String> {
    let name = ServerName::try_from(host.to_owned()).map_err(|why| why.to_string())?;
    let connector = TlsConnector::from(Arc::clone(&clients.public()?));
    connector.connect(name, stream).await.map_err(|why| format!("no TLS with {host}: {}", in_words(&why)))
}

async fn get(host: &str, stream: TlsStream<TcpStream>) -> Result<Vec<u8>, String> {
    let in_words = |why: hyper::Error| format!("{host} speaks no HTTP: {why}");
    let (mut client, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(in_words)?;
    let request = Request::get("/.well-known/mta-sts.txt")
        .header(HOST, host)
        .header(USER_AGENT, "quell")
        .body(String::new())
        .map_err(|why| why.to_string())?;
    let answered = async {
        let response = client.send_request(request).await.map_err(in_words)?;
        checked(&response)?;
        read(response.into_body()).await
    };
    tokio::pin!(answered);
    tokio::select! {
        biased;
        answered = &mut answered => answered,
        // What came before its end is still to be read.
        ended = connection => {
            ended.map_err(in_words)?;
            answered.await
        }
    }
}

/// RFC 8461 §3.3: 200 and nothing else; §3.2: `text/plain`.
fn checked(response: &Response<Incoming>) -> Result<(), String> {
    if response.status() != StatusCode::OK {
        return Err(format!("the answer is {}", response.status()));
    }
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let is_text = kind.eq_ignore_ascii_case("text/plain");
    if is_text { Ok(()) } else { Err(format!("the answer is of the kind \"{}\"", kind.escape_default())) }
}

async fn read(mut body: Incoming) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let frame = frame.map_err(|why| format!("the answer breaks off: {why}"))?;
        bytes.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
        if bytes.len() > MAX_POLICY_BYTES {
            return Err("the answer is too large".to_owned());
        }
    }
    Ok(bytes)
}
