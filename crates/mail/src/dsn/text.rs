//! The part for people: what happened, to whom, and what the sender can do.

use super::field::{Value, host};
use super::status::Status;
use super::{Action, Report, Told};
use crate::date;

/// Recipients named in the text; the status part names the rest.
pub const MAX_NAMED: usize = 100;

/// The order in which a text tells.
const ORDER: [Action; 4] = [Action::Failed, Action::Delayed, Action::Relayed, Action::Delivered];

/// The content of the part.
pub fn compose(report: &Report<'_>) -> String {
    let host = host(report.host);
    let mut out = format!("This is the mail system of {host}.\r\n");
    let mut left = MAX_NAMED;
    for action in ORDER.into_iter().filter(|action| report.any(*action)) {
        let opening = if report.collected.is_some() { COLLECTED } else { opening(action) };
        out += &format!("\r\n{opening}\r\n");
        for told in report.listed().iter().filter(|t| t.action == action).take(left) {
            left -= 1;
            put_recipient(&mut out, told, report.collected.is_none());
        }
        out += closing(action);
    }
    put_rest(&mut out, report, MAX_NAMED - left);
    if let Some(id) = report.collected {
        out += &kept(id);
    } else if report.any(Action::Failed) {
        out += &format!("\r\nHelp: postmaster@{host} is read by people.\r\n");
    }
    out
}

/// Of a message that nobody here has sent.
const COLLECTED: &str =
    "A message that was collected from a mailbox at a provider could not be\r\ndelivered to:";

/// Where it is, and what can be done: at the provider it may be gone.
fn kept(id: &str) -> String {
    format!(
        "\r\nNobody outside is told. The whole message is kept here for five days; once\r\n\
         the cause is mended, whoever runs this server lets it be tried again:\r\n\r\n    \
         quell queue retry {id}\r\n"
    )
}

fn opening(action: Action) -> &'static str {
    match action {
        Action::Failed => "Your message could not be delivered to:",
        Action::Delayed => "Your message has not been delivered yet to:",
        Action::Relayed => {
            "Your message was handed to the next server, which sends no report\r\n\
             of its own when it is delivered, for:"
        }
        Action::Delivered => "Your message was delivered to:",
    }
}

fn closing(action: Action) -> &'static str {
    match action {
        Action::Delayed => {
            "\r\nThis is only to let you know: you need not do anything. It is tried\r\n\
             again by itself, and you will be told if it is given up.\r\n"
        }
        _ => "",
    }
}

fn put_recipient(out: &mut String, told: &Told<'_>, advises: bool) {
    let status = Status::read(told.status, told.action);
    *out += "\r\n";
    *out += &Value::utf8(told.as_given).lines("  ");
    if matches!(told.action, Action::Failed | Action::Delayed) {
        *out += &Value::utf8(&status.to_string()).lines("    ");
    }
    if let Some(mta) = told.remote_mta {
        *out += &Value::ascii(&format!("(said by {})", host(mta))).lines("    ");
    }
    if told.action == Action::Failed && advises {
        *out += &Value::ascii(advice(told, &status)).lines("    ");
    }
    if let Some(ms) = told.will_retry_until_ms.filter(|_| told.action == Action::Delayed) {
        *out += &Value::ascii(&format!("It is tried until {}.", date::print(ms))).lines("    ");
    }
}

/// What the sender can do. Codes: RFC 3463 §3, RFC 7505 §4.
fn advice(told: &Told<'_>, status: &Status<'_>) -> &'static str {
    if told.maybe_delivered {
        return "It may have been delivered all the same: it was sent, and the answer stayed away. \
                Ask the recipient before you send it again.";
    }
    let (_, subject, detail) = status.enhanced;
    match (subject, detail) {
        (1, 7 | 8) | (7, 27) => "The receiving server does not take mail from your address.",
        (1, _) => "Please check the address: there may be a typing error in it.",
        (2, 2) => "The mailbox is full. Please tell the recipient in another way.",
        (2, 3) | (3, 4) => "Your message is too large. Please send it in a smaller form.",
        (2, _) => "The mailbox takes no mail. Please tell the recipient in another way.",
        (4, 6) => "The message went round in a circle. Please tell the recipient in another way.",
        (4, _) => "Please send it again later, or tell the recipient in another way.",
        (6, _) => "The receiving server cannot take the message in the form it has.",
        (7, _) => "The receiving server refused it by its rules.",
        _ => "If it is not clear what this means, please ask the postmaster.",
    }
}

fn put_rest(out: &mut String, report: &Report<'_>, named: usize) {
    let (told, listed) = (report.told.len(), report.listed().len());
    if listed > named {
        *out += &format!("\r\nThe attached status names {} further recipients.\r\n", listed - named);
    }
    if told > listed {
        *out += &format!("\r\nThere are {} more recipients, who are not listed here.\r\n", told - listed);
    }
}
