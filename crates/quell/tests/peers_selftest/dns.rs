//! The DNS server.

use crate::support::peers::dns;
use crate::support::peers::dns::Dns;
use hickory_resolver::Resolver;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::ConnectionConfig;
use hickory_resolver::config::NameServerConfig;
use hickory_resolver::config::ResolverConfig;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_server::proto::op::Message;
use hickory_server::proto::op::Query;
use hickory_server::proto::op::ResponseCode;
use hickory_server::proto::rr::Name;
use hickory_server::proto::rr::RecordType;
use std::io::Read;
use std::io::Write;
use std::time::Duration;

const ZONE: &str = "
firm.example MX 10 mx1.firm.example
firm.example MX 20 mx2.firm.example.
mx1.firm.example A 127.0.0.2
mx1.firm.example AAAA ::1
mx2.firm.example 60 A 127.0.0.3
null.example MX 0 .
alias.example CNAME firm.example
plain.example A 127.0.0.4
";

/// Asks over a socket of our own; `None` if no answer comes within half a second.
fn ask(dns: &Dns, name: &str, kind: RecordType, tcp: bool) -> Option<Message> {
    let mut query = Message::query();
    query.add_query(Query::query(Name::from_ascii(name).expect("a name"), kind));
    let bytes = query.to_vec().expect("a question");
    let mut buffer = vec![0; 65_535];
    let half_a_second = Some(Duration::from_millis(500));
    if tcp {
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", dns.port)).expect("a connection");
        stream.set_read_timeout(half_a_second).expect("a limit");
        stream.write_all(&[&(bytes.len() as u16).to_be_bytes(), &*bytes].concat()).expect("written");
        stream.read_exact(&mut buffer[..2]).ok()?;
        buffer.truncate(usize::from(u16::from_be_bytes([buffer[0], buffer[1]])));
        stream.read_exact(&mut buffer).ok()?;
    } else {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
        socket.set_read_timeout(half_a_second).expect("a limit");
        socket.send_to(&bytes, ("127.0.0.1", dns.port)).expect("sent");
        let length = socket.recv(&mut buffer).ok()?;
        buffer.truncate(length);
    }
    Some(Message::from_vec(&buffer).expect("an answer"))
}

/// Code and number of answers, over UDP.
fn asked(dns: &Dns, name: &str, kind: RecordType) -> (ResponseCode, usize) {
    let answer = ask(dns, name, kind, false).expect("an answer");
    (answer.metadata.response_code, answer.answers.len())
}

#[test]
fn dns_answers_from_its_zone() {
    let dns = Dns::start(ZONE);
    let (ok, none) = (ResponseCode::NoError, ResponseCode::NXDomain);
    assert_eq!(asked(&dns, "FIRM.example.", RecordType::MX), (ok, 2));
    assert_eq!(asked(&dns, "mx1.firm.example.", RecordType::AAAA), (ok, 1));
    assert_eq!(asked(&dns, "plain.example.", RecordType::MX), (ok, 0));
    assert_eq!(asked(&dns, "absent.example.", RecordType::MX), (none, 0));
    // The alias and what it stands for.
    assert_eq!(asked(&dns, "alias.example.", RecordType::MX), (ok, 3));
    let null = ask(&dns, "null.example.", RecordType::MX, true).expect("an answer");
    assert_eq!(null.answers[0].data.to_string(), "0 .");
    dns.set_zone("other.example A 127.0.0.9");
    assert_eq!(asked(&dns, "firm.example.", RecordType::MX), (none, 0));
    assert_eq!(asked(&dns, "other.example.", RecordType::A), (ok, 1));
    let last = dns::Question { name: "other.example".into(), kind: "A".into(), tcp: false };
    assert_eq!((dns.asked("firm.example", "MX"), dns.questions().last()), (2, Some(&last)));
}

#[test]
fn dns_has_faults_by_name() {
    let dns = Dns::start(ZONE);
    let truncated =
        |tcp| ask(&dns, "firm.example.", RecordType::MX, tcp).map(|answer| answer.metadata.truncation);
    dns.fault("firm.example", "MX", dns::Fault::ServFail);
    assert_eq!(asked(&dns, "firm.example.", RecordType::MX), (ResponseCode::ServFail, 0));
    assert_eq!(asked(&dns, "mx1.firm.example.", RecordType::A), (ResponseCode::NoError, 1));
    dns.fault("firm.example", "*", dns::Fault::Refused);
    assert_eq!(asked(&dns, "firm.example.", RecordType::A), (ResponseCode::Refused, 0));
    dns.heal("firm.example");
    assert_eq!(asked(&dns, "firm.example.", RecordType::MX), (ResponseCode::NoError, 2));
    dns.fault("firm.example", "*", dns::Fault::Silent);
    assert_eq!((truncated(false), truncated(true)), (None, None));
    dns.fault("firm.example", "*", dns::Fault::Truncated);
    assert_eq!((truncated(false), truncated(true)), (Some(true), Some(false)));
    dns.fault("firm.example", "*", dns::Fault::TruncatedNoTcp);
    assert_eq!((truncated(false), truncated(true)), (Some(true), None));
    dns.fault("firm.example", "*", dns::Fault::DelayMs(200));
    let start = std::time::Instant::now();
    assert_eq!((truncated(false), start.elapsed() >= Duration::from_millis(200)), (Some(false), true));
}

/// A resolver that asks this server only.
fn resolver(dns: &Dns) -> TokioResolver {
    let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
    connections.iter_mut().for_each(|connection| connection.port = dns.port);
    let server = NameServerConfig::new([127, 0, 0, 1].into(), true, connections);
    let config = ResolverConfig::from_name_servers(vec![server]);
    let mut builder = Resolver::builder_with_config(config, TokioRuntimeProvider::default());
    builder.options_mut().timeout = Duration::from_millis(500);
    builder.options_mut().attempts = 1;
    builder.build().expect("a resolver")
}

#[test]
fn a_resolver_gets_long_and_truncated_answers_over_tcp() {
    let many: String =
        (0..200).map(|number| format!("many.example MX 10 mx{number}.firm.example\n")).collect();
    let dns = Dns::start(&(ZONE.to_owned() + &many));
    dns.fault("firm.example", "MX", dns::Fault::Truncated);
    dns.fault("plain.example", "*", dns::Fault::Silent);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let resolver = runtime.block_on(async { resolver(&dns) });
    let mx = |name: &'static str| {
        let lookup = runtime.block_on(resolver.mx_lookup(name));
        lookup.map(|lookup| lookup.answers().len()).ok()
    };
    assert!(ask(&dns, "many.example.", RecordType::MX, false).expect("an answer").metadata.truncation);
    assert_eq!(
        (mx("many.example."), mx("firm.example."), mx("null.example.")),
        (Some(200), Some(2), Some(1))
    );
    assert_eq!((mx("plain.example."), mx("absent.example.")), (None, None));
    for name in ["many.example", "firm.example"] {
        let over_tcp = |question: &dns::Question| question.name == name && question.tcp;
        assert!(dns.questions().iter().any(over_tcp), "{:?}", dns.questions());
    }
    let addresses = runtime.block_on(resolver.lookup_ip("mx1.firm.example.")).expect("addresses");
    assert_eq!(addresses.iter().count(), 2);
}
