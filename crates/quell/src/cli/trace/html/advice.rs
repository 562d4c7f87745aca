//! What to do about a server, by what it does; and whom to tell.

use quell_storm::storm::{Culprit, CulpritClass};

use super::super::words;

/// What may be behind it, in a sentence, and what to do.
pub struct Advice {
    /// Over it.
    pub title: &'static str,
    /// What mostly lies behind it.
    pub cause: &'static str,
    /// What to do, the first thing first.
    pub steps: &'static [&'static str],
}

/// What to do about servers of this class.
pub fn advice(class: Option<CulpritClass>) -> Advice {
    match class {
        Some(CulpritClass::Resends) => RESENDS,
        Some(CulpritClass::Retries) => RETRIES,
        Some(CulpritClass::Injects) => INJECTS,
        Some(CulpritClass::Loops) => LOOPS,
        None => UNKNOWN,
    }
}

const RESENDS: Advice = Advice {
    title: "The server sends again what it has already sent",
    cause: "Most often a program on it collects mail from a mailbox at a provider (a “POP3 connector”) and \
            reads from the visible To and Cc lines whom the mail is for. Those lines name everybody who got \
            the message, so it is sent to all of them once more, at every collection.",
    steps: &[
        "Stop the program that collects the mail (the POP3 connector) now. The copies stop with it; mail \
         waits safely at the provider.",
        "Empty the outgoing queue of the server of copies of this message, and look into its pickup folder: \
         files left there are sent again after a restart.",
        "Let each collected mailbox be delivered to exactly one user, or let the provider send the mail \
         straight to the server by SMTP. Mail must never be routed by its To and Cc lines.",
        "Where one mailbox is collected for many users, use the line in which the provider writes the real \
         recipient (Delivered-To, X-Original-To or Envelope-To), and nothing else.",
        "If it is a Windows Small Business Server 2003: public articles of the time (2005) name the vendor's \
         patches KB835734 and KB886208 for this fault. What is inside them is no longer public; the software \
         is long out of support, so replacing it is the lasting remedy.",
        "Afterwards send one test message with several recipients in To and Cc, and see that it goes out to \
         nobody.",
    ],
};

const RETRIES: Advice = Advice {
    title: "The server sends again because the answer comes too late",
    cause: "After the last line of a message the receiver has to say that it has taken it over. If it checks \
            the message for so long that the sender gives up waiting, the receiver has the message and the \
            sender believes it has not: it must send it again. RFC 1047 describes this; RFC 5321, section \
            6.1, asks receivers to answer at once. The sender follows the rules; the remedy is mostly on the \
            receiving side.",
    steps: &[
        "On the receiving server, look at how long the content filter (virus and spam check) takes between \
         the end of the message and the answer. It should be seconds.",
        "Give the filter a limit well below the sender's patience, or let it check after the answer was \
         given.",
        "On the sending server, see that it waits at least 10 minutes for the answer after the end of the \
         message (RFC 5321, section 4.5.3.2.6).",
        "Look for a firewall or a proxy between the two that cuts connections which are silent for a while.",
    ],
};

const INJECTS: Advice = Advice {
    title: "The same message is handed in again and again",
    cause: "A program, a script or a mail client submits the message anew, often because it did not note that \
            it had been sent, or because two copies of it run at once.",
    steps: &[
        "Find what hands it in: the server's log names the account or the program for each id in the \
         evidence above.",
        "Let the program note, before it sends, what it is about to send, and look there before it sends \
         again.",
        "Look at scheduled jobs (cron) and queue runners: does the same job run twice, or start before the \
         last one has ended?",
        "If nobody knows the program: somebody else may be using the account. Change its password and look \
         where the logins came from.",
    ],
};

const LOOPS: Advice = Advice {
    title: "The message goes round in a circle",
    cause: "Two rules point at each other: a mailbox forwards to another that forwards back, or a list is \
            subscribed to itself.",
    steps: &[
        "Look for forwarding rules that point at each other, in the mailboxes and in the server, and remove \
         one of each pair.",
        "Look through the subscribers of mailing lists for the address of a list, or of a mailbox that \
         forwards to one.",
        "See that the server refuses a message that has passed too many servers (RFC 5321, section 6.3), and \
         that forwarding keeps the Received lines: without them no server can notice the circle.",
    ],
};

const UNKNOWN: Advice = Advice {
    title: "The server makes copies",
    cause: "How it does that could not be told from the copies alone.",
    steps: &[
        "Look into the server's log for the ids in the evidence above: what was done with the message each \
         time?",
        "Stop what collects or forwards mail there until that is clear, and empty the outgoing queue of \
         copies.",
    ],
};

/// Ends of names that mean nothing outside of the house they are used in.
const INTERNAL: [&str; 9] =
    [".local", ".lan", ".internal", ".intranet", ".home", ".corp", ".localdomain", ".localhost", ".arpa"];

/// Whom to send the page to, in a sentence.
pub fn whom_to_tell(culprit: &Culprit) -> String {
    let address = culprit
        .ip
        .map(|ip| format!("the abuse contact that the registry (RIPE, ARIN and so on) lists for {ip}"));
    match (culprit.host.as_deref().and_then(domain), address) {
        (Some(domain), Some(address)) => {
            format!("postmaster@{domain} and abuse@{domain}; if nobody answers, {address}")
        }
        (Some(domain), None) => format!("postmaster@{domain} and abuse@{domain}"),
        (None, Some(address)) => format!("{address}; its own name is not a public one"),
        (None, None) => format!("whoever looks after {}", words::name(culprit)),
    }
}

/// The domain that a server most likely belongs to: its name without the first part, if it is a
/// public name of three parts or more.
fn domain(host: &str) -> Option<&str> {
    let host = host.trim_end_matches('.');
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    let internal = INTERNAL.iter().any(|end| host.to_ascii_lowercase().ends_with(end));
    let is_address = host.parse::<std::net::IpAddr>().is_ok();
    if internal || is_address || !host.contains('.') || !host.chars().all(fits) {
        return None;
    }
    let rest = host.split_once('.').map(|(_, rest)| rest);
    rest.filter(|rest| rest.contains('.') && !is_registry(rest)).or(Some(host))
}

/// True of `co.uk` and its like, under which firms have their domains.
fn is_registry(domain: &str) -> bool {
    const SECOND: [&str; 10] = ["co", "com", "org", "net", "ac", "gov", "edu", "ne", "or", "go"];
    domain.split_once('.').is_some_and(|(second, top)| top.len() == 2 && SECOND.contains(&second))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_is_public_or_none() {
        assert_eq!(domain("mail.firm.example"), Some("firm.example"));
        assert_eq!(domain("firm.example."), Some("firm.example"));
        assert_eq!([domain("firm.co.uk"), domain("mail.firm.co.uk")], [Some("firm.co.uk"); 2]);
        assert_eq!([domain("server"), domain("sbs.local"), domain("192.0.2.1"), domain("a b.c")], [None; 4]);
    }
}
