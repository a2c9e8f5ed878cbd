//! What the workbench's page shows.

use pestle_domain::catalogue::{Storage, Supply};
use pestle_drivers::printer::status::Paper;
use pestle_drivers::sim::fridge::FridgeFault;
use serde::Serialize;

use super::Workbench;
use crate::demo_data::{Article, LotState};
use crate::network::Weather;
use crate::world::branch::FRIDGE_SLAVE;
use crate::world::{Branch, Power};

/// One pack on the shelf.
#[derive(Debug, Serialize)]
pub(super) struct Pack {
    id: String,
    number: u32,
    name: String,
    gtin: String,
    price: String,
    kind: &'static str,
    counter: bool,
    cold: bool,
    expired: bool,
    recalled: bool,
}

pub(super) fn pack(article: &Article, number: u32) -> Pack {
    let cold = article.storage == Storage::Cold;
    Pack {
        id: article.id.clone(),
        number,
        name: article.name.clone(),
        gtin: article.gtin.clone(),
        price: format!("€{}.{:02}", article.price_cents / 100, article.price_cents % 100),
        kind: match article.supply {
            Supply::General => "General",
            Supply::Pharmacy => "Pharmacy",
            Supply::Prescription if cold => "Rx · cold",
            Supply::Prescription => "Rx",
            Supply::Controlled => "Controlled",
        },
        counter: article.sold_at_counter(),
        cold,
        expired: article.lot(LotState::Expired).is_some(),
        recalled: article.lot(LotState::Recalled).is_some(),
    }
}

#[derive(Serialize)]
struct Shown {
    console: String,
    branches: Vec<BranchShown>,
}

#[derive(Serialize)]
struct BranchShown {
    branch: String,
    title: String,
    counter: String,
    agent: String,
    line: &'static str,
    carried_bytes: u64,
    scanner: bool,
    last_scan: String,
    printer: PrinterShown,
    fridge: FridgeShown,
}

#[derive(Serialize)]
struct PrinterShown {
    paper: bool,
    cover_closed: bool,
    power: bool,
    receipts: usize,
    drawer_kicks: u64,
}

#[derive(Serialize)]
struct FridgeShown {
    milli_celsius: i32,
    answers: bool,
}

/// The state as JSON.
pub(super) async fn now(bench: &Workbench) -> String {
    let console = bench.world.console().await;
    let mut branches = Vec::new();
    for branch in &bench.world.branches {
        branches.push(branch_now(bench, branch).await);
    }
    serde_json::to_string(&Shown { console, branches }).unwrap_or_default()
}

async fn branch_now(bench: &Workbench, branch: &Branch) -> BranchShown {
    let printer = branch.printer.view();
    let fridge = branch.fridge.states().get(&FRIDGE_SLAVE).copied();
    BranchShown {
        branch: branch.slug.clone(),
        title: branch.title(),
        counter: branch.counter(),
        agent: match branch.power() {
            Power::Unplugged => "unplugged".to_owned(),
            Power::Starting => "starting".to_owned(),
            Power::Running => "running".to_owned(),
            Power::Ended(how) => how,
        },
        line: match branch.mqtt.weather() {
            Weather::Fair { delay } if delay.is_zero() => "fair",
            Weather::Fair { .. } | Weather::BreakAfter { .. } => "slow",
            Weather::Reset => "reset",
            Weather::Blackhole => "blackhole",
        },
        carried_bytes: branch.mqtt.carried_bytes() + branch.https.carried_bytes(),
        scanner: branch.scanner.is_plugged_in().await,
        last_scan: bench.last_scans.of(&branch.slug),
        printer: PrinterShown {
            paper: printer.controls.paper != Paper::Out,
            cover_closed: !printer.controls.cover_open,
            power: printer.powered,
            receipts: branch.printer.receipts().len(),
            drawer_kicks: printer.counts.kicks,
        },
        fridge: FridgeShown {
            milli_celsius: fridge.map_or(0, |state| state.milli_celsius),
            answers: fridge.is_some_and(|state| state.fault == FridgeFault::None),
        },
    }
}
