//! Reads and verifies what the relay hears, hands it to the counter, and tells others what its orders mean for them.

use std::sync::Arc;

use pestle_domain::{
    causes::with_causes,
    wire::orders::{Orders, OrdersError, VerifiedOrders},
};
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::OrdersState;
use crate::{
    counter::{
        handle::Counter,
        machine::Event,
        view::{DeviceState, DeviceView},
    },
    identity::DeviceIdentity,
};

/// Messages that may wait: the centre sends one for each statement of heads.
const INBOX_MAX: usize = 4;

/// What the task needs.
#[derive(Debug)]
pub struct OrdersParts {
    /// Whose branch, and which keys count.
    pub identity: Arc<DeviceIdentity>,
    /// Where orders are judged and become acts.
    pub counter: Counter,
    /// Version of the snapshot in use.
    pub snapshot: watch::Receiver<u64>,
    /// Told when orders point to a newer one.
    pub nudge: Arc<Notify>,
}

/// Where the relay puts what it hears, and where it is read.
pub fn inbox() -> (mpsc::Sender<Vec<u8>>, mpsc::Receiver<Vec<u8>>) {
    mpsc::channel(INBOX_MAX)
}

/// Why a message of orders is left aside.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// See [`OrdersError`].
    #[error(transparent)]
    Orders(#[from] OrdersError),
    /// Signed with a key that the identity does not list.
    #[error("the orders are signed with a key that is not the centre's")]
    UnknownKey,
    /// Another branch's log.
    #[error("the orders are for another branch")]
    Elsewhere,
}

/// Reads a message and verifies that the centre wrote it for this branch.
///
/// # Errors
/// [`Unusable`].
pub fn read(identity: &DeviceIdentity, message: &[u8]) -> Result<VerifiedOrders, Unusable> {
    let orders = Orders::parse(message)?;
    let log = &orders.header.log;
    if (&log.tenant, &log.branch) != (&identity.identity.tenant, &identity.identity.branch) {
        return Err(Unusable::Elsewhere);
    }
    let key = identity.centre_key(&orders.header.key).ok_or(Unusable::UnknownKey)?;
    Ok(orders.verify(key)?)
}

/// Runs until `stop`.
pub async fn run(parts: OrdersParts, mut inbox: mpsc::Receiver<Vec<u8>>, stop: CancellationToken) {
    let mut state = parts.counter.orders();
    let mut refused: Option<String> = None;
    let mut shown: Option<String> = None;
    loop {
        let OrdersState { snapshot_wanted, trouble, .. } = state.borrow_and_update().clone();
        if snapshot_wanted > *parts.snapshot.borrow() {
            parts.nudge.notify_one();
        }
        let trouble = trouble.or_else(|| refused.clone());
        if trouble != shown {
            parts.counter.tell(Event::Device(view(trouble.clone()), None)).await;
            shown = trouble;
        }
        tokio::select! {
            Ok(()) = state.changed() => {}
            Some(message) = inbox.recv() => match read(&parts.identity, &message) {
                Ok(orders) => {
                    refused = None;
                    parts.counter.tell(Event::Orders(orders)).await;
                }
                Err(error) => {
                    let error = with_causes(&error);
                    tracing::error!("orders were left aside: {error}");
                    refused = Some(format!("Orders that came are not the centre's, and are not carried out: {error}. Call support."));
                }
            },
            () = stop.cancelled() => return,
        }
    }
}

/// Orders that do not go on stand among the devices that need a person.
fn view(trouble: Option<String>) -> DeviceView {
    let state = if trouble.is_some() { DeviceState::Trouble } else { DeviceState::Ok };
    DeviceView { name: "orders".into(), class: "orders".into(), state, detail: trouble }
}
