//! Words of a stamp that are about programs and protocols, by list: what is not in it may be a name.

/// What programs write into comments, after `with` and into `X-Mailer`, in lower case.
const KNOWN: &str = "postfix exim sendmail qmail exchange microsoft smtpsvc smtp esmtp esmtps esmtpa esmtpsa lmtp \
    lmtps lmtpa lmtpsa utf8smtp utf8smtps utf8smtpa utf8smtpsa utf8lmtp asmtp smtps http https httpu \
    httprest imap imap4 pop3 pop uucp bsmtp local local-esmtp courier zmailer domino lotus ibm notes \
    release fetchmail getmail getmail6 mpop ecartis listar mailman majordomo ezmlm sympa google mail \
    pickup service server transport frontend mailbox security mapi id via single-drop multi-drop \
    multidrop singledrop amavisd amavisd-new amavis spamassassin spamd mimedefang mailscanner \
    mdaemon mailenable hmailserver kerio connect imail mercury groupwise gwia communigate pro haraka \
    opensmtpd mox maddy stalwart kumomta powermta ecelerity momentum zimbra zcs cyrus dovecot \
    archiveopteryx surgemail xmail merak icewarp axigen qpsmtpd netqmail magicmail barracuda \
    ironport proofpoint mimecast trend symantec sophos outlook express collaboration data objects \
    cdo for windows small business popcon popbeamer connector mspop3connector nullmailer ssmtp msmtp \
    cron phpmailer swiftmailer thunderbird mozilla debian ubuntu freebsd linux gnu using tls ssl \
    with cipher bits verified not no ok client certificate requested present key-exchange ecdhe \
    server-signature server-digest rsa-pss rsa ecdsa x25519 sha256 sha384 version network invoked by \
    uid alias from filetime produced mimeole v build utc gmt unknown helo ehlo may be forged \
    misconfigured sender host sun java messaging system iplanet intermail vm mta quell rspamd srs 2k \
    sp1 sp2 sp3 sp4";
/// Words that name a person next; a comment with one of them is left out whole.
const ABOUT_PEOPLE: &str = "auth authenticated authid account user userid login envelope envelope-from envelope-sender \
    env-from orcpt rcpt recipient mailfrom smtp.mailfrom return-path original for to deliver \
    delivered cn name subject";
/// Longest version number, in characters.
const MAX_VERSION: usize = 24;
/// Longest number without a dot: a process, a size of a key.
const MAX_PLAIN_NUMBER: usize = 6;

/// The words of `text` that are about programs and protocols, with what joins them.
pub fn software(text: &str) -> String {
    let mut kept = String::new();
    for word in text.split_whitespace() {
        let word = word_kept(word);
        if !word.is_empty() {
            kept.push_str(if kept.is_empty() { "" } else { " " });
            kept.push_str(&word);
        }
    }
    kept
}

/// True if a comment tells who somebody is.
pub fn is_about_people(comment: &str) -> bool {
    let words = comment.split(|c: char| !(c.is_alphanumeric() || "-._".contains(c)));
    words
        .map(str::to_ascii_lowercase)
        .any(|word| is_listed(ABOUT_PEOPLE, &word) && !(word == "for" && comment.contains("CDO")))
}

/// The known pieces of a word, and what joins two of them: `SMTPSVC(6.0.3790.1830)`, `Haraka/2.8.27`.
fn word_kept(word: &str) -> String {
    if is_known(word) {
        return word.to_owned();
    }
    let joins = |c: char| matches!(c, '(' | ')' | '/' | ',' | '[' | ']' | '=' | ':' | ';' | '_');
    let (mut kept, mut rest) = (String::new(), word);
    while !rest.is_empty() {
        let end = rest.find(joins).unwrap_or(rest.len());
        let (piece, after) = rest.split_at(end);
        // One unknown piece spoils the word: half a name is a hint.
        if !piece.is_empty() && !is_known(piece) {
            return String::new();
        }
        let join = after.chars().take(1).collect::<String>();
        kept = kept + piece + &join;
        rest = after.get(join.len()..).unwrap_or_default();
    }
    if kept.chars().any(char::is_alphanumeric) { kept } else { String::new() }
}

fn is_listed(list: &str, word: &str) -> bool {
    list.split(' ').any(|listed| listed == word)
}

fn is_known(piece: &str) -> bool {
    let lower = piece.to_ascii_lowercase();
    is_listed(KNOWN, &lower) || is_version(&lower) || is_cipher(piece)
}

/// `6.0.3790.1830`, `v4.95`, `21543`. A long number without a dot may be a telephone's.
fn is_version(lower: &str) -> bool {
    let digits = lower.strip_prefix('v').unwrap_or(lower);
    let starts = digits.starts_with(|c: char| c.is_ascii_digit());
    let dotted = digits.chars().all(|c| c.is_ascii_digit() || c == '.');
    let longest = if digits.contains('.') { MAX_VERSION } else { MAX_PLAIN_NUMBER };
    starts && dotted && digits.len() <= longest
}

/// `TLSv1.3`, `TLS1_2`, `TLS_AES_256_GCM_SHA384`, `ECDHE-RSA-AES128-GCM-SHA256`.
fn is_cipher(piece: &str) -> bool {
    const PARTS: [&str; 21] = [
        "TLS", "SSL", "AES", "GCM", "SHA", "CHACHA20", "POLY1305", "ECDHE", "DHE", "RSA", "ECDSA", "CBC",
        "DES", "CBC3", "RC4", "MD5", "EDH", "ADH", "CAMELLIA", "WITH", "V",
    ];
    let mut parts = piece.split(['-', '_', '.']).peekable();
    let known = |part: &str| {
        let name = part.trim_end_matches(|c: char| c.is_ascii_digit());
        let name = name.strip_suffix('v').unwrap_or(name);
        PARTS.contains(&part) || PARTS.contains(&name) || (name.is_empty() && part.len() <= 3)
    };
    let begins =
        parts.peek().is_some_and(|part| !part.is_empty() && !part.starts_with(|c: char| c.is_ascii_digit()));
    begins && parts.all(known)
}
