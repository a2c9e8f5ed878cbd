//! The cases of `pestle_hil_tests::rig` on the rig that PESTLE_RIG names: each a trial with its name, one at a time. What the rig
//! cannot do is ignored with its reason.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use pestle_hil_tests::rig::{
    Rig,
    bench::{BenchRig, operator::AtTerminal},
    cases::{CASES, Case},
    qemu::QemuRig,
    settings::Settings,
    sim::SimRig,
};
use tokio::{runtime::Runtime, sync::Mutex};

/// One rig for all trials of a run, a machine boots once, and a new one after each that fails: whatever that left is not the next one's.
struct Bench {
    runtime: Runtime,
    settings: Settings,
    rig: Mutex<Option<Box<dyn Rig>>>,
}

fn main() -> Result<()> {
    // The provider of the whole program; there is none to replace.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut arguments = Arguments::from_args();
    // Two cases on one box would be in each other's way.
    arguments.test_threads = Some(1);
    let bench = Arc::new(Bench {
        runtime: Runtime::new()?,
        settings: Settings::from_environment()?,
        rig: Mutex::new(None),
    });
    let trial = |case: &'static Case| {
        let bench = Arc::clone(&bench);
        let unable = case.needs.iter().find_map(|ability| bench.settings.unable(*ability));
        // A runner that starts each trial by itself learns from the list what is ignored; else the reason is printed.
        let listed_as_ignored = unable.is_some() && std::env::var_os("NEXTEST").is_some();
        let attempt = move || match unable {
            Some(reason) => Ok(Completion::ignored_with(reason)),
            None => bench.runtime.block_on(bench.attempt(case)),
        };
        Trial::ignorable_test(case.name, attempt).with_ignored_flag(listed_as_ignored)
    };
    let conclusion = libtest_mimic::run(&arguments, CASES.iter().map(trial).collect());
    // Its processes end with it, before this one does.
    bench.runtime.block_on(async { bench.rig.lock().await.take() });
    conclusion.exit_if_failed();
    Ok(())
}

impl Bench {
    async fn attempt(&self, case: &Case) -> Result<Completion, Failed> {
        let mut place = self.rig.lock().await;
        let tried = async {
            // Taken from its place: what fails ends here, and its processes with it.
            let mut rig = match place.take() {
                Some(rig) => rig,
                None => new(&self.settings).await?,
            };
            case.attempt(rig.as_mut()).await?;
            anyhow::Ok(rig)
        };
        *place = Some(tried.await.map_err(|error| Failed::from(format!("{error:#}")))?);
        Ok(Completion::Completed)
    }
}

/// One that is where a case begins.
async fn new(settings: &Settings) -> Result<Box<dyn Rig>> {
    let mut rig = make(settings).await?;
    rig.reset().await.context("the rig cannot be reset")?;
    Ok(rig)
}

async fn make(settings: &Settings) -> Result<Box<dyn Rig>> {
    Ok(match settings {
        Settings::Sim => Box::new(SimRig::new().await?),
        Settings::Qemu(machine) => Box::new(QemuRig::with_gadgets(machine.clone()).await?),
        Settings::Bench(wiring) => {
            Box::new(BenchRig::new((**wiring).clone(), Box::new(AtTerminal::here())).await?)
        }
    })
}
