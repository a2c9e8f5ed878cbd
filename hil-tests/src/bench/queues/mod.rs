//! What a shop would set up by hand instead: a message queue in the branch that hands each fact as a message to one at the
//! centre, and a small program there that puts them into a table. Against Pestle, into the same PostgreSQL, on the same cores:
//! the branch's broker, and the agent, on one; the centre's broker with the program and PostgreSQL, and the gateway, on the other.
//!
//! [`nats`] is a JetStream leaf node, [`bridge`] a Mosquitto bridge with persistence: each as its documentation has it, with the
//! settings that are said there. [`consumer`] is the program: a fact is a message, and a message a statement; the same with many rows
//! a statement is told beside it. Facts wait in the branch while the centre is away; the program looks for
//! its broker; then that comes, and theirs are timed from the first message that arrives to the commit of the last, which leaves out how
//! long they take to connect. Pestle's clock begins with the TCP connection.
//!
//! Then the same once more with two blows: once a tenth has arrived the branch's broker is killed (SIGKILL), and started again when the
//! centre's has handed over what it has, so that what lay in the branch is counted; once half of that has come, or nothing comes any
//! more, the centre's. What was told as taken and never arrives is lost; what arrives twice is doubled. Pestle's agent and gateway get
//! the same, at once after each other, and what is compared in the end is what the facts did ([`effects`]). A power cut, which also takes
//! what was not synced, is not played here.

pub mod bridge;
pub mod broker;
pub mod consumer;
pub mod effects;
pub mod nats;
pub mod nats_client;
mod ours;

use std::{path::Path, time::Duration};

use anyhow::{Context as _, Result};
use pestle_domain::ids::FactId;
use sqlx::PgConnection;

use super::{
    centre::settle,
    helper::Helper,
    place::Cores,
    real_centre::RealCentre,
    report::{Reach, Row, short},
    sample::{self, Sales},
    stats::{Scale, Spread, per_second},
};
use consumer::Drained;

/// Sales that wait: 40,000 facts.
const SALES: u64 = 10_000;
/// Of a round with blows: 20,000.
const SALES_STRUCK: u64 = 5_000;
/// Of what waits, so much has arrived at the first blow: early, so that the branch still holds most of it.
const FIRST_BLOW_AT: u64 = 10;
/// Runs of sample sales that no other figure uses begin here.
const RUNS: u64 = 200;
/// Rows that one statement of a program puts in that takes what waits.
const GROUP: usize = 256;

/// Which queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Queue {
    Nats,
    Mosquitto,
}

/// How a round goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Course {
    /// Nothing happens.
    Calm,
    /// Both brokers are killed on the way.
    Struck,
}

/// How a round goes, in full.
#[derive(Debug, Clone, Copy)]
struct How {
    course: Course,
    /// Rows that one statement puts in, at most.
    group: usize,
    limits: bridge::Limits,
    /// Of a quick look: little is waited for.
    quick: bool,
}

impl How {
    fn quiet(self) -> Duration {
        if self.quick { consumer::QUIET_QUICK } else { consumer::QUIET }
    }
}

/// What the blows hit.
#[derive(Debug, Clone, Copy)]
pub struct Blows {
    /// Facts that lay in the branch when its end was killed.
    pub waiting: u64,
    /// Of these, at the centre when its end was killed.
    pub came: u64,
}

impl std::fmt::Display for Blows {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { waiting, came } = self;
        match waiting {
            0 => write!(formatter, "the branch's with nothing in it any more, which says nothing of it"),
            _ => write!(
                formatter,
                "the branch's with {waiting} in it, the centre's when {came} of these had come"
            ),
        }
    }
}

/// Messages and what became of them.
#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    /// Facts a second.
    pub rate: f64,
    /// Told as taken by the branch's end.
    pub told: u64,
    /// Of these, never at the centre.
    pub lost: u64,
    /// At the centre more than once.
    pub doubled: u64,
    /// Where it was struck.
    pub blows: Option<Blows>,
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} of {} lost, {} doubled", self.lost, self.told, self.doubled)?;
        self.blows.map_or(Ok(()), |blows| write!(formatter, " (killed: {blows})"))
    }
}

/// Measures in `folder`.
///
/// # Errors
/// When a program does not start, or ours loses a fact.
pub async fn measure(folder: &Path, cores: Cores, scale: Scale) -> Result<Vec<Row>> {
    let mut centre = RealCentre::start(&folder.join("queues"), cores).await?;
    let mut owner = centre.owner().await?;
    sqlx::raw_sql(consumer::TABLE).execute(&mut owner).await?;
    let facts = scale.of(SALES) * sample::FACTS_PER_SALE;
    let calm = How { course: Course::Calm, group: 1, limits: bridge::Limits::Lifted, quick: !scale.counts() };
    let (mut nats, mut mosquitto) = (Queue::Nats.rounds(), Queue::Mosquitto.rounds());
    for run in (RUNS..).take(scale.rounds) {
        let ours = ours::calm(&centre, folder, cores, run, scale.of(SALES)).await?;
        let lines = lines(run, scale.of(SALES))?;
        for of in [&mut nats, &mut mosquitto] {
            for (group, rounds) in [(1, &mut of.singly), (GROUP, &mut of.grouped)] {
                let table = Table { owner: &mut owner, dsn: centre.owner_dsn()? };
                let theirs = one(of.queue, folder, cores, table, &lines, How { group, ..calm }).await?;
                rounds.push((ours, theirs));
            }
        }
    }
    let run = RUNS + scale.rounds as u64;
    let struck_lines = lines(run, scale.of(SALES_STRUCK))?;
    let mut struck = Vec::new();
    for queue in [Queue::Nats, Queue::Mosquitto] {
        let table = Table { owner: &mut owner, dsn: centre.owner_dsn()? };
        let how = How { course: Course::Struck, group: GROUP, ..calm };
        struck.push(one(queue, folder, cores, table, &struck_lines, how).await?);
    }
    let table = Table { owner: &mut owner, dsn: centre.owner_dsn()? };
    let bounded = How { limits: bridge::Limits::Defaults, group: GROUP, ..calm };
    let defaults = one(Queue::Mosquitto, folder, cores, table, &struck_lines, bounded).await?;
    drop(owner);
    let ours_struck = ours::struck(&mut centre, folder, cores, run, scale.of(SALES_STRUCK)).await?;
    centre.end().await?;

    let nothing_lost = ours_struck.differences.is_empty();
    let killed = |of: usize| {
        let theirs = struck.get(of).map(ToString::to_string).unwrap_or_default();
        format!("both ends killed on the way, one run: {theirs}; ours: {ours_struck}")
    };
    let row = |of: &Rounds, killed: String| {
        of.row(facts).noting(killed).only_if(nothing_lost, "ours must lose and double nothing")
    };
    Ok(vec![
        row(&nats, killed(0)),
        row(&mosquitto, killed(1)).noting(format!(
            "with Mosquitto's own bound of 1,000 waiting messages, nothing killed, one run: {defaults}"
        )),
    ])
}

/// What a queue did beside us, round for round.
struct Rounds {
    queue: Queue,
    /// With a statement for each message.
    singly: Vec<(f64, Outcome)>,
    /// With a statement for what waits, up to [`GROUP`].
    grouped: Vec<(f64, Outcome)>,
}

impl Queue {
    fn rounds(self) -> Rounds {
        Rounds { queue: self, singly: Vec::new(), grouped: Vec::new() }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Nats => "NATS JetStream leaf",
            Self::Mosquitto => "Mosquitto bridge",
        }
    }
}

impl Rounds {
    /// Judged against the small program that takes one message after the other; one that puts many rows in with a statement is
    /// told beside it.
    fn row(&self, facts: u64) -> Row {
        let name = self.queue.name();
        let rates = |rounds: &[(f64, Outcome)]| -> Vec<_> {
            rounds.iter().map(|(ours, theirs)| (*ours, theirs.rate)).collect()
        };
        let lost = self.singly.iter().map(|(_, theirs)| as_number(theirs.lost)).collect::<Vec<_>>();
        let lost = Spread::of(&lost);
        let grouped = Row::against(name, "facts/s", name, &rates(&self.grouped), Reach::AtLeast(1.0));
        Row::against(
            &format!("drain: ours beside a {name}"),
            "facts/s",
            name,
            &rates(&self.singly),
            Reach::AtLeast(1.0),
        )
        .noting(format!(
            "{facts} facts a round, one a message; of these {}–{} never arrived; their program takes one after the other, with a \
             statement each",
            short(lost.min),
            short(lost.max)
        ))
        .noting(format!(
            "for information, the same rounds with up to {GROUP} rows a statement: theirs {}, ours {}",
            grouped.baseline.map(short).unwrap_or_default(),
            grouped.ratio_in_words()
        ))
    }
}

/// Where the program puts messages.
struct Table<'a> {
    owner: &'a mut PgConnection,
    dsn: String,
}

async fn one(
    queue: Queue,
    folder: &Path,
    cores: Cores,
    table: Table<'_>,
    lines: &[Vec<u8>],
    how: How,
) -> Result<Outcome> {
    let (mut branch, mut centre, source, told);
    match queue {
        Queue::Nats => {
            nats::Pair { branch, centre } = nats::Pair::new(&folder.join("nats"), cores)?;
            branch.start().await?;
            told = nats::load(branch.at(), lines).await?;
            source = consumer::Source::Nats { centre: centre.at() };
        }
        Queue::Mosquitto => {
            bridge::Pair { branch, centre } =
                bridge::Pair::new(&folder.join("bridge"), cores, how.limits, how.quick)?;
            // The program was there before, and its session is kept: else what comes before it is for nobody.
            centre.start().await?;
            consumer::subscribe_once(centre.at()).await?;
            centre.stop().await;
            branch.start().await?;
            told = bridge::load(branch.at(), lines).await?;
            source = consumer::Source::Mqtt { centre: centre.at() };
        }
    }
    drain((&mut branch, &mut centre), cores, table, source, told, how).await
}

/// Facts as messages. Each line names its fact.
fn lines(run: u64, sales: u64) -> Result<Vec<Vec<u8>>> {
    let acts = (1..=sales).map(|number| Sales::of(run).sale(number));
    Ok(acts.flat_map(|act| act.facts).map(|fact| fact.to_line()).collect::<Result<_, _>>()?)
}

/// The id in a line.
fn fact_id(line: &[u8]) -> Result<FactId> {
    #[derive(serde::Deserialize)]
    struct Named {
        id: FactId,
    }
    Ok(serde_json::from_slice::<Named>(line)?.id)
}

/// Starts the centre's broker once the program looks for it, and strikes where `how` says so.
async fn drain(
    (branch, centre): (&mut broker::Broker, &mut broker::Broker),
    cores: Cores,
    table: Table<'_>,
    source: consumer::Source,
    told: u64,
    how: How,
) -> Result<Outcome> {
    let Table { owner, dsn } = table;
    sqlx::raw_sql("TRUNCATE bench.message").execute(&mut *owner).await?;
    settle(owner).await?;
    let (enough, quiet) = match how.course {
        Course::Calm => (Some(told), how.quiet()),
        // The second blow may come when it has been quiet already.
        Course::Struck => (None, 2 * how.quiet()),
    };
    let job = consumer::Job { dsn, source, enough, group: how.group, quiet };
    let (mut program, ()) = Helper::start(["consume"], None, cores.centre).await?;
    let striking = async {
        consumer::ready(owner).await?;
        centre.start().await?;
        if how.course == Course::Calm {
            return Ok(None);
        }
        consumer::arrived(owner, told / FIRST_BLOW_AT, how.quiet()).await?;
        branch.kill();
        let before = consumer::arrived(owner, told, consumer::STILL).await?;
        let waiting = told.saturating_sub(before);
        branch.start().await?;
        let now = consumer::arrived(owner, before + waiting.div_ceil(2), how.quiet()).await?;
        centre.kill();
        centre.start().await?;
        anyhow::Ok(Some(Blows { waiting, came: now - before }))
    };
    let (drained, struck) = tokio::join!(program.ask::<Drained>(&job), striking);
    let blows = struck?;
    let drained = drained.context("the program at the centre")?;
    drop(program);
    let (rows, facts): (i64, i64) =
        sqlx::query_as("SELECT count(*), count(DISTINCT fact_id) FROM bench.message")
            .fetch_one(&mut *owner)
            .await?;
    let (rows, facts) = (u64::try_from(rows)?, u64::try_from(facts)?);
    let rate = if facts == 0 { 0.0 } else { per_second(facts, Duration::from_secs_f64(drained.seconds)) };
    Ok(Outcome { rate, told, lost: told.saturating_sub(facts), doubled: rows - facts, blows })
}

#[allow(clippy::cast_precision_loss, reason = "a count for people")]
fn as_number(count: u64) -> f64 {
    count as f64
}
