//! `quell pickup test`.

use std::io::Write;
use std::sync::Arc;

use super::Failure;
use crate::config::Config;
use crate::pickup::Account;

/// Tries.
pub fn run(
    _config: &Config,
    _accounts: &[Arc<Account>],
    _limit: usize,
    _json: bool,
    _out: &mut dyn Write,
) -> Result<(), Failure> {
    Err(Failure::Failed("not yet".to_owned()))
}
