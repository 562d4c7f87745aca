//! The program: see the library beside it.

fn main() -> std::process::ExitCode {
    quell::cli::main()
}
