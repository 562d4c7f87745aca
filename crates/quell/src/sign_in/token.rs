//! `[submission] token_command`: a program of the operator's that says whose a bearer token is.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};

use crate::tell::of_the_operator;

/// A command that takes longer is ended.
const TIME_LIMIT: Duration = Duration::from_secs(10);
/// What it may print.
const MAX_OUTPUT_BYTES: usize = 1024;
/// Longest token; it mostly fits into a pipe's buffer.
pub const MAX_TOKEN_BYTES: usize = 16 << 10;

/// Whose the token is, in the command's words; None: the command refused it. Blocks for up to 10 s.
/// `user`: the name that the client gave, for `QUELL_USER` in the environment; the token comes on
/// standard input, and stands in no argument.
///
/// # Errors
/// The command could not be run, took too long, or ended by a signal.
pub(super) fn run(argv: &[String], user: Option<&str>, token: &[u8]) -> io::Result<Option<String>> {
    // An environment cannot carry a NUL, and no name has one.
    if token.len() > MAX_TOKEN_BYTES || user.is_some_and(|user| user.contains('\0')) {
        return Ok(None);
    }
    let (program, arguments) = argv.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut command = of_the_operator(program);
    command.args(arguments).env("QUELL_USER", user.unwrap_or_default());
    ask(&mut command, token, MAX_OUTPUT_BYTES)
}

/// What a command of the operator's prints, at most `max_bytes`; None: it failed, or printed nothing. Blocks for up to
/// 10 s.
///
/// # Errors
/// As [`run`].
pub(crate) fn ask_command(argv: &[String], max_bytes: usize) -> io::Result<Option<String>> {
    let (program, arguments) = argv.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    ask(of_the_operator(program).args(arguments), b"", max_bytes)
}

fn ask(command: &mut Command, input: &[u8], max_bytes: usize) -> io::Result<Option<String>> {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn()?;
    let said = talk(&mut child, input, TIME_LIMIT, max_bytes);
    if said.is_err() {
        // It may have ended by itself; either way nothing of it is left behind.
        drop(child.kill());
        child.wait()?;
    }
    said
}

fn talk(
    child: &mut Child,
    mut token: &[u8],
    limit: Duration,
    max_bytes: usize,
) -> io::Result<Option<String>> {
    let began = Instant::now();
    let mut stdin = child.stdin.take();
    if let Some(stdin) = &stdin {
        fcntl(stdin.as_fd(), FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    }
    let status = loop {
        feed(&mut stdin, &mut token)?;
        match child.try_wait()? {
            Some(status) => break status,
            None if began.elapsed() > limit => {
                return Err(io::Error::other("it took longer than 10 s and was ended"));
            }
            None => std::thread::sleep(Duration::from_millis(10)),
        }
    };
    match status.code() {
        Some(0) => Ok(child
            .stdout
            .take()
            .map(|stdout| said(stdout, max_bytes))
            .transpose()?
            .filter(|said| !said.is_empty())),
        Some(_) => Ok(None),
        None => Err(io::Error::other(format!("it ended with {status}"))),
    }
}

/// Writes what there is room for, and closes the pipe after the end. A program that does not read its
/// token is no failure.
fn feed(stdin: &mut Option<ChildStdin>, token: &mut &[u8]) -> io::Result<()> {
    while let Some(pipe) = stdin
        && !token.is_empty()
    {
        match pipe.write(token) {
            Ok(written) => *token = token.get(written..).unwrap_or_default(),
            Err(why) if why.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
            Err(why) if why.kind() == io::ErrorKind::BrokenPipe => break,
            Err(why) => return Err(why),
        }
    }
    *stdin = None;
    Ok(())
}

/// What it has printed. Something that it started may hold the pipe open: that is not waited for.
fn said(mut stdout: ChildStdout, max_bytes: usize) -> io::Result<String> {
    fcntl(stdout.as_fd(), FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    let mut bytes = vec![0; max_bytes];
    let len = match stdout.read(&mut bytes) {
        Err(why) if why.kind() == io::ErrorKind::WouldBlock => 0,
        read => read?,
    };
    bytes.truncate(len);
    Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, token: &[u8]) -> io::Result<Option<String>> {
        run(&["/bin/sh".to_owned(), "-c".to_owned(), script.to_owned()], Some("jane@firm.example"), token)
    }

    #[test]
    fn the_command_says_whose_it_is() {
        let jane = Some("jane@firm.example");
        let script = "read token; test \"$token\" = good && echo \"$QUELL_USER\"";
        assert_eq!(shell(script, b"good\n").unwrap().as_deref(), jane);
        assert_eq!(shell(script, b"bad\n").unwrap(), None);
        assert_eq!(shell("true", b"x").unwrap(), None, "nothing printed is nobody");
        assert_eq!(shell("exit 3", &[b'x'; MAX_TOKEN_BYTES]).unwrap(), None);
        assert_eq!(shell("cat; echo jane@firm.example", &[b'x'; MAX_TOKEN_BYTES + 1]).unwrap(), None);
        // What it leaves running is not waited for.
        assert_eq!(shell("sleep 5 & echo jane@firm.example", b"x").unwrap().as_deref(), jane);
        let much =
            shell("i=0; while [ $i -lt 9999 ]; do echo aaaa; i=$((i+1)); done", b"x").unwrap().unwrap();
        assert!(much.len() <= MAX_OUTPUT_BYTES);
    }

    #[test]
    fn trouble_is_no_refusal() {
        assert!(run(&["/nonexistent/program".to_owned()], None, b"x").is_err());
        assert!(shell("kill -9 $$", b"x").is_err());
        assert!(run(&[], None, b"x").is_err());
    }

    /// More than a pipe holds: to write it must not wait for whom nobody stops.
    #[test]
    fn a_program_that_reads_late_or_never_is_waited_for_within_the_limit() {
        let long = vec![b'x'; 1 << 20];
        let start = |script: &str| {
            let mut sh = of_the_operator("/bin/sh");
            sh.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
        };
        let mut never = start("exec sleep 600");
        let why = talk(&mut never, &long, Duration::from_millis(50), MAX_OUTPUT_BYTES).unwrap_err();
        assert!(why.to_string().contains("was ended"), "{why}");
        never.kill().unwrap();
        never.wait().unwrap();
        let mut late = start("sleep 0.1; wc -c");
        assert_eq!(talk(&mut late, &long, TIME_LIMIT, MAX_OUTPUT_BYTES).unwrap().as_deref(), Some("1048576"));
    }
}
