//! `quell completion`: what makes a shell complete quell's commands.

use std::io::{self, Write};

use clap::CommandFactory;
use clap_complete::Shell;

use super::Cli;

/// How each shell is told.
const HOW_TO: &str = "\
Install it, once, for everybody on this machine:
  bash  quell completion bash > /usr/share/bash-completion/completions/quell
  zsh   quell completion zsh > /usr/local/share/zsh/site-functions/_quell
  fish  quell completion fish > /usr/share/fish/vendor_completions.d/quell.fish
or for yourself:
  bash  quell completion bash > ~/.local/share/bash-completion/completions/quell
  zsh   quell completion zsh > ~/.zfunc/_quell
        with `fpath+=(~/.zfunc)` before `compinit` in ~/.zshrc
  fish  quell completion fish > ~/.config/fish/completions/quell.fish
The folder must be there (mkdir -p); a new shell then completes.";

/// Print a script that makes a shell complete quell's commands
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = HOW_TO)]
pub struct Args {
    /// The shell
    #[arg(value_enum)]
    pub shell: For,
}

/// Shells that are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum For {
    /// GNU bash, with the package bash-completion
    Bash,
    /// zsh
    Zsh,
    /// fish
    Fish,
}

impl From<For> for Shell {
    fn from(shell: For) -> Self {
        match shell {
            For::Bash => Self::Bash,
            For::Zsh => Self::Zsh,
            For::Fish => Self::Fish,
        }
    }
}

/// Prints it. Needs no configuration.
///
/// # Errors
/// Those of `out`.
pub fn run(args: &Args, out: &mut dyn Write) -> io::Result<()> {
    // Made whole first: clap_complete panics where it cannot write, and a closed pipe is no fault.
    let mut script = Vec::new();
    clap_complete::generate(Shell::from(args.shell), &mut Cli::command(), "quell", &mut script);
    out.write_all(&script)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn script(shell: For) -> String {
        let mut out = Vec::new();
        run(&Args { shell }, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_shell_gets_every_command_that_is_shown() {
        for shell in [For::Bash, For::Zsh, For::Fish] {
            let script = script(shell);
            for command in Cli::command().get_subcommands().filter(|c| !c.is_hide_set()) {
                assert!(script.contains(command.get_name()), "{shell:?}: {}", command.get_name());
            }
        }
    }

    #[test]
    fn bash_completes_with_it() {
        let line = "COMP_WORDS=(quell comp); COMP_CWORD=1; _quell quell comp quell; echo ${COMPREPLY[@]}";
        let text = format!("{}\n{line}\n", script(For::Bash));
        let out = Command::new("bash").args(["--norc", "-c", &text]).output().unwrap();
        let said = String::from_utf8_lossy(&out.stdout);
        assert_eq!(said.trim(), "completion", "{}", String::from_utf8_lossy(&out.stderr));
    }

    #[test]
    fn bash_completes_states() {
        let line = "COMP_WORDS=(quell queue list --state he); COMP_CWORD=4; _quell quell he --state; echo ${COMPREPLY[@]}";
        let text = format!("{}\n{line}\n", script(For::Bash));
        let out = Command::new("bash").args(["--norc", "-c", &text]).output().unwrap();
        let said = String::from_utf8_lossy(&out.stdout);
        assert_eq!(said.trim(), "held", "{}", String::from_utf8_lossy(&out.stderr));
    }

    #[test]
    fn help_tells_how_to_install_it() {
        let mut command = Cli::command();
        let help = command.find_subcommand_mut("completion").unwrap().render_long_help().to_string();
        for shell in ["bash", "zsh", "fish"] {
            assert!(help.contains(&format!("quell completion {shell} > ")), "{help}");
        }
    }

    #[test]
    fn a_closed_pipe_is_an_error_and_no_panic() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::Error::from(io::ErrorKind::BrokenPipe))
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        assert!(run(&Args { shell: For::Bash }, &mut Closed).is_err());
    }
}
