//! All accounts: their tasks are started, changed and ended here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use quell_relay::reception::Policy;
use tokio::runtime::Handle as Runtime;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tracing::error;

use super::account::Account;
use super::memory::Store;
use super::status::{Shown, Status};
use super::task::Task;
use crate::deliver::resolver::Resolver;
use crate::receive::smtp::Outer;
use crate::tell::Outbox;

/// A task that has died by a fault of ours begins anew after so long.
const AFTER_FAULT: Duration = Duration::from_secs(60);
/// Sessions may come to an end for so long when the server stops.
const STOP_WITHIN: Duration = Duration::from_secs(8);
/// And for so long when an account has changed: a server that keeps a session going must not keep the change out.
const CHANGE_WITHIN: Duration = Duration::from_secs(60);

/// What accounts need of the server.
pub struct Means {
    /// The way to the door, time, bodies, mailboxes.
    pub outer: Arc<Outer>,
    /// Who is who, and the largest message, at the moment.
    pub policy: Box<dyn Fn() -> (Arc<Policy>, u64) + Send + Sync>,
    /// Names, at the moment.
    pub resolver: Box<dyn Fn() -> Arc<Resolver> + Send + Sync>,
    /// Tells the operator.
    pub outbox: Outbox,
    /// What was collected.
    pub store: Store,
    /// Random numbers.
    pub random: Box<dyn Fn() -> u64 + Send + Sync>,
}

/// One account that is kept.
struct Kept {
    account: Arc<Account>,
    status: Shown,
    stop: watch::Sender<bool>,
    wake: Arc<Notify>,
    task: JoinHandle<()>,
}

/// Keeps all accounts.
pub struct Keeper {
    means: Mutex<Option<Arc<Means>>>,
    runtime: Runtime,
    kept: Mutex<HashMap<String, Kept>>,
    /// Of accounts that are gone, until they have ended.
    leaving: Mutex<HashMap<String, JoinHandle<()>>>,
}

impl Keeper {
    /// Starts them.
    pub fn start(means: Means, accounts: &[Arc<Account>], runtime: &Runtime) -> Arc<Self> {
        let means = Mutex::new(Some(Arc::new(means)));
        let keeper =
            Self { means, runtime: runtime.clone(), kept: Mutex::default(), leaving: Mutex::default() };
        keeper.set(accounts);
        Arc::new(keeper)
    }

    /// These from now on. One that has changed begins when its old task has ended.
    pub fn set(&self, accounts: &[Arc<Account>]) {
        let means = self.means.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(means) = means else { return };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut leaving = self.leaving.lock().unwrap_or_else(PoisonError::into_inner);
        leaving.retain(|_, task| !task.is_finished());
        let mut before = std::mem::take(&mut *kept);
        for account in accounts {
            let name = account.name().to_owned();
            let old = before.remove(&name);
            let now = match old {
                Some(same) if same.account.is_same(account) => same,
                old => {
                    if let Some(old) = &old {
                        old.stop.send_replace(true);
                    }
                    let task = old.map(|old| old.task).or_else(|| leaving.remove(&name));
                    self.begin(Arc::clone(account), Arc::clone(&means), task)
                }
            };
            kept.insert(name, now);
        }
        for (name, gone) in before {
            gone.stop.send_replace(true);
            means.outer.metrics.account_gone(&name);
            // Should it come back, its last session has to have ended.
            leaving.insert(name, gone.task);
        }
    }

    fn begin(&self, account: Arc<Account>, means: Arc<Means>, before: Option<JoinHandle<()>>) -> Kept {
        let status = Shown::new(account.name(), &account.server.to_string());
        let (stop, stopping) = watch::channel(false);
        let wake = Arc::new(Notify::new());
        let make = {
            let (account, status, wake) = (Arc::clone(&account), status.clone(), Arc::clone(&wake));
            move || Task {
                account: Arc::clone(&account),
                means: Arc::clone(&means),
                status: status.clone(),
                stop: stopping.clone(),
                wake: Arc::clone(&wake),
                asked: false,
            }
        };
        let task = self.runtime.spawn(async move {
            if let Some(before) = before {
                end(before, CHANGE_WITHIN).await;
            }
            watched(make).await;
        });
        Kept { account, status, stop, wake, task }
    }

    /// How they are, by name.
    pub fn statuses(&self) -> Vec<Status> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<Status> = kept.values().map(|kept| kept.status.get()).collect();
        all.sort_unstable_by(|a, b| a.account.cmp(&b.account));
        all
    }

    /// Looks at an account now. False: there is none of that name.
    pub fn wake(&self, name: &str) -> bool {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(name).map(|kept| kept.wake.notify_one()).is_some()
    }

    /// Ends all of them; sessions that are under way come to an end, or are cut.
    pub async fn stop(&self) {
        self.means.lock().unwrap_or_else(PoisonError::into_inner).take();
        let kept = std::mem::take(&mut *self.kept.lock().unwrap_or_else(PoisonError::into_inner));
        for kept in kept.values() {
            kept.stop.send_replace(true);
        }
        let by = tokio::time::Instant::now() + STOP_WITHIN;
        let leaving = std::mem::take(&mut *self.leaving.lock().unwrap_or_else(PoisonError::into_inner));
        for task in kept.into_values().map(|kept| kept.task).chain(leaving.into_values()) {
            end(task, by.saturating_duration_since(tokio::time::Instant::now())).await;
        }
    }
}

/// Waits for the end of a task that was told to, or cuts it: what it had not deleted yet comes again, and is known.
async fn end(mut task: JoinHandle<()>, within: Duration) {
    if tokio::time::timeout(within, &mut task).await.is_err() {
        task.abort();
        // It has said itself what was wrong.
        let _cut = task.await;
    }
}

/// A fault of ours, or of a library, in one account must not end the server, nor the account for good.
async fn watched(make: impl Fn() -> Task) {
    loop {
        let task = make();
        let (name, mut stop) = (task.account.name().to_owned(), task.stop.clone());
        let mut running = AbortOnDrop(tokio::spawn(task.run()));
        let Err(died) = (&mut running.0).await else { return };
        if died.is_cancelled() || *stop.borrow() {
            return;
        }
        error!(
            event = "pickup_died",
            account = name,
            "collecting an account has ended by a fault of quell; it begins anew in a minute"
        );
        tokio::select! {
            () = tokio::time::sleep(AFTER_FAULT) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

/// Whoever is aborted takes its own task along.
struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Its server sends now and then, and never an end.
    #[tokio::test(start_paused = true)]
    async fn a_session_without_end_does_not_keep_a_change_out() {
        let (tx, rx) = tokio::sync::oneshot::channel::<()>();
        let endless = tokio::spawn(async move {
            let _held = tx;
            std::future::pending::<()>().await;
        });
        end(endless, CHANGE_WITHIN).await;
        assert!(rx.await.is_err(), "it lives");
    }
}
