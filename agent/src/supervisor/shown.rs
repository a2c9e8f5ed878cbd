//! What the tills are shown of the box's parts that are no devices.

use std::{sync::Arc, time::Duration};

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::{
    clock::Clock,
    counter::{
        handle::Counter,
        machine::Event,
        view::{DeviceState, DeviceView, LinkView},
    },
    personal::{PersonalState, Persons},
    relay::{LinkState, Relay},
    snapshot::Snapshots,
};

/// Whether the snapshot is out of date is looked at this often: it goes by hours.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Shows at the tills what the link does, and that the snapshot is out of date.
pub(super) async fn show_centre(
    relay: Relay,
    snapshots: Snapshots,
    counter: Counter,
    clock: Arc<Clock>,
    stop: CancellationToken,
) {
    let (mut link, snapshot) = (relay.watch(), snapshots.state());
    let mut look = interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut shown = None;
    loop {
        let LinkState { state, waiting, detail, .. } = link.borrow_and_update().clone();
        counter.tell(Event::Link(LinkView { state: state.as_str().to_owned(), waiting, detail })).await;
        let stale = snapshot.borrow().stale(clock.mono_ms());
        if shown != stale {
            counter.tell(Event::Device(catalogue_view(stale.clone()), None)).await;
            shown = stale;
        }
        tokio::select! {
            Ok(()) = link.changed() => {}
            _ = look.tick() => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Shows at the tills that patients' keys wait for the centre, or that a person must look at them. A box that never had
/// any shows nothing.
pub(super) async fn show_persons(persons: Persons, counter: Counter, stop: CancellationToken) {
    let mut state = persons.state();
    let mut shown: Option<DeviceView> = None;
    loop {
        let view = persons_view(&state.borrow_and_update());
        if shown.as_ref() != Some(&view) && (shown.is_some() || view.detail.is_some()) {
            counter.tell(Event::Device(view.clone(), None)).await;
            shown = Some(view);
        }
        tokio::select! {
            Ok(()) = state.changed() => {}
            () = stop.cancelled() => return,
        }
    }
}

fn persons_view(persons: &PersonalState) -> DeviceView {
    let concern = persons.concern();
    let state = if concern.is_some() { DeviceState::Trouble } else { DeviceState::Ok };
    let detail = concern.or_else(|| persons.waits());
    DeviceView { name: "patients' keys".into(), class: "keys".into(), state, detail }
}

/// A snapshot that is out of date stands among the devices that need a person.
fn catalogue_view(stale: Option<String>) -> DeviceView {
    let state = if stale.is_some() { DeviceState::Trouble } else { DeviceState::Ok };
    DeviceView { name: "catalogue".into(), class: "catalogue".into(), state, detail: stale }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_that_is_out_of_date_stands_among_what_needs_a_person_with_what_to_do() {
        let stale = catalogue_view(Some("Prices are old: call support".into()));
        assert_eq!((stale.state, stale.detail.is_some()), (DeviceState::Trouble, true));
        assert_eq!(catalogue_view(None).state, DeviceState::Ok);
    }

    #[test]
    fn keys_that_wait_are_shown_and_those_that_the_centre_refuses_need_a_person() {
        let waiting = persons_view(&PersonalState { waiting: 3, ..PersonalState::default() });
        assert_eq!(
            (waiting.state, &*waiting.detail.unwrap()),
            (DeviceState::Ok, "3 of patients' keys wait for the centre")
        );
        let refused = persons_view(&PersonalState { waiting: 3, refused: 1, ..PersonalState::default() });
        assert_eq!(refused.state, DeviceState::Trouble);
        assert!(refused.detail.unwrap().contains("Call support"));
        let damaged = persons_view(&PersonalState { damaged: 1, ..PersonalState::default() });
        assert_eq!(damaged.state, DeviceState::Trouble);
        assert_eq!(persons_view(&PersonalState::default()).detail, None);
    }
}
