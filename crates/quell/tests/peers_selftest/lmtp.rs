//! Dovecot's LMTP.

use crate::TO;
use crate::codes;
use crate::message;
use crate::support::TempDir;
use crate::support::maildir;
use crate::support::peers::lmtp;
use crate::support::smtp;

#[test]
fn dovecot_takes_lmtp_for_each_recipient() {
    if !lmtp::available() {
        return;
    }
    let directory = TempDir::new("lmtp");
    let server = lmtp::Lmtp::start(&directory, &TO, &["full@firm.example"]);
    let (mut client, _) = smtp::Client::connect(server.port).expect("a connection");
    let lines = [
        "LHLO client.example",
        "MAIL FROM:<sender@client.example>",
        "RCPT TO:<jane@firm.example>",
        "RCPT TO:<nobody@firm.example>",
        "RCPT TO:<full@firm.example>",
        "RCPT TO:<john@firm.example>",
        "DATA",
    ];
    assert_eq!(codes(&mut client, &lines), [250, 250, 250, 550, 250, 250, 354]);
    client.data(&message("m")).expect("written");
    let replies: Vec<_> = (0..3).map(|_| client.reply().expect("a reply")).collect();
    assert_eq!(
        replies.iter().map(|reply| reply.code).collect::<Vec<_>>(),
        [250, 552, 250],
        "{}",
        server.log()
    );
    for to in TO {
        let mails = maildir::read(&server.maildir(to));
        assert!(mails.len() == 1 && mails[0].test_id.as_deref() == Some("m"), "{mails:?}");
    }
    assert_eq!(maildir::count(&server.maildir("full@firm.example")), 0);
    std::os::unix::net::UnixStream::connect(&server.socket).expect("a connection");
}
