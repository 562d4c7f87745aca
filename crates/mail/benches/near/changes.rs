//! What happens to a message on its way that leaves it the same message.

use crate::mail::Message;
use crate::mime::{Body, Encoding, Part};

/// A kind of change, and a message as it leaves it. None: there is nothing in it that could be changed so.
pub type Change = (&'static str, fn(&Message) -> Option<Message>);

pub const CHANGES: [Change; 22] = [
    ("new Message-ID, Date and trace, To torn", torn),
    ("recipients added to To and Cc", recipients_added),
    ("names in From quoted anew", requoted),
    ("header folded anew", refolded),
    ("a tag before the subject", tagged),
    ("7bit or 8bit made quoted-printable", |m| encoded(m, Encoding::None, Encoding::QuotedPrintable)),
    ("7bit or 8bit made base64", |m| encoded(m, Encoding::None, Encoding::Base64)),
    ("quoted-printable made base64", |m| encoded(m, Encoding::QuotedPrintable, Encoding::Base64)),
    ("quoted-printable made 8bit", |m| encoded(m, Encoding::QuotedPrintable, Encoding::None)),
    ("base64 made quoted-printable", |m| encoded(m, Encoding::Base64, Encoding::QuotedPrintable)),
    ("UTF-8 made ISO-8859-1", to_latin_1),
    ("ISO-8859-1 made UTF-8", to_utf_8),
    ("other boundaries", other_boundaries),
    ("lines wrapped anew", rewrapped),
    ("a footer", |m| put_in(m, "", FOOTERS[0], HTML_FOOTERS[0])),
    ("footers of three passes", |m| put_in(m, "", &FOOTERS.concat(), &HTML_FOOTERS.concat())),
    ("the same footer three times", |m| put_in(m, "", &FOOTERS[0].repeat(3), &HTML_FOOTERS[0].repeat(3))),
    ("a warning at the start and a footer", |m| put_in(m, WARNING, FOOTERS[0], HTML_FOOTERS[0])),
    ("a footer as a part of its own", footer_part),
    ("a disclaimer within HTML", within_html),
    ("a disclaimer within plain text", within_plain),
    ("all at once", all_at_once),
];

const WARNING: &str = "[EXTERNAL] This message came from outside the firm. Be careful with links.\n\n";
const FOOTERS: [&str; 3] = [
    "_______________________________________________\nFriends mailing list\nFriends@lists.example\n\
     https://lists.example/mailman/listinfo/friends\n",
    "\n--\nThis message and its attachments are confidential and for the addressee only.\nIf you are not the \
     intended recipient, please tell the sender, and delete it.\n",
    "\nDiese Nachricht ist vertraulich.\nWenn Sie nicht der richtige Adressat sind, informieren Sie bitte den \
     Absender.\nMuster GmbH, Handelsregister Berlin HRB 4711\n",
];
const HTML_FOOTERS: [&str; 3] = [
    "<hr><div>Friends mailing list<br>https://lists.example/mailman/listinfo/friends</div>",
    "<p style=\"color:gray\">This message is <b>confidential</b> and for the addressee only.</p>",
    "<div>Diese Nachricht ist vertraulich.<br>Muster GmbH, Handelsregister Berlin</div>",
];

fn torn(message: &Message) -> Option<Message> {
    let again =
        message.with_fields(|f| (f.is("received") || f.is("cc") || f.is("mime-version")).then(Vec::new));
    let torn = b"<unlisted-recipients:>, <\"(no To-header on input)\"@server.local>,\n\t\"Recipient 1\" <jane@firm.example>";
    let again = again.with("To", torn).with("Message-ID", b"<X4711@server.local>");
    Some(again.with("Date", b"Sun, 22 Nov 2026 00:05:00 +0000").with("X-MimeOLE", b"Produced By"))
}

fn recipients_added(message: &Message) -> Option<Message> {
    let to = [message.value("to")?, b",\n added@firm.example"].concat();
    Some(message.with("To", &to).with("Cc", b"\"More, People\" <more@firm.example>"))
}

/// `Jane Doe <jane@firm.example>` as some servers write it again; the name first in base64, as others do.
fn requoted(message: &Message) -> Option<Message> {
    let from = String::from_utf8_lossy(message.value("from")?).into_owned();
    let (name, address) = from.split_once('<')?;
    let (name, address) = (name.trim().trim_matches('"'), address.split('>').next()?);
    if name.is_empty() || name.contains(['"', '<', '(']) || !address.contains('@') {
        return None;
    }
    let (local, domain) = address.rsplit_once('@')?;
    let name = crate::mime::base64(name.as_bytes());
    let name = String::from_utf8_lossy(&name[..name.len() - 1]).replace('\n', "");
    Some(message.with(
        "From",
        format!("=?utf-8?B?{name}?=\n {local}@{} <{address}>", domain.to_uppercase()).as_bytes(),
    ))
}

/// Each field on one line, or folded wherever there is a space; other white space at the folds.
fn refolded(message: &Message) -> Option<Message> {
    let mut wide = false;
    Some(message.with_fields(|f| {
        wide = !wide;
        // Names of folders and the like may hold spaces that mean something.
        if f.name.is_empty() || f.is("content-type") {
            return None;
        }
        let words: Vec<&[u8]> = f.value.split(u8::is_ascii_whitespace).filter(|w| !w.is_empty()).collect();
        let glue: &[u8] = if wide { b" " } else { b"\n\t" };
        Some([f.name, b": ", &words.join(glue), b"\n"].concat())
    }))
}

fn tagged(message: &Message) -> Option<Message> {
    Some(message.with("Subject", &[b"[EXTERNAL] ", message.value("subject")?].concat()))
}

/// The message with each text as `change` has it. None: nothing was changed.
fn texts(message: &Message, change: &mut dyn FnMut(&mut Part) -> bool) -> Option<Message> {
    let mut whole = Part::of(message);
    whole.change(&mut |part| part.is_text() && change(part)).then(|| whole.message())
}

fn encoded(message: &Message, from: Encoding, to: Encoding) -> Option<Message> {
    texts(message, &mut |part| {
        let decoded = part.decoded();
        let applies = part.encoding() == from && !decoded.trim_ascii().is_empty();
        if applies {
            part.encode(&decoded, to);
        }
        applies
    })
}

fn to_latin_1(message: &Message) -> Option<Message> {
    texts(message, &mut |part| {
        let decoded = part.decoded();
        let latin = std::str::from_utf8(&decoded).ok().and_then(|text| {
            text.chars()
                .map(|c| u8::try_from(u32::from(c)).ok().filter(|b| !(0x80..0xa0).contains(b)))
                .collect()
        });
        let Some(latin): Option<Vec<u8>> = latin.filter(|_| !decoded.is_ascii() && part.charset() == "utf-8")
        else {
            return false;
        };
        let kind = part.kind();
        part.set("Content-Type", &format!("{kind}; charset=\"ISO-8859-1\""));
        part.encode(&latin, Encoding::QuotedPrintable);
        true
    })
}

fn to_utf_8(message: &Message) -> Option<Message> {
    texts(message, &mut |part| {
        let decoded = part.decoded();
        let c1 = decoded.iter().any(|b| (0x80..0xa0).contains(b));
        if decoded.is_ascii() || c1 || part.charset() != "iso-8859-1" {
            return false;
        }
        let text: String = decoded.iter().map(|b| char::from(*b)).collect();
        let kind = part.kind();
        part.set("Content-Type", &format!("{kind}; charset=utf-8"));
        part.encode(text.as_bytes(), Encoding::Base64);
        true
    })
}

fn other_boundaries(message: &Message) -> Option<Message> {
    let mut whole = Part::of(message);
    let mut number = 0;
    rename(&mut whole, &mut number);
    (number > 0).then(|| whole.message())
}

fn rename(part: &mut Part, number: &mut usize) {
    let kind = part.kind();
    let Body::Parts { boundary, parts } = &mut part.body else { return };
    *number += 1;
    *boundary = format!("----=_NextPart_{number:03}_0001_01CA6B00.4711");
    let value = format!("{kind};\n\tboundary=\"{boundary}\"");
    parts.iter_mut().for_each(|part| rename(part, number));
    part.set("Content-Type", &value);
}

/// Plain texts with other line ends: a server in between has wrapped at 60.
fn rewrapped(message: &Message) -> Option<Message> {
    texts(message, &mut |part| {
        let Ok(text) = String::from_utf8(part.decoded()) else { return false };
        let mut wrapped = String::new();
        for line in text.split('\n') {
            let mut column = 0;
            for word in line.split(' ') {
                // What would look like a quotation, or a postmark, is not put at the start of a line.
                let breaks = column > 60 && !word.starts_with(['>', 'F']) && !word.is_empty();
                wrapped.push_str(if column == 0 {
                    ""
                } else if breaks {
                    "\n"
                } else {
                    " "
                });
                column = if breaks { 0 } else { column } + word.len() + 1;
                wrapped.push_str(word);
            }
            wrapped.push('\n');
        }
        let changed = part.kind() == "text/plain" && wrapped.trim() != text.trim();
        if changed {
            part.encode(wrapped.as_bytes(), Encoding::None);
        }
        changed
    })
}

/// A warning before, and a footer behind, the first plain text and the first HTML, as gateways do it.
fn put_in(message: &Message, warning: &str, footer: &str, html_footer: &str) -> Option<Message> {
    let mut done = Vec::new();
    texts(message, &mut |part| {
        let (decoded, encoding, kind) = (part.decoded(), part.encoding(), part.kind());
        if done.contains(&kind) {
            return false;
        }
        let text = if kind == "text/html" {
            let start = if warning.is_empty() { String::new() } else { format!("<div>{warning}</div>") };
            html_with(&decoded, start.as_bytes(), html_footer.as_bytes())
        } else {
            [warning.as_bytes(), &decoded, b"\n", footer.as_bytes()].concat()
        };
        done.push(kind);
        part.encode(&text, encoding);
        true
    })
}

fn html_with(html: &[u8], start: &[u8], end: &[u8]) -> Vec<u8> {
    let lower = html.to_ascii_lowercase();
    let find = |tag: &[u8]| memchr::memmem::find(&lower, tag);
    let body = find(b"<body").and_then(|at| memchr::memchr(b'>', &lower[at..]).map(|len| at + len + 1));
    let at = body.unwrap_or(0);
    let close = find(b"</body").filter(|close| *close >= at).unwrap_or(html.len());
    [&html[..at], start, &html[at..close], end, &html[close..]].concat()
}

/// What a list program does: the message becomes the first part, its footer the second.
fn footer_part(message: &Message) -> Option<Message> {
    let is_inner = |name: &[u8]| name.to_ascii_lowercase().starts_with(b"content-");
    let mut part = Message { header: Vec::new(), body: message.body.clone() };
    let outer = message.with_fields(|f| {
        if !is_inner(f.name) {
            return None;
        }
        part.header.extend_from_slice(f.whole);
        Some(Vec::new())
    });
    // What has no text, or only a file, gets no footer.
    texts(message, &mut |_| true)?;
    let body = [
        b"--list\n",
        &part.header[..],
        b"\n",
        &part.body,
        b"\n--list\nContent-Type: text/plain; charset=\"us-ascii\"\nContent-Disposition: inline\n\n",
        FOOTERS[0].as_bytes(),
        b"\n--list--\n",
    ]
    .concat();
    Some(Message { body, ..outer.with("Content-Type", b"multipart/mixed; boundary=\"list\"") })
}

fn within_html(message: &Message) -> Option<Message> {
    texts(message, &mut |part| {
        let html = part.decoded();
        let lower = html.to_ascii_lowercase();
        // Behind the paragraph or line in the middle.
        let ends: Vec<usize> = [&b"</p>"[..], b"<br>", b"</div>"]
            .iter()
            .flat_map(|tag| memchr::memmem::find_iter(&lower, tag).map(|at| at + tag.len()))
            .collect();
        if part.kind() != "text/html" || ends.is_empty() {
            return false;
        }
        let mut ends = ends;
        ends.sort_unstable();
        let (start, end) = html.split_at(ends[ends.len() / 2]);
        let encoding = part.encoding();
        part.encode(&[start, HTML_FOOTERS[1].as_bytes(), end].concat(), encoding);
        true
    })
}

fn within_plain(message: &Message) -> Option<Message> {
    texts(message, &mut |part| {
        let text = part.decoded();
        let ends: Vec<usize> = memchr::memmem::find_iter(&text, b"\n\n").map(|at| at + 2).collect();
        if part.kind() != "text/plain" || ends.is_empty() {
            return false;
        }
        let (start, end) = text.split_at(ends[ends.len() / 2]);
        let encoding = part.encoding();
        part.encode(&[start, FOOTERS[1].as_bytes(), b"\n", end].concat(), encoding);
        true
    })
}

fn all_at_once(message: &Message) -> Option<Message> {
    let mut copy = put_in(message, WARNING, FOOTERS[0], HTML_FOOTERS[0])?;
    for change in [torn, tagged, refolded, other_boundaries] {
        copy = change(&copy).unwrap_or(copy);
    }
    [Encoding::None, Encoding::QuotedPrintable]
        .iter()
        .find_map(|from| encoded(&copy, *from, Encoding::Base64))
        .or(Some(copy))
}
