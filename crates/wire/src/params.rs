//! Parameters of MAIL and RCPT. Which are offered is for us to say; their values are read by
//! `smtp-proto`, but for ENVID and ORCPT: it passes faulty xtext, and refuses other types of
//! addresses than `rfc822`.

use std::borrow::Cow;

use smtp_proto::{
    MAIL_BODY_8BITMIME, MAIL_BODY_BINARYMIME, MAIL_RET_FULL, MAIL_RET_HDRS, MAIL_SMTPUTF8, RCPT_NOTIFY_DELAY,
    RCPT_NOTIFY_FAILURE, RCPT_NOTIFY_NEVER, RCPT_NOTIFY_SUCCESS, Request,
};

use crate::path::Path;
use crate::reply::Reply;
use crate::server::{MailFrom, Notify, RcptTo, Ret};
use crate::xtext;

/// Offered always (RFC 1870, RFC 6152, RFC 6531); those after them only with DSN (RFC 3461), the
/// last only with AUTH (RFC 4954 §5).
const MAIL_PARAMETERS: [&str; 6] = ["SIZE", "BODY", "SMTPUTF8", "RET", "ENVID", "AUTH"];
/// In the place of a parameter that is not offered: no name has a space in it.
const NOT_OFFERED: &str = " ";
const RCPT_PARAMETERS: [&str; 2] = ["NOTIFY", "ORCPT"];

/// Reads the parameters in `rest`, which is empty or begins with a space. `AUTH=` is checked and
/// counts for nothing: nobody is trusted so far (RFC 4954 §5, last paragraph but one).
pub(crate) fn mail(reverse_path: Path, rest: &[u8], dsn: bool, auth: bool) -> Result<MailFrom, Reply> {
    let mut mail = MailFrom::plain(reverse_path);
    if rest.is_empty() {
        return Ok(mail);
    }
    let mut offered = MAIL_PARAMETERS;
    for (name, _) in offered.iter_mut().zip([true, true, true, dsn, dsn, auth]).filter(|(_, is)| !is) {
        *name = NOT_OFFERED;
    }
    let values = check_offered(rest, &offered)?;
    if values[5].is_some_and(|mailbox| !xtext::is_auth(mailbox)) {
        return Err(bad_value());
    }
    let line = line_without(b"MAIL FROM:<>", rest, &["ENVID", "AUTH"]);
    let Ok(Request::Mail { from }) = parse(&line) else {
        return Err(bad_value());
    };
    if from.flags & MAIL_BODY_BINARYMIME != 0 {
        return Err(not_offered());
    }
    let size = values[0].map(|size| number(size).ok_or_else(bad_value)).transpose()?;
    mail.size_bytes = size.filter(|size| *size > 0);
    mail.smtputf8 = from.flags & MAIL_SMTPUTF8 != 0;
    mail.eight_bit = from.flags & MAIL_BODY_8BITMIME != 0;
    mail.ret = match from.flags & (MAIL_RET_FULL | MAIL_RET_HDRS) {
        0 => None,
        MAIL_RET_FULL => Some(Ret::Full),
        _ => Some(Ret::Headers),
    };
    mail.envid = values[4].map(|value| xtext::envid(value).ok_or_else(bad_value)).transpose()?;
    Ok(mail)
}

/// Reads the parameters in `rest`, which is empty or begins with a space.
pub(crate) fn rcpt(forward_path: Path, rest: &[u8], dsn: bool) -> Result<RcptTo, Reply> {
    let mut rcpt = RcptTo { forward_path, notify: None, orcpt: None };
    if rest.is_empty() {
        return Ok(rcpt);
    }
    let values = check_offered(rest, if dsn { &RCPT_PARAMETERS[..] } else { &[] })?;
    let line = line_without(b"RCPT TO:<>", rest, &["ORCPT"]);
    let Ok(Request::Rcpt { to }) = parse(&line) else {
        return Err(bad_value());
    };
    let has = |flag| to.flags & flag != 0;
    rcpt.notify = values[0].map(|_| Notify {
        never: has(RCPT_NOTIFY_NEVER),
        success: has(RCPT_NOTIFY_SUCCESS),
        failure: has(RCPT_NOTIFY_FAILURE),
        delay: has(RCPT_NOTIFY_DELAY),
    });
    if rcpt.notify.is_some_and(|n| n.never && (n.success || n.failure || n.delay)) {
        return Err(bad_value());
    }
    rcpt.orcpt = values[1].map(|value| xtext::orcpt(value).ok_or_else(bad_value)).transpose()?;
    Ok(rcpt)
}

/// A command for `smtp-proto`, with all parameters in `rest` but those that are ours.
fn line_without(command: &[u8], rest: &[u8], ours: &[&str]) -> Vec<u8> {
    let mut line = command.to_vec();
    for parameter in rest.split(|b| *b == b' ').filter(|p| !p.is_empty()) {
        let name = parameter.split(|b| *b == b'=').next().unwrap_or_default();
        if !ours.iter().any(|ours| name.eq_ignore_ascii_case(ours.as_bytes())) {
            line.push(b' ');
            line.extend_from_slice(parameter);
        }
    }
    line.push(b'\n');
    line
}

/// `smtp-proto` on one command, which ends with LF.
pub(crate) fn parse(line: &[u8]) -> Result<Request<Cow<'_, str>>, smtp_proto::Error> {
    Request::parse(&mut line.iter())
}

/// Decimal digits; what passes 64 bits is as good as infinite. (`smtp-proto` 0.2.5 begins again
/// after an overflow: it reads 10^20 + 5 as 5, and a chunk of that size would end where its sender
/// likes.)
pub(crate) fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |n, b| {
        let digit = u64::from(b.checked_sub(b'0')?);
        (digit < 10).then(|| n.saturating_mul(10).saturating_add(digit))
    })
}

/// The values of those parameters in `rest` that are `offered`, in that order (at most six); an
/// empty one for a parameter that has none. Refuses the others, and a second one of a name.
fn check_offered<'a>(rest: &'a [u8], offered: &[&str]) -> Result<[Option<&'a [u8]>; 6], Reply> {
    let mut values = [None; 6];
    for parameter in rest.split(|b| *b == b' ').filter(|p| !p.is_empty()) {
        let end = memchr::memchr(b'=', parameter).unwrap_or(parameter.len());
        let named = |name: &&str| name.as_bytes().eq_ignore_ascii_case(&parameter[..end]);
        let which = offered.iter().position(named).ok_or_else(not_offered)?;
        let value = &parameter[parameter.len().min(end + 1)..];
        let without = end < parameter.len() && value.is_empty();
        if without || values[which].replace(value).is_some() {
            return Err(bad_value());
        }
    }
    Ok(values)
}

fn not_offered() -> Reply {
    Reply::new(555, (5, 4), "parameter not offered")
}

fn bad_value() -> Reply {
    Reply::new(501, (5, 4), "bad parameter")
}
