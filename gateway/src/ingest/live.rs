//! What was just committed, told to whoever watches: pages refresh, caches forget.

use std::{collections::BTreeSet, sync::Arc};

use pestle_domain::ids::TenantId;
use tokio::sync::broadcast;

/// How many commits a slow watcher may lag behind. It is told that it lagged, and reads everything anew.
const BEHIND_MAX: usize = 256;

/// What one commit changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// Whose.
    pub tenant: TenantId,
    /// Stock: branch and article.
    pub stock: BTreeSet<(String, String)>,
    /// Sales that were booked.
    pub sales: usize,
    /// Whether a session moved.
    pub tills: bool,
    /// Whether presence or backlog of a box changed.
    pub devices: bool,
    /// Whether something was quarantined or doubted.
    pub alarms: bool,
}

impl Changed {
    /// Nothing yet.
    pub fn nothing(tenant: TenantId) -> Self {
        Self { tenant, stock: BTreeSet::new(), sales: 0, tills: false, devices: false, alarms: false }
    }
}

/// Sends every [`Changed`] to all watchers of this process.
#[derive(Debug, Clone)]
pub struct Live {
    sender: broadcast::Sender<Arc<Changed>>,
}

impl Default for Live {
    fn default() -> Self {
        Self { sender: broadcast::channel(BEHIND_MAX).0 }
    }
}

impl Live {
    /// Tells. That nobody watches is no error.
    pub fn tell(&self, changed: Changed) {
        let _ = self.sender.send(Arc::new(changed));
    }

    /// Watches from now on.
    pub fn watch(&self) -> broadcast::Receiver<Arc<Changed>> {
        self.sender.subscribe()
    }
}
