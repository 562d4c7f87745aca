//! STLS (RFC 2595 §4): when it is said, and what is forgotten once it has been.

use super::offer::Means;
use super::session::{Expected, Session, Stage};
use super::{Offer, Tls, Why};

impl Session {
    /// The connection is TLS from here on, after [`super::Step::StartTls`]; at another time nothing happens.
    /// What was offered is forgotten (RFC 2595 §4). If TLS cannot be negotiated: [`Session::lost`].
    pub fn secured(&mut self) {
        if self.stage != Stage::Tls || self.is_over() {
            return;
        }
        (self.offer, self.means) = (Offer::default(), Means::default());
        self.restart_lines();
        self.secure = true;
        self.stage = Stage::Capa;
    }

    /// What follows the answer to CAPA.
    pub(super) fn after_capa(&self) -> Stage {
        match self.settings.tls {
            Tls::Required if !self.secure => Stage::Stls,
            _ => Stage::SignIn,
        }
    }

    /// Asks for TLS, also where CAPA is not known: a server may be older than the one, and younger
    /// than the other.
    pub(super) fn say_stls(&mut self) {
        match self.offer.capa && !self.means.stls {
            true => self.give_up(Why::NoTls),
            false => self.send("STLS", Expected::Stls),
        }
    }
}
