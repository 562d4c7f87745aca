//! mutt reads a Maildir back, through a terminal that `script` makes for it.

use super::program;
use crate::support::TempDir;
use crate::support::process::run;
use std::fs;
use std::path::Path;
use std::process::Command;

pub fn available() -> bool {
    super::available(&["mutt", "script"])
}

/// All messages of a Maildir, one after the other, as mutt pipes them to a command.
/// It opens the Maildir read-only.
pub fn read(directory: &TempDir, maildir: &Path) -> String {
    let (home, out) = (directory.join("mutt"), directory.join("mutt/out"));
    fs::create_dir_all(&home).expect("a directory");
    fs::write(&out, "").expect("a file");
    let out_text = out.to_str().expect("a path");
    let keys = "<tag-pattern>~A<enter><tag-prefix><pipe-message>cat >>";
    let rc = format!(
        "set folder=\"{}\"\nset quit=yes\nset wait_key=no\nset pipe_decode=no\n\
         set pipe_split=yes\nset move=no\nset mark_old=no\nset sort=mailbox-order\n\
         push '{keys}{out_text}<enter><exit>'\n",
        home.display()
    );
    fs::write(home.join("muttrc"), rc).expect("a configuration");
    let mutt = program("mutt");
    let line =
        format!("'{}' -n -F '{}/muttrc' -R -f '{}'", mutt.display(), home.display(), maildir.display());
    let mut command = Command::new("script");
    command.args(["-qec", &line, "/dev/null"]).env("TERM", "xterm").env("HOME", &home);
    run(&mut command);
    fs::read_to_string(&out).expect("mutt's output")
}
