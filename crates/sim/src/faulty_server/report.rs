//! The report that a faulty server makes of recipients that were refused.

use std::sync::Arc;

use quell_mail::date;
use quell_wire::path::Path;

use super::Habits;
use crate::content::Content;
use crate::host::Moment;
use crate::mail_out::Letter;
use crate::publisher::path;

/// What the Message-ID of a report begins with.
const MARK: &str = "<report.";

/// Whether the Message-ID is a report's.
pub(super) fn is_one(message_id: &str) -> bool {
    message_id.starts_with(MARK)
}

/// A report to whom the copy named as its author (RFC 3464, without what nobody reads); its own
/// reverse-path is null, so that none is made of it.
pub(super) fn letter(habits: &Habits, to: &Path, failed: &[Path], at: Moment, serial: u64) -> Option<Letter> {
    let Habits { internal_name, domain, .. } = habits;
    let (message_id, date, to_address) =
        (format!("{MARK}{serial:08x}@{internal_name}>"), date::print(at.ms), to.address());
    let mut text = format!(
        "From: postmaster@{domain}\r\nTo: {to_address}\r\nDate: {date}\r\nMessage-ID: {message_id}\r\n\
         Subject: Delivery Status Notification (Failure)\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=delivery-status; boundary=part\r\n\r\n\
         --part\r\n\r\nDelivery to the following recipients failed.\r\n\r\n\
         --part\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; {internal_name}\r\n"
    );
    for recipient in failed.iter().map(Path::address) {
        text += &format!("\r\nFinal-Recipient: rfc822; {recipient}\r\nAction: failed\r\nStatus: 5.0.0\r\n");
    }
    Some(Letter {
        message_id: Arc::from(message_id),
        reverse_path: path("")?,
        recipients: vec![to.clone()],
        content: Content::from((text + "--part--\r\n").into_bytes()),
    })
}
