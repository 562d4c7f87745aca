//! The program: what listens, delivers, tells, and is typed at a shell.

#[cfg(feature = "acme")]
pub mod acme;
pub mod archive;
pub mod cli;
pub mod config;
pub mod console;
pub mod control;
pub mod data;
pub mod deliver;
pub mod held;
pub mod metrics;
pub mod ops;
pub mod pickup;
pub mod receive;
pub mod report;
pub mod serve;
pub mod server;
pub mod settings;
pub mod sign_in;
pub mod tell;
pub mod tls;
