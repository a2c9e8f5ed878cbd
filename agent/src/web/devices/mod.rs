//! The page for devices: what is there, what is asked, and what a person may do with it while the box sells on.
//!
//! Every browser of the branch's network sees how the devices are, as it does on a till's page. What somebody does, and what a
//! scanner reads meanwhile, is for the browser where a person is signed in at the till; each role that sells may do it
//! ([`Permission::MendDevices`](pestle_domain::staff::Permission::MendDevices)): whoever stands there with a scanner that was
//! exchanged mends it, and each act stands in the log with its name.

mod page;
mod stream;

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Extension, FromRequestParts, Path, Query},
    http::{header, request::Parts},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use pestle_domain::ids::{ActId, TillId};
use pestle_drivers::scanner::programming::Purpose;
use serde::Deserialize;
use serde_json::json;

use super::actions::{read, refusal};
use crate::{
    counter::{
        command::{Command, Refused, Request, StationId, Why},
        handle::Counter,
        preview::{Paper, Preview},
    },
    devices::{
        changes::DevicesToCome,
        desk::{DeskRefusal, Devices},
    },
};

/// What the handlers need. A request that comes before the devices are open waits for them.
#[derive(Debug, Clone)]
pub struct Desk {
    counter: Counter,
    devices: Devices,
}

#[derive(Debug, Clone)]
struct DeskToCome {
    counter: Counter,
    devices: DevicesToCome,
}

impl FromRequestParts<DeskToCome> for Desk {
    type Rejection = Response;

    async fn from_request_parts(_: &mut Parts, state: &DeskToCome) -> Result<Self, Response> {
        let DeskToCome { counter, mut devices } = state.clone();
        let devices = devices.opened().await.ok_or_else(|| {
            let why = "The box is being started again: try it once more in a moment.";
            refusal(&Refused::new(Why::Unavailable, why))
        })?;
        Ok(Self { counter, devices })
    }
}

/// The addresses of the page for devices.
///
/// | address | what |
/// |---|---|
/// | `GET /devices` | the page of the one till, or the choice |
/// | `GET /till/{till}/devices` | the page |
/// | `GET /till/{till}/devices/events` | its changes, as server-sent events |
/// | `GET /till/{till}/devices/sheet.png?maker=` | the sheet of test codes, or a maker's codes |
/// | `GET /till/{till}/paper/{act}?copy=` | a paper of the till as a picture |
/// | `POST /till/{till}/devices/{action}` | `answer`, `identify`, `measure`, `sound`, `learn`, `give-up`, `leave`, `sheet`, `set-up` |
pub fn router(counter: Counter, devices: DevicesToCome) -> Router {
    Router::new()
        .route("/devices", get(choice))
        .route("/till/{till}/devices", get(page::page))
        .route("/till/{till}/devices/events", get(stream::events))
        .route("/till/{till}/devices/sheet.png", get(sheet))
        .route("/till/{till}/paper/{act}", get(paper))
        .route("/till/{till}/devices/{action}", post(act))
        .with_state(DeskToCome { counter, devices })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    question: String,
    answer: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Device {
    device: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sheet {
    printer: String,
    maker: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetUp {
    device: String,
    maker: String,
    purpose: Purpose,
}

impl From<DeskRefusal> for Refused {
    fn from(refusal: DeskRefusal) -> Self {
        let why = match refusal {
            DeskRefusal::NoSuchDevice(_) => Why::NotFound,
            DeskRefusal::Busy(_)
            | DeskRefusal::NotAsked
            | DeskRefusal::NotTaken(_)
            | DeskRefusal::NotOffered { .. } => Why::Conflict,
            DeskRefusal::NoPicture(_) => Why::Validation,
        };
        Self::new(why, refusal.to_string())
    }
}

/// `GET /devices`.
async fn choice(desk: Desk) -> Response {
    match desk.counter.tills() {
        [only] => Redirect::to(&format!("/till/{}/devices", only.id)).into_response(),
        tills => super::pages::choice(&desk.counter, tills, "/devices"),
    }
}

/// `POST /till/{till}/devices/{action}`.
async fn act(
    desk: Desk,
    Extension(station): Extension<StationId>,
    Path((till, action)): Path<(TillId, String)>,
    body: Bytes,
) -> Response {
    match carry_out(&desk, till, station, &action, &body).await {
        Ok(message) => Json(json!({"success": true, "data": null, "message": message})).into_response(),
        Err(refused) => refusal(&refused),
    }
}

async fn carry_out(
    desk: &Desk,
    till: TillId,
    station: StationId,
    action: &str,
    body: &[u8],
) -> Result<String, Refused> {
    // The counter knows who is signed in where, and takes it as a sign of life.
    let request = Request { till: till.clone(), station, command: Command::MendDevices };
    desk.counter.ask(request).await?;
    let staff = desk.counter.watch(&till).and_then(|view| view.borrow().signed_in.clone());
    let staff = staff.map(|person| person.staff.to_string()).unwrap_or_default();
    tracing::info!(staff, %till, action, what = %String::from_utf8_lossy(body), "at the page for devices");
    let devices = &desk.devices;
    Ok(match action {
        "answer" => {
            let Answer { question, answer } = read(body)?;
            devices.answer(&question, &answer).await?
        }
        "identify" => devices.identify(&read::<Device>(body)?.device)?,
        "measure" => devices.measure(&read::<Device>(body)?.device)?,
        "sound" => devices.sound(&read::<Device>(body)?.device)?,
        "learn" => devices.learn(&read::<Device>(body)?.device)?,
        "give-up" => devices.give_up(&read::<Device>(body)?.device)?,
        "leave" => devices.leave(&read::<Device>(body)?.device)?,
        "sheet" => {
            let Sheet { printer, maker } = read(body)?;
            devices.print_sheet(&printer, maker.as_deref())?
        }
        "set-up" => {
            let SetUp { device, maker, purpose } = read(body)?;
            devices.set_up(&device, &maker, purpose)?
        }
        _ => return Err(Refused::new(Why::NotFound, "There is no such action with devices.")),
    })
}

#[derive(Debug, Deserialize)]
struct WhichSheet {
    maker: Option<String>,
}

/// `GET /till/{till}/devices/sheet.png?maker=…`.
async fn sheet(
    desk: Desk,
    Extension(station): Extension<StationId>,
    Path(till): Path<TillId>,
    Query(which): Query<WhichSheet>,
) -> Response {
    let request = Request { till, station, command: Command::MendDevices };
    if let Err(refused) = desk.counter.ask(request).await {
        return refusal(&refused);
    }
    picture(move || desk.devices.sheet_picture(which.maker.as_deref())).await
}

#[derive(Debug, Deserialize)]
struct AsWhat {
    #[serde(default)]
    copy: bool,
}

/// `GET /till/{till}/paper/{act}?copy=true`.
async fn paper(
    desk: Desk,
    Extension(station): Extension<StationId>,
    Path((till, act)): Path<(TillId, ActId)>,
    Query(AsWhat { copy }): Query<AsWhat>,
) -> Response {
    match desk.counter.preview(Preview { till, station, act, copy }).await {
        Ok(Paper { document, printer }) => {
            picture(move || desk.devices.picture(&document, printer.as_deref())).await
        }
        Err(refused) => refusal(&refused),
    }
}

/// Draws beside the page's other work.
async fn picture(draw: impl FnOnce() -> Result<Vec<u8>, DeskRefusal> + Send + 'static) -> Response {
    let drawn = tokio::task::spawn_blocking(draw).await;
    match drawn {
        Ok(Ok(png)) => ([(header::CONTENT_TYPE, "image/png")], png).into_response(),
        Ok(Err(refused)) => refusal(&refused.into()),
        Err(panicked) => {
            tracing::error!(%panicked, "a picture was not drawn");
            refusal(&Refused::new(Why::Unavailable, "The picture cannot be drawn. Call support."))
        }
    }
}
