//! The demo as a newcomer starts it, and its check.

mod started;

use std::path::{Path, PathBuf};

use pestle_domain::ids::ActId;
use pestle_hil_tests::centre::Centre;
use pestle_hil_tests::check::{self, Length};
use pestle_hil_tests::counter::{Counter, Sale, Session, Till};
use pestle_hil_tests::demo_data::articles;
use pestle_hil_tests::waiting::until;
use pestle_hil_tests::world::{PEOPLE, Place};
use rustix::process::Signal;
use serde_json::json;

use crate::whole_product;
use started::{Addresses, Demo, UP_WITHIN, demo};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_s_check_holds_on_real_processes() {
    let _alone = whole_product().await;
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("check");
    if let Err(error) = check::run_in(&place, Length::Short, &|line| println!("{line}")).await {
        let logs = ["gateway", "agent-north"].map(|name| {
            let path = place.join("logs").join(format!("{name}.log"));
            format!("--- {name}\n{}", pestle_hil_tests::processes::log_tail(&path))
        });
        panic!("{error:#}\n{}", logs.join("\n"));
    }
}

/// A throwaway folder with a demo's inside; both are forgotten at the end, and the database with them.
struct Throwaway {
    _folder: tempfile::TempDir,
    place: PathBuf,
}

impl Drop for Throwaway {
    fn drop(&mut self) {
        if let Ok(place) = Place::at(&self.place) {
            let _ = place.remove();
        }
    }
}

/// The folder for a demo has no links in its path.
fn new_place() -> (Throwaway, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().canonicalize().unwrap().join("demo");
    (Throwaway { _folder: folder, place: place.clone() }, place)
}

#[tokio::test]
async fn ctrl_c_leaves_no_process_and_a_second_start_goes_on_where_the_first_ended() {
    let _alone = whole_product().await;
    let (_folder, place) = new_place();

    let mut first = Demo::start(&place);
    let (said, addresses) = first.up().await;
    assert!(said.contains("Pestle runs."), "{said}");
    let left = sell_one_pack(&place, &addresses).await;
    end(first).await;

    let mut second = Demo::start(&place);
    let (said, addresses) = second.up().await;
    assert!(said.contains("goes on where it ended"), "{said}");
    let signed_in = counter(&place, &addresses).await;
    assert_eq!(State::of(&place, &addresses, &signed_in).await, left);
    end(second).await;

    let cleaned = demo(&place, &["clean"]);
    assert!(cleaned.status.success(), "{cleaned:?}");
    assert!(!place.exists() && !Place::cluster_of(&place).exists());
}

/// Ctrl-C, and then nothing of it is left.
async fn end(mut demo: Demo) {
    let family = demo.family();
    for program in ["pestle-gateway", "pestle-agent", "bin/postgres", "pestle-demo keep"] {
        assert!(family.iter().any(|member| member.line.contains(program)), "no {program} in {family:#?}");
    }
    demo.signal(Signal::INT);
    demo.ended().await;
    demo.all_gone(&family).await;
}

/// What must be the same after a pause.
#[derive(Debug, PartialEq, Eq)]
struct State {
    till: Option<Session>,
    last_sale: Option<(String, i64)>,
    stock: check::expected::Stock,
    sales: Vec<(String, i64)>,
}

impl State {
    async fn of(place: &Path, addresses: &Addresses, counter: &Counter) -> Self {
        let till = counter.look().await.unwrap();
        let authority = authority(place);
        let centre = Centre::at(addresses.centre.clone(), &authority).await.unwrap();
        let (stock, sales) = (centre.stock("north").await.unwrap(), centre.sales("north").await.unwrap());
        let sale = |sale: Sale| (sale.receipt.to_string(), sale.total.minor);
        Self { till: till.session, last_sale: till.last_sale.map(sale), stock, sales }
    }
}

fn authority(place: &Path) -> Vec<u8> {
    std::fs::read(place.join("branches/north/identity/ca.pem")).unwrap()
}

/// The counter's page with somebody signed in.
async fn counter(place: &Path, addresses: &Addresses) -> Counter {
    let counter = Counter::at(addresses.counter.clone(), &authority(place)).unwrap();
    counter.shows("the sign-in", |till| till.phase == "sign_in").await.unwrap();
    counter.sign_in(&PEOPLE[1]).await.unwrap();
    counter
}

/// Opens the till and sells what the workbench scans; hands back what is there once the centre knows it.
async fn sell_one_pack(place: &Path, addresses: &Addresses) -> State {
    let counter = counter(place, addresses).await;
    counter.open_till(ActId(uuid::Uuid::now_v7()), "100.00").await.unwrap();
    counter.shows("the open till", |till| till.phase == "ready").await.unwrap();
    counter.hears_the_scanner().await.unwrap();
    let pack = &articles()[0];
    let scan = json!({ "pack": pack.id, "symbol": "data_matrix", "lot": "good" });
    let told = reqwest::Client::builder().no_proxy().build().unwrap();
    let told = told.post(format!("{}/api/branches/north/scan", addresses.workbench)).json(&scan).send().await;
    assert!(told.unwrap().status().is_success());
    let shown = counter.shows("the pack", |till| till.basket.is_some()).await.unwrap();
    let act = shown.basket.unwrap().act;
    counter.pay(act, "50.00").await.unwrap();
    let sold = |till: &Till| till.last_sale.as_ref().is_some_and(|sale| sale.act == act);
    counter.shows("the sale", sold).await.unwrap();
    let lot = (pack.id.clone(), pack.lots[0].lot.clone());
    let packs = i64::from(pack.lots[0].quantity[0]) - 1;
    let state = until("the sale at the centre", UP_WITHIN, || async {
        let state = State::of(place, addresses, &counter).await;
        if state.stock.get(&lot) == Some(&packs) { Ok(state) } else { Err(format!("{state:?}")) }
    });
    let state = state.await.unwrap();
    assert_eq!(state.sales.len(), 1);
    assert_eq!(state.till.as_ref().map(|session| session.sales), Some(1));
    assert_eq!(state.last_sale.as_ref(), state.sales.first());
    state
}

#[tokio::test]
async fn a_second_program_in_one_place_is_told_who_runs_and_the_first_goes_on() {
    let _alone = whole_product().await;
    let (_folder, place) = new_place();
    let mut first = Demo::start(&place);
    let (_, addresses) = first.up().await;
    for words in ["run", "clean"] {
        let second = demo(&place, &[words]);
        let said = String::from_utf8_lossy(&second.stdout);
        assert!(!second.status.success(), "{words}: {said}");
        let wanted = format!("the demo runs (process {})", first.id());
        assert!(said.contains(&wanted) && said.contains("end it first"), "{words}: {said}");
    }
    // A check that runs beside it has a place of its own, and keeps it.
    let check = check::folder_in(&place);
    let held = Place::at(&check).unwrap();
    assert!(Place::at(&place).unwrap_err().to_string().contains("end it first"));
    counter(&place, &addresses).await.look().await.unwrap();
    end(first).await;
    Place::at(&place).unwrap().begin_anew().unwrap();
    assert!(check.exists(), "a world inside another is not the other's to forget");
    drop(held);
    assert!(demo(&place, &["clean"]).status.success());
    assert!(!place.exists());
}

#[tokio::test]
async fn a_demo_that_is_killed_while_its_gateway_is_dead_leaves_no_process_and_its_place_is_free() {
    let _alone = whole_product().await;
    let (_folder, place) = new_place();
    let mut first = Demo::start(&place);
    first.up().await;
    kill_with_its_gateway(&mut first).await;

    // The same when nobody wants the place any more, as after a test that failed.
    let mut second = Demo::start(&place);
    second.up().await;
    // The programs still write: what appears while it is removed takes another attempt.
    let removed = until("the place's end", UP_WITHIN, || {
        std::future::ready(std::fs::remove_dir_all(&place).map_err(|error| error.to_string()))
    });
    removed.await.unwrap();
    kill_with_its_gateway(&mut second).await;
    let cluster = Place::cluster_of(&place);
    let gone = until("the cluster's end", UP_WITHIN, || {
        std::future::ready(if cluster.exists() { Err(cluster.display().to_string()) } else { Ok(()) })
    });
    gone.await.unwrap();
}

async fn kill_with_its_gateway(demo: &mut Demo) {
    let family = demo.family();
    let gateway = family.iter().find(|member| member.line.contains("pestle-gateway")).unwrap();
    let id = rustix::process::Pid::from_raw(i32::try_from(gateway.id).unwrap()).unwrap();
    rustix::process::kill_process(id, Signal::KILL).unwrap();
    demo.signal(Signal::KILL);
    demo.ended().await;
    demo.all_gone(&family).await;
}

#[tokio::test]
async fn ctrl_c_ends_the_demo_at_any_moment_of_its_start() {
    let _alone = whole_product().await;
    for words in ["starting the gateway", "loading the catalogue", "enrolling", "Pestle runs."] {
        let (_folder, place) = new_place();
        let mut demo = Demo::start(&place);
        demo.says(words).await;
        let family = demo.family();
        demo.signal(Signal::INT);
        demo.ended().await;
        demo.all_gone(&family).await;
    }
}
