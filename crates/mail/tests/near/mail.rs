//! Where the messages come from: mbox files, packed with xz or not, and files of single messages.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use lzma_rust2::XzReader;
use memchr::memmem;
use quell_mail::content::{Content, content};
use quell_mail::header::{Field, fields, split};

/// One message, its line ends LF.
#[derive(Clone)]
pub struct Message {
    pub header: Vec<u8>,
    pub body: Vec<u8>,
}

impl Message {
    pub fn parse(bytes: &[u8]) -> Self {
        let (header, body) = split(bytes);
        Self { header: header.to_vec(), body: body.to_vec() }
    }

    pub fn content(&self) -> Content {
        content(&self.header, &self.body)
    }

    /// The value of the first field of this name, trimmed.
    pub fn value(&self, name: &str) -> Option<&[u8]> {
        fields(&self.header).find(|f| f.is(name)).map(|f| f.value.trim_ascii())
    }

    /// Its Message-ID, or something like one.
    pub fn id(&self) -> String {
        match self.value("message-id") {
            Some(id) => String::from_utf8_lossy(id).into_owned(),
            None => format!("(none, {} bytes)", self.header.len() + 1 + self.body.len()),
        }
    }

    /// The same with each field as `change` has it; None leaves it as it is.
    pub fn with_fields(&self, mut change: impl FnMut(&Field<'_>) -> Option<Vec<u8>>) -> Self {
        let header =
            fields(&self.header).flat_map(|f| change(&f).unwrap_or_else(|| f.whole.to_vec())).collect();
        Self { header, body: self.body.clone() }
    }

    /// The same with this field in the place of those of its name.
    pub fn with(&self, name: &str, value: &[u8]) -> Self {
        let mut changed = self.with_fields(|f| f.is(name).then(Vec::new));
        changed.header.extend_from_slice(&[name.as_bytes(), b": ", value, b"\n"].concat());
        changed
    }
}

/// All messages in `folder`, or in the file that it is; those without a header are left out.
pub fn messages(folder: &Path) -> io::Result<Vec<Message>> {
    let mut found = Vec::new();
    for path in files(folder)? {
        let bytes = read(&path)?;
        let unix: Vec<u8> = bytes.iter().copied().filter(|b| *b != b'\r').collect();
        found.extend(parts(&unix).into_iter().map(Message::parse));
    }
    found.retain(|message| message.value("from").is_some());
    Ok(found)
}

fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    if folder.is_file() {
        return Ok(vec![folder.to_owned()]);
    }
    let (mut found, mut folders) = (vec![], vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            match path.extension().and_then(|e| e.to_str()) {
                Some("gz" | "zst" | "json" | "md") => {}
                _ if path.is_dir() => folders.push(path),
                _ => found.push(path),
            }
        }
    }
    found.sort();
    Ok(found)
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    if path.extension().is_none_or(|e| e != "xz") {
        return fs::read(path);
    }
    let mut bytes = Vec::new();
    XzReader::new(File::open(path)?, true).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The messages of an mbox, without their postmarks; or the one message that a file is.
fn parts(bytes: &[u8]) -> Vec<&[u8]> {
    if !bytes.starts_with(b"From ") {
        return vec![bytes];
    }
    let mut starts = vec![0];
    starts.extend(memmem::find_iter(bytes, b"\n\nFrom ").map(|at| at + 2));
    starts.push(bytes.len());
    let whole = starts.windows(2).map(|w| &bytes[w[0]..w[1]]);
    whole.map(|m| &m[memchr::memchr(b'\n', m).map_or(0, |lf| lf + 1)..]).collect()
}
