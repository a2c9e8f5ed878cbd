//! A scanner that types into a till's page: what it typed as scans of the till, and the page on which it is learned.
//! `docs/hardware/scanners.md` says what the page gathers; `static/page-scanner.js` does.

use std::time::Instant;

use askama::Template;
use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Extension, Path, State},
    http::header,
    response::{Html, IntoResponse, Redirect, Response},
    routing::{get, post},
};
use pestle_domain::{causes::with_causes, document::Document, ids::TillId};
use pestle_drivers::{
    printer::render::{Artwork, Canvas, draw},
    scanner::{
        learn::{burst::Burst, learner::Step, sheet::TestCode, verdict::Verdict},
        page::{self, PageFrame, PageInput, PageKey, PageRules, read_batch},
        programming::Comes,
    },
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::json;

use super::{
    actions::refusal,
    assets,
    makers_codes::{ForScanner, MakersCodes},
};
use crate::{
    counter::{
        command::{Command, Refused, Request, StationId, Why},
        handle::Counter,
        live::Scanned,
        settings::TillSettings,
        typed::{BatchId, TypedScan},
    },
    devices::{
        kept::PageId,
        page_scanners::{PageScanners, learn},
        scanner::rejection_words,
    },
};

/// A key as JSON, with every modifier told.
const KEY_BYTES_MAX: usize = 192;
/// Scans that one learning takes: four codes, each of them some times over.
const BURSTS_MAX: usize = 24;
/// Keys of one learning: the sheet's longest code has some 200.
const LEARNT_KEYS_MAX: usize = page::BATCH_KEYS_MAX;
/// The largest body: a batch of as many keys as are read, or all scans of one learning.
const BODY_BYTES_MAX: usize = page::BATCH_KEYS_MAX * KEY_BYTES_MAX;

/// Width, dots per inch and columns of a test code's picture: what a receipt printer of 80 mm has.
const PICTURE: (usize, u16, u8) = (576, 203, 48);

/// The addresses.
///
/// | address | what |
/// |---|---|
/// | `POST /till/{till}/typed` | keys that came quickly; a scan, or a person's typing after all |
/// | `GET /till/{till}/learn` | the page on which the scanner is learned |
/// | `POST /till/{till}/learn` | what was scanned there so far; the next step |
/// | `GET /till/{till}/learn/{code}` | a test code as a picture, to be scanned from the screen |
pub fn routes(scanners: PageScanners) -> Router<Counter> {
    Router::new()
        .route("/till/{till}/typed", post(typed))
        .route("/till/{till}/learn", get(learn_page).post(learn_step))
        .route("/till/{till}/learn/{code}", get(picture))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(Extension(scanners))
}

/// What one silence ended.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Batch {
    batch: BatchId,
    /// A browser that stores nothing has no name, and its scanner is never proved.
    #[serde(default)]
    page: Option<PageId>,
    keys: Vec<PageKey>,
}

/// What a person does on the page of learning.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Lesson {
    page: PageId,
    word: Word,
    /// All batches since the beginning.
    #[serde(default)]
    bursts: Vec<Vec<PageKey>>,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Word {
    /// Goes on.
    Scan,
    /// The scanner does not read the code that is asked for.
    GiveUp,
    /// Another scanner stands there now.
    Forget,
}

#[derive(Template)]
#[template(path = "learn.html")]
struct LearnPage<'a> {
    till: &'a TillSettings,
    version: &'a str,
    makers: MakersCodes,
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refused> {
    serde_json::from_slice(body)
        .map_err(|error| Refused::new(Why::Validation, format!("The request cannot be read: {error}.")))
}

fn till_that_takes(counter: &Counter, till: &TillId) -> Result<TillSettings, Refused> {
    let found = counter.tills().iter().find(|one| one.id == *till);
    let found = found.ok_or_else(|| Refused::new(Why::NotFound, "This branch has no such till."))?;
    if found.typed_scans {
        return Ok(found.clone());
    }
    let text = "Scans that are typed into this till's page are switched off (typed_scans = false in its agent.toml). \
                Use the till's own scanner.";
    Err(Refused::new(Why::Conflict, text))
}

/// What a batch means; `None` for a person's typing. Pure.
fn scans(rules: &PageRules, now: Instant, keys: &[PageKey]) -> Option<Vec<TypedScan>> {
    let PageInput::Scanned(frames) = read_batch(rules, now, keys) else { return None };
    let scan = |frame| match frame {
        PageFrame::Scan { bytes, proved } => TypedScan::Scan(Scanned { bytes, proved }),
        PageFrame::Rejected(rejection) => TypedScan::Rejected(rejection_words(&rejection)),
    };
    Some(frames.into_iter().map(scan).collect())
}

/// `POST /till/{till}/typed`.
async fn typed(
    State(counter): State<Counter>,
    Extension(scanners): Extension<PageScanners>,
    Extension(station): Extension<StationId>,
    Path(till): Path<TillId>,
    body: Bytes,
) -> Response {
    match take(&counter, &scanners, station, till, &body).await {
        Ok(typed) => Json(json!({"success": true, "data": {"typed": typed}, "message": ""})).into_response(),
        Err(refused) => refusal(&refused),
    }
}

async fn take(
    counter: &Counter,
    scanners: &PageScanners,
    station: StationId,
    till: TillId,
    body: &[u8],
) -> Result<&'static str, Refused> {
    till_that_takes(counter, &till)?;
    let Batch { batch, page, keys } = read(body)?;
    match scans(&scanners.rules(page), Instant::now(), &keys) {
        None => Ok("typing"),
        Some(scans) => {
            let command = Command::TypedScans { batch, scans };
            counter.ask(Request { till, station, command }).await.map(|_said| "scanned")
        }
    }
}

/// `GET /till/{till}/learn`.
async fn learn_page(State(counter): State<Counter>, Path(till): Path<TillId>) -> Response {
    let Ok(till) = till_that_takes(&counter, &till) else { return Redirect::to("/").into_response() };
    // Who types into a page has no printer of its own: the sheets are shown, to be printed or scanned from the screen.
    let scanner = ForScanner { till: &till.id, name: "", comes: Comes::AsKeys, printer: None };
    match (LearnPage { till: &till, version: assets::version(), makers: scanner.all() }.render()) {
        Ok(text) => Html(text).into_response(),
        Err(error) => {
            tracing::error!(%error, "the page of learning cannot be rendered");
            refusal(&Refused::new(Why::Unavailable, "The page cannot be shown. Call support."))
        }
    }
}

/// `POST /till/{till}/learn`.
async fn learn_step(
    State(counter): State<Counter>,
    Extension(scanners): Extension<PageScanners>,
    Extension(station): Extension<StationId>,
    Path(till): Path<TillId>,
    body: Bytes,
) -> Response {
    match next_step(&counter, &scanners, &station, till, &body).await {
        Ok(answer) => Json(answer).into_response(),
        Err(refused) => refusal(&refused),
    }
}

async fn next_step(
    counter: &Counter,
    scanners: &PageScanners,
    station: &StationId,
    till: TillId,
    body: &[u8],
) -> Result<serde_json::Value, Refused> {
    till_that_takes(counter, &till)?;
    let signed_in = counter.watch(&till).and_then(|view| view.borrow().station.clone());
    if signed_in.as_ref() != Some(station) {
        let text = "Nobody is signed in at this screen. Sign in at the till's page first, then learn.";
        return Err(Refused::new(Why::Authentication, text));
    }
    let may_learn = Request { till: till.clone(), station: station.clone(), command: Command::MendDevices };
    counter.ask(may_learn).await?;
    let Lesson { page, word, bursts } = read(body)?;
    if bursts.len() > BURSTS_MAX || bursts.iter().map(Vec::len).sum::<usize>() > LEARNT_KEYS_MAX {
        let text = "That were too many scans for one learning. Begin again.";
        return Err(Refused::new(Why::Validation, text));
    }
    let step = learn(Instant::now(), bursts.into_iter().map(Burst::Page), word == Word::GiveUp);
    match (word, &step) {
        (Word::Forget, _) => keep(scanners, page, None).await?,
        (_, Step::Done(Verdict { learned, .. })) => {
            // Where its scans cannot be read any more, what was known before is wrong too.
            keep(scanners, page, learned.clone().map(|learned| (till.clone(), learned))).await?;
        }
        (_, Step::Scan { .. }) => {}
    }
    let proved = scanners.rules(Some(page)).learned.is_some_and(|learned| learned.is_proof());
    let code = match &step {
        Step::Scan { code, .. } => Some(code.to_string()),
        Step::Done(_) => None,
    };
    let said = if word == Word::Forget { "It is forgotten.".to_owned() } else { step.to_string() };
    Ok(json!({"success": true, "data": {"code": code, "proved": proved}, "message": said}))
}

/// Durable, then in use, then told.
async fn keep(
    scanners: &PageScanners,
    page: PageId,
    learned: Option<(TillId, pestle_drivers::scanner::learn::settings::Learned)>,
) -> Result<(), Refused> {
    let scanners = scanners.clone();
    let kept = tokio::task::spawn_blocking(move || scanners.keep(page, learned)).await;
    let why = match kept {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(error)) => with_causes(&error),
        Err(panicked) => panicked.to_string(),
    };
    tracing::error!(error = why, "what was learned of a page's scanner is not kept");
    let text = "What was learned cannot be kept: the disk refuses. Nothing has changed; call support.";
    Err(Refused::new(Why::Unavailable, text))
}

/// `GET /till/{till}/learn/{code}`: `A` to `D`.
async fn picture(Path((_till, code)): Path<(TillId, String)>) -> Response {
    let Some(code) = TestCode::ALL.into_iter().find(|one| one.to_string() == code) else {
        return refusal(&Refused::new(Why::NotFound, "The sheet has the codes A, B, C and D."));
    };
    match tokio::task::spawn_blocking(move || drawn(code)).await {
        Ok(Ok(png)) => ([(header::CONTENT_TYPE, "image/png")], png).into_response(),
        Ok(Err(why)) => {
            tracing::error!(%code, why, "a test code cannot be drawn");
            refusal(&Refused::new(Why::Unavailable, "The code cannot be drawn. Print the sheet instead."))
        }
        Err(error) => {
            tracing::error!(%code, %error, "a test code cannot be drawn");
            refusal(&Refused::new(Why::Unavailable, "The code cannot be drawn. Print the sheet instead."))
        }
    }
}

/// One code of the sheet. Pure: a symbol needs no fonts.
fn drawn(code: TestCode) -> Result<Vec<u8>, String> {
    let (width, dpi, columns) = PICTURE;
    let canvas = Canvas::strip(width, dpi, columns);
    let document = Document { blocks: vec![code.block()], ..Document::new("Scanner test code") };
    let drawn = draw(&document, &canvas, &Artwork::default()).map_err(|error| error.to_string())?;
    drawn.bitmap.png(canvas.dots_per_mm()).map_err(|error| error.to_string())
}
