//! What stands on disk, as a damaged disk or an older program may have left it.

use quell_mail::key::LedgerKey;
use quell_queue::filter::Filter;
use quell_storm::evidence::Sample;
use quell_storm::storm_id::StormId;
use quell_storm::window::{CopyTimes, MAX_TIMES};

/// Times of copies: a ring never counts more than it is for, and what it writes it reads again.
pub fn copy_times(bytes: &[u8]) {
    let [low, high, stored @ ..] = bytes else { return };
    let n = u32::from(u16::from_le_bytes([*low, *high]) % 1100);
    let Ok(mut ring) = CopyTimes::from_bytes(stored, n) else { return };
    let most = n.clamp(1, MAX_TIMES);
    assert_eq!(CopyTimes::from_bytes(&ring.to_bytes(), n).as_ref(), Ok(&ring));
    let last = ring.last().unwrap_or_default();
    let mut before = 0;
    for window_ms in [0, 1, 1_000, 86_400_000, i64::MAX] {
        let count = ring.count_within(window_ms, last);
        assert!(before <= count && count <= most, "{count} of {most}");
        before = count;
    }
    ring.push(last.saturating_add(1));
    assert!(ring.count_within(i64::MAX, last) <= most && ring.last() >= Some(last));
    assert_eq!(CopyTimes::from_bytes(&ring.to_bytes(), n).as_ref(), Ok(&ring));
}

/// A header set: only what was written is read, and takes no more room than it had.
pub fn sample(bytes: &[u8]) {
    let Ok(sample) = Sample::from_bytes(bytes) else { return };
    assert_eq!(sample.to_bytes(), bytes, "another form of the same header set");
    let received = sample.received.as_ref().map_or(0, String::len);
    assert!(sample.header.len() + sample.recipient.len() + sample.source.0.len() + received <= bytes.len());
}

/// A storm's name: 16 characters that are harmless wherever they are written.
pub fn storm_id(bytes: &[u8]) {
    let mut draws = bytes.chunks(8).map(|c| c.iter().fold(0, |n: u64, b| n << 8 | u64::from(*b)));
    let drawn = StormId::random(&mut || draws.next().unwrap_or_default());
    assert_eq!(drawn.to_string().parse(), Ok(drawn));
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(id) = text.parse::<StormId>() else { return };
    assert_eq!(id.as_str(), text);
    assert!(text.len() == 16 && text.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()));
}

/// A stored filter, as it is and with a checksum that fits: what is taken is what would be
/// written, and never says no of a key that was put in.
pub fn filter(bytes: &[u8]) {
    assert!(Filter::from_bytes(bytes).is_err() || bytes.len() > 40);
    let mut sealed = bytes.to_vec();
    sealed.extend_from_slice(&blake3::hash(bytes).as_bytes()[..16]);
    let Ok(mut filter) = Filter::from_bytes(&sealed) else { return };
    assert_eq!(filter.to_bytes(), sealed);
    let hash = blake3::hash(bytes);
    for half in hash.as_bytes().chunks_exact(16) {
        let mut key = LedgerKey([0; 16]);
        key.0.copy_from_slice(half);
        filter.insert(&key);
        assert!(filter.may_contain(&key));
    }
    assert_eq!(filter.to_bytes().len(), sealed.len());
}

/// A file of the dot log: what is read of it is what stands there, up to where it is damaged.
pub fn dots(bytes: &[u8]) {
    quell_queue::dots::fuzz(bytes);
}
