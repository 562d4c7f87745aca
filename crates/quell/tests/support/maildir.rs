//! Reads a Maildir back.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A message in `new/` or `cur/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    pub path: PathBuf,
    /// Name of the file.
    pub name: String,
    pub message_id: Option<String>,
    /// Value of `X-Test-Id`.
    pub test_id: Option<String>,
    pub content: Vec<u8>,
}

/// All messages in `new/` and `cur/`, in order of their names. A mailbox that is not
/// there is empty.
pub fn read(maildir: &Path) -> Vec<Mail> {
    let mut mails: Vec<Mail> = ["new", "cur"]
        .iter()
        .filter_map(|part| std::fs::read_dir(maildir.join(part)).ok())
        .flatten()
        .filter_map(|entry| one(entry.expect("an entry").path()))
        .collect();
    mails.sort_by(|one, other| one.name.cmp(&other.name));
    mails
}

/// `None` if a mail program has moved it away meanwhile.
fn one(path: PathBuf) -> Option<Mail> {
    let content = std::fs::read(&path).ok()?;
    let name = path.file_name()?.to_string_lossy().into_owned();
    let message_id = field(&content, "Message-ID");
    let test_id = field(&content, "X-Test-Id");
    Some(Mail { path, name, message_id, test_id, content })
}

/// How many messages there are in `new/` and `cur/`, without reading them.
pub fn count(maildir: &Path) -> usize {
    let parts = ["new", "cur"].iter().filter_map(|part| std::fs::read_dir(maildir.join(part)).ok());
    parts.map(Iterator::count).sum()
}

/// How often each test id is there.
pub fn counts(maildir: &Path) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for id in read(maildir).into_iter().filter_map(|mail| mail.test_id) {
        *counts.entry(id).or_default() += 1;
    }
    counts
}

/// Value of the first field of this name, unfolded.
pub fn field(content: &[u8], name: &str) -> Option<String> {
    let text = String::from_utf8_lossy(content);
    let mut lines = text.lines().take_while(|line| !line.is_empty()).peekable();
    while let Some(line) = lines.next() {
        let Some((found, value)) = line.split_once(':') else { continue };
        if found.eq_ignore_ascii_case(name) {
            let mut value = value.trim().to_owned();
            while let Some(more) = lines.next_if(|line| line.starts_with([' ', '\t'])) {
                value.push_str(more);
            }
            return Some(value);
        }
    }
    None
}
