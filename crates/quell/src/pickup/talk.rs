//! A POP3 session and the connection it goes over: of a look, and of a try that changes nothing.

use std::io;

use quell_wire::pop3::client::{Session, Settings, SignIn, Tls as Asks};

use super::account::{Account, Tls};
use super::link::Link;
use super::trouble::{Kind, Trouble};

/// A session and what it goes over.
pub struct Talk {
    /// Bytes.
    pub link: Link,
    /// What they mean.
    pub session: Session,
}

impl Talk {
    /// A session over this connection that takes messages of so many bytes.
    pub fn new(link: Link, account: &Account, max_message_bytes: u64, sign_in: SignIn) -> Self {
        let tls = if account.server.tls == Tls::Upgrade { Asks::Required } else { Asks::None };
        let settings = Settings { max_message_bytes, tls, ..Settings::default() };
        Self { link, session: Session::new(settings, sign_in) }
    }

    /// Sends what the session has to say.
    ///
    /// # Errors
    /// The connection is lost.
    pub async fn flush(&mut self) -> Result<(), Trouble> {
        let output = std::mem::take(self.session.output());
        self.link.write(&output).await.map_err(|why| lost(&why))
    }

    /// Begins TLS. What was read of the server before it counts for nothing.
    ///
    /// # Errors
    /// [`Kind::Tls`], or the connection is lost.
    pub async fn secure(&mut self) -> Result<(), Trouble> {
        self.flush().await?;
        self.link.secure().await?;
        self.session.secured();
        Ok(())
    }
}

/// The connection is lost.
pub fn lost(why: &io::Error) -> Trouble {
    Trouble::new(Kind::Net, format!("the connection was lost: {why}"))
}
