//! What the server gives at most: a loop that asks for everything at once and keeps nothing.

use super::Ran;
use super::letters::Letters;
use super::maildrop::{Maildrop, PASSWORD, USER};
use super::syncs::Traced;
use crate::support::TempDir;
use nix::time::ClockId;
use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

const READ_LIMIT: Duration = Duration::from_secs(60);

/// Reads and deletes all.
pub fn collect(
    _: &TempDir,
    maildrop: &Maildrop,
    letters: &Letters,
    _: Option<&Traced>,
) -> Result<Ran, String> {
    maildrop.fill(letters);
    let (start, cpu) = (Instant::now(), cpu_secs());
    let bytes = read_all(maildrop.port, letters.count()).map_err(|error| error.to_string())?;
    let (secs, cpu_secs) = (start.elapsed().as_secs_f64(), cpu_secs() - cpu);
    let least: usize = letters.contents().map(<[u8]>::len).sum();
    let faults = (bytes < least).then(|| format!("{bytes} bytes came of {least}")).into_iter().collect();
    Ok(Ran { secs, cpu_secs, peak_mib: f64::NAN, threads: BTreeMap::new(), faults })
}

/// Of this process: nothing else runs in it meanwhile.
fn cpu_secs() -> f64 {
    let time = ClockId::CLOCK_PROCESS_CPUTIME_ID.now().expect("a clock");
    time.tv_sec() as f64 + time.tv_nsec() as f64 / 1e9
}

/// Bytes of all messages, as they come over the wire.
fn read_all(port: u16, count: usize) -> io::Result<usize> {
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(READ_LIMIT))?;
    let mut reader = BufReader::with_capacity(64 << 10, stream.try_clone()?);
    let mut line = Vec::new();
    let mut writer = stream;
    ok(&mut reader, &mut line)?;
    for command in [format!("USER {USER}\r\n"), format!("PASS {PASSWORD}\r\n"), "STAT\r\n".to_owned()] {
        writer.write_all(command.as_bytes())?;
        ok(&mut reader, &mut line)?;
    }
    // Commands wait in the sockets while the server has much to say: somebody else has to write them.
    let commands: String = (1..=count).map(|n| format!("RETR {n}\r\nDELE {n}\r\n")).collect();
    let writing = std::thread::spawn(move || writer.write_all((commands + "QUIT\r\n").as_bytes()));
    let mut bytes = 0;
    for _ in 0..count {
        ok(&mut reader, &mut line)?;
        bytes += message(&mut reader, &mut line)?;
        ok(&mut reader, &mut line)?;
    }
    ok(&mut reader, &mut line)?;
    writing.join().map_err(|_| io::Error::other("the writing thread"))??;
    Ok(bytes)
}

/// One line that begins with +OK.
fn ok(reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<()> {
    line.clear();
    reader.read_until(b'\n', line)?;
    match line.starts_with(b"+OK") {
        true => Ok(()),
        false => Err(io::Error::other(String::from_utf8_lossy(line).into_owned())),
    }
}

/// Lines up to the one with the dot.
fn message(reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<usize> {
    let mut bytes = 0;
    loop {
        line.clear();
        match reader.read_until(b'\n', line)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            _ if line == b".\r\n" => return Ok(bytes),
            read => bytes += read,
        }
    }
}
