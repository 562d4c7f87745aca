//! The text of HTML, tags gone. No more than copies need: it must give the same for the same HTML,
//! and lines where a reader sees lines, so that an added footer is lines of its own.

use memchr::{memchr, memchr2, memmem};

use super::decode::entity;

/// Elements that a reader sees nothing of.
const HIDDEN: [&str; 5] = ["script", "style", "head", "title", "template"];
/// Elements that begin and end lines.
const LINES: [&str; 21] = [
    "br",
    "p",
    "div",
    "tr",
    "table",
    "li",
    "ul",
    "ol",
    "hr",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "blockquote",
    "pre",
    "body",
    "section",
    "center",
    "footer",
];

/// The text of `html`. Each byte is looked at a bounded number of times.
pub(super) fn text(html: &str) -> String {
    let mut out = String::with_capacity(html.len() / 2);
    let mut rest = html;
    while let Some(at) = memchr2(b'<', b'&', rest.as_bytes()) {
        add_line(&rest[..at], &mut out);
        rest = &rest[at..];
        let read = if rest.starts_with('&') { entity(rest, &mut out) } else { tag(rest, &mut out) };
        let read = read.unwrap_or_else(|| {
            // It stands for itself.
            out.push_str(&rest[..1]);
            1
        });
        rest = &rest[read..];
    }
    add_line(rest, &mut out);
    out
}

/// Line ends in HTML are spaces.
fn add_line(text: &str, out: &mut String) {
    for (n, line) in text.split('\n').enumerate() {
        if n > 0 {
            out.push(' ');
        }
        out.push_str(line);
    }
}

/// Reads the tag, or comment, at the start of `html`; its length, that of what it hides included.
fn tag(html: &str, out: &mut String) -> Option<usize> {
    let bytes = html.as_bytes();
    if bytes.starts_with(b"<!--") {
        return Some(memmem::find(&bytes[4..], b"-->").map_or(bytes.len(), |end| end + 7));
    }
    let closes = bytes.get(1) == Some(&b'/');
    let start = 1 + usize::from(closes);
    if !bytes.get(start).is_some_and(|b| b.is_ascii_alphabetic() || matches!(b, b'!' | b'?')) {
        return None;
    }
    // A tag that does not end is the rest.
    let end = memchr(b'>', bytes).map_or(bytes.len(), |at| at + 1);
    let len = bytes[start..end].iter().take_while(|b| b.is_ascii_alphanumeric()).count();
    let name = &html[start..start + len];
    let is_one_of = |names: &[&str]| names.iter().any(|n| n.eq_ignore_ascii_case(name));
    if is_one_of(&LINES) {
        out.push('\n');
    } else if ["td", "th"].iter().any(|n| n.eq_ignore_ascii_case(name)) {
        out.push(' ');
    } else if !closes && is_one_of(&HIDDEN) {
        return Some(end + hidden_len(&bytes[end..], name.as_bytes()));
    }
    Some(end)
}

/// Length of what stands before the end tag of the element `name`.
fn hidden_len(bytes: &[u8], name: &[u8]) -> usize {
    let ends = |at: &usize| {
        let tag = &bytes[*at + 1..];
        tag.first() == Some(&b'/') && tag.get(1..=name.len()).is_some_and(|n| n.eq_ignore_ascii_case(name))
    };
    memchr::memchr_iter(b'<', bytes).find(ends).unwrap_or(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_reader_sees() {
        for (html, wanted) in [
            ("a <b>b</b>\nc", "a b c"),
            ("<p>a</p><DIV class=\"x\">b</div>c<br/>d", "\na\n\nb\nc\nd"),
            ("<head><title>t</title></HEAD><body>a", "\na"),
            ("<style>p { } </p></style>a<script>x < y</script>", "a"),
            ("a<!-- <p> -->b<!-- open", "ab"),
            ("a &lt;b&gt; &amp; &uuml;&nbsp;&nosuch; & c", "a <b> & \u{fc}\u{a0}&nosuch; & c"),
            ("1 < 2 <> 3 < / 4", "1 < 2 <> 3 < / 4"),
            ("<!DOCTYPE html><?xml ?>a<td>b</td><b", "a b "),
            ("<style>open", ""),
        ] {
            assert_eq!(text(html), wanted, "{html}");
        }
    }
}
