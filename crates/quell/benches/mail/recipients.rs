//! One message to 10,000 recipients, in one transaction.

use crate::figures::{Aim, Section};
use crate::options::Options;
use crate::run::{COLUMNS, Pairs, postfix, quell, source, through};
use crate::support::peers::smtp_source::Load;

const RECIPIENTS: usize = 10_000;
/// One after the other.
const MESSAGES: usize = 4;

/// Against Postfix.
pub fn many(options: &Options) -> Section {
    let title = "One message to 10,000 recipients".to_owned();
    let mut section = Section { title, columns: COLUMNS.to_vec(), ..Section::default() };
    section.note(&format!(
        "{MESSAGES} messages of 4 KiB one after the other, `smtp-source -r`; rates are recipients a second. Postfix \
         takes so many in one transaction only with a larger `smtpd_recipient_limit`, which it has been given."
    ));
    // A tenth of the recipients would be another measurement.
    let messages = if options.quick { 1 } else { MESSAGES };
    let number = RECIPIENTS.to_string();
    let more = ["-d", "-r", &number];
    let load = Load { to: "jane@other.example", messages, bytes: 4096, more: &more, ..Load::default() };
    let pairs = Pairs::each_once(messages * RECIPIENTS);
    for _ in 0..options.rounds {
        through(&mut section, "Postfix", pairs, &postfix, &source(&load));
        through(&mut section, "quell", pairs, &quell(options), &source(&load));
    }
    let times = |column| section.ratio("quell", "Postfix", column);
    let (whole, accepted) = (times("a second, end to end"), times("accepted a second"));
    section.figure("recipients a second, end to end, against Postfix", Aim::AtLeast(5.0), whole, " ×");
    section.figure("recipients taken a second, against Postfix", Aim::AtLeast(5.0), accepted, " ×");
    section
}
