//! The live page for devices: server-sent events, one per piece that has changed.

use std::{convert::Infallible, sync::Arc};

use axum::{
    extract::{Extension, Path},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures::stream::{self, Stream, StreamExt as _};
use pestle_domain::ids::TillId;
use tokio::sync::watch;

use super::{Desk, page::Seen};
use crate::{
    counter::{
        command::{Refused, StationId, Why},
        view::TillView,
    },
    devices::{changes::Changes, desk::Devices},
    web::{
        actions::refusal,
        assets,
        stream::{KEEP_ALIVE, RETRY, Sent},
    },
};

struct Pushed {
    station: StationId,
    view: watch::Receiver<Arc<TillView>>,
    devices: Devices,
    changes: Changes,
    sent: Sent,
    first: bool,
}

/// `GET /till/{till}/devices/events`: first everything, then each piece as it changes.
pub(super) async fn events(
    desk: Desk,
    Extension(station): Extension<StationId>,
    Path(till): Path<TillId>,
) -> Response {
    let Some(view) = desk.counter.watch(&till) else {
        return refusal(&Refused::new(Why::NotFound, "This branch has no such till."));
    };
    let (devices, changes) = (desk.devices.clone(), desk.devices.changes());
    let pushed = Pushed { station, view, devices, changes, sent: Sent::default(), first: true };
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE);
    Sse::new(pushes(pushed)).keep_alive(keep_alive).into_response()
}

fn pushes(pushed: Pushed) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold(pushed, |mut pushed| async move {
        let mut events = Vec::new();
        if pushed.first {
            pushed.first = false;
            events.push(Event::default().event("version").data(assets::version()).retry(RETRY));
        } else {
            tokio::select! {
                changed = pushed.view.changed() => if changed.is_err() {
                    // The counter has ended: the page comes again when the box is back.
                    return None;
                },
                () = pushed.changes.next() => {}
            }
        }
        let view = pushed.view.borrow_and_update().clone();
        match Seen::by(&pushed.station, &view, &pushed.devices).fragments() {
            Ok(fragments) => {
                events
                    .extend(fragments.into_iter().filter_map(|(name, html)| pushed.sent.changed(name, html)));
            }
            Err(error) => tracing::error!(%error, "a piece of the page for devices cannot be rendered"),
        }
        Some((stream::iter(events.into_iter().map(Ok)), pushed))
    })
    .flatten()
}
