//! Equal stamps, however they are folded.

use xxhash_rust::xxh3::{Xxh3Default, xxh3_128};

use super::lexer::is_space;

/// Values up to this are hashed at once on the stack; longer ones piece by piece, with the same
/// result.
const BUFFER_BYTES: usize = 1024;

/// A hash of a field's value: any run of CR, LF, SP and TAB counts as one space, and as nothing at
/// the ends, so that a stamp that was folded anew is the same stamp. For finding equal stamps, not
/// against forgers: equal hashes can be made (XXH3, 128 bits). Allocates nothing.
pub fn stamp_hash(value: &[u8]) -> u128 {
    let mut buffer = [0; BUFFER_BYTES];
    if let Some(len) = normalise_into(&mut buffer, value) {
        return xxh3_128(&buffer[..len]);
    }
    let mut hasher = Xxh3Default::new();
    let mut first = true;
    for word in words(value) {
        if !std::mem::take(&mut first) {
            hasher.update(b" ");
        }
        hasher.update(word);
    }
    hasher.digest128()
}

fn words(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|b| is_space(*b)).filter(|word| !word.is_empty())
}

/// Length of the normal form in `buffer`; None: no room.
fn normalise_into(buffer: &mut [u8; BUFFER_BYTES], value: &[u8]) -> Option<usize> {
    let mut len = 0;
    for word in words(value) {
        if len > 0 {
            *buffer.get_mut(len)? = b' ';
            len += 1;
        }
        buffer.get_mut(len..len + word.len())?.copy_from_slice(word);
        len += word.len();
    }
    Some(len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn folds_do_not_matter_and_words_do() {
        let plain = stamp_hash(b"from a by b; Fri, 14 Mar 2003 07:24:34 -0000");
        assert_eq!(stamp_hash(b" from a\r\n\tby b;\n Fri,  14 Mar 2003 07:24:34 -0000\r\n"), plain);
        assert_ne!(stamp_hash(b"from a by b; Fri, 14 Mar 2003 07:24:35 -0000"), plain);
        assert_ne!(stamp_hash(b"from ab"), stamp_hash(b"from a b"));
        assert_eq!(stamp_hash(b"\r\n "), stamp_hash(b""));
    }

    proptest! {
        #[test]
        fn any_fold_and_any_length(words in proptest::collection::vec("[!-~]{1,90}", 0..60),
            spaces in proptest::collection::vec("[ \t\r\n]{1,4}", 61)) {
            let mut folded = spaces[60].clone();
            words.iter().zip(&spaces).for_each(|(word, space)| folded.extend([word.as_str(), space]));
            prop_assert_eq!(stamp_hash(folded.as_bytes()), xxh3_128(words.join(" ").as_bytes()));
        }
    }
}
