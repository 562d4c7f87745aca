//! Bytes that are not the ones that were written.

use super::*;

#[test]
fn a_newer_format_is_named_not_called_damaged() {
    let dir = TempDir::new();
    let mut spool = open(dir.path(), &[]);
    let body = spool.append(&id(1), &[b"x"]).unwrap();
    let mut header = record::file_header(body.file);
    header[8] = 2;
    let sum = blake3::hash(&header[..24]);
    header[24..].copy_from_slice(&sum.as_bytes()[..16]);
    let file = File::options().write(true).open(path(dir.path(), &body)).unwrap();
    file.write_all_at(&header, 0).unwrap();
    assert!(matches!(spool.verify(&body), Err(SpoolError::NewerVersion { version: 2, .. })));
}

#[test]
fn every_byte_counts() {
    let dir = TempDir::new();
    let mut spool = open(dir.path(), &[]);
    spool.append(&id(1), &[b"before"]).unwrap();
    let small = spool.append(&id(2), &[b"the body of a small message\r\n"]).unwrap();
    spool.append(&id(3), &[b"after"]).unwrap();
    let large = large(&spool, 4, b"Received: front\r\n", b"the body of a large message\r\n");
    let large = spool.append_large(large).unwrap();
    let record = record::record_bytes(small.len);
    let places = |from: u64, len: u64| from..from + len;
    let head = places(0, FILE_HEADER_BYTES + RECORD_HEADER_BYTES + 17);
    let payload = places(LARGE_PAYLOAD_AT, large.len - 17);
    every_change_is_noticed(&spool, dir.path(), &small, places(0, FILE_HEADER_BYTES));
    every_change_is_noticed(&spool, dir.path(), &small, places(small.offset, record));
    every_change_is_noticed(&spool, dir.path(), &large, head.chain(payload));
}

/// Flips each bit at each of `places`, and cuts the file there.
fn every_change_is_noticed(spool: &Spool, dir: &Path, body: &BodyRef, places: impl Iterator<Item = u64>) {
    let path = path(dir, body);
    let whole = std::fs::read(&path).unwrap();
    let file = File::options().write(true).open(&path).unwrap();
    for at in places {
        for bit in 0..8 {
            file.write_all_at(&[whole[at as usize] ^ 1 << bit], at).unwrap();
            let found = spool.verify(body);
            assert!(matches!(found, Err(SpoolError::Damaged { .. })), "{at} {bit}: {found:?}");
        }
        file.write_all_at(&whole[at as usize..=at as usize], at).unwrap();
        file.set_len(at).unwrap();
        let found = spool.verify(body);
        assert!(matches!(found, Err(SpoolError::Damaged { .. })), "cut at {at}: {found:?}");
        file.write_all_at(&whole[at as usize..], at).unwrap();
    }
    spool.verify(body).unwrap();
}
