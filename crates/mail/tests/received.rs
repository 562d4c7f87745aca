//! `hop` against the 181 real stamps of stalwartlabs/mail-parser, with the fields expected there.
//! The file is not ours and not here: `QUELL_RECEIVED_JSON` names it (`resources/received.json`
//! there); without it nothing is tested, and the test says so.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test, its helpers included, fails by panicking"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use quell_mail::date;
use quell_mail::hop::{Hop, Protocol, TlsVersion, Word, parse};
use serde_json::Value;

/// Where we judge the expectation wrong: number of the stamp, field, why.
const WRONG: [(usize, &str, &str); 32] = [
    (0, "with", "ESMTP/TLS/… says ESMTPS"),
    (6, "ident", "who proved to be it is cut at its slash"),
    (13, "date", "the order of ctime is read as another"),
    (23, "from", "a pickup folder is no host called mail"),
    (28, "id", "cut at its slash"),
    (29, "id", "cut at its slash"),
    (30, "id", "cut at its slash"),
    (39, "ident", "cut at its slash"),
    (43, "from_ip", "an address with a port behind a dot is missed"),
    (65, "ident", "the envelope's sender is taken for the user jdavid"),
    (67, "date", "PST is not UTC (RFC 5322 §4.3)"),
    (69, "date", "a date without a semicolon before it is missed"),
    (81, "from_ip", "an address with a port behind a dot is missed"),
    (89, "date", "03 is 2003 (RFC 5322 §4.3)"),
    (90, "date", "04 is 2004 (RFC 5322 §4.3)"),
    (112, "id", "the id has no word before it, and is one"),
    (116, "ident", "cut at its slash"),
    (117, "date", "the order of ctime is read as another"),
    (118, "helo", "what the sender claims to be is missed"),
    (118, "date", "the order of ctime is read as another"),
    (123, "by", "uid is no host; the first by has it"),
    (125, "from", "cut at its slash"),
    (128, "date", "03 is 2003 (RFC 5322 §4.3)"),
    (144, "date", "seconds with a fraction are read as 0"),
    (151, "from", "what stands after from is left out"),
    (151, "ident", "the envelope's sender is no user of the client"),
    (151, "date", "the order of ctime is read as another"),
    (153, "for_", "a recipient without a domain is left out"),
    (163, "date", "PDT is not UTC (RFC 5322 §4.3)"),
    (165, "from", "invoked from network names no host"),
    (166, "from_ip", "the client's address is missed"),
    (171, "from", "from userid names no host"),
];

#[test]
fn real_stamps() {
    let Some(path) = std::env::var_os("QUELL_RECEIVED_JSON").filter(|f| Path::new(f).is_file()) else {
        eprintln!("SKIPPED: QUELL_RECEIVED_JSON names no file with real stamps");
        return;
    };
    let text = fs::read_to_string(&path).unwrap();
    let cases: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert_eq!(cases.len(), 181);
    let listed: BTreeSet<(usize, &str)> = WRONG.iter().map(|(n, field, _)| (*n, *field)).collect();
    let mut failures = Vec::new();
    for (n, case) in cases.iter().enumerate() {
        let header = case["header"].as_str().unwrap();
        let differing: BTreeSet<&str> = differences(&parse(header.as_bytes()), &case["expected"]);
        for field in FIELDS {
            if differing.contains(field) != listed.contains(&(n, field)) {
                let theirs = &case["expected"][field];
                let hop = parse(header.as_bytes());
                failures.push(format!("{n} {field}: theirs {theirs}\n{header}{hop:?}"));
            }
        }
    }
    assert!(failures.is_empty(), "{} differ:\n{}", failures.len(), failures.join("\n\n"));
}

const FIELDS: [&str; 14] = [
    "from",
    "from_ip",
    "from_iprev",
    "by",
    "for_",
    "with",
    "tls_version",
    "tls_cipher",
    "id",
    "ident",
    "helo",
    "helo_cmd",
    "via",
    "date",
];

/// The fields in which we differ, after the mapping of each that the comments tell.
fn differences(hop: &Hop<'_>, expected: &Value) -> BTreeSet<&'static str> {
    FIELDS.into_iter().filter(|field| !agrees(hop, field, &expected[*field])).collect()
}

fn agrees(hop: &Hop<'_>, field: &str, theirs: &Value) -> bool {
    let text = theirs.as_str();
    match field {
        "from" => host(hop.from, theirs),
        // Theirs is the address in a comment only; ours is the literal after `from` too, and what
        // stands behind `user@`. Mapped addresses are IPv4 for us.
        "from_ip" => match (hop.ip, text) {
            (Some(ours), Some(theirs)) => ours == theirs.parse::<std::net::IpAddr>().unwrap().to_canonical(),
            (Some(ours), None) => {
                let from = hop.from.map(|w| w.to_string()).unwrap_or_default();
                let ident = hop.ident.map(|w| w.to_string()).unwrap_or_default();
                from.contains(&ours.to_string()) || ident.ends_with(&format!("@{ours}"))
            }
            (None, theirs) => theirs.is_none(),
        },
        "from_iprev" => reverse_name(hop, text),
        "by" => host(hop.by, theirs),
        "for_" => word(hop.for_) == text.map(str::to_owned),
        "with" => hop.with.map_or(text.is_none(), |_| with(hop.protocol, text)),
        "tls_version" => {
            let ours = hop.tls_version.map(|version| match version {
                TlsVersion::Ssl3 => "SSLv3",
                TlsVersion::Tls1_0 => "TLSv1_0",
                TlsVersion::Tls1_1 => "TLSv1_1",
                TlsVersion::Tls1_2 => "TLSv1_2",
                TlsVersion::Tls1_3 => "TLSv1_3",
            });
            ours == text
        }
        "tls_cipher" => word(hop.tls_cipher) == text.map(str::to_owned),
        "id" => word(hop.id) == text.map(str::to_owned),
        // Ours keeps who proved to be somebody apart; theirs is both.
        "ident" => {
            let theirs = text.map(str::to_owned);
            word(hop.ident) == theirs || (theirs.is_some() && word(hop.authenticated) == theirs)
        }
        // Ours is also the `from` word where that is the HELO; theirs only a name told apart.
        "helo" => host(hop.helo, theirs) || (theirs.is_null() && hop.helo == hop.from),
        // The command is not kept; that there was one shows in the HELO, if it has a name.
        "helo_cmd" => text.is_none() || hop.helo.is_some() || hop.from.is_some(),
        "via" => word(hop.via) == text.map(str::to_owned),
        _ => hop.date_ms == date_ms(theirs),
    }
}

fn word(word: Option<Word<'_>>) -> Option<String> {
    word.map(|w| w.to_string())
}

/// `{"Name": …}` or `{"IpAddr": …}`; ours has the brackets of the literal.
fn host(ours: Option<Word<'_>>, theirs: &Value) -> bool {
    let ours = ours.map(|w| w.to_string());
    if let Some(ip) = theirs["IpAddr"].as_str() {
        let bare = ours.unwrap_or_default();
        let bare = bare.split(']').next().unwrap().trim_start_matches('[');
        return bare == ip;
    }
    ours.as_deref() == theirs["Name"].as_str()
}

/// Ours has no dot at its end. Theirs leaves `localhost` out, and the host behind `user@`; ours is
/// also the `from` word where a HELO stands beside it or the server is Exim.
fn reverse_name(hop: &Hop<'_>, theirs: Option<&str>) -> bool {
    let ours = word(hop.rdns);
    match (ours.as_deref(), theirs) {
        (Some(ours), Some(theirs)) => ours == theirs.trim_end_matches('.'),
        (Some("localhost"), None) => true,
        (Some(ours), None) => {
            word(hop.ident).is_some_and(|ident| ident.ends_with(&format!("@{ours}")))
                || word(hop.from).as_deref() == Some(ours)
        }
        (None, theirs) => theirs.is_none(),
    }
}

/// Theirs has few names; `Microsoft SMTP Server` and the like are SMTP.
fn with(ours: Protocol, theirs: Option<&str>) -> bool {
    let name = match ours {
        Protocol::Smtp | Protocol::Smtps | Protocol::MicrosoftSmtp | Protocol::MicrosoftSmtpsvc => "SMTP",
        Protocol::Esmtp => "ESMTP",
        Protocol::Esmtps => "ESMTPS",
        Protocol::Esmtpa => "ESMTPA",
        Protocol::Esmtpsa => "ESMTPSA",
        Protocol::Lmtp => "LMTP",
        Protocol::Lmtpa => "LMTPA",
        Protocol::Http => "HTTP",
        Protocol::Pop3 => "POP3",
        Protocol::Imap => "IMAP",
        Protocol::Local => "Local",
        Protocol::Mapi | Protocol::Other => return theirs.is_none(),
        _ => return false,
    };
    theirs == Some(name)
}

/// As the strict reader of dates has it.
fn date_ms(theirs: &Value) -> Option<i64> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let number = |key: &str| theirs[key].as_i64();
    let month = MONTHS.get(usize::try_from(number("month")? - 1).unwrap()).copied().unwrap_or("?");
    let sign = if theirs["tz_before_gmt"].as_bool()? { '-' } else { '+' };
    let text = format!(
        "{} {month} {} {}:{}:{} {sign}{:02}{:02}",
        number("day")?,
        number("year")?,
        number("hour")?,
        number("minute")?,
        number("second")?,
        number("tz_hour")?,
        number("tz_minute")?
    );
    // -1: no date that mail can write.
    Some(date::parse(text.as_bytes()).unwrap_or(-1))
}
