//! `GET /api/v1/branches/{branch}/stock/{product}` over TLS with a token, 64 connections, 200 articles in turn, against
//! a route of the same port that returns the same bytes behind the same TLS, middleware and sign-in.
//!
//! The gateway with its PostgreSQL has one core and the load another, so that the rate is the gateway's own and is not
//! watered down by what the load costs.

use std::path::Path;

use anyhow::Result;
use tokio::task::block_in_place;

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

/// Measures in `folder`.
///
/// # Errors
/// When the gateway does not start, or an answer is not 200.
#[allow(clippy::float_arithmetic, reason = "rates and shares of what was measured")]
pub fn measure(folder: &Path, cores: Cores, scale: Scale) -> Result<Row> {
    let arguments = ["serve".into(), folder.join("stock").into_os_string()];
    let (server, ready) = block_in_place(|| Helper::start::<Ready>(arguments, cores.centre))?;
    let (mut load, ()) = block_in_place(|| Helper::start(["load"], cores.branch))?;
    let mut turn = |paths: &[String], milliseconds| -> Result<(f64, f64)> {
        let job = Job {
            address: ready.address,
            authority: ready.authority.clone(),
            token: ready.token.clone(),
            paths: paths.to_vec(),
            connections: CONNECTIONS,
            milliseconds: scale.of(milliseconds),
        };
        let busy = server.busy_s()?;
        let Load { answers, seconds } = block_in_place(|| load.ask(&job))?;
        let busy = (server.busy_s()? - busy) / seconds;
        #[allow(clippy::cast_precision_loss, reason = "a rate")]
        Ok((answers as f64 / seconds, busy))
    };
    let checks: Vec<String> = (0..PRODUCTS).map(stock_port::check_path).collect();
    let still = [STILL.to_owned()];
    turn(&checks, WARM_UP_MS)?;
    turn(&still, WARM_UP_MS)?;
    let (mut rounds, mut busy) = (Vec::new(), Vec::new());
    for round in 0..scale.rounds {
        // They take turns at being first.
        let (check, other) = if round % 2 == 0 {
            let check = turn(&checks, TURN_MS)?;
            (check, turn(&still, TURN_MS)?)
        } else {
            let other = turn(&still, TURN_MS)?;
            (turn(&checks, TURN_MS)?, other)
        };
        rounds.push((check.0, other.0));
        busy.push(check.1);
    }
    let name = "stock check over HTTPS, 64 connections";
    Ok(Row::against(name, "req/s", "the same bytes, still", &rounds, Reach::AtLeast(0.6)).noting(format!(
        "gateway with PostgreSQL on core {} (the gateway's own threads busy for {} of the time), load on core {}; \
         {PRODUCTS} articles in turn, {} bytes each",
        cores.centre,
        short(Spread::of(&busy).median),
        cores.branch,
        ready.body_bytes
    )))
}
