//! `[tell] mail`: an alert as a mail, through the door.

use std::sync::Arc;
use std::time::{Duration, Instant};

use quell_mail::date;
use quell_queue::door::{Answer, Incoming};
use quell_relay::directory::OwnMailError;
use quell_relay::own_mail::OwnMail;
use quell_relay::reception::Policy;
use quell_storm::facts::Answered;
use quell_storm::tell::Alert;
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;

use crate::deliver::maildir::MaildirStore;
use crate::server::desk::{Handle, Msg};
use crate::server::time::Timekeeper;

/// A disk that hangs must not keep the other alerts waiting.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// Why no mail was made.
#[derive(Debug, thiserror::Error)]
pub enum NotSent {
    /// The address is nobody's, or nobody can say.
    #[error("{0}: {1}")]
    NoRecipient(String, OwnMailError),
    /// No queue id could be had.
    #[error("no queue id could be had")]
    NoId,
    /// The door did not take it.
    #[error("it was not taken: {0}")]
    NotTaken(String),
    /// The desk has stopped.
    #[error("the server is stopping")]
    Stopping,
}

/// Makes and submits the mail.
pub struct Mailer {
    /// The way to the door.
    pub desk: Handle,
    /// Time and ids.
    pub time: Timekeeper,
    /// Which mailboxes there are.
    pub maildirs: Arc<MaildirStore>,
    /// Who is who, and where alerts go, at the moment.
    pub to: Box<dyn Fn() -> (Arc<Policy>, Option<String>) + Send>,
}

impl Mailer {
    /// Sends `alert`; returns when it is durable. False: no address is configured.
    ///
    /// # Errors
    /// [`NotSent`].
    pub fn send(&self, alert: &Alert) -> Result<bool, NotSent> {
        let (policy, operator) = (self.to)();
        let Some(to) = alert.to.clone().or(operator) else { return Ok(false) };
        let incoming = self.compose(&policy, &to, alert)?;
        let id = incoming.facts.queue_id;
        let (tx, mut answer) = oneshot::channel();
        self.desk.send(Msg::Accept(Box::new(incoming), tx));
        let began = Instant::now();
        let answer = loop {
            match answer.try_recv() {
                Ok(answer) => break answer,
                Err(TryRecvError::Closed) => return Err(NotSent::Stopping),
                // As with any client: what is not durable in time is withdrawn.
                Err(TryRecvError::Empty) if began.elapsed() > ANSWER_WITHIN => {
                    self.desk.send(Msg::Withdraw(id));
                    return Err(NotSent::NotTaken("it could not be written in time".to_owned()));
                }
                Err(TryRecvError::Empty) => std::thread::sleep(Duration::from_millis(20)),
            }
        };
        self.desk.send(Msg::Answered(id, Answered::Fine));
        match answer {
            Answer::Accepted(_) => Ok(true),
            other => Err(NotSent::NotTaken(format!("{other:?}"))),
        }
    }

    fn compose(&self, policy: &Policy, to: &str, alert: &Alert) -> Result<Incoming, NotSent> {
        let now = self.time.now();
        let exists = |domain: &str, local: &str| self.maildirs.told_exists(domain, local);
        let found = policy.directory.own_mail_to(to, &exists);
        let found = found.map_err(|why| NotSent::NoRecipient(to.to_owned(), why))?;
        let queue_id = self.time.queue_id(&now).ok_or(NotSent::NoId)?;
        let host = &policy.hostname;
        let text = format!(
            "From: quell <postmaster@{host}>\r\nTo: <{to}>\r\nSubject: {}\r\nDate: {}\r\n\
             Message-ID: <{queue_id}@{host}>\r\nAuto-Submitted: auto-generated\r\n\
             MIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n{}",
            alert.subject,
            date::print(now.wall_ms),
            alert.text.replace('\n', "\r\n"),
        );
        let message_id = format!("<{queue_id}@{host}>");
        let mail = OwnMail { bytes: text.into_bytes(), message_id, to, found, smtputf8: false };
        Ok(mail.into_incoming(policy, queue_id, &now))
    }
}
