//! Names of mail folders on disk (DESIGN.md, "Fixed points").

/// Longest name made: file systems take 255 bytes. What would be longer is cut and gets the
/// BLAKE3 of the whole, so that two addresses still never share a folder.
pub const MAX_NAME_BYTES: usize = 255;
const KEPT_BYTES: usize = 200;

/// The folder of a local part or a domain, as one component of a path: lower case; bytes outside
/// of `[a-z0-9._+-]`, and a dot at the beginning, as `%XX`. Two that differ not only in case never
/// get one name. Never empty (nothing at all is `%`), never `.` or `..`, never with a slash.
pub fn maildir_name(local: &str) -> String {
    let lower = local.to_lowercase();
    let mut name = String::with_capacity(lower.len());
    for (at, byte) in lower.bytes().enumerate() {
        let plain = byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._+-".contains(&byte);
        if plain && (at > 0 || byte != b'.') {
            name.push(char::from(byte));
        } else {
            name.push_str(&format!("%{byte:02X}"));
        }
    }
    match name.len() {
        0 => "%".to_owned(),
        1..=MAX_NAME_BYTES => name,
        _ => shortened(name, &lower),
    }
}

/// `%%` stands in no other name.
fn shortened(mut name: String, lower: &str) -> String {
    name.truncate(KEPT_BYTES);
    format!("{name}%%{}", &blake3::hash(lower.as_bytes()).to_hex()[..32])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names() {
        for (local, name) in [
            ("Jane.Doe+x_y-1", "jane.doe+x_y-1"),
            ("../../x", "%2E.%2F..%2Fx"),
            (".", "%2E"),
            ("..", "%2E."),
            ("", "%"),
            ("%", "%25"),
            ("a b", "a%20b"),
            ("\u{dc}ber", "%C3%BCber"),
            ("a\0b", "a%00b"),
        ] {
            assert_eq!(maildir_name(local), name, "{local}");
        }
    }

    #[test]
    fn long_ones_stay_apart() {
        let names = ["a".repeat(255), "a".repeat(256), "a".repeat(257), format!("{}b", "a".repeat(256))];
        let names: std::collections::HashSet<_> = names.iter().map(|n| maildir_name(n)).collect();
        assert_eq!(names.len(), 4);
        assert!(names.iter().all(|n| n.len() <= MAX_NAME_BYTES));
    }

    fn local() -> impl Strategy<Value = String> {
        prop_oneof!["[a-cA-C./%@+]{0,6}", "\\PC{0,10}", "[a-b%]{80,90}[é]{1,40}", "(?s).{0,5}"]
    }

    proptest! {
        #[test]
        fn one_component_and_no_two_alike(a in local(), b in local()) {
            let (x, y) = (maildir_name(&a), maildir_name(&b));
            prop_assert_eq!(x == y, a.to_lowercase() == b.to_lowercase());
            prop_assert!(!x.is_empty() && !x.starts_with('.') && x.len() <= MAX_NAME_BYTES);
            prop_assert!(x.bytes().all(|c| c.is_ascii_alphanumeric() || b"._+-%".contains(&c)), "{}", x);
        }
    }
}
