//! SIGHUP: the configuration again, at once or not at all.

use std::sync::{Arc, PoisonError};

use tracing::{error, info, warn};

use super::outward::destinations;
use super::parts::{Parts, current, file_of, in_force, make_mailboxes};
use crate::config::Config;
use crate::server::desk::Msg;

/// Reads the configuration again. A faulty one changes nothing.
pub(super) fn reload(parts: &mut Parts) {
    let config = match Config::load(&file_of(parts)) {
        Ok(config) => config,
        Err(faults) => {
            error!(event = "reload_refused", "the configuration has faults, nothing was changed\n{faults}");
            return;
        }
    };
    let old = current(&parts.in_force);
    for change in Config::diff(&old.config, &config) {
        if change.needs_restart {
            warn!(
                event = "reload_needs_restart",
                key = change.key,
                "changed, but takes effect only with a restart"
            );
        } else {
            info!(event = "reload", key = change.key, "changed");
        }
    }
    parts.log.set(&config);
    parts.sign_in.set(&config.sign_in);
    make_mailboxes(&config, &parts.outer.maildirs);
    let accounts = config.pickup.clone();
    parts.desk.send(Msg::Limits(Box::new(config.limits.clone())));
    let new = in_force(config, old.shared.policy.secret.clone(), Some(&old));
    let routes = Arc::clone(&new.outward.routes);
    *parts.in_force.write().unwrap_or_else(PoisonError::into_inner) = new;
    if routes != old.outward.routes {
        parts.desk.send(Msg::Destinations(destinations(&routes)));
    }
    // After the directory: their mail is for people who are known by now.
    parts.pickup.set(&accounts);
    info!(event = "reloaded", "the configuration was read again");
}
