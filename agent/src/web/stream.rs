//! The live page: server-sent events, one per piece that has changed.

use std::{collections::HashMap, convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::{Extension, Path, State},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures::stream::{self, Stream, StreamExt as _};
use pestle_domain::ids::TillId;
use tokio::sync::watch;

use super::{actions::refusal, assets, pages};
use crate::counter::{
    command::{Refused, StationId, Why},
    handle::Counter,
    view::TillView,
};

/// How soon a page tries again after a break.
pub(super) const RETRY: Duration = Duration::from_millis(500);
/// A comment on a silent stream, so that both ends see a broken line.
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// What stands for an empty piece: nothing to see, and not nothing.
const EMPTY: &str = "<!---->";

/// The pieces of a page as they were sent last.
#[derive(Debug, Default)]
pub(super) struct Sent(HashMap<&'static str, String>);

impl Sent {
    /// A piece as an event, if it is another one now.
    pub(super) fn changed(&mut self, name: &'static str, mut html: String) -> Option<Event> {
        // An event without data is never told to the page (HTML Standard, 9.2.6), and a piece that became empty must be
        // cleared.
        if html.trim().is_empty() {
            html = EMPTY.to_owned();
        }
        if self.0.get(name) == Some(&html) {
            return None;
        }
        let event = Event::default().event(name).data(&html);
        self.0.insert(name, html);
        Some(event)
    }
}

struct Pushed {
    station: StationId,
    view: watch::Receiver<Arc<TillView>>,
    sent: Sent,
    first: bool,
}

/// `GET /till/{till}/events`: first everything, then each piece as it changes. Nothing is held back to be joined with
/// what may come: a line is on the stream as soon as its scan is judged.
///
/// A browser sees what its station may: after a sign-in the page opens a new stream.
pub async fn events(
    State(counter): State<Counter>,
    Extension(station): Extension<StationId>,
    Path(till): Path<TillId>,
) -> Response {
    let Some(view) = counter.watch(&till) else {
        return refusal(&Refused::new(Why::NotFound, "This branch has no such till."));
    };
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE);
    Sse::new(pushes(station, view)).keep_alive(keep_alive).into_response()
}

fn pushes(
    station: StationId,
    view: watch::Receiver<Arc<TillView>>,
) -> impl Stream<Item = Result<Event, Infallible>> {
    let pushed = Pushed { station, view, sent: Sent::default(), first: true };
    stream::unfold(pushed, |mut pushed| async move {
        let mut events = Vec::new();
        if pushed.first {
            pushed.first = false;
            events.push(Event::default().event("version").data(assets::version()).retry(RETRY));
        } else if pushed.view.changed().await.is_err() {
            // The counter has ended: the page comes again when the box is back.
            return None;
        }
        let view = pushed.view.borrow_and_update().seen_by(&pushed.station);
        match pages::fragments(&view) {
            Ok(fragments) => {
                events
                    .extend(fragments.into_iter().filter_map(|(name, html)| pushed.sent.changed(name, html)));
            }
            Err(error) => tracing::error!(%error, "a piece of the page cannot be rendered"),
        }
        Some((stream::iter(events.into_iter().map(Ok)), pushed))
    })
    .flatten()
}
