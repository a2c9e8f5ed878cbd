//! The gateway's tasks: named, ended together, and none of them missed when it ends by itself.

use std::{collections::HashMap, future::Future, time::Duration};

use tokio::{
    task::{Id, JoinSet},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// How long tasks may take to finish what they are at. systemd's default patience is 90 s.
const DRAIN_DEADLINE: Duration = Duration::from_secs(15);

/// All tasks and the token that ends them.
#[derive(Debug)]
pub struct Supervisor {
    tasks: JoinSet<()>,
    names: HashMap<Id, &'static str>,
    stop: CancellationToken,
}

impl Supervisor {
    /// Without tasks yet; cancelling `stop` ends them.
    pub fn new(stop: CancellationToken) -> Self {
        Self { tasks: JoinSet::new(), names: HashMap::new(), stop }
    }

    /// Starts a task. It must end soon after the token is cancelled, and not before.
    pub fn spawn(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let handle = self.tasks.spawn(task);
        self.names.insert(handle.id(), name);
    }

    /// Resolves with the name of a task that ended although nobody asked it to.
    pub async fn failed(&mut self) -> &'static str {
        loop {
            let Some(ended) = self.tasks.join_next_with_id().await else {
                return std::future::pending().await;
            };
            let (id, panicked) = match ended {
                Ok((id, ())) => (id, None),
                Err(error) => (error.id(), Some(error)),
            };
            let name = self.names.remove(&id).unwrap_or("unnamed");
            if self.stop.is_cancelled() && panicked.is_none() {
                continue;
            }
            tracing::error!(
                task = name,
                error = panicked.map(tracing::field::display),
                "a task ended by itself"
            );
            return name;
        }
    }

    /// Ends all tasks; what does not end in time is cut off.
    pub async fn stop(self) {
        self.stop_within(DRAIN_DEADLINE).await;
    }

    async fn stop_within(mut self, deadline: Duration) {
        self.stop.cancel();
        let drain = async {
            while let Some(ended) = self.tasks.join_next().await {
                if let Err(error) = ended {
                    tracing::error!(%error, "a task ended badly");
                }
            }
        };
        if timeout(deadline, drain).await.is_err() {
            tracing::warn!(tasks = self.tasks.len(), "some tasks did not end in time and are cut off");
            self.tasks.shutdown().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_ends_by_itself_is_named() {
        let mut tasks = Supervisor::new(CancellationToken::new());
        tasks.spawn("steady", std::future::pending());
        tasks.spawn("broken", async {});
        assert_eq!(tasks.failed().await, "broken");
    }

    #[tokio::test]
    async fn a_task_that_does_not_end_is_cut_off() {
        let mut tasks = Supervisor::new(CancellationToken::new());
        tasks.spawn("stubborn", std::future::pending());
        tasks.stop_within(Duration::ZERO).await;
    }
}
