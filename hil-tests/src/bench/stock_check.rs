//! `GET /api/v1/branches/{branch}/stock/{product}` over TLS with a token, 64 connections, 200 articles in turn, against
//! a route of the same port that returns the same bytes behind the same TLS, middleware and sign-in.
//!
//! The gateway with its PostgreSQL has one core and the load another, so that the rate is the gateway's own and is not
//! watered down by what the load costs: it counts only if the gateway's core was busy in both turns.
//!
//! The gateway answers from memory for as long as nothing has changed; a third turn, which is noted and not judged, has
//! each answer forgotten before it is asked for.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};

use super::{
    helper::Helper,
    load::{Job, Load},
    place::Cores,
    report::{Reach, Row, short},
    sample::PRODUCTS,
    stats::{Scale, Spread},
    stock_port::{self, Ready, STILL},
};

/// Connections, as the figure has them.
const CONNECTIONS: usize = 64;
/// Of each turn: some ten thousand answers.
const TURN_MS: u64 = 4_000;
/// Not counted: connections, caches and plans are new.
const WARM_UP_MS: u64 = 1_000;
/// Below this share of the time something else than the gateway's core set the pace.
const BUSY_MIN: f64 = 0.9;
/// How long an answer is kept at the most, in milliseconds (`inventory::cache`): each article is read anew so often.
const KEPT_MS: u64 = 5_000;

/// What one turn came to.
#[derive(Debug, Clone, Copy)]
struct Turn {
    /// Answers a second.
    rate: f64,
    answers: u64,
    /// Shares of the time in which the gateway's core and the load's core worked, and the gateway's own threads.
    busy: [f64; 3],
}

/// The gateway and what asks it.
struct Bench {
    server: Helper,
    load: Helper,
    ready: Ready,
    cores: Cores,
    scale: Scale,
}

impl Bench {
    #[allow(
        clippy::float_arithmetic,
        clippy::cast_precision_loss,
        reason = "rates and shares of what was measured"
    )]
    async fn turn(&mut self, paths: &[String], milliseconds: u64) -> Result<Turn> {
        let job = Job {
            address: self.ready.address,
            authority: self.ready.authority.clone(),
            token: self.ready.token.clone(),
            paths: paths.to_vec(),
            connections: CONNECTIONS,
            milliseconds: self.scale.of(milliseconds),
        };
        let before = self.ticks()?;
        let Load { answers, seconds } = self.load.ask(&job).await?;
        let after = self.ticks()?;
        let share = |core: usize| {
            let (worked, all) = (after.0[core].0 - before.0[core].0, after.0[core].1 - before.0[core].1);
            if all == 0 { 0.0 } else { worked as f64 / all as f64 }
        };
        let busy = [share(0), share(1), (after.1 - before.1) / seconds];
        Ok(Turn { rate: answers as f64 / seconds, answers, busy })
    }

    /// Ticks that the two cores worked, of all that they had; seconds that the gateway's threads worked.
    fn ticks(&self) -> Result<([(u64, u64); 2], f64)> {
        let stat = fs::read_to_string("/proc/stat")?;
        let of = |core| core_ticks(&stat, core).context("/proc/stat has another form");
        Ok(([of(self.cores.centre)?, of(self.cores.branch)?], self.server.busy_s()?))
    }
}

/// `proc_stat(5)`: `cpu1 user nice system idle iowait irq softirq steal …`. Worked, and all.
fn core_ticks(stat: &str, core: usize) -> Option<(u64, u64)> {
    let name = format!("cpu{core} ");
    let fields: Vec<u64> = stat
        .lines()
        .find_map(|line| line.strip_prefix(&name))?
        .split_whitespace()
        .take(8)
        .flat_map(str::parse)
        .collect();
    let all: u64 = fields.iter().sum();
    let idle = fields.get(3)? + fields.get(4)?;
    Some((all - idle, all))
}

/// Measures in `folder`.
///
/// # Errors
/// When the gateway does not start, or an answer is not 200.
#[allow(clippy::float_arithmetic, reason = "rates and shares of what was measured")]
pub async fn measure(folder: &Path, cores: Cores, scale: Scale) -> Result<Row> {
    let place = folder.join("stock");
    let arguments = ["serve".as_ref(), place.as_os_str()];
    let (server, ready) = Helper::start::<Ready>(arguments, Some(&place), cores.centre).await?;
    let (load, ()) = Helper::start(["load"], None, cores.branch).await?;
    let body_bytes = ready.body_bytes;
    let mut bench = Bench { server, load, ready, cores, scale };
    let checks: Vec<String> = (0..PRODUCTS).map(stock_port::check_path).collect();
    let fresh: Vec<String> = (0..PRODUCTS).map(stock_port::fresh_path).collect();
    let still = [STILL.to_owned()];
    bench.turn(&checks, WARM_UP_MS).await?;
    bench.turn(&still, WARM_UP_MS).await?;
    let (mut rounds, mut uncached, mut turns) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..scale.rounds {
        // They take turns at being first.
        let (check, other) = if round % 2 == 0 {
            let check = bench.turn(&checks, TURN_MS).await?;
            (check, bench.turn(&still, TURN_MS).await?)
        } else {
            let other = bench.turn(&still, TURN_MS).await?;
            (bench.turn(&checks, TURN_MS).await?, other)
        };
        let alone = bench.turn(&fresh, TURN_MS / 2).await?;
        rounds.push((check.rate, other.rate));
        uncached.push((alone.rate, alone.rate / other.rate));
        turns.push((check, other));
    }
    Ok(row(&rounds, &uncached, &turns, scale).noting(format!(
        "gateway with PostgreSQL on core {}, load on core {}; {PRODUCTS} articles in turn, {body_bytes} bytes each",
        cores.centre, cores.branch,
    )))
}

#[allow(
    clippy::float_arithmetic,
    clippy::cast_precision_loss,
    reason = "rates and shares of what was measured"
)]
fn row(rounds: &[(f64, f64)], uncached: &[(f64, f64)], turns: &[(Turn, Turn)], scale: Scale) -> Row {
    let median =
        |pick: &dyn Fn(&(Turn, Turn)) -> f64| Spread::of(&turns.iter().map(pick).collect::<Vec<_>>()).median;
    let busy = |what: usize| [median(&|turn| turn.0.busy[what]), median(&|turn| turn.1.busy[what])];
    let ([check, still], load, threads) = (busy(0), busy(1), busy(2));
    // Every article is read from the database at most once in each lifetime of an answer, and once at the turn's start.
    let reads = PRODUCTS * (1 + scale.of(TURN_MS).div_ceil(KEPT_MS));
    let kept = median(&|turn| 1.0 - (reads as f64 / turn.0.answers.max(1) as f64).min(1.0));
    let (rate, ratio): (Vec<f64>, Vec<f64>) = uncached.iter().copied().unzip();
    Row::against("stock check over HTTPS, 64 connections", "req/s", "the same bytes, still", rounds, Reach::AtLeast(0.6))
        .noting(format!(
            "answered from the gateway's memory: at least {} of the answers; with each forgotten before it is asked \
             for {} req/s, {} × of still",
            short(kept),
            short(Spread::of(&rate).median),
            short(Spread::of(&ratio).median),
        ))
        .noting(format!(
            "busy, check and still: the gateway's core {} and {}, its own threads {} and {}, the load's core {} and {}",
            short(check),
            short(still),
            short(threads[0]),
            short(threads[1]),
            short(load[0]),
            short(load[1]),
        ))
        .only_if(
            check >= BUSY_MIN && still >= BUSY_MIN,
            "the gateway's core was not busy all the time, so something else set the pace",
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_core_s_work_is_what_is_neither_idle_nor_waiting() {
        let stat = "cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 1 2 3 40 5 6 7 8 0 0\ncpu1 10 0 0 90 0 0 0 0 0 0\n";
        assert_eq!(core_ticks(stat, 0), Some((27, 72)));
        assert_eq!(core_ticks(stat, 1), Some((10, 100)));
        assert_eq!(core_ticks(stat, 2), None);
    }

    #[test]
    fn a_gateway_that_idled_does_not_count() {
        let turn = |busy| Turn { rate: 1_000.0, answers: 4_000, busy: [busy, 1.0, busy] };
        let judged =
            |busy| row(&[(1_000.0, 1_000.0)], &[(10.0, 0.01)], &[(turn(busy), turn(1.0))], Scale::WHOLE).ok;
        assert!(judged(0.95));
        assert!(!judged(0.85));
    }
}
