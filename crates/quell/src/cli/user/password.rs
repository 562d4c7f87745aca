//! A password, from the terminal, a file or standard input. Never from the command line: `ps` shows
//! that to everybody.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};

use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};

use super::{Failure, From};
use crate::sign_in::verifier::MAX_PASSWORD_BYTES;

/// What Ctrl-C types where it is no signal.
const INTERRUPT: char = '\u{3}';

/// The password that `from` names, or what is typed.
pub(super) fn read(from: &From) -> Result<String, Failure> {
    if let Some(path) = &from.password_file {
        let failed = |why: io::Error| Failure::Failed(format!("{}: {why}", path.display()));
        return first_line(File::open(path).map_err(failed)?).map_err(failed);
    }
    if from.password_stdin {
        let failed = |why: io::Error| Failure::Failed(format!("standard input: {why}"));
        return first_line(io::stdin().lock()).map_err(failed);
    }
    typed()
}

/// One line without its end. Of a longer one the caller says that it is too long.
fn first_line(from: impl Read) -> io::Result<String> {
    let mut line = Vec::new();
    BufReader::new(from.take(MAX_PASSWORD_BYTES as u64 + 2)).read_until(b'\n', &mut line)?;
    let line = line.strip_suffix(b"\n").unwrap_or(&line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    String::from_utf8(line.to_vec()).map_err(|_| io::Error::other("the password is no UTF-8"))
}

fn typed() -> Result<String, Failure> {
    let terminal = File::options().read(true).write(true).open("/dev/tty");
    let Ok(terminal) = terminal else {
        let why = "there is no terminal to ask for the password at: give --password-file or --password-stdin";
        return Err(Failure::Usage(why.to_owned()));
    };
    let failed = |why: io::Error| Failure::Failed(format!("the terminal: {why}"));
    let first = ask(&terminal, "Password: ").map_err(failed)?;
    let second = ask(&terminal, "Once more: ").map_err(failed)?;
    if [&first, &second].iter().any(|typed| typed.contains(INTERRUPT)) {
        return Err(Failure::Failed("nothing was changed".to_owned()));
    }
    if first != second {
        return Err(Failure::Failed("the two are not the same; nothing was changed".to_owned()));
    }
    Ok(first)
}

fn ask(mut terminal: &File, prompt: &str) -> io::Result<String> {
    let silent = Silent::on(terminal)?;
    terminal.write_all(prompt.as_bytes())?;
    let line = first_line(terminal)?;
    // The line end was not shown either.
    terminal.write_all(b"\n")?;
    drop(silent);
    Ok(line)
}

/// A terminal that shows nothing of what is typed, until this is dropped. Ctrl-C is a character
/// meanwhile: a command that it ended would leave the terminal silent.
struct Silent<'a>(&'a File, Termios);

impl<'a> Silent<'a> {
    fn on(terminal: &'a File) -> io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut silent = before.clone();
        silent.local_flags.remove(LocalFlags::ECHO | LocalFlags::ISIG);
        tcsetattr(terminal, SetArg::TCSAFLUSH, &silent)?;
        Ok(Self(terminal, before))
    }
}

impl Drop for Silent<'_> {
    fn drop(&mut self) {
        // Where this fails the terminal has gone.
        let _ = tcsetattr(self.0, SetArg::TCSADRAIN, &self.1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_is_read_without_its_end() {
        for (bytes, wanted) in [
            (&b"correct horse\n"[..], "correct horse"),
            (b"correct horse", "correct horse"),
            (b"with spaces \r\nand more", "with spaces "),
            (b"\n", ""),
            (b"", ""),
        ] {
            assert_eq!(first_line(bytes).unwrap(), wanted);
        }
        assert!(first_line(&b"\xff\n"[..]).is_err());
        let long = first_line(&[b'a'; 9_999][..]).unwrap();
        assert!(long.len() > MAX_PASSWORD_BYTES && long.len() < 2_000);
    }
}
