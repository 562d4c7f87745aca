//! `tests/client/dialogues/*.txt`: everything that is sent, said and reported, in order.
//!
//! `## name` begins a dialogue. `C: ` is a line that the session sends, `B: ` the message as it goes
//! over the wire, `E: ` an event, as `session_log` writes them. `S: ` is a line that the next hop
//! says when the session waits, `s: ` one that comes in one piece with the line before it. `X: what`
//! ends the connection there: `closed`, `timeout WAIT` (the wait is checked), `ours`, `body` (while it is
//! sent). `T: secured` is the end of a handshake, `T: failed` that there is none. `D: ` is what is said, or `closed`, while the dot is written down. `M:` begins
//! another message when the session is done. `= setting value` changes a setting or the envelope.
//! `#` is a comment.

use std::collections::VecDeque;

use quell_wire::client::fuzz::{Asks, Does, envelope, path, session_log};
use quell_wire::client::{EightBit, Envelope, Lost, Session, Settings, Starttls};
use quell_wire::server::{Notify, Ret};

struct Dialogue {
    name: String,
    settings: Settings,
    envelope: Envelope,
    message: Vec<u8>,
    lines: Vec<String>,
}

#[test]
fn dialogues() {
    let files = [
        include_str!("dialogues/envelope.txt"),
        include_str!("dialogues/extensions.txt"),
        include_str!("dialogues/ends.txt"),
        include_str!("dialogues/lmtp.txt"),
        include_str!("dialogues/probe.txt"),
        include_str!("dialogues/configured.txt"),
        include_str!("dialogues/tls.txt"),
    ];
    let mut count = 0;
    for dialogue in files.iter().flat_map(|file| file.split("\n## ").skip(1)).map(read) {
        let has_unasked = dialogue.lines.iter().any(|line| line.starts_with("s: "));
        for cut in if has_unasked { &[usize::MAX][..] } else { &[usize::MAX, 1, 7] } {
            check(&dialogue, *cut);
        }
        count += 1;
    }
    assert!(count >= 40, "only {count} dialogues were found");
}

fn check(dialogue: &Dialogue, cut: usize) {
    let is_peers = |line: &&String| {
        ["S: ", "s: ", "D: ", "X: ", "M: ", "T: "].contains(&line.get(..3).unwrap_or_default())
    };
    let mut script: VecDeque<&String> = dialogue.lines.iter().filter(is_peers).collect();
    let session = Session::new(dialogue.settings.clone(), dialogue.envelope.clone());
    let log = session_log(session, &dialogue.message, cut, &mut |asks, log| {
        let now = match (asks, script.front()) {
            (Asks::Input(_), Some(_)) => true,
            (Asks::Tls, Some(line)) => line.starts_with("T: "),
            (Asks::Body, Some(line)) => matches!(line.as_str(), "X: ours" | "X: body"),
            (Asks::Dot, Some(line)) => line.starts_with("D: "),
            (Asks::Done, Some(line)) => line.starts_with("M: ") || *line == "X: closed",
            (_, None) => false,
        };
        match (now, asks) {
            (true, _) => peer(asks, &mut script, log, dialogue),
            (false, Asks::Input(wait)) => {
                panic!("{}: waits for {wait:?}:\n{}", dialogue.name, log.join("\n"))
            }
            (false, _) => Does::GoesOn,
        }
    });
    let (log, expected) = (log.join("\n"), dialogue.lines.join("\n"));
    assert_eq!(log, expected, "\n{} in pieces of {cut}; got:\n{log}\n", dialogue.name);
}

fn peer(asks: Asks, script: &mut VecDeque<&String>, log: &mut Vec<String>, dialogue: &Dialogue) -> Does {
    let line = script.pop_front().unwrap();
    match line.split_at(3) {
        ("X: ", what) => {
            log.push(match (asks, what.starts_with("timeout")) {
                (Asks::Input(wait), true) => format!("X: timeout {wait:?}"),
                _ => line.clone(),
            });
            Does::Lost(match what {
                "closed" | "body" => Lost::Closed,
                "broken" => Lost::Broken("it breaks TLS off".to_owned()),
                "ours" => Lost::Ours("the spool cannot be read".to_owned()),
                _ => Lost::TimedOut,
            })
        }
        ("D: ", "closed") => {
            log.push(line.clone());
            Does::Lost(Lost::Closed)
        }
        ("T: ", what) => {
            log.push(line.clone());
            if what == "secured" { Does::GoesOn } else { Does::NoTls }
        }
        ("M: ", _) => {
            log.push(line.clone());
            Does::Begin(dialogue.envelope.clone())
        }
        (_, text) => {
            log.push(line.clone());
            let mut said = format!("{text}\r\n");
            while matches!(asks, Asks::Input(_)) && script.front().is_some_and(|line| line.starts_with("s: "))
            {
                let line = script.pop_front().unwrap();
                log.push(line.clone());
                said += &format!("{}\r\n", &line[3..]);
            }
            Does::Says(said.into_bytes())
        }
    }
}

fn read(text: &str) -> Dialogue {
    let mut lines = text.lines();
    let mut dialogue = Dialogue {
        name: lines.next().unwrap().to_owned(),
        settings: Settings::new("me.example"),
        envelope: envelope(1),
        message: b"Subject: x\r\n\r\n.hi\r\n".to_vec(),
        lines: vec![],
    };
    for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
        match line.strip_prefix("= ") {
            Some(setting) => set(&mut dialogue, setting),
            None => dialogue.lines.push(line.to_owned()),
        }
    }
    dialogue
}

fn set(dialogue: &mut Dialogue, line: &str) {
    let (name, value) = line.split_once(' ').unwrap_or((line, ""));
    let (settings, envelope_) = (&mut dialogue.settings, &mut dialogue.envelope);
    match name {
        "lmtp" => settings.lmtp = true,
        "probe" => settings.probe = true,
        "starttls" => settings.starttls = Starttls::Offered,
        "require" => settings.starttls = Starttls::Required,
        "secure" => settings.secure = true,
        "configured" => settings.configured = true,
        "name" => settings.our_name = value.to_owned(),
        "bounce" => settings.eightbit = EightBit::Bounce,
        "max_recipients" => settings.max_recipients = value.parse().unwrap(),
        "window" => settings.pipelining_window_bytes = value.parse().unwrap(),
        "recipients" => envelope_.recipients = envelope(value.parse().unwrap()).recipients,
        "from" => envelope_.mail.reverse_path = path(value),
        "to" => envelope_.recipients[0].forward_path = path(value),
        "size" => envelope_.mail.size_bytes = value.parse().ok(),
        "8bit" => envelope_.mail.eight_bit = true,
        "smtputf8" => envelope_.mail.smtputf8 = true,
        "ret" => envelope_.mail.ret = Some(Ret::Headers),
        "envid" => envelope_.mail.envid = Some(value.to_owned()),
        "orcpt" => envelope_.recipients[0].orcpt = Some(value.to_owned()),
        "notify" => {
            let has = |name| value.split(',').any(|word| word == name);
            envelope_.recipients[0].notify = Some(Notify {
                never: has("never"),
                success: has("success"),
                failure: has("failure"),
                delay: has("delay"),
            });
        }
        "message" => dialogue.message = value.replace("\\r", "\r").replace("\\n", "\n").into_bytes(),
        _ => panic!("{line}"),
    }
}
