//! For tests only: what could be on the disk after a power cut?
//!
//! A program runs with the recorder of this crate under `LD_PRELOAD`. Its log, and a copy
//! of what was there before, are enough to rebuild the states that a file system may
//! leave if the power fails after any of the calls. A test then starts the program on
//! each and checks its promises.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use quell_powercut::{Model, Recording};
//! use std::{path::Path, process::Command};
//!
//! let recording = Recording::begin(Path::new("work/data"), Path::new("work/log"))?;
//! let mut program = Command::new("the-program").envs(recording.environment()?).spawn()?;
//! // … talk to it; after each answer that promises something:
//! recording.mark("answered message-7")?;
//! program.kill()?;
//! program.wait()?;
//! let log = recording.finish()?;
//! for state in log.states(Model::Strict, &log.cut_points(100, 7), 7, 3) {
//!     let state = state?;
//!     state.write_to(Path::new("work/after"))?;
//!     for promised in state.marks() { /* is it in work/after, once? */ }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! **The model.** Data is on disk for certain once `fsync` or `fdatasync` of the file has
//! succeeded, a directory's entries once the directory has been synced. What was not
//! synced may be there, be absent, or be there in part: for each sector of 512 or 4,096
//! bytes, the disk holds what some moment since the last sync had in it. A file's length
//! is that of some such moment; what no write filled reads as zeros. See [`Model`] for
//! directories. Cutting a file shorter is never mixed with older or newer sectors.
//!
//! **Faults.** [`Recording::fail`] makes calls fail from then on: a full disk, a read-only
//! one, a failed sync. What was written before a failed sync is lost in every state.
//!
//! **Clocks.** [`Recording::set_clock`] lets the wall clock of the program jump.
//!
//! **Limits.** One recording is one life of the program; to go on after a kill, begin
//! another, which takes the files as they are then as durable. A log is at most
//! [`LOG_MAX_BYTES`]. Modes and owners are not kept (0600, 0700), sockets neither, and
//! SQLite's `-shm` files are left out, as after a real power cut. Symbolic links,
//! `O_TMPFILE` and shared writable mappings are errors.

pub mod format;
mod log;
mod recording;
mod sparse;
mod states;
mod world;

pub use log::{Error, LOG_MAX_BYTES, Log};
pub use recording::{Fault, Recording, preload_library};
pub use states::{Choice, State, States};
pub use world::Model;
