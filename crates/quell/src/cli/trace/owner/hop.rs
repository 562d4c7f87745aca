//! One line of a header, cut down to what it says about machines.

use std::net::IpAddr;

use super::software::{is_about_people, software};

/// Longest line looked at, in characters; what stands behind is left out.
const MAX_LINE: usize = 2_000;
/// Longest host name (RFC 1035 §2.3.4) and longest id kept.
const MAX_HOST: usize = 253;
const MAX_ID: usize = 100;
/// What stands in place of what was left out.
const GONE: &str = "…";

/// `text`, a line of a header, with nothing in it but machines, programs, ids and times. A line of
/// which nothing may be said is empty: so are sentences, since any word in them may be a name.
pub fn hop_line(text: &str) -> String {
    let text: String = text.chars().take(MAX_LINE).collect();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (name, rest) = text.split_once(':').unwrap_or_default();
    match name.to_ascii_lowercase().as_str() {
        "received" | "x-received" => named(name, received(rest)),
        "date" | "resent-date" | "delivery-date" | "x-originalarrivaltime" => named(name, date(rest)),
        "message-id" | "resent-message-id" | "in-reply-to" => named(name, message_id(rest)),
        "x-mailer" | "user-agent" | "x-mimeole" => named(name, software(rest)),
        "to" | "cc" | "delivered-to" | "x-original-to" | "envelope-to" => named(name, pop3_connector(rest)),
        _ if ["from ", "by ", "("].iter().any(|start| text.starts_with(start)) => received(&text),
        _ => String::new(),
    }
}

fn named(name: &str, rest: String) -> String {
    if rest.is_empty() { rest } else { format!("{name}: {rest}") }
}

/// A host name or an address; of `local-part@host` the host. None if it looks like neither.
pub fn host(word: &str) -> Option<String> {
    let word = word.trim().trim_matches(',');
    // Without an at-sign, what stands in angle brackets is somebody's.
    let word = if word.contains('@') { word.trim_matches(['<', '>']) } else { word };
    let word = word.rsplit('@').next().unwrap_or_default().trim_end_matches('.');
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
    let is_name = !word.is_empty() && word.len() <= MAX_HOST && word.chars().all(fits);
    // A colon belongs to an address; elsewhere it may part a name from a word.
    (is_name && (!word.contains(':') || address(word).is_some())).then(|| word.to_owned())
}

fn address(word: &str) -> Option<IpAddr> {
    let inner = word.trim_matches(['[', ']', '(', ')', ',', ';']);
    let inner = inner.get(..5).filter(|tag| tag.eq_ignore_ascii_case("ipv6:")).map_or(inner, |_| &inner[5..]);
    inner.parse().ok()
}

/// An id; of one with an at-sign only what stands behind it. None if it holds anything strange.
pub fn id(word: &str) -> Option<String> {
    if word.contains('@') {
        return Some(message_id(word));
    }
    let word = word.trim_matches(['<', '>', ',', ';']);
    let fits = |c: char| c.is_ascii_alphanumeric() || "-._+/=#".contains(c);
    (!word.is_empty() && word.len() <= MAX_ID && word.chars().all(fits)).then(|| word.to_owned())
}

/// A Message-ID without its left side, which may hold a local part, and without a right side that is the bare
/// name of somebody's computer.
pub fn message_id(text: &str) -> String {
    let domain = text.contains('@').then(|| host(text)).flatten().filter(|domain| domain.contains('.'));
    format!("<{GONE}@{}>", domain.as_deref().unwrap_or(GONE))
}

/// The mark of a POP3 connector: `mspop3connector.USER@DOMAIN`, without the user. Empty without it.
fn pop3_connector(rest: &str) -> String {
    let words = rest.split([' ', ',', ';']);
    let marked = words.filter(|word| word.to_ascii_lowercase().contains("mspop3connector."));
    let shown = marked.map(|word| {
        let domain = host(word).filter(|_| word.contains('@'));
        format!("<mspop3connector.{GONE}@{}>", domain.as_deref().unwrap_or(GONE))
    });
    shown.collect::<Vec<_>>().join(", ")
}

/// A date and a `FILETIME`, by the words a date may have.
fn date(text: &str) -> String {
    text.split(' ').filter(|word| is_of_date(word)).collect::<Vec<_>>().join(" ")
}

fn is_of_date(word: &str) -> bool {
    const WORDS: [&str; 35] = [
        "mon", "tue", "wed", "thu", "fri", "sat", "sun", "jan", "feb", "mar", "apr", "may", "jun", "jul",
        "aug", "sep", "oct", "nov", "dec", "gmt", "utc", "ut", "est", "edt", "cst", "cdt", "mst", "mdt",
        "pst", "pdt", "bst", "ist", "cet", "cest", "z",
    ];
    let hex = word.strip_prefix("FILETIME=[").and_then(|word| word.strip_suffix(']'));
    if let Some(hex) = hex {
        return hex.len() <= 20 && hex.chars().all(|c| c.is_ascii_hexdigit() || c == ':');
    }
    let bare = word.trim_matches(['(', ')', ',', ';']).to_ascii_lowercase();
    let number = !bare.is_empty() && bare.chars().all(|c| c.is_ascii_digit() || ":+-./".contains(c));
    WORDS.contains(&bare.as_str()) || (number && bare.len() <= 25)
}

/// What a stamp is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Word(String),
    Comment(String),
}

/// A `Received` field, rebuilt from the clauses that are about machines.
fn received(text: &str) -> String {
    let (clauses, at) = text.rsplit_once(';').unwrap_or((text, ""));
    let pieces = pieces(clauses);
    let mut line = Vec::new();
    let mut after = String::new();
    for piece in &pieces {
        match piece {
            // The recipient: nothing behind it can be told from a part of it.
            Piece::Word(word) if word.eq_ignore_ascii_case("for") => break,
            Piece::Word(word) if is_keyword(word) => {
                after = word.to_ascii_lowercase();
                line.push(word.clone());
            }
            Piece::Word(word) => line.extend(value(&after, word, &line)),
            Piece::Comment(comment) => line.extend(comment_kept(&after, comment)),
        }
    }
    hide_local_user(&pieces, &mut line);
    let at = date(at.trim());
    if at.is_empty() { line.join(" ") } else { format!("{}; {at}", line.join(" ")) }
}

fn is_keyword(word: &str) -> bool {
    ["from", "by", "with", "id", "via"].iter().any(|keyword| word.eq_ignore_ascii_case(keyword))
}

/// The value of a clause. A second word is kept only if it is one of a program's.
fn value(after: &str, word: &str, line: &[String]) -> Option<String> {
    let is_first = line.last().is_some_and(|last| is_keyword(last));
    let known = || Some(software(word)).filter(|text| !text.is_empty());
    match after {
        "from" | "by" if is_first => host(word).or_else(|| Some(GONE.to_owned())),
        "id" if is_first => id(word).or_else(|| Some(GONE.to_owned())),
        _ => known(),
    }
}

/// Exim names a local user where others name a host: `from jane by mx.example with local`.
fn hide_local_user(pieces: &[Piece], line: &mut [String]) {
    let word = |n: usize| match pieces.get(n) {
        Some(Piece::Word(word)) => word.to_ascii_lowercase(),
        _ => String::new(),
    };
    let local = (0..pieces.len()).any(|n| word(n) == "with" && word(n + 1) == "local");
    let is_from = line.first().is_some_and(|first| first.eq_ignore_ascii_case("from"));
    if let Some(user) = line.get_mut(1).filter(|name| local && is_from && !is_keyword(name)) {
        GONE.clone_into(user);
    }
}

fn comment_kept(after: &str, comment: &str) -> Option<String> {
    if is_about_people(comment) {
        return None;
    }
    let kept = if after == "from" || after.is_empty() { of_sender(comment) } else { software(comment) };
    (!kept.is_empty()).then(|| format!("({kept})"))
}

/// The comment behind a sender's name: what the server itself found out about it.
fn of_sender(comment: &str) -> String {
    let words: Vec<_> = comment.split(' ').collect();
    let has_address = words.iter().any(|word| address(after_at(word)).is_some());
    let mut kept: Vec<String> = Vec::new();
    for word in words {
        let says_name =
            kept.last().is_some_and(|last| ["helo", "ehlo"].contains(&last.to_ascii_lowercase().as_str()));
        let helo = word.strip_prefix("helo=").or_else(|| word.strip_prefix("HELO="));
        let shown = match helo {
            Some(name) => host(name).map(|name| format!("helo={name}")),
            None if address(after_at(word)).is_some() => Some(after_at(word).to_owned()),
            None if says_name || (has_address && word.contains('.')) => host(word),
            None => Some(software(word)).filter(|text| !text.is_empty()),
        };
        kept.extend(shown);
    }
    kept.join(" ")
}

fn after_at(word: &str) -> &str {
    word.rsplit('@').next().unwrap_or_default()
}

/// Words and comments of a field. A comment in a comment is a part of it, and so is one that stands
/// right behind a word: `SMTPSVC(6.0.3790.1830)`. One without an end goes to the end.
fn pieces(text: &str) -> Vec<Piece> {
    let (mut found, mut piece, mut depth) = (Vec::new(), String::new(), 0_usize);
    for c in text.chars() {
        match c {
            ' ' if depth == 0 => end_piece(&mut piece, &mut found),
            '(' => {
                depth += 1;
                piece.push(c);
            }
            ')' => {
                depth = depth.saturating_sub(1);
                piece.push(c);
                if depth == 0 {
                    end_piece(&mut piece, &mut found);
                }
            }
            c => piece.push(c),
        }
    }
    end_piece(&mut piece, &mut found);
    found
}

fn end_piece(piece: &mut String, found: &mut Vec<Piece>) {
    let text = std::mem::take(piece);
    found.extend(match text.strip_prefix('(') {
        _ if text.is_empty() => None,
        Some(comment) => Some(Piece::Comment(comment.strip_suffix(')').unwrap_or(comment).trim().to_owned())),
        None => Some(Piece::Word(text)),
    });
}
