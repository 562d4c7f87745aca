//! What a next hop offers and how many recipients it takes.

use super::*;
use crate::support::peers::aiosmtpd::{self, Script, Scripted, Sending};

/// A server and a next hop whose offers change from message to message.
struct Stage {
    _directory: TempDir,
    server: Server,
    peer: Scripted,
}

impl Stage {
    fn new(name: &str, relay: &str) -> Self {
        let directory = TempDir::new(name);
        let peer = Scripted::start(&directory, &Script::default());
        let more = format!("[relay]\nkeep_idle_secs = 0\nmax_sessions_per_next_hop = 1\n{relay}");
        let server = server(&directory, &[("hop.example", &smtp(&peer))], &more);
        Stage { _directory: directory, server, peer }
    }

    /// Sends to a next hop like this, and waits for these states.
    fn send(
        &self,
        script: &Script,
        mail: &str,
        states: &[(&str, &str)],
        message: &[u8],
    ) -> BTreeMap<String, Value> {
        self.peer.follow(script);
        let to: Vec<&str> = states.iter().map(|(to, _)| *to).collect();
        let id = submit_with(&self.server, mail, &to, message);
        wait_for_states(&self.server, &id, states)
    }

    /// The sendings of one test message.
    fn sendings(&self, test_id: &str) -> Vec<Sending> {
        let sendings = self.peer.sendings().into_iter();
        sendings.filter(|sending| sending.field("X-Test-Id").as_deref() == Some(test_id)).collect()
    }

    /// The one sending of a test message, whole below our own field.
    fn one(&self, test_id: &str, message: &[u8]) -> Sending {
        let mut sendings = self.sendings(test_id);
        assert_eq!(sendings.len(), 1, "{test_id}: {}", self.peer.log());
        assert!(sendings[0].content.ends_with(message), "{test_id}: {}", self.peer.log());
        sendings.remove(0)
    }
}

const MAIL: &str = "MAIL FROM:<jane@firm.example>";
const JANE: &str = "jane@hop.example";

/// RFC 5321 §4.5.3.1.10: 452, and 552 as it once was: the rest follows at once, on the same
/// connection, in transactions of the size that is taken.
#[test]
fn a_next_hop_that_takes_few_recipients_gets_them_in_turns() {
    if !aiosmtpd::available() {
        return;
    }
    let stage = Stage::new("hops-few", "");
    let replies = [
        "452 4.5.3 Too many recipients",
        "452 Too many recipients",
        "552 Too many recipients",
        "552 5.5.3 Too many",
    ];
    for (number, reply) in replies.into_iter().enumerate() {
        let to: Vec<String> = (0..25).map(|n| format!("few{number}-{n:02}@hop.example")).collect();
        let states: Vec<(&str, &str)> = to.iter().map(|to| (&**to, "relayed")).collect();
        let script = Script { max_recipients: Some(10), max_recipients_reply: reply, ..Script::default() };
        let test_id = format!("few{number}");
        let rows = stage.send(&script, MAIL, &states, &mail(&test_id));
        assert!(rows.values().all(|row| row["attempts"] == 1), "{reply}: {rows:#?}");
        let sendings = stage.sendings(&test_id);
        let sizes: Vec<usize> = sendings.iter().map(|sending| sending.recipients.len()).collect();
        assert_eq!(sizes, [10, 10, 5], "{reply}: {}", stage.peer.log());
        assert!(sendings.iter().all(|sending| sending.session == sendings[0].session), "{reply}");
        let mut came: Vec<&str> = sendings.iter().flat_map(|s| &s.recipients).map(|r| &*r.to).collect();
        came.sort_unstable();
        assert_eq!(came, to, "{reply}");
    }
    assert_eq!(stage.peer.violations(), [""; 0]);
}

#[test]
fn old_servers_get_their_mail_too() {
    if !aiosmtpd::available() {
        return;
    }
    let stage = Stage::new("hops-old", "");
    let eight_bit = message("bytes", &date_now(), "Gr\u{fc}\u{df}e");
    let default = Script::default;
    let scripts = [
        ("helo", Script { helo_only: true, pipelining: false, ..default() }),
        ("no-pipelining", Script { pipelining: false, ..default() }),
        ("no-size", Script { size_bytes: None, ..default() }),
        ("no-8bit", Script { eightbit: false, ..default() }),
        ("nothing", Script::bare()),
    ];
    for (name, script) in scripts {
        let message = String::from_utf8(eight_bit.clone()).expect("text").replace("bytes", name).into_bytes();
        stage.send(&script, MAIL, &[(JANE, "relayed"), ("john@hop.example", "relayed")], &message);
        let sending = stage.one(name, &message);
        assert_eq!(sending.esmtp, name != "helo", "{name}");
        let says_8bit = sending.parameters.iter().any(|parameter| parameter == "BODY=8BITMIME");
        assert_eq!(says_8bit, script.eightbit && !script.helo_only, "{name}: {sending:?}");
        let says_size = sending.parameters.iter().any(|parameter| parameter.starts_with("SIZE="));
        assert_eq!(says_size, script.size_bytes.is_some() && !script.helo_only, "{name}: {sending:?}");
    }
    assert_eq!(stage.peer.violations(), [""; 0], "{}", stage.peer.log());
}

#[test]
fn eight_bits_bounce_where_that_is_wanted() {
    if !aiosmtpd::available() {
        return;
    }
    let stage = Stage::new("hops-bounce", "eightbit = \"bounce\"\n");
    let plain = mail("plain");
    let eight_bit = message("bytes", &date_now(), "Gr\u{fc}\u{df}e");
    let without = Script { eightbit: false, ..Script::default() };
    let rows = stage.send(&without, MAIL, &[(JANE, "failed")], &eight_bit);
    assert_eq!(status(&rows[JANE]), "5.6.3 the next hop does not offer 8BITMIME");
    assert_eq!(stage.peer.commands("MAIL"), [""; 0], "nothing of it goes out");
    stage.send(&without, MAIL, &[(JANE, "relayed")], &plain);
    stage.one("plain", &plain);
    let offered = message("offered", &date_now(), "Gr\u{fc}\u{df}e");
    stage.send(&Script::default(), MAIL, &[(JANE, "relayed")], &offered);
    stage.one("offered", &offered);
}

#[test]
fn what_is_too_big_for_the_next_hop_fails_unsent() {
    if !aiosmtpd::available() {
        return;
    }
    let stage = Stage::new("hops-size", "");
    let small = Script { size_bytes: Some(4_000), ..Script::default() };
    let big = message("big", &date_now(), &"0123456789\r\n".repeat(500));
    let rows = stage.send(&small, MAIL, &[(JANE, "failed")], &big);
    assert_eq!(status(&rows[JANE]), "5.3.4 the message is too big for the next hop");
    assert_eq!(stage.peer.commands("MAIL"), [""; 0]);
    let little = mail("little");
    stage.send(&small, MAIL, &[(JANE, "relayed")], &little);
    let sending = stage.one("little", &little);
    let size = format!("SIZE={}", sending.content.len());
    assert!(sending.parameters.contains(&size), "{size}: {sending:?}");
}

/// A message, and who of its recipients needs SMTPUTF8.
struct Needs<'a> {
    name: &'a str,
    mail: &'a str,
    to: &'a [&'a str],
    utf8_header: bool,
    needs: &'a [&'a str],
}

/// RFC 6531 §3.4 to §3.6: asked for only where it is needed, and 5.6.7 only there.
#[test]
fn smtputf8_is_asked_for_where_it_is_needed() {
    if !aiosmtpd::available() {
        return;
    }
    let stage = Stage::new("hops-utf8", "");
    let utf8_mail = "MAIL FROM:<jane@firm.example> SMTPUTF8";
    let utf8_sender = "MAIL FROM:<j\u{fc}rgen@firm.example> SMTPUTF8";
    let (plain, jurgen) = ([JANE], [JANE, "j\u{fc}rgen@hop.example"]);
    let case = |name, mail, to, utf8_header, needs| Needs { name, mail, to, utf8_header, needs };
    let cases = [
        case("bare-header", MAIL, &plain[..], true, &[][..]),
        case("for-nothing", utf8_mail, &plain, false, &[]),
        case("header", utf8_mail, &plain, true, &plain),
        case("recipient", utf8_mail, &jurgen, false, &jurgen[1..]),
        case("sender", utf8_sender, &plain, false, &plain),
        case("all", utf8_sender, &jurgen, true, &jurgen),
    ];
    for (offered, script) in
        [(true, Script::default()), (false, Script { smtputf8: false, ..Script::default() })]
    {
        for Needs { name, mail: mail_command, to, utf8_header, needs } in &cases {
            let test_id = format!("{name}-{offered}");
            let subject = if *utf8_header { "Subject: Gr\u{fc}\u{df}e " } else { "Subject: " };
            let message = String::from_utf8(mail(&test_id)).expect("text").replace("Subject: ", subject);
            let fails = |to: &str| !offered && needs.contains(&to);
            let states: Vec<(&str, &str)> =
                to.iter().map(|to| (*to, if fails(to) { "failed" } else { "relayed" })).collect();
            let rows = stage.send(&script, mail_command, &states, message.as_bytes());
            let failed = rows.iter().filter(|(to, _)| fails(to));
            failed.for_each(|(_, row)| assert_eq!(status(row), "5.6.7 the next hop does not offer SMTPUTF8"));
            let sendings = stage.sendings(&test_id);
            let says = |sending: &Sending| sending.parameters.contains(&"SMTPUTF8".to_owned());
            let asked = sendings.iter().any(says);
            assert_eq!(asked, offered && !needs.is_empty(), "{test_id}: {sendings:?}");
            assert!(
                sendings.iter().all(|sending| sending.content.ends_with(message.as_bytes())),
                "{test_id}"
            );
        }
    }
    assert_eq!(stage.peer.violations(), [""; 0], "{}", stage.peer.log());
}
