//! Chaos: real programs are killed at random while two branches sell, and nothing may be lost or counted twice.
//!
//! Two gateways share what the branches send, over one PostgreSQL; in the first half of the rounds over the broker that is
//! built into the first gateway, in the second half over a Mosquitto. A round kills one to three of the programs (SIGKILL,
//! each at its own moment) and starts them again. Every few rounds the branches pause, and when everything has arrived the
//! totals must agree to the unit.
//!
//! [`blows`] says who is hit when, [`field`] is what can be hit, [`seller`] the person at each till with their own account,
//! [`totals`] compares.

pub mod blows;
pub mod field;
pub mod seller;
pub mod totals;

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Context as _;

use crate::{
    seeded::Seeded,
    world::{Brokered, Place},
};
use field::Field;

/// Rounds between two comparisons of all totals.
const COMPARE_EVERY: u32 = 10;

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// How many rounds, over both brokers together.
    pub rounds: u32,
    /// Who is hit when follows from it. What the programs were doing at that moment does not: they are real.
    pub seed: u64,
}

/// Runs all rounds in a new world in `folder`, and forgets it when all held.
///
/// # Errors
/// What did not hold, in which round, with where the logs are.
pub async fn run(folder: &Path, plan: Plan, tell: &(dyn Fn(&str) + Sync)) -> anyhow::Result<()> {
    let halves = [
        (Brokered::ByTheGateway, 1..=plan.rounds.div_ceil(2)),
        (Brokered::ByMosquitto, plan.rounds.div_ceil(2) + 1..=plan.rounds),
    ];
    let mut sum = totals::Sum::default();
    for (brokered, rounds) in halves.into_iter().filter(|(_, rounds)| !rounds.is_empty()) {
        let place = Place::at(folder)?;
        crate::world::gateway::stop_left_postmaster(&place);
        place.begin_anew()?;
        let logs = place.folder().join("logs");
        let half = half(place.clone(), brokered, rounds, plan.seed, tell).await;
        sum.add(half.with_context(|| format!("seed {}; the logs are in {}", plan.seed, logs.display()))?);
        place.remove()?;
    }
    anyhow::ensure!(plan.rounds < ROUNDS_THAT_HIT_ALL || sum.hit_all(), "not everything was hit: {sum}");
    tell(&format!("all {} rounds held: {sum}", plan.rounds));
    Ok(())
}

async fn half(
    place: Place,
    brokered: Brokered,
    rounds: std::ops::RangeInclusive<u32>,
    seed: u64,
    tell: &(dyn Fn(&str) + Sync),
) -> anyhow::Result<totals::Sum> {
    let field = Field::start(place, brokered, tell).await?;
    let mut sellers = seller::Sellers::start(&field, seed);
    let last = *rounds.end();
    let mut sum = totals::Sum::default();
    let played = async {
        for round in rounds {
            let began = Instant::now();
            let blows = blows::of(&mut Seeded::of(seed, u64::from(round)), brokered);
            let what = blows::in_words(&blows);
            let context = || format!("round {round}: {what}");
            let hit = field.strike(&blows).await.with_context(context)?;
            let sold = sellers.all_sell().await.with_context(context)?;
            sum.note(&hit);
            let took = began.elapsed().as_millis();
            tell(&format!("ok  round {round}: {what} ({sold} sales so far, {took} ms)"));
            if round % COMPARE_EVERY == 0 || round == last {
                let accounts = sellers.pause().await?;
                let said = totals::agree(&field, &accounts).await.with_context(context)?;
                tell(&format!("    all agree: {said}"));
                sellers.go_on();
            }
        }
        anyhow::Ok(())
    };
    let played = Box::pin(played).await;
    let ended = match played {
        Ok(()) => sellers.end().await,
        Err(error) => {
            sellers.abandon();
            Err(error)
        }
    };
    let proved = match ended {
        Ok(accounts) => totals::prove(&field, &accounts).await.map(|end| sum.end(end)),
        Err(error) => Err(error),
    };
    field.stop().await;
    proved.map(|()| sum)
}

/// So many rounds hit each kind of program, whatever the seed.
const ROUNDS_THAT_HIT_ALL: u32 = 100;
/// From a restart to the next sale, with everything starting at once on a busy machine.
const SELLS_WITHIN: Duration = Duration::from_secs(120);
