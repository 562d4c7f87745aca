//! The password or token of an account: asked for at each sign-in, kept nowhere, shown nowhere.

use std::io::{self, Read};
use std::path::Path;
use std::time::SystemTime;

use quell_wire::pop3::{MAX_PASSWORD_BYTES, Password};

use super::account::Secret;
use super::trouble::{Kind, Trouble};
use crate::sign_in::token::ask_command;

/// What a command may print.
const MAX_OUTPUT_BYTES: usize = MAX_PASSWORD_BYTES + 1024;

impl Secret {
    /// The password or token at this moment, without blocking.
    ///
    /// # Errors
    /// As [`Secret::read`].
    pub async fn ask(&self) -> Result<Password, Trouble> {
        let secret = self.clone();
        let read = tokio::task::spawn_blocking(move || secret.read()).await;
        read.unwrap_or_else(|_| Err(Trouble::stopping()))
    }

    /// The password or token at this moment. Blocks: up to 10 s for a command.
    ///
    /// # Errors
    /// [`Kind::Secret`], in words that do not show it.
    pub fn read(&self) -> Result<Password, Trouble> {
        let trouble = |why: String| Trouble::new(Kind::Secret, why);
        let text = match self {
            Self::File(path) => first_line(path).map_err(|why| {
                trouble(format!("the password cannot be read from {}: {why}", path.display()))
            })?,
            Self::Env(name) => std::env::var(name)
                .map_err(|_| trouble(format!("the environment variable {name} is not set")))?,
            Self::Command(argv) | Self::Token(argv, _) => {
                let program = argv.first().cloned().unwrap_or_default();
                let printed = ask_command(argv, MAX_OUTPUT_BYTES);
                let what = if matches!(self, Self::Token(..)) { "token" } else { "password" };
                let printed = printed.map_err(|why| trouble(format!("no {what} from {program}: {why}")))?;
                printed.ok_or_else(|| {
                    trouble(format!("no {what} from {program}: it failed, or printed nothing"))
                })?
            }
        };
        let line = text.lines().next().unwrap_or_default();
        Password::new(line).map_err(|why| trouble(format!("what is to be the password cannot be one: {why}")))
    }

    /// When it was last changed, where that can be told: a corrected password is tried at once.
    pub fn changed(&self) -> Option<SystemTime> {
        match self {
            Self::File(path) => std::fs::metadata(path).and_then(|meta| meta.modified()).ok(),
            _ => None,
        }
    }
}

fn first_line(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(path)?.take(MAX_OUTPUT_BYTES as u64).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_source_gives_one_line() {
        let dir = std::env::temp_dir().join(format!("quell-secret-{}", std::process::id()));
        std::fs::write(&dir, "a b c\nnot this\n").unwrap();
        let file = Secret::File(dir.clone());
        assert_eq!(file.read().unwrap().as_bytes(), b"a b c");
        assert!(file.changed().is_some());
        std::fs::remove_file(&dir).unwrap();
        let why = file.read().unwrap_err();
        assert!(why.kind == Kind::Secret && why.why.contains("cannot be read"), "{why}");
        let sh = |script: &str| Secret::Command(vec!["/bin/sh".into(), "-c".into(), script.into()]);
        assert_eq!(sh("echo s3cret").read().unwrap().as_bytes(), b"s3cret");
        for (script, word) in
            [("exit 1", "no password from /bin/sh: it failed"), ("printf 'a\\001b'", "control character")]
        {
            let why = sh(script).read().unwrap_err();
            assert!(why.why.contains(word), "{why}");
        }
        assert!(Secret::Env("QUELL_NO_SUCH_VARIABLE".into()).read().is_err());
        assert!(Secret::Token(vec!["/nonexistent".into()], None).read().is_err());
    }
}
