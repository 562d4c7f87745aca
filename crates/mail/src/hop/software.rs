//! Which software wrote a stamp, where it tells.

use std::net::IpAddr;

use super::clauses::{Clause, Reader};
use super::lexer::{begins, is_space};
use super::protocol::{self, Protocol};
use super::{Hop, Word};

/// Pieces of a comment in which its version is looked for.
const MAX_PIECES: usize = 8;

/// Longest name of software that we do not know.
const MAX_NAME_BYTES: usize = 48;

/// Software that a stamp names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Software<'a> {
    /// Its usual name, `Postfix`, if we know it; else the word that stands in the stamp.
    pub name: Word<'a>,
    /// Its version as it is written, without a `v` before it.
    pub version: Option<Word<'a>>,
}

/// How a comment or `with` begins in lower case, and the name we give it.
const KNOWN: &[(&[u8], &[u8])] = &[
    (b"postfix", b"Postfix"),
    (b"exim", b"Exim"),
    (b"sendmail", b"Sendmail"),
    (b"microsoft smtp server", b"Microsoft Exchange"),
    (b"microsoft exchange internet mail", b"Microsoft Exchange"),
    (b"internet mail service", b"Microsoft Exchange"),
    (b"microsoft exchange", b"Microsoft Exchange"),
    (b"mapi", b"Microsoft Exchange"),
    (b"microsoft smtpsvc", b"Microsoft SMTPSVC"),
    (b"qmail-ldap", b"qmail-ldap"),
    (b"qmail-scanner", b"qmail-scanner"),
    (b"qmail", b"qmail"),
    (b"nullmailer", b"nullmailer"),
    (b"ofmipd", b"ofmipd"),
    (b"qpsmtpd", b"qpsmtpd"),
    (b"courier", b"Courier"),
    (b"zmailer", b"ZMailer"),
    (b"lotus domino", b"Lotus Domino"),
    (b"hcl domino", b"HCL Domino"),
    (b"ibm domino", b"IBM Domino"),
    (b"lotus smtp mta", b"Lotus Domino"),
    (b"ibm tcmcsepo", b"IBM z/OS CSSMTP"),
    (b"fetchmail", b"fetchmail"),
    (b"getmail", b"getmail"),
    (b"mpop", b"mpop"),
    (b"stalwart", b"Stalwart"),
    (b"haraka", b"Haraka"),
    (b"opensmtpd", b"OpenSMTPD"),
    (b"mimecast", b"Mimecast"),
    (b"zoho", b"Zoho"),
    (b"iplanet", b"Oracle Communications"),
    (b"sun java", b"Oracle Communications"),
    (b"oracle communications", b"Oracle Communications"),
    (b"cyrus", b"Cyrus"),
    (b"dovecot", b"Dovecot"),
    (b"mailenable", b"MailEnable"),
    (b"kerio", b"Kerio"),
    (b"communigate", b"CommuniGate"),
    (b"quell1", b"quell"),
    (b"ecartis", b"Ecartis"),
    (b"mdaemon", b"MDaemon"),
    (b"smtpd32", b"IMail"),
    (b"imail", b"IMail"),
    (b"ecelerity", b"Ecelerity"),
    (b"smap", b"smap"),
    (b"kumomta", b"KumoMTA"),
    (b"maddy", b"maddy"),
    (b"mox", b"mox"),
    (b"james", b"Apache James"),
    (b"xmail", b"XMail"),
    (b"argosoft", b"ArGoSoft"),
    (b"rockliffe", b"Rockliffe"),
    (b"hmailserver", b"hMailServer"),
    (b"novell", b"GroupWise"),
    (b"squirrelmail", b"SquirrelMail"),
    (b"roundcube", b"Roundcube"),
    (b"dragonfly mail agent", b"DragonFly Mail Agent"),
    (b"amavis", b"amavis"),
    (b"trustwave seg", b"Trustwave SEG"),
    (b"proxmox", b"Proxmox Mail Gateway"),
    (b"coremail", b"Coremail"),
    (b"halon", b"Halon"),
    (b"wp-smtpd", b"WP-SMTPD"),
    (b"msmtp", b"msmtp"),
    (b"nemesis", b"Nemesis"),
    (b"meproxy", b"MEProxy"),
    (b"pps", b"Proofpoint"),
    (b"smtp/yandex", b"Yandex"),
];

/// Domains whose servers tell by their name what they are, where nothing else does.
const HOUSES: [(&[u8], &[u8]); 8] = [
    (b".google.com", b"Google"),
    (b".gmail.com", b"Google"),
    (b".outlook.com", b"Microsoft 365"),
    (b".mimecast.com", b"Mimecast"),
    (b".zohomail.com", b"Zoho"),
    (b".zoho.com", b"Zoho"),
    (b".yahoo.com", b"Yahoo"),
    (b".iphmx.com", b"Cisco Secure Email"),
];

/// The name of software that `text` begins with, and how long it is there.
fn known(text: &[u8]) -> Option<(&'static [u8], usize)> {
    let first = text.first()? | 32;
    let candidates = KNOWN.iter().filter(|(begin, _)| begin[0] == first);
    candidates.into_iter().find_map(|(begin, name)| Some((*name, begins(text, begin)?)))
}

/// Sets the software, if none is known yet.
pub(super) fn set<'a>(reader: &mut Reader<'a>, name: &'static [u8], version: Option<&'a [u8]>) {
    if reader.hop.software.is_none() {
        reader.hop.software = Some(Software { name: Word(name), version: version.map(Word) });
    }
}

/// A comment behind `by`, `with` or `id`.
pub(super) fn read<'a>(reader: &mut Reader<'a>, text: &'a [u8]) {
    if let Some((name, len)) = known(text) {
        let version = if name == b"quell" { None } else { version_in(&text[len..]) };
        return set(reader, name, version);
    }
    if let Some(version) = sendmail(text) {
        reader.seen.local |= text.ends_with(b"/Submit");
        return set(reader, b"Sendmail", Some(version));
    }
    // `Microsoft SMTPSVC(5.0.2195.6713)`, `Internet Mail Service (5.5.2653.19)`.
    let words = match reader.clause {
        Clause::With => reader.hop.with,
        Clause::Via => reader.hop.via,
        _ => None,
    };
    let Some(words) = words else { return other(reader, text) };
    if let Some((name, len)) = known(words.0) {
        return set(reader, name, version_in(&words.0[len..]).or(version_in(text)));
    }
    // `via csmap (V4.1)`: a version alone is that of what stands before it.
    if is_version(text) && protocol::of(words.0) == Protocol::Other {
        let software = Software { name: words, version: version_in(text).map(Word) };
        reader.hop.software = reader.hop.software.or(Some(software));
        return;
    }
    other(reader, text);
}

fn is_version(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"v").or(text.strip_prefix(b"V")).unwrap_or(text);
    digits.first().is_some_and(u8::is_ascii_digit)
}

/// Software that we do not know, or a note that a server puts there.
fn other<'a>(reader: &mut Reader<'a>, text: &'a [u8]) {
    let version = version_in(text).filter(|_| text[0].is_ascii_alphabetic());
    // The name ends where the version begins, or a note: `SMTP Relay (MMS v5.0)`, `x, port 25`.
    let end = text.iter().position(|b| matches!(b, b'(' | b',' | b';' | b'/' | b'|')).unwrap_or(text.len());
    let end = version.map_or(end, |v| end.min(v.as_ptr().addr() - text.as_ptr().addr()));
    let name = text[..end].trim_ascii_end();
    let name = if version.is_some() { without_mark(name) } else { name };
    let in_name = |b: &u8| b.is_ascii_alphanumeric() || b" .-_+'&:#".contains(b);
    let is_name = (2..=MAX_NAME_BYTES).contains(&name.len())
        && name[0].is_ascii_alphabetic()
        && name.iter().all(in_name);
    let is_one_word = !name.iter().any(|b| is_space(*b));
    // `(mp010)`, `(rwcrmhc53)`: the receiver's own name, or that of a machine behind it.
    let is_machine = is_one_word && end == text.len() && version.is_none() && {
        name.iter().any(u8::is_ascii_digit) || is_by(reader, name)
    };
    if is_name && !is_machine {
        let software = Software { name: Word(name), version: version.map(Word) };
        reader.hop.software = reader.hop.software.or(Some(software));
    } else if !is_machine && !text.iter().all(|b| b.is_ascii_digit() || *b == b'.') {
        reader.unknown(text);
    }
}

/// A name without the word or letter before its version.
fn without_mark(name: &[u8]) -> &[u8] {
    let name = name.trim_ascii_end();
    let marks: [&[u8]; 8] = [b" version", b" release", b" v", b" r", b"-v", b"-", b"/", b" build"];
    let ends =
        |mark: &&&[u8]| name.len() > mark.len() && name[name.len() - mark.len()..].eq_ignore_ascii_case(mark);
    let len = marks.iter().find(ends).map_or(0, |mark| mark.len());
    name[..name.len() - len].trim_ascii_end()
}

/// Whether a comment only repeats the receiver's name.
fn is_by(reader: &Reader<'_>, name: &[u8]) -> bool {
    reader.hop.by.is_some_and(|by| by.0.get(..name.len()).is_some_and(|b| b.eq_ignore_ascii_case(name)))
}

/// Sendmail tells only its versions: `8.11.6/8.11.6`, `SGI-8.9.3/8.8.7`, `8.12.1/`.
fn sendmail(text: &[u8]) -> Option<&[u8]> {
    let slash = memchr::memchr(b'/', text)?;
    let version = &text[..slash];
    let version = version.strip_prefix(b"SGI-").unwrap_or(version);
    (version.starts_with(b"8.") && version.iter().all(|b| b.is_ascii_alphanumeric() || b".+-".contains(b)))
        .then_some(version)
}

/// The first piece that is a version: it begins with a digit, or with `v` and a digit, and has a
/// dot or stands behind a mark of one.
fn version_in(text: &[u8]) -> Option<&[u8]> {
    let pieces = text.split(|b| is_space(*b) || matches!(b, b'/' | b'-' | b'(' | b')' | b',' | b';' | b'|'));
    for piece in pieces.filter(|piece| !piece.is_empty()).take(MAX_PIECES) {
        let digits = match piece {
            [b'v' | b'V' | b'R', rest @ ..] => rest.strip_prefix(b".").unwrap_or(rest),
            rest => rest,
        };
        let is_marked = digits.len() < piece.len();
        if digits.first().is_some_and(u8::is_ascii_digit)
            && (is_marked || memchr::memchr(b'.', digits).is_some())
        {
            return Some(digits);
        }
    }
    None
}

/// What `with`, `via`, `by` and `id` tell of the software.
pub(super) fn from_words<'a>(hop: &mut Hop<'a>) {
    let is_exchange = matches!(hop.protocol, Protocol::MicrosoftSmtp | Protocol::Mapi);
    if is_exchange {
        let name: &[u8] =
            if house(hop) == Some(b"Microsoft 365") { b"Microsoft 365" } else { b"Microsoft Exchange" };
        hop.software = Some(Software { name: Word(name), version: hop.id });
        return;
    }
    if hop.software.is_some() {
        return;
    }
    if let Some(with) = hop.with {
        let words = with.0.strip_prefix(b"[").unwrap_or(with.0);
        // `with POP3 getmail 4.54`: in the first word or the second.
        let second =
            words.iter().position(|b| is_space(*b)).map_or(&b""[..], |at| words[at..].trim_ascii_start());
        let found = known(words).map(|(name, len)| (name, &words[len..]));
        if let Some((name, after)) = found.or(known(second).map(|(name, len)| (name, &second[len..]))) {
            hop.software = Some(Software { name: Word(name), version: version_in(after).map(Word) });
            return;
        }
    }
    if let Some(name) = house(hop) {
        hop.software = Some(Software { name: Word(name), version: None });
    }
}

fn house(hop: &Hop<'_>) -> Option<&'static [u8]> {
    let by = hop.by?.0;
    // Google's own machines: `by 2002:a05:6a00:…`, the form in 6to4 (RFC 3056) of 10/8.
    if let Some(IpAddr::V6(ip)) = hop.by_ip
        && ip.octets().starts_with(&[0x20, 0x02, 10])
    {
        return Some(b"Google");
    }
    let ends = |end: &[u8]| by.len() > end.len() && by[by.len() - end.len()..].eq_ignore_ascii_case(end);
    HOUSES.iter().find(|(end, _)| ends(end)).map(|(_, name)| *name)
}
