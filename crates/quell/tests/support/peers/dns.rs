//! A real DNS server on loopback, authoritative for everything, with faults by name.

use crate::support::free_port;
use hickory_server::Server;
use hickory_server::dnssec::NxProofKind;
use hickory_server::net::runtime::Time;
use hickory_server::net::xfer::Protocol;
use hickory_server::proto::dnssec::crypto::Ed25519SigningKey;
use hickory_server::proto::dnssec::rdata::DNSKEY;
use hickory_server::proto::dnssec::{DnssecSigner, SigningKey};
use hickory_server::proto::op::{Header, HeaderCounts, Metadata, ResponseCode};
use hickory_server::proto::rr::rdata::SOA;
use hickory_server::proto::rr::{LowerName, Name, RData, Record};
use hickory_server::proto::serialize::txt::Parser;
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo};
use hickory_server::store::in_memory::InMemoryZoneHandler;
use hickory_server::zone_handler::{AxfrPolicy, Catalog, MessageResponseBuilder, ZoneType};
use rustls::pki_types::PrivatePkcs8KeyDer;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::oneshot;

/// The root zone: nothing that a test asks is outside it. Negative answers live 0 s, as do
/// records without a TTL of their own, so that a changed zone is seen at once.
const APEX: &str = "$TTL 0\n@ SOA ns.invalid. admin.invalid. 1 60 60 60 0\n@ NS ns.invalid.\n";
/// A TCP connection without a question is closed after this.
const TCP_IDLE: Duration = Duration::from_secs(10);
const TCP_BUFFERED_REPLIES: usize = 16;

/// What happens to questions about a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    ServFail,
    Refused,
    /// No answer at all.
    Silent,
    /// The right answer, so many milliseconds late.
    DelayMs(u64),
    /// Over UDP an empty answer with TC (RFC 1035 §4.1.1); the right one over TCP.
    Truncated,
    /// Over UDP an empty answer with TC, over TCP none.
    TruncatedNoTcp,
    /// That there is none, by the SOA of `foreign.example`: in a signed zone one that is delegated
    /// without signatures.
    ForeignSoa,
}

/// One question that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// In lower case, without the last dot.
    pub name: String,
    /// `MX`, `A`, `AAAA`, …
    pub kind: String,
    pub tcp: bool,
}

/// Signs the root zone, and all that is in it.
struct Key(Vec<u8>);

impl Key {
    fn new() -> Self {
        Self(Ed25519SigningKey::generate_pkcs8().expect("a key").secret_pkcs8_der().to_vec())
    }

    fn signer(&self) -> DnssecSigner {
        let key = Ed25519SigningKey::from_pkcs8(&PrivatePkcs8KeyDer::from(self.0.as_slice())).expect("a key");
        let public = DNSKEY::from_key(&key.to_public_key().expect("a public key"));
        DnssecSigner::new(public, Box::new(key), Name::root(), Duration::from_secs(86_400))
    }
}

/// Runs until dropped.
pub struct Dns {
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    /// UDP and TCP, on 127.0.0.1.
    pub port: u16,
}

struct Shared {
    catalog: Mutex<Arc<Catalog>>,
    faults: Mutex<HashMap<(String, String), Fault>>,
    questions: Mutex<Vec<Question>>,
    key: Option<Key>,
}

impl Dns {
    /// With these records, one on a line as in a zone file (RFC 1035 §5.1), names absolute
    /// with or without the last dot: `firm.example MX 10 mx.firm.example`. A null MX is
    /// `firm.example MX 0 .`; `*.example A 127.0.0.1` is a wildcard. Other names do not exist.
    pub fn start(zone: &str) -> Self {
        Self::start_at(0, zone)
    }

    /// The same on a port that it had before; 0: any that is free.
    pub fn start_at(port: u16, zone: &str) -> Self {
        Self::start_with(port, zone, None)
    }

    /// With signatures (DNSSEC); [`Dns::trust_anchor`] is the key.
    pub fn start_signed(zone: &str) -> Self {
        Self::start_with(0, zone, Some(Key::new()))
    }

    /// The key of a signed zone, as a zone file has it.
    pub fn trust_anchor(&self) -> String {
        let key = self.shared.key.as_ref().expect("a signed zone");
        format!(". 3600 IN DNSKEY {}\n", key.signer().dnskey())
    }

    fn start_with(port: u16, zone: &str, key: Option<Key>) -> Self {
        let shared = Arc::new(Shared {
            catalog: Mutex::new(catalog(zone, key.as_ref())),
            key,
            faults: Mutex::default(),
            questions: Mutex::default(),
        });
        let (stop, stopped) = oneshot::channel();
        let (started, ready) = std::sync::mpsc::channel();
        let handler = Handler(shared.clone());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async move {
                let (udp, tcp, port) = sockets(port).await;
                let mut server = Server::new(handler);
                server.register_socket(udp);
                server.register_listener(tcp, TCP_IDLE, TCP_BUFFERED_REPLIES);
                started.send(port).expect("the test waits");
                // An error is the test's own end.
                let _ = stopped.await;
            });
        });
        let port = ready.recv().expect("it listens");
        Dns { shared, stop: Some(stop), thread: Some(thread), port }
    }

    /// As `[dns] servers` has it.
    pub fn server(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Other records from now on.
    pub fn set_zone(&self, zone: &str) {
        *locked(&self.shared.catalog) = catalog(zone, self.shared.key.as_ref());
    }

    /// A fault for questions about a name and kind (`MX`, …; `*` for every kind).
    pub fn fault(&self, name: &str, kind: &str, fault: Fault) {
        locked(&self.shared.faults).insert((name.to_owned(), kind.to_owned()), fault);
    }

    /// No more faults for this name.
    pub fn heal(&self, name: &str) {
        locked(&self.shared.faults).retain(|(faulty, _), _| faulty != name);
    }

    /// All that was asked, in order.
    pub fn questions(&self) -> Vec<Question> {
        locked(&self.shared.questions).clone()
    }

    /// How often this was asked over UDP and TCP.
    pub fn asked(&self, name: &str, kind: &str) -> usize {
        self.questions().iter().filter(|question| question.name == name && question.kind == kind).count()
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        drop(self.stop.take());
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(std::thread::panicking() || ended.is_some_and(|ended| ended.is_ok()), "the DNS server");
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn catalog(zone: &str, key: Option<&Key>) -> Arc<Catalog> {
    let text = format!("{APEX}{zone}\n");
    let parsed = Parser::new(text.as_str(), None, Some(Name::root())).parse();
    let (origin, records) = parsed.unwrap_or_else(|error| panic!("{error}:\n{text}"));
    let policy = AxfrPolicy::Deny;
    let proof = key.map(|_| NxProofKind::Nsec);
    let mut zone: InMemoryZoneHandler =
        InMemoryZoneHandler::new(origin.clone(), records, ZoneType::Primary, policy, proof).expect("a zone");
    if let Some(key) = key {
        zone.add_zone_signing_key_mut(key.signer()).expect("a key");
        zone.secure_zone_mut().expect("signatures");
    }
    let mut catalog = Catalog::new();
    catalog.upsert(LowerName::from(origin), vec![Arc::new(zone)]);
    Arc::new(catalog)
}

/// One port for both.
async fn sockets(port: u16) -> (UdpSocket, TcpListener, u16) {
    for _ in 0..100 {
        let address = SocketAddr::from(([127, 0, 0, 1], if port == 0 { free_port() } else { port }));
        if let (Ok(udp), Ok(tcp)) = (UdpSocket::bind(address).await, TcpListener::bind(address).await) {
            return (udp, tcp, address.port());
        }
    }
    panic!("no port is free for UDP and TCP");
}

struct Handler(Arc<Shared>);

impl Handler {
    /// Notes the question; the fault that is set for it.
    fn fault(&self, request: &Request) -> Option<Fault> {
        let info = request.request_info().ok()?;
        // As it stood in the question: A-labels.
        let name = info.query.name().to_ascii().to_ascii_lowercase();
        let name = name.trim_end_matches('.').to_owned();
        let kind = info.query.query_type().to_string();
        let faults = locked(&self.0.faults);
        let fault = [&kind, "*"].iter().find_map(|kind| faults.get(&(name.clone(), (*kind).to_owned())));
        let tcp = request.protocol() == Protocol::Tcp;
        locked(&self.0.questions).push(Question { name, kind, tcp });
        fault.copied()
    }
}

#[async_trait::async_trait]
impl RequestHandler for Handler {
    async fn handle_request<R: ResponseHandler, T: Time>(
        &self,
        request: &Request,
        response: R,
    ) -> ResponseInfo {
        let tcp = request.protocol() == Protocol::Tcp;
        match self.fault(request) {
            Some(Fault::ServFail) => return say(request, response, ResponseCode::ServFail, false).await,
            Some(Fault::Refused) => return say(request, response, ResponseCode::Refused, false).await,
            Some(Fault::Silent) => return nothing(request),
            Some(Fault::ForeignSoa) => return foreign(request, response).await,
            Some(Fault::TruncatedNoTcp) if tcp => return nothing(request),
            Some(Fault::Truncated | Fault::TruncatedNoTcp) if !tcp => {
                return say(request, response, ResponseCode::NoError, true).await;
            }
            Some(Fault::DelayMs(delay_ms)) => tokio::time::sleep(Duration::from_millis(delay_ms)).await,
            Some(Fault::Truncated | Fault::TruncatedNoTcp) | None => {}
        }
        let catalog = locked(&self.0.catalog).clone();
        catalog.handle_request::<R, T>(request, response).await
    }
}

/// An answer without records.
async fn say<R: ResponseHandler>(
    request: &Request,
    mut response: R,
    code: ResponseCode,
    cut: bool,
) -> ResponseInfo {
    let mut metadata = Metadata::response_from_request(&request.metadata);
    (metadata.response_code, metadata.truncation, metadata.authoritative) = (code, cut, true);
    let message = MessageResponseBuilder::from_message_request(request).build_no_records(metadata);
    // A client that has gone needs no answer.
    response.send_response(message).await.unwrap_or_else(|_| nothing(request))
}

/// That there is none, as the zone `foreign.example` would say it of its own names.
async fn foreign<R: ResponseHandler>(request: &Request, mut response: R) -> ResponseInfo {
    let mut metadata = Metadata::response_from_request(&request.metadata);
    metadata.authoritative = true;
    let name = |text| Name::from_ascii(text).expect("a name");
    let soa = SOA::new(name("ns.invalid."), name("admin.invalid."), 1, 60, 60, 60, 0);
    let soa = Record::from_rdata(name("foreign.example."), 0, RData::SOA(soa));
    let message = MessageResponseBuilder::from_message_request(request).build(metadata, [], [], [&soa], []);
    response.send_response(message).await.unwrap_or_else(|_| nothing(request))
}

fn nothing(request: &Request) -> ResponseInfo {
    let metadata = Metadata::response_from_request(&request.metadata);
    ResponseInfo::from(Header { metadata, counts: HeaderCounts::default() })
}
