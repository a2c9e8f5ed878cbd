//! What systemd is told and asks: ready, well, ending (sd_notify(3)). Without a service manager nothing happens.
//!
//! The box is well while its counter's loop goes round, which it does once a second also when nobody is there, and while this program's
//! runtime has a thread left to ask it. Hardware that is slow or away is no reason to start again: that is told at the tills.

use std::{future::pending, time::Duration};

use sd_notify::NotifyState;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::counter::handle::Counter;

/// Longest that carrying over an epoch may take: nobody says "well" meanwhile. A million facts take minutes on slow disks.
const BEGINNING_AGAIN_MAX: Duration = Duration::from_secs(30 * 60);

/// The box sells; `status` is what `systemctl status` shows.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
    // Also after beginning again, which had asked for patience.
    if let Some(within) = sd_notify::watchdog_enabled() {
        tell(&[NotifyState::WatchdogUsec(micros(within)), NotifyState::Watchdog]);
    }
}

/// The box ends its parts and begins anew within this process, which is no end for the service manager.
pub fn beginning_again() {
    tell(&[NotifyState::Status("beginning again, as it was decided at the centre")]);
    if sd_notify::watchdog_enabled().is_some() {
        tell(&[NotifyState::WatchdogUsec(micros(BEGINNING_AGAIN_MAX)), NotifyState::Watchdog]);
    }
}

fn micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}

/// The box ends in order.
pub fn ending() {
    tell(&[NotifyState::Stopping, NotifyState::Status("ending in order")]);
}

/// Says that the box is well as often as the service manager asks, as long as it is. Ends at `stop`.
pub async fn watchdog(counter: Counter, stop: CancellationToken) {
    let Some(within) = sd_notify::watchdog_enabled() else {
        stop.cancelled().await;
        return;
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = say_well(within / 3, goes_round(counter), || tell(&[NotifyState::Watchdog])) => {}
    }
}

/// Whether the counter's loop has gone round since it was asked last.
fn goes_round(counter: Counter) -> impl FnMut() -> bool {
    let mut last = None;
    move || last.replace(counter.beats()) != Some(counter.beats())
}

/// Asks `is_well` at each `every`, and says so.
async fn say_well(every: Duration, mut is_well: impl FnMut() -> bool, mut say: impl FnMut()) {
    if every.is_zero() {
        return pending().await;
    }
    let mut tick = interval(every);
    // After a suspension once is enough.
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        if is_well() {
            say();
        } else {
            tracing::error!("the counter hangs: the service manager starts the agent again");
        }
    }
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "the service manager could not be told how the agent is");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use tokio::sync::Notify;

    #[tokio::test]
    async fn a_box_says_that_it_is_well_only_as_long_as_it_is() {
        let (asked, said, enough) = (Cell::new(0), Cell::new(0), Notify::new());
        let is_well = || {
            asked.set(asked.get() + 1);
            if asked.get() == 10 {
                enough.notify_one();
            }
            asked.get() <= 3
        };
        tokio::select! {
            () = say_well(Duration::from_millis(1), is_well, || said.set(said.get() + 1)) => {}
            () = enough.notified() => {}
        }
        // Which of the two ends first in one and the same moment is chance.
        assert!(asked.get() >= 10, "{}", asked.get());
        assert_eq!(said.get(), 3);
    }
}
