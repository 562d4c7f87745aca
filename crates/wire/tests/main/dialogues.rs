//! `tests/dialogues/*.txt`: what is sent, and everything that is said and reported, in order.
//!
//! `## name` begins a dialogue. `C: ` is a line sent, `c: ` the same without CRLF; both know `\r`,
//! `\n`, `\0`, `\t`, `\xNN`, and `\{N}` for N times the byte before it. `S: ` and `E: ` are as
//! `session_log` writes them, `= setting value` changes a setting, `A: code subject.detail text` is
//! the answer to the next question (without one it is yes). `#` is a comment.

use std::collections::VecDeque;
use std::sync::Arc;

use quell_wire::fuzz::session_log;
use quell_wire::reply::Reply;
use quell_wire::sasl::Mechanism;
use quell_wire::server::{BareNewlines, Settings};

struct Dialogue {
    name: String,
    settings: Settings,
    sent: Vec<u8>,
    answers: VecDeque<Option<Reply>>,
    expected: Vec<String>,
}

#[test]
fn dialogues() {
    let files = [
        include_str!("../dialogues/basics.txt"),
        include_str!("../dialogues/paths.txt"),
        include_str!("../dialogues/content.txt"),
        include_str!("../dialogues/limits.txt"),
        include_str!("../dialogues/lmtp.txt"),
        include_str!("../dialogues/tls.txt"),
        include_str!("../dialogues/auth.txt"),
    ];
    let mut count = 0;
    for file in files {
        for dialogue in file.split("\n## ").skip(1).map(read) {
            for cut in [dialogue.sent.len(), 1, 2, 7] {
                check(&dialogue, cut);
            }
            count += 1;
        }
    }
    assert!(count >= 40, "only {count} dialogues were found");
}

fn check(dialogue: &Dialogue, cut: usize) {
    let mut answers = dialogue.answers.clone();
    let log = session_log(&Arc::new(dialogue.settings.clone()), &dialogue.sent, cut, &mut |event| {
        answers.pop_front().flatten().unwrap_or_else(|| yes(event))
    });
    let (log, expected) = (log.join("\n"), dialogue.expected.join("\n"));
    assert_eq!(log, expected, "\n{} in pieces of {cut}; got:\n{log}\n", dialogue.name);
    assert!(answers.is_empty(), "{}: answers left", dialogue.name);
}

fn yes(event: &str) -> Reply {
    match event.split(' ').next() {
        Some("mail") => Reply::sender_ok(),
        Some("rcpt") => Reply::recipient_ok(),
        Some("begin") => Reply::go_ahead(),
        Some("signin") => Reply::new(235, (7, 0), "signed in"),
        _ => Reply::new(250, (0, 0), "queued"),
    }
}

fn read(text: &str) -> Dialogue {
    let mut lines = text.lines();
    let mut dialogue = Dialogue {
        name: lines.next().unwrap().to_owned(),
        settings: Settings::new("mx"),
        sent: vec![],
        answers: VecDeque::new(),
        expected: vec![],
    };
    for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
        match line.split_at(3) {
            ("C: ", text) => dialogue.sent.extend([unescape(text), b"\r\n".to_vec()].concat()),
            ("c: ", text) => dialogue.sent.extend(unescape(text)),
            ("A: ", "yes") => dialogue.answers.push_back(None),
            ("A: ", text) => dialogue.answers.push_back(Some(answer(text))),
            ("S: " | "E: ", _) => dialogue.expected.push(line.to_owned()),
            _ => set(&mut dialogue.settings, line),
        }
    }
    let protocol = if dialogue.settings.lmtp { "LMTP" } else { "ESMTP" };
    dialogue.expected.insert(0, format!("S: 220 mx {protocol} quell"));
    dialogue
}

fn answer(text: &str) -> Reply {
    let mut words = text.splitn(3, ' ');
    let code = words.next().unwrap().parse().unwrap();
    let (subject, detail) = words.next().unwrap().split_once('.').unwrap();
    let status = (subject.parse().unwrap(), detail.parse().unwrap());
    Reply::new(code, status, words.next().unwrap().to_owned())
}

fn set(settings: &mut Settings, line: &str) {
    let words: Vec<&str> = line.split(' ').collect();
    let number = || words[2].parse::<u32>().unwrap();
    match words[..2] {
        ["=", "max_message_bytes"] => settings.max_message_bytes = number().into(),
        ["=", "max_line_bytes"] => settings.max_line_bytes = number() as usize,
        ["=", "max_recipients"] => settings.max_recipients = number(),
        ["=", "max_refused_recipients"] => settings.max_refused_recipients = number(),
        ["=", "max_commands"] => settings.max_commands = number(),
        ["=", "max_errors"] => settings.max_errors = number(),
        ["=", "normalise"] => settings.bare_newlines = BareNewlines::Normalise,
        ["=", "lmtp"] => settings.lmtp = true,
        ["=", "offer_dsn"] => settings.offer_dsn = true,
        ["=", "offer_starttls"] => settings.offer_starttls = true,
        ["=", "require_tls"] => settings.require_tls = true,
        ["=", "auth"] => {
            settings.auth =
                words[2..].iter().map(|name| Mechanism::named(name.as_bytes()).unwrap()).collect();
        }
        ["=", "auth_required"] => settings.auth_required = true,
        _ => panic!("{line}"),
    }
}

fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((byte, tail)) = rest.split_first() {
        rest = tail;
        if *byte != b'\\' {
            bytes.push(*byte);
            continue;
        }
        let (kind, tail) = rest.split_first().unwrap();
        rest = tail;
        match kind {
            b'r' => bytes.push(b'\r'),
            b'n' => bytes.push(b'\n'),
            b't' => bytes.push(b'\t'),
            b'0' => bytes.push(0),
            b'x' => {
                bytes.push(u8::from_str_radix(str::from_utf8(&rest[..2]).unwrap(), 16).unwrap());
                rest = &rest[2..];
            }
            b'{' => {
                let end = rest.iter().position(|b| *b == b'}').unwrap();
                let times: usize = str::from_utf8(&rest[..end]).unwrap().parse().unwrap();
                let last = *bytes.last().unwrap();
                bytes.extend(std::iter::repeat_n(last, times - 1));
                rest = &rest[end + 1..];
            }
            other => bytes.push(*other),
        }
    }
    bytes
}
