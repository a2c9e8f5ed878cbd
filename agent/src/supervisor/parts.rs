//! The parts of the agent as tasks, each with its name, and those that watch what runs elsewhere.

use tokio::{sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{counter::handle::Counter, journal::Journal};

/// The parts that must not end by themselves.
#[derive(Default)]
pub(super) struct Parts {
    tasks: JoinSet<&'static str>,
    ended: watch::Sender<Option<&'static str>>,
}

impl Parts {
    pub(super) fn spawn(&mut self, name: &'static str, part: impl Future<Output = ()> + Send + 'static) {
        let ended = self.ended.clone();
        self.tasks.spawn(async move {
            let part = tokio::spawn(part);
            let guard = AbortOnDrop(part.abort_handle());
            if let Err(error) = part.await {
                tracing::error!(part = name, %error, "a part of the agent failed");
            }
            drop(guard);
            ended.send_if_modified(|first| first.replace(name).is_none());
            name
        });
    }

    /// The first that ended, for the health page.
    pub(super) fn ended(&self) -> watch::Receiver<Option<&'static str>> {
        self.ended.subscribe()
    }

    /// The first that ends.
    pub(super) async fn next(&mut self) -> &'static str {
        match self.tasks.join_next().await {
            Some(Ok(name)) => name,
            Some(Err(_)) | None => "supervisor",
        }
    }

    pub(super) async fn all(&mut self) {
        while self.tasks.join_next().await.is_some() {}
    }
}

struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Ends when a thread of the journal has failed.
pub(super) async fn watch_journal(journal: Journal, stop: CancellationToken) {
    tokio::select! {
        why = journal.died() => tracing::error!(lane = journal.stream().lane.as_str(), "{why}"),
        () = stop.cancelled() => {}
    }
}

/// Ends when the counter's loop has.
pub(super) async fn watch_counter(counter: Counter) {
    counter.ended().await;
}

/// Ends when any device's task has: none ends by itself but by a fault.
pub(super) async fn watch_devices(mut devices: JoinSet<()>, stop: CancellationToken) {
    tokio::select! {
        Some(ended) = devices.join_next() => {
            tracing::error!(fault = ?ended.err(), "the task of a device ended by itself");
        }
        () = stop.cancelled() => {}
    }
    devices.shutdown().await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{future::pending, time::Duration};

    const SOON: Duration = Duration::from_secs(10);

    async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
        tokio::time::timeout(SOON, future).await.unwrap_or_else(|_| panic!("{what} did not happen"))
    }

    #[tokio::test]
    async fn a_part_that_ends_or_fails_is_named_to_the_supervisor_and_to_the_health_page() {
        let mut parts = Parts::default();
        let mut ended = parts.ended();
        parts.spawn("relay", pending());
        parts.spawn("counter", async { panic!("as a fault would") });
        assert_eq!(soon("the end of a part", parts.next()).await, "counter");
        soon("its word", ended.changed()).await.unwrap();
        assert_eq!(*ended.borrow(), Some("counter"));
    }

    #[tokio::test]
    async fn a_device_whose_task_ends_ends_the_part_and_a_box_without_devices_goes_on() {
        let mut devices = JoinSet::new();
        devices.spawn(pending());
        devices.spawn(async { panic!("as a driver might") });
        soon("the end of the devices", watch_devices(devices, CancellationToken::new())).await;

        let stop = CancellationToken::new();
        let none = tokio::spawn(watch_devices(JoinSet::new(), stop.clone()));
        tokio::task::yield_now().await;
        assert!(!none.is_finished());
        stop.cancel();
        soon("the end in order", none).await.unwrap();
    }
}
