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
}

impl Keeper {
    /// Starts them.
    pub fn start(means: Means, accounts: &[Arc<Account>], runtime: &Runtime) -> Arc<Self> {
        let means = Mutex::new(Some(Arc::new(means)));
        let keeper = Self { means, runtime: runtime.clone(), kept: Mutex::default() };
        keeper.set(accounts);
        Arc::new(keeper)
    }

    /// These from now on. One that has changed begins when its old task has ended.
    pub fn set(&self, accounts: &[Arc<Account>]) {
        let means = self.means.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(means) = means else { return };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
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
                    self.begin(Arc::clone(account), Arc::clone(&means), old.map(|old| old.task))
                }
            };
            kept.insert(name, now);
        }
        for gone in before.into_values() {
            gone.stop.send_replace(true);
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
            }
        };
        let task = self.runtime.spawn(async move {
            if let Some(before) = before {
                // It has said itself what was wrong.
                let _ended = before.await;
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
        for mut kept in kept.into_values() {
            if tokio::time::timeout_at(by, &mut kept.task).await.is_err() {
                // What it had not deleted yet comes again, and is known.
                kept.task.abort();
                let _cut = kept.task.await;
            }
        }
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
