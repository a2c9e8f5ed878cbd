//! What a page waits for: that the devices are open, and each change of what it shows.

use std::{collections::BTreeMap, sync::Arc};

use pestle_domain::units::UnixMillis;
use pestle_drivers::{
    device::DeviceName,
    find::{device::FoundDevice, question::Asked},
};
use tokio::sync::watch;

use super::{desk::Devices, scanner::Proof, work::AllWork};

/// The devices of a box that sells already and opens them at this moment.
#[derive(Debug, Clone)]
pub struct DevicesToCome(watch::Receiver<Option<Devices>>);

/// Devices that are not open yet; who opens them says so through the sender.
pub fn to_come() -> (watch::Sender<Option<Devices>>, DevicesToCome) {
    let (opened, to_come) = watch::channel(None);
    (opened, DevicesToCome(to_come))
}

impl DevicesToCome {
    /// Waits until they are open; `None` where the agent ends before that.
    pub async fn opened(&mut self) -> Option<Devices> {
        self.0.wait_for(Option::is_some).await.ok()?.clone()
    }
}

/// All that a page waits for.
pub struct Changes {
    pub(super) attached: watch::Receiver<Arc<[FoundDevice]>>,
    pub(super) asked: watch::Receiver<BTreeMap<DeviceName, Asked>>,
    pub(super) work: watch::Receiver<AllWork>,
    pub(super) since: watch::Receiver<BTreeMap<String, UnixMillis>>,
    pub(super) proofs: Vec<watch::Receiver<Proof>>,
}

impl std::fmt::Debug for Changes {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Changes(..)")
    }
}

impl Changes {
    /// Waits for the next. Cancel-safe. The devices end with the box; then it waits for ever.
    pub async fn next(&mut self) {
        let proofs = self.proofs.iter_mut().map(|proof| Box::pin(proof.changed()));
        let proofs: Vec<_> = proofs.collect();
        let any_proof = async {
            match proofs.is_empty() {
                true => std::future::pending().await,
                false => futures::future::select_all(proofs).await.0,
            }
        };
        let changed = tokio::select! {
            changed = self.attached.changed() => changed,
            changed = self.asked.changed() => changed,
            changed = self.work.changed() => changed,
            changed = self.since.changed() => changed,
            changed = any_proof => changed,
        };
        if changed.is_err() {
            std::future::pending().await
        }
    }
}
