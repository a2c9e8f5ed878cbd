//! The bench's rig without a bench: every device is simulated over pseudo-terminals and TCP, and the person is a script that does with
//! the simulators what the words ask for. What it proves is the rig, not any device.

use anyhow::{Result, bail};
use async_trait::async_trait;
use pestle_hil_tests::rig::{
    Devices, PrinterKind, Rig, ScannerKind,
    bench::{
        BenchRig,
        operator::{Operator, Question, Task},
    },
    cases::CASES,
    settings::Settings,
    site::Site,
    wiring::Wiring,
};
use tempfile::TempDir;

/// Does what it is told, looks at the paper, and reads the thermometer.
#[derive(Debug)]
struct Script {
    site: Site,
    _place: TempDir,
}

#[async_trait]
impl Operator for Script {
    async fn carry_out(&mut self, task: &Task) -> Result<()> {
        let site = &mut self.site;
        match task {
            Task::Prepare => site.reset().await?,
            Task::Scan { scanner, barcode, sheet } => {
                // A sheet that nobody can scan is no sheet.
                assert!(std::fs::read(sheet)?.starts_with(b"\x89PNG"));
                site.scan(*scanner, barcode).await?;
            }
            Task::PlugScanner { scanner, into } => site.plug_scanner(*scanner, *into).await?,
            Task::SetPrinter { printer, state } => site.set_printer(*printer, *state).await?,
            Task::Fridge { there: false } => site.fridge.unplug(),
            Task::Fridge { there: true } => site.fridge.replug()?,
            Task::PlugPrinter { .. } => bail!("no printer here has a plug"),
        }
        Ok(())
    }

    async fn confirm(&mut self, question: &Question) -> Result<bool> {
        match question {
            Question::Paper { printer, says } => {
                let says: Vec<&str> = says.iter().map(String::as_str).collect();
                Ok(self.site.paper(*printer, &says).await.is_ok())
            }
            Question::NothingMore { printer } => Ok(self.site.nothing_more(*printer).await.is_ok()),
        }
    }

    async fn measure(&mut self, towards_milli_celsius: i32) -> Result<i32> {
        // The thermometer beside it shows a little more.
        Ok(self.site.set_fridge(towards_milli_celsius).await?.end() + 300)
    }
}

fn bench() -> (Script, Wiring) {
    let place = tempfile::tempdir().unwrap();
    let site = Site::new(place.path(), false).unwrap();
    let wiring = site.wiring(place.path(), site.network_printer.device.address().unwrap());
    (Script { site, _place: place }, wiring)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_case_that_a_person_can_try_passes_on_the_bench_s_rig_with_simulated_devices() {
    let _provider = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let (script, wiring) = bench();
    let settings = Settings::Bench(Box::new(wiring.clone()));
    let mut rig = BenchRig::new(wiring, Box::new(script)).await.unwrap();
    rig.reset().await.unwrap();
    let mut tried = Vec::new();
    for case in CASES {
        if case.needs.iter().any(|ability| settings.unable(*ability).is_some()) {
            continue;
        }
        case.attempt(&mut rig).await.unwrap_or_else(|error| panic!("{}: {error:#}", case.name));
        tried.push(case.name);
    }
    assert_eq!(tried.len(), 9, "{tried:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_who_says_no_fails_the_case() {
    #[derive(Debug)]
    struct No;
    #[async_trait]
    impl Operator for No {
        async fn carry_out(&mut self, _: &Task) -> Result<()> {
            Ok(())
        }
        async fn confirm(&mut self, _: &Question) -> Result<bool> {
            Ok(false)
        }
        async fn measure(&mut self, _: i32) -> Result<i32> {
            bail!("there is no thermometer")
        }
    }
    let _provider = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut rig = BenchRig::new(Wiring::default(), Box::new(No)).await.unwrap();
    let error = rig.devices().paper(PrinterKind::Serial, &["7", "ibuprofen"]).await.unwrap_err();
    assert!(error.to_string().contains("\"7\" and \"ibuprofen\""), "{error}");
}

#[test]
fn the_bench_s_file_names_what_is_there_and_what_is_not_is_a_reason() {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("rigs/bench.toml");
    let settings = Settings::read(&file).unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    for case in CASES {
        let reason = case.needs.iter().find_map(|ability| settings.unable(*ability));
        assert!(reason.is_some(), "{} would be tried on a bench without devices", case.name);
    }
    // Each device that the file offers is one that can be set.
    let with_all = text
        .replace("\n# ", "\n")
        .lines()
        .filter(|line| line.contains(" = "))
        .fold(String::new(), |text, line| text + line + "\n");
    let place = tempfile::tempdir().unwrap();
    let all = place.path().join("bench.toml");
    std::fs::write(&all, with_all).unwrap();
    let Settings::Bench(wiring) = Settings::read(&all).unwrap() else { panic!("no bench") };
    for kind in ScannerKind::ALL {
        assert!(wiring.scanner(kind).is_some(), "{kind:?} is not offered");
    }
    for kind in PrinterKind::ALL {
        assert!(wiring.printer(kind).is_some(), "{kind:?} is not offered");
    }
    // And the agent takes it.
    let text = wiring.configuration("127.0.0.1:0", &place.path().display().to_string());
    let config = place.path().join("agent.toml");
    std::fs::write(&config, text).unwrap();
    pestle_agent::config::Config::load(Some(&config)).unwrap();
}
