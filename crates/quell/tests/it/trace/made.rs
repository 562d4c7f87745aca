//! Mail to be traced: storms of which we know who made them, and ordinary letters.

/// A server that sends one message again and again.
#[derive(Clone, Copy)]
pub(crate) struct Faulty {
    pub(crate) name: &'static str,
    pub(crate) ip: &'static str,
    pub(crate) subject: &'static str,
}

pub(crate) const KEARNEY: Faulty =
    Faulty { name: "mail.kearney.example", ip: "198.51.100.9", subject: "The quarterly letter" };
pub(crate) const BUILDER: Faulty =
    Faulty { name: "mail.builder.example", ip: "203.0.113.77", subject: "An invitation" };

/// People who get the copies.
pub(crate) const PEOPLE: [&str; 3] = ["jane", "bob", "eve"];

fn time(secs: usize) -> String {
    format!("Sat, 10 Dec 2005 {:02}:{:02}:{:02} +0000", 9 + secs / 3600 % 14, secs / 60 % 60, secs % 60)
}

/// The original and `rounds` copies of one message for each of [`PEOPLE`], as they come.
pub(crate) fn storm(faulty: &Faulty, rounds: usize) -> Vec<String> {
    let word = faulty.name.split('.').nth(1).expect("a name");
    let at_home = format!(
        "Received: from app.publisher.example (app.publisher.example [192.0.2.5])\n\tby out.publisher.example \
         (Postfix) with ESMTP id 4T01{word};\n\t{}\n",
        time(1)
    );
    let rest = format!(
        "Message-ID: <{word}.1@publisher.example>\nDate: {}\nFrom: News <news@publisher.example>\nTo: \
         jane@firm.example, bob@firm.example, eve@firm.example\nSubject: {}\n\nDear reader of {word},\n\nFrom \
         now on all is well.\n",
        time(0),
        faulty.subject
    );
    let mut all = Vec::new();
    for round in 0..=rounds {
        for (n, person) in PEOPLE.iter().enumerate() {
            let (id, secs) = (format!("{word}{round}x{n}"), round * 900 + n + 10);
            let (client, address) = match round {
                0 => ("out.publisher.example", "192.0.2.6"),
                _ => (faulty.name, faulty.ip),
            };
            let mut message = format!(
                "Received: from {client} ({client} [{address}])\n\tby mx.firm.example (Postfix) with ESMTP id 4T{id}\n\tfor \
                 <{person}@firm.example>; {}\n",
                time(secs + 2)
            );
            if round > 0 {
                message += &format!(
                    "Received: from mail pickup service by {} with Microsoft SMTPSVC;\n\t {}\nReceived: from \
                     out.publisher.example (out.publisher.example [192.0.2.6])\n\tby pop3.isp.example (Postfix) with \
                     ESMTP id 77{word}\n\tfor <all@{word}.example>; {}\n",
                    faulty.name,
                    time(secs),
                    time(5)
                );
            }
            all.push(message + &at_home + &rest);
        }
    }
    all
}

/// Letters that have nothing to do with each other.
pub(crate) fn letters(count: usize) -> Vec<String> {
    let letter = |n: usize| {
        format!(
            "Received: from mail.sender{n}.example (mail.sender{n}.example [192.0.2.{}])\n\tby mx.firm.example (Postfix) \
             with ESMTP id 4L{n}\n\tfor <jane@firm.example>; {}\nMessage-ID: <{n}@sender{n}.example>\nDate: {}\nFrom: \
             <a{n}@sender{n}.example>\nTo: jane@firm.example\nSubject: Letter {n}\n\nThis is number {n}.\n",
            n % 200 + 20,
            time(n * 7 + 3),
            time(n * 7)
        )
    };
    (0..count).map(letter).collect()
}

/// Letters that can hardly be compressed.
pub(crate) fn noise(count: usize) -> Vec<String> {
    let mut state = 7_u64;
    let mut word = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        format!("{:014x}", state >> 8)
    };
    letters(count).into_iter().map(|letter| letter + &[word(), word(), word()].join("\n") + "\n").collect()
}

/// An mbox of them, in the dialect mboxrd.
pub(crate) fn mbox(messages: &[String]) -> String {
    let quoted = |line: &str| match line.trim_start_matches('>').starts_with("From ") {
        true => format!(">{line}"),
        false => line.to_owned(),
    };
    let whole = |message: &String| {
        let lines: String = message.split_inclusive('\n').map(quoted).collect();
        format!("From MAILER-DAEMON Sat Dec 10 09:12:11 2005\n{lines}\n")
    };
    messages.iter().map(whole).collect()
}

/// A storm with letters about it.
pub(crate) fn mailbox() -> Vec<String> {
    let mut all = letters(20);
    all.splice(10..10, storm(&KEARNEY, 5));
    all
}
