//! The program: what listens, delivers, tells, and is typed at a shell.

pub mod cli;
pub mod config;
pub mod deliver;
pub mod settings;
