//! The table of addresses.

use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware,
    routing::{get, post},
};

use super::{actions, assets, devices, guard, pages, stream, typed};
use crate::{
    counter::handle::Counter,
    devices::{changes::DevicesToCome, page_scanners::PageScanners},
};

/// Largest body that a page sends: a scan of the longest symbol (7,089 bytes), with room for JSON's escapes.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// All addresses of the counter.
///
/// | address | what |
/// |---|---|
/// | `GET /` | the choice of tills |
/// | `GET /till/{till}` | the page |
/// | `GET /till/{till}/events` | its changes, as server-sent events |
/// | `GET /till/{till}/state` | the same as JSON |
/// | `GET /till/{till}/search?q=` | articles by name |
/// | `POST /till/{till}/{action}` | what a person does: see [`actions::command`] |
/// | `GET /static/{file}` | style, scripts, icon |
/// | more below `/till/{till}` | a scanner that types into the page: see [`typed::routes`] |
///
/// Those of the page for devices are at [`devices::router`].
///
/// A till's page, changes, state and search are for the browser where somebody is signed in at it; any other gets what
/// [`TillView::seen_by`](crate::counter::view::TillView::seen_by) leaves.
pub fn router(
    counter: Counter,
    of_the_box: DevicesToCome,
    scanners: PageScanners,
    gate: guard::Gate,
) -> Router {
    let page_for_devices = devices::router(counter.clone(), of_the_box);
    Router::new()
        .route("/", get(pages::index))
        .route("/till/{till}", get(pages::till))
        .route("/till/{till}/events", get(stream::events))
        .route("/till/{till}/state", get(actions::state))
        .route("/till/{till}/search", get(actions::search))
        .route("/till/{till}/{action}", post(actions::act))
        .route("/static/{file}", get(assets::file))
        .merge(typed::routes(scanners))
        .with_state(counter)
        .merge(page_for_devices)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn_with_state(gate, guard::guard))
}
