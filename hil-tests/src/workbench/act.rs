//! What the workbench's buttons do.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use pestle_domain::causes::with_causes;
use pestle_drivers::printer::status::Paper;
use pestle_drivers::sim::fridge::FridgeFault;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Workbench;
use crate::demo_data::LotState;
use crate::network::Weather;
use crate::world::branch::FRIDGE_SLAVE;
use crate::world::{Branch, Power};

/// One-way delay of the slow line: a satellite.
const SLOW: Duration = Duration::from_millis(300);

/// A button that did nothing, and why.
#[derive(Debug)]
pub(super) struct Refused(StatusCode, String);

impl Refused {
    pub(super) fn missing(what: &str) -> Self {
        Self(StatusCode::NOT_FOUND, format!("There is no {what} here. Reload the page."))
    }

    pub(super) fn device(error: &dyn std::error::Error) -> Self {
        Self(StatusCode::CONFLICT, with_causes(error))
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "message": self.1 }))).into_response()
    }
}

type Done = Result<Json<Value>, Refused>;
type Bench = State<Arc<Workbench>>;

fn done() -> Done {
    Ok(Json(json!({ "message": "" })))
}

/// What each branch's scanner sent last, made readable.
#[derive(Debug, Default)]
pub(super) struct LastScans(Mutex<HashMap<String, String>>);

impl LastScans {
    pub(super) fn of(&self, branch: &str) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(branch).cloned().unwrap_or_default()
    }

    fn note(&self, branch: &str, scan: &[u8]) {
        let mut text = String::from_utf8_lossy(scan).replace('\u{1d}', "‹FNC1›");
        if text.chars().count() > 80 {
            text = text.chars().take(80).chain(['…']).collect();
        }
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(branch.to_owned(), text);
    }
}

impl Workbench {
    pub(super) fn branch(&self, slug: &str) -> Result<&Arc<Branch>, Refused> {
        self.world.branch(slug).ok_or_else(|| Refused::missing("such branch"))
    }

    async fn send(&self, branch: &str, scan: &[u8]) -> Done {
        self.branch(branch)?.scanner.scan(scan).await.map_err(|error| Refused::device(&error))?;
        self.last_scans.note(branch, scan);
        done()
    }
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Symbol {
    DataMatrix,
    Ean13,
}

#[derive(Debug, Deserialize)]
pub(super) struct Scan {
    pack: String,
    symbol: Symbol,
    lot: LotState,
}

/// A pack passes under the beam.
pub(super) async fn scan(State(bench): Bench, Path(branch): Path<String>, Json(scan): Json<Scan>) -> Done {
    let article = bench.articles.iter().find(|article| article.id == scan.pack);
    let article = article.ok_or_else(|| Refused::missing("such pack"))?;
    let lot = article.lot(scan.lot).ok_or_else(|| Refused::missing("such lot"))?;
    let text = match scan.symbol {
        Symbol::Ean13 => article.ean13(),
        Symbol::DataMatrix => article.data_matrix(lot, &bench.serials.next()),
    };
    bench.send(&branch, text.as_bytes()).await
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Odd {
    Unknown,
    Damaged,
    OverLong,
    Noise,
}

#[derive(Debug, Deserialize)]
pub(super) struct OddScan {
    kind: Odd,
}

/// Something passes under the beam that is no good pack.
pub(super) async fn odd_scan(
    State(bench): Bench,
    Path(branch): Path<String>,
    Json(scan): Json<OddScan>,
) -> Done {
    let bytes = match scan.kind {
        // A right number under the demonstration prefix that no article bears.
        Odd::Unknown => b"]E09520999000016".to_vec(),
        // The check digit is wrong, and the lot has lost its end.
        Odd::Damaged => b"]d20109520123000012172901311".to_vec(),
        Odd::OverLong => [b"]d2".as_slice(), &b"0109520123000018".repeat(600)].concat(),
        Odd::Noise => vec![0xff, 0x00, 0x80, 0x1d, 0x1d, b'?', 0xfe],
    };
    bench.send(&branch, &bytes).await
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Part {
    Paper,
    Cover,
    Power,
}

#[derive(Debug, Deserialize)]
pub(super) struct Printer {
    part: Part,
    good: bool,
}

/// Paper, cover and mains of the receipt printer.
pub(super) async fn printer(
    State(bench): Bench,
    Path(branch): Path<String>,
    Json(told): Json<Printer>,
) -> Done {
    let printer = &bench.branch(&branch)?.printer;
    match (told.part, told.good) {
        (Part::Paper, good) => printer.set_paper(if good { Paper::Enough } else { Paper::Out }),
        (Part::Cover, good) => printer.set_cover_open(!good),
        (Part::Power, true) => printer.power_on().await.map_err(|error| Refused::device(&error))?,
        (Part::Power, false) => printer.power_off(),
    }
    done()
}

#[derive(Debug, Deserialize)]
pub(super) struct Fridge {
    milli_celsius: Option<i32>,
    answers: Option<bool>,
}

/// The fridge's temperature, and whether its sensor answers.
pub(super) async fn fridge(
    State(bench): Bench,
    Path(branch): Path<String>,
    Json(told): Json<Fridge>,
) -> Done {
    let fridge = &bench.branch(&branch)?.fridge;
    if let Some(milli) = told.milli_celsius {
        // What the sensor's register can say, and more than any fridge does.
        let milli = milli.clamp(-40_000, 80_000);
        fridge.set_milli_celsius(FRIDGE_SLAVE, milli).map_err(|error| Refused::device(&error))?;
    }
    if let Some(answers) = told.answers {
        let fault = if answers { FridgeFault::None } else { FridgeFault::Silent };
        fridge.set_fault(FRIDGE_SLAVE, fault).map_err(|error| Refused::device(&error))?;
    }
    done()
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Quality {
    Fair,
    Slow,
    Reset,
    Blackhole,
}

#[derive(Debug, Deserialize)]
pub(super) struct Line {
    line: Quality,
}

/// The line between branch and centre.
pub(super) async fn line(State(bench): Bench, Path(branch): Path<String>, Json(told): Json<Line>) -> Done {
    bench.branch(&branch)?.set_line(match told.line {
        Quality::Fair => Weather::FAIR,
        Quality::Slow => Weather::Fair { delay: SLOW },
        Quality::Reset => Weather::Reset,
        Quality::Blackhole => Weather::Blackhole,
    });
    done()
}

#[derive(Debug, Deserialize)]
pub(super) struct Mains {
    on: bool,
}

/// The box's plug. Putting it back is answered at once; the page sees the agent come up.
pub(super) async fn power(State(bench): Bench, Path(branch): Path<String>, Json(told): Json<Mains>) -> Done {
    let branch = bench.branch(&branch)?.clone();
    if !told.on {
        branch.pull_the_plug().await;
    } else if branch.power() != Power::Starting {
        // What goes wrong is shown as the box's state.
        tokio::spawn(async move { branch.start().await });
    }
    done()
}

#[derive(Debug, Deserialize)]
pub(super) struct ScannerPlug {
    plugged: bool,
}

/// The scanner's plug.
pub(super) async fn scanner(
    State(bench): Bench,
    Path(branch): Path<String>,
    Json(told): Json<ScannerPlug>,
) -> Done {
    let scanner = &bench.branch(&branch)?.scanner;
    if told.plugged {
        scanner.replug().await.map_err(|error| Refused::device(&error))?;
    } else {
        scanner.unplug().await;
    }
    done()
}
