//! From a barcode on the serial line to the basket's line on the page, with a real agent, over the HTTPS and the event
//! stream of a browser's page: by itself, and against the p99 of a commit in the same round.
//!
//! The clock starts before the bytes are handed to the pseudo-terminal, which carries them at once: a real line at
//! 9600 baud takes a millisecond a byte before that. It stops when the event is here that shows the pack's serial number;
//! what a browser then takes to draw it is not in it. What the pseudo-terminal has of the time is told beside, by bytes that
//! are read at its other end. The scanner sends a suffix, which ends a scan at once: the silence that ends one of a scanner without a suffix is never waited for.

use std::{
    fs::File,
    io::Read as _,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use pestle_domain::ids::ActId;
use pestle_drivers::{scanner::framing::FramingRules, sim::scanner::SimScanner};
use tokio::{sync::mpsc, task::spawn_blocking};
use uuid::Uuid;

use super::{
    commit,
    report::{Reach, Row, short},
    stats::{Scale, Spread, quantile, sorted},
};
use crate::{
    counter::Counter,
    demo_data::{Article, LotState, articles},
    world::{Branch, PEOPLE, World},
};

/// Scans of one round: a p99 is then the fourth-worst.
const SCANS: u64 = 400;
/// The p99 of no round may be longer, in milliseconds: a person takes a tenth of a second for at once, and the browser draws after this.
const SHOWN_MS_MAX: f64 = 15.0;
/// Packs of one sale. Paying is not measured, but its commit and its print go on while the next sale begins.
const PACKS_PER_SALE: usize = 10;
/// Between two scans: twenty times faster than a person with a scanner.
const BETWEEN: Duration = Duration::from_millis(20);
/// A line that has not come after this never comes.
const SHOWN_WITHIN: Duration = Duration::from_secs(10);
/// How long a round's stream may last.
const STREAM_LIFE: Duration = Duration::from_secs(600);

/// Measures at the first branch of `world`, and commits in `folder`.
///
/// # Errors
/// When a program does not do what it should.
pub async fn measure(world: &World, folder: &Path, scale: Scale) -> Result<Vec<Row>> {
    let branch = world.branches.first().context("a world without branches")?;
    let till = Till::open(branch).await?;
    let (mut rounds, mut medians, mut commits_ms) = (Vec::new(), Vec::new(), [vec![], vec![], vec![]]);
    let mut lines = Vec::new();
    // The first is not counted: pages and caches are new.
    for round in 0..=scale.rounds {
        let commits_in = folder.to_owned();
        let commits = spawn_blocking(move || commit::one_round(&commits_in, scale)).await??;
        let scans = till.one_round(branch, round, scale).await?;
        if round > 0 {
            let p99 = [&commits.ours, &commits.plain, &commits.roomy].map(|one| quantile(one, 0.99) / 1e3);
            // A bad moment of the disk must not make the reach easier: the smallest of the round counts.
            rounds.push((quantile(&scans, 0.99), p99.into_iter().fold(f64::INFINITY, f64::min)));
            for (all, one) in commits_ms.iter_mut().zip(p99) {
                all.push(one);
            }
            medians.push(quantile(&scans, 0.5));
            lines.push(quantile(&line_alone(folder, scale).await?, 0.99));
        }
    }
    let shown: Vec<f64> = rounds.iter().map(|(scan, _)| *scan).collect();
    let alone = Row::alone("scan to the line on the page, p99", "ms", &shown, SHOWN_MS_MAX)
        .noting(format!(
            "{} scans a round, {PACKS_PER_SALE} a sale; median {} ms",
            scale.of(SCANS),
            short(Spread::of(&medians).median)
        ))
        .noting(format!(
            "of it the pseudo-terminal alone, to a reader that does nothing: p99 {} ms",
            short(Spread::of(&lines).median)
        ))
        .noting(format!(
            "with a suffix; a scanner without one takes {} ms more, the silence that ends its scans",
            FramingRules::default().idle_gap.as_millis()
        ));
    Ok(vec![alone, against_commits(&rounds, commits_ms)])
}

fn against_commits(rounds: &[(f64, f64)], commits_ms: [Vec<f64>; 3]) -> Row {
    let reach = Reach::AtMostAndMore { factor: 2.0, plus: 5.0 };
    let [ours, plain, roomy] = commits_ms.map(|all| short(Spread::of(&all).median));
    let name = "scan to the line on the page, p99";
    Row::against(name, "ms", "a commit's p99, the smallest", rounds, reach).noting(format!(
        "p99 of the rounds' commits: journal {ours} ms, growing file {plain} ms, file that has its room {roomy} ms; \
         each round is judged by its smallest"
    ))
}

/// How long a pseudo-terminal takes by itself, in milliseconds, sorted: the same bytes, to a thread that only reads.
async fn line_alone(folder: &Path, scale: Scale) -> Result<Vec<f64>> {
    let scanner = SimScanner::plug_in(folder.join("line-alone"))?;
    let mut line = File::open(scanner.path())?;
    let (arrived, mut arrivals) = mpsc::channel(1);
    let reader = spawn_blocking(move || {
        let mut bytes = [0; 256];
        // Nothing more, or an error, when the scanner is unplugged below.
        while let Ok(read @ 1..) = line.read(&mut bytes) {
            if bytes[..read].ends_with(b"\r") && arrived.blocking_send(Instant::now()).is_err() {
                break;
            }
        }
    });
    let mut times = Vec::new();
    for number in 0..scale.of(SCANS) {
        let began = Instant::now();
        scanner.scan(format!("01095212345432131729113010LOT24A\u{1d}21R0N{number:05}").as_bytes()).await?;
        let at = arrivals.recv().await.context("the line's reader has ended")?;
        times.push(at.duration_since(began).as_secs_f64() * 1e3);
    }
    scanner.unplug().await;
    reader.await?;
    Ok(sorted(times))
}

struct Till {
    counter: Counter,
    packs: Vec<Article>,
}

impl Till {
    async fn open(branch: &Branch) -> Result<Self> {
        let counter = Counter::open(branch)?;
        counter.shows("a catalogue", |till| till.phase != "no_catalogue").await?;
        counter.sign_in(PEOPLE.first().context("a demo without people")?).await?;
        if counter.look().await?.phase == "closed" {
            counter.open_till(ActId(Uuid::now_v7()), "100.00").await?;
        }
        counter.hears_the_scanner().await?;
        let good = |article: &Article| {
            article.sold_at_counter() && article.lot(LotState::Good).is_some_and(|lot| lot.quantity[0] > 0)
        };
        let packs: Vec<Article> = articles().into_iter().filter(good).take(PACKS_PER_SALE).collect();
        Ok(Self { counter, packs })
    }

    /// Times in milliseconds, sorted.
    async fn one_round(&self, branch: &Branch, round: usize, scale: Scale) -> Result<Vec<f64>> {
        let mut page = Page::open(&self.counter).await?;
        let mut times = Vec::new();
        for number in 0..scale.of(SCANS) {
            let index = usize::try_from(number)? % self.packs.len();
            let pack = &self.packs[index];
            let lot = pack.lot(LotState::Good).context("no good lot")?;
            let serial = format!("R{round}N{number:05}");
            tokio::time::sleep(BETWEEN).await;
            let began = Instant::now();
            branch.scanner.scan(pack.data_matrix(lot, &serial).as_bytes()).await?;
            page.shows(&serial).await.with_context(|| branch.log_tail())?;
            times.push(began.elapsed().as_secs_f64() * 1e3);
            if index + 1 == self.packs.len() {
                self.pay().await?;
            }
        }
        if self.counter.look().await?.basket.is_some() {
            self.pay().await?;
        }
        Ok(sorted(times))
    }

    async fn pay(&self) -> Result<()> {
        let basket = self.counter.look().await?.basket.context("nothing lies on the counter")?;
        self.counter.pay(basket.act, "9999.00").await?;
        Ok(())
    }
}

/// The page's event stream.
struct Page {
    stream: reqwest::Response,
    heard: Vec<u8>,
}

impl Page {
    async fn open(counter: &Counter) -> Result<Self> {
        let stream = counter.events(STREAM_LIFE).await?;
        let mut page = Self { stream, heard: Vec::new() };
        // Everything comes first; what comes then is what has changed.
        page.shows("event: phase").await?;
        Ok(page)
    }

    /// Waits for the next event that holds `text`.
    async fn shows(&mut self, text: &str) -> Result<()> {
        let text = text.as_bytes();
        self.heard.clear();
        let looking = async {
            while !self.heard.windows(text.len()).any(|window| window == text) {
                match self.stream.chunk().await? {
                    Some(piece) => self.heard.extend_from_slice(&piece),
                    None => bail!("the page's event stream has ended"),
                }
            }
            Ok(())
        };
        let waited = tokio::time::timeout(SHOWN_WITHIN, looking).await;
        waited.with_context(|| format!("the page has not shown {}", String::from_utf8_lossy(text)))?
    }
}
