//! Encryption as stamps tell of it: `(using TLSv1.3 with cipher X (256/256 bits))`,
//! `(version=TLS1_2, cipher=X)`, `(TLS1.2:X:256)`, `(TLS: TLS1.3, 128bits, X)`.

/// Version of the protocol that the receiver names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names are their meaning")]
pub enum TlsVersion {
    Ssl3,
    Tls1_0,
    Tls1_1,
    Tls1_2,
    Tls1_3,
}

/// Version and cipher that `text` names; each if it does.
pub(super) fn read(text: &[u8]) -> (Option<TlsVersion>, Option<&[u8]>) {
    let (mut version, mut cipher) = (None, None);
    let (mut after_cipher, mut last) = (false, &b""[..]);
    for piece in text.split(|b| b.is_ascii_whitespace() || matches!(b, b',' | b'=' | b':' | b'(' | b')')) {
        if piece.is_empty() {
            continue;
        }
        let is_version = version_of(piece);
        if is_version.is_some() {
            version = version.or(is_version);
        } else if after_cipher || (version.is_some() && looks_like_cipher(piece)) {
            cipher = Some(piece);
            break;
        } else if piece == b"encrypted" && looks_like_cipher(last) {
            cipher = Some(last);
            break;
        }
        last = piece;
        after_cipher = piece.len() <= 10 && {
            piece.eq_ignore_ascii_case(b"cipher") || piece.eq_ignore_ascii_case(b"tls_cipher")
        };
    }
    // Google writes OTHER where it has no name for it.
    (version, cipher.filter(|c| *c != b"OTHER"))
}

/// Such as `DES-CBC3-SHA` or `TLS_AES_256_GCM_SHA384`, in capitals.
pub(super) fn looks_like_cipher(piece: &[u8]) -> bool {
    let allowed = |b: &u8| b.is_ascii_uppercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_');
    piece.len() >= 6
        && piece.iter().any(|b| matches!(b, b'-' | b'_'))
        && piece.iter().any(u8::is_ascii_uppercase)
        && piece.iter().all(allowed)
}

/// The version that all of `piece` is: `TLSv1.2`, `TLS1_2`, `TLS-1.0`, `TLSv1/SSLv3`.
pub(super) fn version_of(piece: &[u8]) -> Option<TlsVersion> {
    let piece = piece.split(|b| *b == b'/').next()?;
    let (name, rest) = piece.split_at_checked(3)?;
    let rest = match rest {
        [b'v' | b'V' | b'-' | b'_', rest @ ..] => rest,
        rest => rest,
    };
    if name.eq_ignore_ascii_case(b"ssl") {
        return matches!(rest, b"3" | b"3.0").then_some(TlsVersion::Ssl3);
    }
    name.eq_ignore_ascii_case(b"tls").then_some(())?;
    match rest {
        b"1" | b"1.0" | b"1_0" => Some(TlsVersion::Tls1_0),
        b"1.1" | b"1_1" => Some(TlsVersion::Tls1_1),
        b"1.2" | b"1_2" => Some(TlsVersion::Tls1_2),
        b"1.3" | b"1_3" => Some(TlsVersion::Tls1_3),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use TlsVersion::{Ssl3, Tls1_0, Tls1_2, Tls1_3};

    #[test]
    fn forms() {
        for (text, version, cipher) in [
            (
                "using TLSv1.3 with cipher TLS13_AES_256_GCM_SHA384 (256/256 bits) key-exchange X25519",
                Some(Tls1_3),
                Some("TLS13_AES_256_GCM_SHA384"),
            ),
            (
                "version=TLS1_2, cipher=TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
                Some(Tls1_2),
                Some("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"),
            ),
            ("Cipher TLSv1:DES-CBC3-SHA:168", Some(Tls1_0), Some("DES-CBC3-SHA")),
            ("tls_cipher TLS-1.0:RSA_AES_256_CBC_SHA:32", Some(Tls1_0), Some("RSA_AES_256_CBC_SHA")),
            ("TLS: TLSv1/SSLv3, 168bits,DES-CBC3-SHA", Some(Tls1_0), Some("DES-CBC3-SHA")),
            ("version=TLSv1/SSLv3 cipher=OTHER", Some(Tls1_0), None),
            ("using SSLv3 with cipher RC4-MD5 (128/128 bits)", Some(Ssl3), Some("RC4-MD5")),
            ("TLS_AES_256_GCM_SHA384 encrypted SMTP", None, Some("TLS_AES_256_GCM_SHA384")),
            ("TLS", None, None),
            ("TLS1.2", Some(Tls1_2), None),
            ("TLS1.9", None, None),
        ] {
            assert_eq!(read(text.as_bytes()), (version, cipher.map(str::as_bytes)), "{text}");
        }
    }
}
