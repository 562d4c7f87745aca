//! A small program for the tests of this crate: `powercut-toy MODE DIRECTORY COUNT`.
//!
//! It keeps messages as a mail server does, and after each says `kept N` and waits for a
//! line before it goes on, so that the test can note a mark. Modes: `good`, and one for
//! each classic mistake.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, Write};
use std::path::Path;

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [mode, directory, count] = arguments.as_slice() else {
        return Err(io::Error::other("usage: powercut-toy MODE DIRECTORY COUNT"));
    };
    let directory = Path::new(directory);
    for number in 0..count.parse().map_err(io::Error::other)? {
        match mode.as_str() {
            "append" => append(directory, number)?,
            mode => keep(mode, directory, number)?,
        }
        writeln!(io::stdout(), "kept {number}")?;
        io::stdin().lock().read_line(&mut String::new())?;
    }
    Ok(())
}

/// What message `number` says; two sectors long and a bit.
fn message(number: usize) -> Vec<u8> {
    format!("message {number}\n").repeat(800).into_bytes()
}

/// Write, sync, rename, sync the directory; the mode says which step is forgotten.
fn keep(mode: &str, directory: &Path, number: usize) -> io::Result<()> {
    let (temporary, kept) =
        (directory.join("tmp").join(number.to_string()), directory.join(number.to_string()));
    let mut file = File::create(&temporary)?;
    file.write_all(&message(number))?;
    if mode != "no-file-sync" {
        file.sync_data()?;
    }
    fs::rename(&temporary, &kept)?;
    if mode != "no-directory-sync" {
        File::open(directory)?.sync_all()?;
    }
    Ok(())
}

/// Appends to one file and forgets to sync every third time.
fn append(directory: &Path, number: usize) -> io::Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(directory.join("all"))?;
    file.write_all(&message(number))?;
    if number % 3 != 2 {
        file.sync_all()?;
        File::open(directory)?.sync_all()?;
    }
    Ok(())
}
