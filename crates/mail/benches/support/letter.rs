//! Messages of the kind that real mail is: six hops, signatures, a text of ordinary lines. The same
//! number gives the same bytes.

/// When they arrive: Sat, 21 Nov 2026 23:20:44 UTC.
pub const NOW_MS: i64 = 1_795_303_244_000;

/// A line of the text, CRLF included.
const LINE: &str = "The figures of the third quarter are attached; please read them by Friday.\r\n";

/// Message `number` of about `bytes` bytes (its header takes some 2.4 KiB).
pub fn letter(number: u64, bytes: usize) -> Vec<u8> {
    let mut text = header(number, "jane@firm.example");
    text += "\r\n";
    while text.len() + LINE.len() <= bytes {
        text += LINE;
    }
    text.into_bytes()
}

/// A message with so many addresses in its To, and a text of one line.
pub fn letter_to(addresses: usize) -> Vec<u8> {
    let mut all = String::with_capacity(addresses * 32);
    for n in 0..addresses {
        all += &format!("solicitor{n}@firm{}.example", n % 997);
        all += if n + 1 == addresses { "" } else { ",\r\n\t" };
    }
    let mut text = header(0, &all);
    text += "\r\n";
    text += LINE;
    text.into_bytes()
}

/// The header, without the empty line.
fn header(number: u64, to: &str) -> String {
    let mut text = String::new();
    for hop in (0..6).rev() {
        text += &format!(
            "Received: from mail-{hop}.relay.example (mail-{hop}.relay.example [192.0.2.{hop}])\r\n\
             \tby mx-{hop}.provider.example (Postfix) with ESMTPS id 4T{number:012X}{hop}\r\n\
             \tfor <jane@firm.example>; Sat, 21 Nov 2026 23:20:3{hop} +0000 (UTC)\r\n"
        );
    }
    let signature = "dGhpcyBpcyBhIHNpZ25hdHVyZSBvZiB0aGUga2luZCB0aGF0IHNlcnZlcnMgYWRk".repeat(4);
    text += &format!(
        "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=publisher.example; s=s1;\r\n\
         \th=from:to:subject:date:message-id; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=;\r\n\
         \tb={signature}\r\n\
         ARC-Seal: i=1; a=rsa-sha256; t=1795303240; cv=none; d=provider.example; s=arc;\r\n\tb={signature}\r\n\
         Authentication-Results: mx.provider.example; dkim=pass header.d=publisher.example; spf=pass\r\n\
         From: \"The Publisher\" <news@publisher.example>\r\nTo: {to}\r\n\
         Subject: Figures of the third quarter, number {number}\r\n\
         Message-ID: <{number}.20261121232030.4711@publisher.example>\r\n\
         Date: Sat, 21 Nov 2026 23:20:30 +0000\r\nMIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 7bit\r\n\
         X-Mailer: Publisher 4.2\r\nList-Unsubscribe: <https://publisher.example/u/{number}>\r\n"
    );
    text
}
