//! Mail that an ISP is given, on its way into mailboxes.

use std::sync::Arc;

use quell_wire::path::Path;
use quell_wire::reply::Reply;

use super::mailbox::Mailboxes;
use crate::content::{Content, Pool};
use crate::host::{HostName, Moment, Note};
use crate::mail_in::{Desk, Mail};
use crate::relay::message_id;
use crate::text::Stamp;

/// Which fields of final delivery an ISP writes, beside its `Received`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Marks {
    /// `Return-Path`.
    pub return_path: bool,
    /// `Delivered-To`.
    pub delivered_to: bool,
    /// `X-Original-To`.
    pub x_original_to: bool,
}

/// Takes messages for the mailboxes that there are.
#[derive(Debug)]
pub(super) struct Delivery {
    pub name: HostName,
    pub marks: Marks,
    pub mailboxes: Mailboxes,
    pub pool: Pool,
    pub now: Moment,
    pub delivered: u64,
    pub notes: Vec<Note>,
}

impl Delivery {
    fn mailbox_of(&self, recipient: &Path) -> Option<usize> {
        self.mailboxes.of_domain(&recipient.domain()?.to_ascii_lowercase())
    }

    /// The fields on top of one recipient's message.
    fn lines(&self, mail: &Mail, recipient: &str) -> String {
        let Marks { return_path, delivered_to, x_original_to } = self.marks;
        let id = format!("I{:010}", self.delivered);
        let stamp = Stamp {
            helo: &mail.helo,
            peer: mail.peer,
            by: &self.name,
            with: "LMTP",
            id: &id,
            for_: Some(recipient),
            at: self.now,
        };
        let mut lines = String::new();
        if return_path {
            lines += &format!("Return-Path: <{}>\r\n", mail.reverse_path.address());
        }
        if x_original_to {
            lines += &format!("X-Original-To: {recipient}\r\n");
        }
        if delivered_to {
            lines += &format!("Delivered-To: {recipient}\r\n");
        }
        lines + &stamp.field()
    }

    fn deliver(&mut self, mail: &Mail, recipient: &Path, message: &(Arc<str>, Content)) -> Reply {
        let Some(mailbox) = self.mailbox_of(recipient) else { return no_such_mailbox() };
        self.delivered += 1;
        let address = recipient.address().to_ascii_lowercase();
        let content = message.1.under(self.lines(mail, &address).as_bytes());
        let bytes = content.bytes();
        match self.mailboxes.put(mailbox, &address, content) {
            None => full(),
            Some((mailbox, recipient)) => {
                let message_id = message.0.clone();
                self.notes.push(Note::Arrived { mailbox, recipient, message_id, bytes });
                Reply::new(250, (0, 0), "delivered")
            }
        }
    }
}

impl Desk for Delivery {
    fn recipient(&mut self, recipient: &Path) -> Reply {
        match self.mailbox_of(recipient) {
            None => no_such_mailbox(),
            Some(mailbox) if !self.mailboxes.has_room(mailbox) => full(),
            Some(_) => Reply::recipient_ok(),
        }
    }

    fn room(&mut self) -> Reply {
        Reply::go_ahead()
    }

    fn message(&mut self, mail: Mail) -> Vec<Reply> {
        let message = (message_id(&mail.content), self.pool.share(&mail.content));
        mail.recipients.iter().map(|recipient| self.deliver(&mail, recipient, &message)).collect()
    }
}

fn no_such_mailbox() -> Reply {
    Reply::new(550, (1, 1), "no such mailbox")
}

fn full() -> Reply {
    Reply::new(452, (2, 2), "the mailbox is full")
}
