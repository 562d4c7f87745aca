//! Reports of mail that did not arrive (RFC 3464).

use super::letter::{Form, Letter, Party};
use crate::clock::Zone;
use crate::dice::Dice;

/// A message that somebody's server could not deliver.
#[derive(Debug, Clone)]
pub(super) struct Lost {
    pub from: String,
    pub to: String,
    pub subject: String,
    pub id: String,
}

impl Lost {
    pub fn new(letter: &Letter, to: &str) -> Self {
        Self {
            from: letter.from.address.clone(),
            to: to.to_owned(),
            subject: letter.subject.clone(),
            id: letter.id.clone(),
        }
    }
}

/// The report that `server` makes.
pub(super) fn report(lost: &Lost, server: &str, ms: i64, zone: Zone, dice: &mut Dice) -> Letter {
    let Lost { from, to, subject, id } = lost;
    let (status, why) = dice.pick([
        ("5.1.1", "550 5.1.1 User unknown"),
        ("5.1.1", "550 5.1.1 The email account that you tried to reach does not exist"),
        ("5.2.2", "552 5.2.2 Mailbox full"),
        ("5.1.2", "Host or domain name not found"),
        ("5.7.1", "554 5.7.1 Message rejected"),
    ]);
    let line = dice.hex(20);
    let text = format!(
        "This is the mail system at host {server}.\n\nI'm sorry to have to inform you that your message could not\n\
         be delivered to one or more recipients. It's attached below.\n\n<{to}>: {why}\n"
    );
    let body = format!(
        "--{line}\nContent-Description: Notification\nContent-Type: text/plain; charset=us-ascii\n\n{text}\n\
         --{line}\nContent-Description: Delivery report\nContent-Type: message/delivery-status\n\n\
         Reporting-MTA: dns; {server}\nX-Queue-ID: {}\n\nFinal-Recipient: rfc822; {to}\nAction: failed\nStatus: {status}\n\
         Diagnostic-Code: smtp; {why}\n\n--{line}\nContent-Description: Undelivered Message Headers\n\
         Content-Type: text/rfc822-headers\n\nMessage-ID: {id}\nFrom: <{from}>\nTo: <{to}>\nSubject: {subject}\n\n--{line}--\n",
        dice.upper_hex(10)
    );
    let kind = format!("multipart/report; report-type=delivery-status;\r\n\tboundary=\"{line}\"");
    let subject = dice.pick([
        "Undelivered Mail Returned to Sender",
        "Delivery Status Notification (Failure)",
        "Mail delivery failed: returning message to sender",
    ]);
    Letter {
        from: Party::new("Mail Delivery System", &format!("MAILER-DAEMON@{server}")),
        to: vec![Party::new("", from)],
        cc: Vec::new(),
        subject: subject.to_owned(),
        text,
        id: format!("<{}@{server}>", dice.letters(18)),
        date_ms: ms,
        zone,
        references: Vec::new(),
        fields: vec![("Auto-Submitted", "auto-replied".to_owned())],
        form: Form::Raw(kind, body),
    }
}
