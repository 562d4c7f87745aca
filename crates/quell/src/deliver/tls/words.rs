//! Why there is no TLS, in words: operators read them, and senders in reports of delays.

use std::io;

use rustls::{CertificateError, Error};

/// Why a handshake failed.
pub fn in_words(why: &io::Error) -> String {
    let ours = why.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match (ours, why.kind()) {
        (Some(why), _) => of_tls(why),
        (None, io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe) => {
            "it closed the connection in the handshake".to_owned()
        }
        (None, io::ErrorKind::TimedOut) => "the handshake takes too long".to_owned(),
        (None, _) => why.to_string(),
    }
}

/// TLS itself says so, and not the connection below it.
pub fn is_of_tls(why: &io::Error) -> bool {
    why.get_ref().is_some_and(|inner| inner.is::<Error>())
}

fn of_tls(why: &Error) -> String {
    match why {
        Error::InvalidCertificate(why) => of_certificate(why),
        Error::AlertReceived(alert) => format!("it breaks TLS off ({alert:?})"),
        Error::PeerIncompatible(why) => format!("it has no version or cipher of TLS that we take ({why:?})"),
        Error::InvalidMessage(_) => "what it sends is no TLS".to_owned(),
        Error::NoCertificatesPresented => "it shows no certificate".to_owned(),
        Error::General(why) => why.clone(),
        other => other.to_string(),
    }
}

fn of_certificate(why: &CertificateError) -> String {
    match why {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its certificate has expired".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "its certificate is for another name".to_owned()
        }
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "its certificate is by no authority that is known here".to_owned()
        }
        CertificateError::Revoked => "its certificate is revoked".to_owned(),
        other => format!("its certificate cannot be used: {other}"),
    }
}
