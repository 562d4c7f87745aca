//! Sign-in: USER and PASS (RFC 1939 §7), or AUTH (RFC 5034).

use super::session::{Expected, Read, Session, Stage};
use super::sign_in::Proof;
use super::{Fault, MAX_REFUSAL_BYTES, Mechanism, Refusal, SignIn, Why};
use crate::printable::printable;
use crate::sasl::{self, Secret};

/// Longest command, its CRLF included (RFC 2449 §4). Responses behind a `+` may have 12,288
/// (RFC 5034 §4).
const MAX_COMMAND_BYTES: usize = 255;

/// An exchange under way. None of its mechanisms has more than one response.
#[derive(Default)]
pub(super) struct Exchange {
    /// A token's; none: PLAIN.
    mechanism: Option<Mechanism>,
    /// Until it has been said: in base64.
    response: Option<Secret>,
    /// What is wrong, as the server said in a challenge.
    explained: Option<String>,
}

impl Session {
    /// Says who signs in, by which way the server offers.
    pub(super) fn sign_in(&mut self) {
        let Some(SignIn { user, proof }) = self.sign_in.take() else {
            return self.give_up(Why::NoMechanism);
        };
        let plain_alone = self.offer.capa && self.means.plain && !self.means.user;
        match proof {
            Proof::Password(password) if plain_alone => {
                self.auth(None, sasl::client::plain(&user, &password));
            }
            Proof::Password(password) => {
                self.send(&format!("USER {user}"), Expected::User);
                self.password = Some(password);
                self.stage = Stage::Pass;
            }
            Proof::Token(bearer, wanted) => match self.mechanism(wanted) {
                Some(mechanism) => self.auth(Some(mechanism), bearer.response(mechanism)),
                None => self.give_up(Why::NoMechanism),
            },
        }
    }

    /// After the name is accepted, and not before.
    pub(super) fn say_password(&mut self) {
        if let Some(password) = self.password.take() {
            self.output.extend_from_slice(b"PASS ");
            self.output.extend_from_slice(password.as_bytes());
        }
        self.send("", Expected::Pass);
        self.stage = Stage::Stat;
    }

    /// The mechanism for a token. Without CAPA only the one that is named can be tried: a second try
    /// after a refusal would be guessing.
    fn mechanism(&self, wanted: Option<Mechanism>) -> Option<Mechanism> {
        let offered = |mechanism: &Mechanism| match mechanism {
            Mechanism::XOAuth2 => self.means.xoauth2,
            Mechanism::OAuthBearer => self.means.oauthbearer,
        };
        match wanted {
            None => Mechanism::ALL.into_iter().find(offered),
            Some(mechanism) if self.offer.capa => Some(mechanism).filter(offered),
            named => named,
        }
    }

    /// AUTH, with the response if it fits.
    fn auth(&mut self, mechanism: Option<Mechanism>, response: Secret) {
        let response = Secret::new(sasl::encode(response.as_bytes()));
        let command = format!("AUTH {}", mechanism.map_or("PLAIN", Mechanism::name));
        self.exchange = Exchange { mechanism, ..Exchange::default() };
        self.output.extend_from_slice(command.as_bytes());
        if command.len() + " \r\n".len() + response.as_bytes().len() <= MAX_COMMAND_BYTES {
            self.output.push(b' ');
            self.output.extend_from_slice(response.as_bytes());
        } else {
            self.exchange.response = Some(response);
        }
        self.send("", Expected::Auth);
        self.stage = Stage::Stat;
    }

    /// What stands behind the `+` of a challenge.
    pub(super) fn challenged(&mut self, text: &[u8]) -> Read<'static> {
        // The server goes on as soon as this is answered.
        if let Some(response) = self.exchange.response.take() {
            self.output.extend_from_slice(response.as_bytes());
            self.output.extend_from_slice(b"\r\n");
            return Read::On;
        }
        let (Some(mechanism), None) = (self.exchange.mechanism, &self.exchange.explained) else {
            return self.fault(Fault::Exchange);
        };
        let text = text.trim_ascii();
        let said = sasl::decode(text).unwrap_or_else(|| text.to_vec());
        self.exchange.explained = Some(printable(&said, MAX_REFUSAL_BYTES));
        self.output.extend_from_slice(sasl::encode(mechanism.after_error()).as_bytes());
        self.output.extend_from_slice(b"\r\n");
        Read::On
    }

    /// AUTH is accepted; false if nothing was shown yet, or what was shown is wrong.
    pub(super) fn may_be_accepted(&self) -> bool {
        self.exchange.response.is_none() && self.exchange.explained.is_none()
    }

    /// AUTH is refused.
    pub(super) fn explained(&mut self, refusal: Refusal) -> Refusal {
        let exchange = std::mem::take(&mut self.exchange);
        Refusal { explained: exchange.explained, ..refusal }
    }
}
