//! Sockets that the service manager has opened for us (socket activation, sd_listen_fds(3)): then the
//! server needs no right to open port 25 at any time.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use rustix::net::sockopt::socket_acceptconn;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use tracing::{info, warn};

use super::ServeError;

/// Names by which a socket says what it is for (`FileDescriptorName=`): `[smtp] listen`,
/// `[smtp] listen_tls`, `[submission] listen` and `listen_tls`, `[console] listen`, `[acme] listen`.
const SERVICES: [&str; 6] = ["smtp", "smtp-tls", "submission", "submissions", "console", "acme"];
/// Most sockets that are taken.
const MAX_SOCKETS: usize = 64;

/// The sockets that were handed in, and nobody has taken yet.
pub(super) struct HandedIn(Vec<Socket>);

struct Socket {
    name: String,
    address: SocketAddr,
    listener: TcpListener,
}

impl fmt::Display for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (FileDescriptorName={})", self.address, self.name)
    }
}

impl HandedIn {
    /// Takes what `LISTEN_FDS` names, if it is meant for this process. To be called once.
    ///
    /// # Errors
    /// [`ServeError::HandedIn`]: what is there is no listening TCP socket, or there are too many.
    pub(super) fn take() -> Result<Self, ServeError> {
        let failed = |why: io::Error| ServeError::HandedIn(format!("LISTEN_FDS, LISTEN_FDNAMES: {why}"));
        // Names may stand in the environment that were meant for whoever started us.
        if sd_notify::listen_fds().map_err(failed)?.len() == 0 {
            return Ok(Self(Vec::new()));
        }
        let handed = sd_notify::listen_fds_with_names().map_err(failed)?;
        if handed.len() > MAX_SOCKETS {
            return Err(ServeError::HandedIn(format!("there are more than {MAX_SOCKETS}")));
        }
        let sockets = handed.map(|(number, name)| socket(number, name)).collect::<Result<_, _>>()?;
        Ok(Self(sockets))
    }

    /// The listeners of `service`: all sockets of its name, and then no others; without one, each of
    /// `addresses`, handed in under no service's name or else opened by `bind`.
    pub(super) fn listeners(
        &mut self,
        service: &str,
        addresses: &[SocketAddr],
        bind: impl Fn(SocketAddr) -> Result<TcpListener, ServeError>,
    ) -> Result<Vec<TcpListener>, ServeError> {
        let named = self.0.extract_if(.., |socket| socket.name == service).collect::<Vec<_>>();
        if named.is_empty() {
            return addresses
                .iter()
                .map(|address| self.at(*address).map_or_else(|| bind(*address), Ok))
                .collect();
        }
        let there: BTreeSet<_> = named.iter().map(|socket| socket.address).collect();
        if there != addresses.iter().copied().collect() {
            warn!(
                event = "handed_in_elsewhere",
                "the service manager's sockets for {service} are at {there:?}, and `listen` says {addresses:?}: \
                 the sockets count, but what quell knows of its own addresses comes from the configuration; \
                 write the same there"
            );
        }
        Ok(named.into_iter().map(Socket::taken).collect())
    }

    fn at(&mut self, address: SocketAddr) -> Option<TcpListener> {
        let is_it = |socket: &Socket| socket.address == address && !SERVICES.contains(&&*socket.name);
        let place = self.0.iter().position(is_it)?;
        Some(self.0.swap_remove(place).taken())
    }

    /// To be called when every service has taken its own.
    ///
    /// # Errors
    /// [`ServeError::HandedIn`] where one is left: whoever connects to it would wait for ever.
    pub(super) fn nothing_left(self) -> Result<(), ServeError> {
        let Some(left) = self.0.first() else { return Ok(()) };
        Err(ServeError::HandedIn(format!(
            "nothing is configured to listen at {left}: give it the name of a service ({}) or put its address \
             into `listen`",
            SERVICES.join(", ")
        )))
    }
}

impl Socket {
    fn taken(self) -> TcpListener {
        info!(
            event = "handed_in",
            name = self.name,
            "the service manager's socket at {} is used",
            self.address
        );
        self.listener
    }
}

fn socket(number: RawFd, name: String) -> Result<Socket, ServeError> {
    let failed = |why: io::Error| ServeError::HandedIn(format!("descriptor {number} ({name}): {why}"));
    let listener = TcpListener::from(owned(number).map_err(failed)?);
    let listens = socket_acceptconn(&listener).map_err(|e| failed(e.into()))?;
    let address = listener.local_addr().ok().filter(|_| listens);
    let address = address.ok_or_else(|| failed(io::Error::other("it is no listening TCP socket")))?;
    listener.set_nonblocking(true).map_err(failed)?;
    Ok(Socket { name, address, listener })
}

/// Makes a bare number a descriptor that somebody owns. That takes `unsafe`, or the kernel: it is sent to
/// ourselves, arrives as a new one, and the number is closed.
fn owned(number: RawFd) -> io::Result<OwnedFd> {
    let (there, here) = UnixStream::pair()?;
    let numbers = [number];
    let rights = [ControlMessage::ScmRights(&numbers)];
    sendmsg::<()>(there.as_raw_fd(), &[IoSlice::new(b"1")], &rights, MsgFlags::empty(), None)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    recvmsg(&here, &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let arrived = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut sent) => sent.next(),
        _ => None,
    });
    nix::unistd::close(number)?;
    arrived.ok_or_else(|| io::Error::other("it did not arrive"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::IntoRawFd;

    fn handed_in(sockets: &[(&str, &TcpListener)]) -> HandedIn {
        let one = |(name, listener): &(&str, &TcpListener)| {
            let number = listener.try_clone().unwrap().into_raw_fd();
            socket(number, (*name).to_owned()).unwrap()
        };
        HandedIn(sockets.iter().map(one).collect())
    }

    fn open() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    fn refuse(address: SocketAddr) -> Result<TcpListener, ServeError> {
        Err(ServeError::Listen(address, io::ErrorKind::PermissionDenied.into()))
    }

    #[test]
    fn a_name_takes_the_place_of_all_addresses() {
        let ((one, at), (two, _)) = (open(), open());
        let mut handed = handed_in(&[("smtp", &one), ("smtp", &two)]);
        let listeners = handed.listeners("smtp", &["192.0.2.1:25".parse().unwrap()], refuse).unwrap();
        assert_eq!(listeners.len(), 2);
        assert_eq!(listeners[0].local_addr().unwrap(), at);
        handed.nothing_left().unwrap();
    }

    #[test]
    fn an_address_finds_its_socket_and_the_others_are_opened() {
        let ((one, at), (two, console)) = (open(), open());
        let mut handed = handed_in(&[("quell.socket", &one), ("unknown", &two)]);
        let other = "127.0.0.1:0".parse().unwrap();
        let bind = |address| if address == other { Ok(open().0) } else { refuse(address) };
        assert_eq!(handed.listeners("smtp", &[at, other], bind).unwrap().len(), 2);
        assert_eq!(handed.listeners("console", &[console], refuse).unwrap().len(), 1);
        handed.nothing_left().unwrap();
    }

    #[test]
    fn what_nobody_wants_is_an_error_and_no_service_takes_anothers() {
        let (one, at) = open();
        let mut handed = handed_in(&[("smtp-tls", &one)]);
        assert!(matches!(handed.listeners("smtp", &[at], refuse), Err(ServeError::Listen(..))));
        let said = handed.nothing_left().unwrap_err().to_string();
        assert!(said.contains(&at.to_string()) && said.contains("smtp-tls"), "{said}");
    }

    #[test]
    fn only_listening_tcp_sockets_are_taken() {
        let datagram = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let (stream, _) = UnixStream::pair().unwrap();
        let file = std::fs::File::open("/dev/null").unwrap();
        for number in [datagram.into_raw_fd(), stream.into_raw_fd(), file.into_raw_fd()] {
            assert!(matches!(socket(number, "smtp".to_owned()), Err(ServeError::HandedIn(_))));
        }
        assert!(socket(-1, "smtp".to_owned()).is_err());
    }
}
