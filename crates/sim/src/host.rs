//! What a host is: events in, actions out. It owns no socket and reads no clock.

use std::net::IpAddr;
use std::sync::Arc;

/// A moment, real or virtual.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Moment {
    /// Milliseconds since 1970, UTC.
    pub ms: i64,
}

impl Moment {
    /// The moment so many milliseconds later.
    pub fn plus_ms(self, ms: u64) -> Self {
        Self { ms: self.ms.saturating_add_unsigned(ms) }
    }

    /// Milliseconds since `earlier`; 0 if that is later.
    pub fn ms_since(self, earlier: Self) -> u64 {
        u64::try_from(self.ms.saturating_sub(earlier.ms)).unwrap_or(0)
    }
}

/// A connection, as its host knows it: numbers are used once, and mean nothing to other hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Conn(pub u64);

impl Conn {
    const ACCEPTED: u64 = 1 << 63;

    /// The `number`th connection that the host opens itself. Hosts number these.
    pub fn opened(number: u64) -> Self {
        Self(number & !Self::ACCEPTED)
    }

    /// The `number`th connection that the host accepts. The runner numbers these; they are never
    /// equal to one that the host opened.
    pub fn accepted(number: u64) -> Self {
        Self(number | Self::ACCEPTED)
    }
}

/// What is spoken on a connection; a host listens on one socket for each that it offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// RFC 5321.
    Smtp,
    /// RFC 2033.
    Lmtp,
    /// RFC 1939.
    Pop3,
}

/// The name of a host, by which others connect to it; the runner knows the socket behind it.
pub type HostName = Arc<str>;

/// Who a host is in the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its name, also in its greetings and stamps.
    pub name: HostName,
    /// Its address.
    pub ip: IpAddr,
}

/// Whom to connect to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// The host.
    pub host: HostName,
    /// The service of it.
    pub service: Service,
}

/// What happens to a host. Events of connections that it does not know, or has closed, it ignores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// The first of all.
    Start,
    /// The time of [`Action::WakeAt`] has come. It may come early, or unasked.
    Wake,
    /// Somebody connected to one of [`Host::listens`].
    Accepted {
        /// Numbered by the runner, as [`Conn::accepted`].
        conn: Conn,
        /// On which socket.
        service: Service,
        /// From where.
        peer: IpAddr,
    },
    /// [`Action::Connect`] succeeded.
    Connected {
        /// As the host numbered it.
        conn: Conn,
    },
    /// [`Action::Connect`] failed; the number is used up.
    Failed {
        /// As the host numbered it.
        conn: Conn,
    },
    /// Bytes came in; how they are cut means nothing.
    Bytes {
        /// The connection.
        conn: Conn,
        /// At least one byte.
        bytes: &'a [u8],
    },
    /// Everything that the host has sent on this connection so far has been handed to the network. To
    /// be given at least once after the last [`Action::Send`] of each burst; a host that has much to
    /// say waits for it, so that what waits to be sent stays bounded. It may come more often.
    Drained {
        /// The connection.
        conn: Conn,
    },
    /// The other side closed the connection, or it broke: nothing more comes, and nothing is sent.
    Closed {
        /// The connection.
        conn: Conn,
    },
}

/// What a host wants done, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Connect; [`Event::Connected`] or [`Event::Failed`] follows.
    Connect {
        /// Numbered by the host, as [`Conn::opened`].
        conn: Conn,
        /// To whom.
        to: Address,
    },
    /// Send bytes, on an accepted connection or one that is [`Event::Connected`]. Ignored on a closed one.
    Send {
        /// The connection.
        conn: Conn,
        /// What to send.
        bytes: Vec<u8>,
    },
    /// Close, after all that was sent before has left. No event follows on this connection.
    Close {
        /// The connection.
        conn: Conn,
    },
    /// [`Event::Wake`] at this time, or soon after. A host has one alarm: of several times asked for the
    /// earliest counts, and it is gone when it has rung.
    WakeAt(Moment),
    /// Something that a display shows or a checker counts.
    Note(Note),
}

/// Something that happened at a host, for displays and checkers. Nothing of it passes between hosts.
///
/// Recipients are addresses in lower case; a Message-ID has its angle brackets, and is empty where a
/// message has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// The office: a message is written and waits to be sent. Its delay is from here to
    /// [`Note::Arrived`].
    Written {
        /// Of the message.
        message_id: Arc<str>,
    },
    /// The publisher, the office, or a faulty server that was told to make reports (of a report): the next
    /// hop has taken a transaction (250 after its content).
    Submitted {
        /// Of the message.
        message_id: Arc<str>,
        /// Recipients of this transaction that were taken.
        recipients: u32,
    },
    /// The faulty server: the next hop has taken a transaction of a re-send. `recipients` is the number
    /// of copies by which a storm is measured.
    CopySent {
        /// Of the copy: the original's, or a fresh one.
        message_id: Arc<str>,
        /// Recipients of this transaction that were taken.
        recipients: u32,
    },
    /// A sending host: the next hop refused recipients, or the connection was lost.
    Refused {
        /// The reply's code; 0 when there was none.
        code: u16,
        /// How many recipients.
        recipients: u32,
    },
    /// A firm's server has polled its mailbox.
    Polled {
        /// Messages that it fetched.
        fetched: u32,
        /// Whether it failed before it could delete them, and so will fetch them again.
        failed: bool,
    },
    /// The plain relay took a message from somebody.
    Taken {
        /// Its recipients.
        recipients: u32,
        /// Its size.
        bytes: u64,
    },
    /// The plain relay passed a message on, and is rid of it.
    Passed {
        /// Recipients that were taken by the next hop.
        recipients: u32,
    },
    /// The ISP put a message into a mailbox; one note for each recipient.
    Arrived {
        /// The mailbox, by its user name.
        mailbox: Arc<str>,
        /// The recipient of the envelope.
        recipient: Arc<str>,
        /// Of the message.
        message_id: Arc<str>,
        /// Size of the message as it lies in the mailbox.
        bytes: u64,
    },
}

/// A computer of the network.
///
/// It acts on events alone: equal events at equal times, from an equal beginning, bring equal actions.
/// It never panics, whatever comes in.
pub trait Host: Send {
    /// Its name, by which others connect to it, and its address, as the next hop sees it. A runner with
    /// real sockets may bind to the address where it is of 127.0.0.0/8, and use 127.0.0.1 where that
    /// fails.
    fn place(&self) -> &Place;

    /// The services that it offers; the same at all times.
    fn listens(&self) -> &[Service] {
        &[]
    }

    /// Takes an event, and says what to do, at the end of `out`.
    fn on(&mut self, event: Event<'_>, now: Moment, out: &mut Vec<Action>);
}
