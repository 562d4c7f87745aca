//! What says who may sign in.

use quell::sign_in::dovecot::line::{Line, Lines, MAX_LINE_BYTES, parse};

/// All lines of `bytes` that come in pieces of `len`, up to what ends the connection.
fn cut(bytes: &[u8], len: usize) -> (Vec<Vec<u8>>, bool) {
    let (mut lines, mut cut) = (Lines::default(), Vec::new());
    for piece in bytes.chunks(len.max(1)) {
        lines.push(piece);
        loop {
            match lines.next_line() {
                Ok(Some(line)) => cut.push(line),
                Ok(None) => break,
                Err(_) => return (cut, false),
            }
        }
    }
    (cut, true)
}

/// Dovecot's lines are the same in whatever pieces they come, none is longer than it may be, and what
/// they say is read or refused.
pub fn dovecot_auth(bytes: &[u8]) {
    let (whole, fine) = cut(bytes, bytes.len());
    for len in [1, 2, 7, 4096] {
        assert_eq!(cut(bytes, len), (whole.clone(), fine));
    }
    for line in &whole {
        assert!(line.len() <= MAX_LINE_BYTES && !line.contains(&b'\n'));
        match parse(line) {
            // A name is never longer than its line: escapes only shrink.
            Ok(Line::Ok { user: Some(user), .. }) => assert!(user.len() < line.len()),
            Ok(Line::Continue { data, .. }) => assert!(data.len() < line.len()),
            Ok(Line::Mechanism(name)) => assert!(!name.bytes().any(|byte| byte.is_ascii_lowercase())),
            _ => {}
        }
    }
    if fine {
        let joined: usize = whole.iter().map(|line| line.len() + 1).sum();
        let rest = bytes.len() - joined;
        assert!(rest <= MAX_LINE_BYTES, "{rest} bytes wait for a line end");
    }
}
