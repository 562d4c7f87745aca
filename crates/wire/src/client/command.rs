//! Commands as they go over the wire. Nothing that comes from a message or a peer can break a line:
//! paths are parsed ones, and parameters are checked here.

use super::offer::Offer;
use crate::server::{MailFrom, Notify, RcptTo, Ret};

/// Longest ENVID and ORCPT passed on (RFC 3461 §4 asks for 100 and 500); a longer one is left out.
const MAX_PARAMETER_BYTES: usize = 500;

/// EHLO, HELO or LHLO.
pub(super) fn hello(out: &mut Vec<u8>, verb: &str, our_name: &str) {
    let name: String = our_name.chars().filter(char::is_ascii_graphic).collect();
    push(out, &[verb, " ", &name, "\r\n"]);
}

/// MAIL (RFC 5321 §4.1.1.2) with the parameters that are offered and needed.
pub(super) fn mail(out: &mut Vec<u8>, mail: &MailFrom, smtputf8: bool, offer: &Offer) {
    push(out, &["MAIL FROM:<", mail.reverse_path.address(), ">"]);
    if let Some(bytes) = mail.size_bytes.filter(|_| offer.size) {
        push(out, &[" SIZE=", &bytes.to_string()]);
    }
    if mail.eight_bit && offer.eight_bit {
        push(out, &[" BODY=8BITMIME"]);
    }
    if smtputf8 {
        push(out, &[" SMTPUTF8"]);
    }
    if offer.dsn {
        match mail.ret {
            Some(Ret::Full) => push(out, &[" RET=FULL"]),
            Some(Ret::Headers) => push(out, &[" RET=HDRS"]),
            None => {}
        }
        if let Some(envid) = mail.envid.as_deref().filter(|value| is_parameter(value)) {
            push(out, &[" ENVID=", envid]);
        }
    }
    push(out, &["\r\n"]);
}

/// RCPT (RFC 5321 §4.1.1.3).
pub(super) fn rcpt(out: &mut Vec<u8>, rcpt: &RcptTo, offer: &Offer) {
    push(out, &["RCPT TO:<", rcpt.forward_path.address(), ">"]);
    if offer.dsn {
        if let Some(notify) = rcpt.notify {
            push(out, &[&notify_parameter(notify)]);
        }
        if let Some(orcpt) = rcpt.orcpt.as_deref().filter(|value| is_parameter(value)) {
            push(out, &[" ORCPT=", orcpt]);
        }
    }
    push(out, &["\r\n"]);
}

/// NEVER stands alone; of nothing at all there is no NOTIFY (RFC 3461 §4.1).
fn notify_parameter(notify: Notify) -> String {
    if notify.never {
        return " NOTIFY=NEVER".to_owned();
    }
    let events = [(notify.success, "SUCCESS"), (notify.failure, "FAILURE"), (notify.delay, "DELAY")];
    let wanted: Vec<&str> = events.into_iter().filter(|(wanted, _)| *wanted).map(|(_, name)| name).collect();
    if wanted.is_empty() { String::new() } else { format!(" NOTIFY={}", wanted.join(",")) }
}

fn is_parameter(value: &str) -> bool {
    (1..=MAX_PARAMETER_BYTES).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_graphic())
}

fn push(out: &mut Vec<u8>, parts: &[&str]) {
    parts.iter().for_each(|part| out.extend_from_slice(part.as_bytes()));
}
