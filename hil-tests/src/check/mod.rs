//! The demo without a person: every step that a newcomer would try, every plug pulled, all totals compared.
//!
//! [`story`] is the row of steps; [`till`] is the person at the counter, [`expected`] their own account of what must have
//! changed; [`paper`], [`ledger`] and [`owner`] read what the printer, the box's disk and the centre's database say, and
//! [`steps`] tells each outcome as one line.

pub mod expected;
pub mod ledger;
pub(crate) mod owner;
pub mod paper;
pub mod steps;
mod story;
mod till;

use std::path::Path;

use anyhow::Context;

use crate::world::{Place, World};

/// How much is sold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length {
    /// What the tests run.
    Short,
    /// What `make demo-check` runs: a hundred sales without a network, fifteen power cuts.
    Full,
}

impl Length {
    fn sales_without_network(self) -> usize {
        match self {
            Self::Short => 20,
            Self::Full => 100,
        }
    }

    fn power_cuts(self) -> u32 {
        match self {
            Self::Short => 4,
            Self::Full => 15,
        }
    }
}

/// Runs the check in a new world beside the demo's, and forgets it when all held.
///
/// # Errors
/// The step that did not hold, with where the logs are.
pub async fn run(length: Length, tell: &(dyn Fn(&str) + Sync)) -> anyhow::Result<()> {
    run_in(&folder_in(&Place::folder_of_the_demo()?), length, tell).await
}

/// Where the check's own world lives beside the demo's.
pub fn folder_in(demo: &Path) -> std::path::PathBuf {
    demo.join("check")
}

/// The same in a folder of the caller's, which must be empty or a check's.
///
/// # Errors
/// The step that did not hold, with where the logs are.
pub async fn run_in(folder: &Path, length: Length, tell: &(dyn Fn(&str) + Sync)) -> anyhow::Result<()> {
    let place = Place::at(folder)?;
    crate::world::gateway::stop_left_postmaster(&place);
    place.begin_anew()?;
    let logs = place.folder().join("logs");
    let world = World::start(place.clone(), &|doing| tell(&format!("     ·  {doing}"))).await?;
    let mut steps = steps::Steps::new(tell);
    let told = story::tell_all(&world, length, &mut steps).await;
    world.stop().await;
    drop(world);
    told.with_context(|| format!("the logs are in {}", logs.display()))?;
    place.remove()?;
    tell(&format!("all {} steps held", steps.count()));
    Ok(())
}
