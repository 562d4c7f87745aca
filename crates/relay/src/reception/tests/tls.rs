//! STARTTLS: what came before it counts no more, and `Received` says what protected the message.

use super::*;

fn client<'a>(memory: &Arc<Memory>, world: &'a Ground) -> Client<'a> {
    let settings = Settings { offer_starttls: true, ..Settings::new("mx.firm.example") };
    let reception = Reception::new(policy(memory), Arc::new(settings), [192, 0, 2, 1].into(), false);
    Client { reception, world, asks: Vec::new(), given: Vec::new() }
}

const MESSAGE: &[u8] = b"MAIL FROM:<a@b.example>\r\nRCPT TO:<jane@firm.example>\r\nDATA\r\n\
    Subject: x\r\n\r\nbody\r\n.\r\n";

#[test]
fn received_says_what_protected_the_message() {
    let (memory, world) = (Memory::new(16 * MIB), Ground::new("tls-received"));
    let mut client = client(&memory, &world);
    client.says(b"EHLO before.example\r\nSTARTTLS\r\n");
    client.says(b"EHLO after.example\r\n");
    client.says(MESSAGE);
    let front = String::from_utf8(client.given[0].front.clone()).unwrap();
    assert!(front.starts_with("Received: from after.example ([192.0.2.1])\r\n"), "{front}");
    assert!(front.contains("\t(using TLSv1.3 with cipher TLS_AES_128_GCM_SHA256)\r\n"), "{front}");
    assert!(front.contains(" with ESMTPS\r\n"), "{front}");
}

#[test]
fn a_transaction_of_before_is_over_and_its_name_is_forgotten() {
    let (memory, world) = (Memory::new(16 * MIB), Ground::new("tls-forgotten"));
    let mut client = client(&memory, &world);
    client.says(
        b"EHLO before.example\r\nMAIL FROM:<x@y.example>\r\nRCPT TO:<jane@firm.example>\r\nSTARTTLS\r\n",
    );
    assert!(client.says(b"DATA\r\n").starts_with("503 "));
    assert!(client.says(MESSAGE).starts_with("503 5.5.1 EHLO first\r\n"));
    assert_eq!(client.reception.source.helo, "");
    assert!(client.given.is_empty());
}
