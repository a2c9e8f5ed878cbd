//! Doors, mains and alarms: asked again and again, believed when they have stood for a while, told when they change.

use std::{sync::Arc, time::Duration};

use pestle_domain::fact::{FactBody, InputChanged};
use pestle_drivers::sensor::input::{Debounce, Input, InputChange, InputKind, InputState};
use tokio::time::{self, Instant, MissedTickBehavior};

use crate::counter::{
    handle::Counter,
    machine::Event,
    view::{DeviceState, DeviceView},
};

/// How often a contact is asked: a door that was open for less is no matter.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// Watches a contact for ever.
pub(super) async fn watch(input: Arc<dyn Input>, settle: Duration, counter: Counter) {
    let mut debounce = Debounce::new(settle);
    let mut tick = time::interval(ASK_EVERY);
    // After a suspension one look is enough.
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let reading = input.read().await;
        if let Some(change) = debounce.take(Instant::now().into_std(), reading) {
            let (view, fact) = told(input.name().as_str(), input.kind(), change);
            counter.tell(Event::Device(view, Some(fact))).await;
        }
    }
}

fn told(name: &str, kind: InputKind, change: InputChange) -> (DeviceView, FactBody) {
    let (state, word, detail, reason) = match change {
        InputChange::Now(state) => {
            let word = kind.word(state);
            let raised = state == InputState::Raised;
            let shown = if raised { DeviceState::Trouble } else { DeviceState::Ok };
            (shown, word, raised.then(|| raised_words(kind)), None)
        }
        InputChange::Unknown(why) => (DeviceState::Away, "unknown", Some(why.to_string()), Some(why.code())),
    };
    let fact = InputChanged {
        input: name.into(),
        kind: kind.as_str().into(),
        state: word.into(),
        reason: reason.map(Into::into),
    };
    (DeviceView { name: name.into(), class: "input".into(), state, detail }, fact.into())
}

fn raised_words(kind: InputKind) -> String {
    match kind {
        InputKind::Door => "the door is open: close it",
        InputKind::Power => "the mains are away: the fridge does not cool. Check its plug and the fuse",
        InputKind::Alarm => "the device tells an alarm: look at its display",
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use pestle_drivers::sensor::NoData;

    #[test]
    fn a_contact_that_nobody_can_read_is_unknown_with_its_reason_and_never_closed() {
        let (view, fact) = told("fridge-door", InputKind::Door, InputChange::Unknown(NoData::Timeout));
        let FactBody::InputChanged(changed) = fact else { panic!() };
        assert_eq!((&*changed.state, changed.reason.as_deref()), ("unknown", Some("timeout")));
        assert_eq!(view.state, DeviceState::Away);
    }

    #[test]
    fn an_open_door_and_missing_mains_say_what_to_do_and_a_closed_door_says_nothing() {
        let (view, fact) = told("mains", InputKind::Power, InputChange::Now(InputState::Raised));
        let FactBody::InputChanged(changed) = fact else { panic!() };
        assert_eq!((&*changed.kind, &*changed.state), ("power", "away"));
        assert!(view.detail.is_some_and(|detail| detail.contains("Check its plug")));
        let (view, _) = told("fridge-door", InputKind::Door, InputChange::Now(InputState::AtRest));
        assert_eq!((view.state, view.detail), (DeviceState::Ok, None));
    }
}
