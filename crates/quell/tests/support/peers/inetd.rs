//! Programs that serve one connection on their standard input and output, as inetd(8) starts them.

use crate::support::process::run;
use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// Starts a program for each connection. Runs until dropped, and they with it.
pub struct Inetd {
    /// On 127.0.0.1.
    pub port: u16,
    stopped: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Inetd {
    /// `program` makes the command for a connection; what it says on its standard error goes to `log`.
    pub fn start(log: &Path, program: impl Fn() -> Command + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let stopped = Arc::new(AtomicBool::new(false));
        let (stop, log) = (Arc::clone(&stopped), log.to_owned());
        let thread = std::thread::spawn(move || {
            let mut children: Vec<Child> = Vec::new();
            for stream in listener.incoming() {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                children.retain_mut(|child| child.try_wait().expect("a state").is_none());
                children.push(serve(program(), stream.expect("a connection"), &log));
            }
            for mut child in children {
                // Fails only for one that has ended by itself.
                let _ended = child.kill();
                child.wait().expect("an end");
            }
        });
        Self { port, stopped, thread: Some(thread) }
    }
}

impl Drop for Inetd {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        // Wakes the thread that accepts.
        drop(TcpStream::connect(("127.0.0.1", self.port)));
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(std::thread::panicking() || ended.is_some_and(|ended| ended.is_ok()), "inetd");
    }
}

fn serve(mut command: Command, stream: TcpStream, log: &Path) -> Child {
    let log = File::options().create(true).append(true).open(log).expect("a log");
    let input = OwnedFd::from(stream.try_clone().expect("a stream"));
    command.stdin(input).stdout(OwnedFd::from(stream)).stderr(log);
    command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// Users of a system of its own in `home`, as files for a mount namespace: `jane` with this password, the
/// owner of `home`/mail/jane, and a name for the program that needs one.
pub struct Users {
    pub uid: u32,
}

impl Users {
    /// Writes passwd, shadow and a PAM service into `home`.
    pub fn make(home: &Path, program: &str, services: &[&str], password: &str) -> Self {
        let uid = 64_001;
        let hash = run(Command::new("openssl").args(["passwd", "-6", password]));
        let lines = [
            "root:x:0:0::/:/bin/sh".to_owned(),
            "nobody:x:65534:65534::/:/bin/false".to_owned(),
            format!("{program}:x:64000:65534::/:/bin/false"),
            format!("jane:x:{uid}:65534::/var/mail/jane:/bin/sh\n"),
        ];
        fs::write(home.join("passwd"), lines.join("\n")).expect("users");
        fs::write(home.join("shadow"), format!("jane:{}:19000::::::\n", hash.trim())).expect("users");
        fs::create_dir_all(home.join("pam.d")).expect("a directory");
        for service in services {
            let text = "auth required pam_unix.so nodelay\naccount required pam_unix.so\n";
            fs::write(home.join("pam.d").join(service), text).expect("a service");
        }
        Self { uid }
    }

    /// Gives a file or directory, with all in it, to jane.
    pub fn own(&self, path: &Path) {
        run(Command::new("chown").arg("-R").arg(format!("{}:65534", self.uid)).arg(path));
    }
}

/// A shell in a mount namespace of its own; `script` has `home` as `$1`.
pub fn in_namespace(script: &str, home: &Path) -> Command {
    let mut command = Command::new("unshare");
    command.args(["-m", "--propagation", "private", "sh", "-euc", script, "sh"]).arg(home);
    command
}

/// Whether these unpacked programs can be run in a mount namespace here.
pub fn available(programs: &[&str]) -> bool {
    let needed: Vec<&str> = programs.iter().copied().chain(["unshare", "openssl"]).collect();
    if !super::available_to_root(&needed) {
        return false;
    }
    let (allowed, said) = crate::support::process::try_run(Command::new("unshare").args(["-m", "true"]));
    allowed || super::skip(&format!("a mount namespace is needed: {said}"))
}
