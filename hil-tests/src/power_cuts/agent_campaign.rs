//! The whole selling agent loses its power again and again, all from one seed: two people sell, the power goes after a drawn
//! number of changes to the disk (also while the agent starts), and what the pages were told is compared with what is there.

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, ensure};
use pestle_domain::ids::ActId;
use pestle_drivers::sim::printer::SimPrinter;
use serde::Deserialize;
use tokio::sync::Mutex;

use super::{
    account::Account,
    agent_on_disk::{AgentOnDisk, TILLS},
    campaign,
    papers::Papers,
    provisioned,
    till::Till,
};
use crate::seeded::Seeded;
use crate::{
    disk::{fault::Faults, mount, plain::Plain, state::Disk},
    processes::build_folder,
    waiting::until,
};

/// Changes to the disk until the power goes: a sale of three packs makes some thirty.
const CHANGES_MAX: u64 = 200;
/// So often in a hundred the power goes while the agent starts, or soon after.
const CUT_AT_START_PERCENT: u64 = 20;
/// Changes to the disk until then.
const CHANGES_AT_START_MAX: u64 = 100;
/// Within this time so many changes are made on a busy machine.
const CUT_WITHIN: Duration = Duration::from_secs(60);
/// The whole journal is compared after so many cuts, and at the end.
const COMPARED_EVERY: usize = 10;
/// The printer has nothing more to do.
const PRINTED_WITHIN: Duration = Duration::from_secs(60);
/// The printable width of 80 mm paper.
const PRINTER_DOTS: u16 = 576;

/// What came of it.
#[derive(Debug, Default)]
pub struct AgentReport {
    /// Power cuts.
    pub cuts: usize,
    /// Of them while the agent started.
    pub at_start: usize,
    /// Payments that were sent and not answered.
    pub in_flight: usize,
    /// Of them those that had been recorded.
    pub recorded_unheard: usize,
    /// Baskets that lay safely on the disk and were looked for.
    pub baskets: usize,
    /// Sales that were told.
    pub sales: usize,
    /// Papers of the first till that were looked at.
    pub papers: u64,
    /// How long it took.
    pub took: Duration,
}

/// Makes `cuts` power cuts on a disk with `faults`: none, or what a proof of the harness wants.
///
/// # Errors
/// The first thing that is wrong, with the seed, the number of the cut, and where the box's folder is kept as the cut left
/// it.
pub async fn run(cuts: usize, seed: u64, faults: &Faults) -> Result<AgentReport> {
    mount::sweep()?;
    let begun = Instant::now();
    let place = campaign::place()?;
    let printer = SimPrinter::listen(SocketAddr::from(([127, 0, 0, 1], 0)), PRINTER_DOTS)?;
    let address = printer.address().context("the printer has no address")?.to_string();
    let on = AgentOnDisk::new(place.path(), Some(address)).await?;
    let articles = provisioned::articles()?;
    let mut campaign = Campaign {
        on,
        tills: Vec::new(),
        account: Account::default(),
        kept: BTreeMap::new(),
        papers: Papers::of(printer),
        report: AgentReport::default(),
    };
    for number in 0..cuts {
        let mut seeded = Seeded::of(seed, number as u64);
        campaign.on.disk.set_faults(faults.clone());
        let left = campaign.on.disk.clone();
        let one = Box::pin(campaign.one_cut(number, &articles, &mut seeded)).await;
        one.map_err(|error| told(&error, seed, number, &left, &campaign.on))?;
    }
    let left = campaign.on.disk.clone();
    let end = Box::pin(campaign.end()).await;
    end.map_err(|error| told(&error, seed, cuts, &left, &campaign.on))?;
    campaign.report.took = begun.elapsed();
    Ok(campaign.report)
}

/// Keeps the disk as it was when it went wrong, or as the agent that went wrong found it and left it.
fn told(error: &anyhow::Error, seed: u64, number: usize, left: &Disk, on: &AgentOnDisk) -> anyhow::Error {
    let folder = build_folder().join("power-cuts").join(format!("agent-{seed}-{number}"));
    let kept =
        keep(&left.now(), &folder).map_or_else(|error| error.to_string(), |()| folder.display().to_string());
    anyhow!(
        "seed {seed}, cut {number}: {error:#}\nagain: pestle-power-cuts agent --seed {seed} --cuts {}\nthe box's folder is kept in {kept}\nthe end of the agent's log:\n{}",
        number + 1,
        on.log_tail()
    )
}

fn keep(left: &Plain, folder: &Path) -> std::io::Result<()> {
    let _before = fs::remove_dir_all(folder);
    fs::create_dir_all(folder)?;
    left.write(&folder.join("box"))?;
    fs::write(folder.join("agent.toml"), format!("data_dir = {:?}\n", folder.join("box")))
}

struct Campaign {
    on: AgentOnDisk,
    tills: Vec<Till>,
    account: Account,
    /// The baskets that lay safely on the disk when the power went, by till.
    kept: BTreeMap<&'static str, ActId>,
    /// The first till's.
    papers: Papers,
    report: AgentReport,
}

impl Campaign {
    async fn one_cut(
        &mut self,
        number: usize,
        articles: &[provisioned::Article],
        seeded: &mut Seeded,
    ) -> Result<()> {
        let at_start = seeded.percent(CUT_AT_START_PERCENT);
        if at_start {
            self.on.disk.freeze_after(1 + seeded.below(CHANGES_AT_START_MAX));
        }
        if self.on.start().await? {
            if self.tills.is_empty() {
                for name in TILLS {
                    let own = Seeded::new(seeded.next_u64());
                    self.tills.push(Till::new(name, self.on.counter(name)?, articles.to_vec(), own));
                }
            }
            if self.come_back().await? && !at_start {
                self.on.disk.freeze_after(1 + seeded.below(CHANGES_MAX));
            }
            self.sell_until_cut().await?;
        } else {
            self.report.at_start += 1;
        }
        self.on.kill();
        self.note_told()?;
        self.on.cut(seeded)?;
        self.papers.take()?;
        self.report.cuts += 1;
        if (number + 1).is_multiple_of(COMPARED_EVERY) {
            self.compare().await?;
        }
        Ok(())
    }

    /// Everybody signs in again. Says whether the power lasted.
    async fn come_back(&mut self) -> Result<bool> {
        for till in &mut self.tills {
            let kept = self.kept.get(till.name).copied();
            let unheard = till.in_flight.clone();
            let known = self.account.len();
            let counter = self.on.counter(till.name)?;
            match till.come_back(counter, &mut self.account, kept).await {
                Ok(()) => {}
                Err(error) if error.is_gone() && self.on.disk.is_frozen() => return Ok(false),
                Err(error) => return Err(error).context(till.name),
            }
            self.report.baskets += usize::from(kept.is_some());
            self.report.in_flight += usize::from(unheard.is_some());
            self.report.recorded_unheard += self.account.len() - known;
        }
        match self.answer_prints().await {
            Err(_) if self.on.disk.is_frozen() => Ok(false),
            answered => answered.map(|_| true),
        }
    }

    async fn sell_until_cut(&mut self) -> Result<()> {
        let [first, second] = self.tills.as_mut_slice() else { return Ok(()) };
        let on = &mut self.on;
        let cut = async {
            until("the power cut", CUT_WITHIN, || {
                std::future::ready(on.disk.is_frozen().then_some(()).ok_or_else(String::new))
            })
            .await?;
            on.kill();
            Ok(())
        };
        let (cut, one, two) = tokio::join!(cut, first.sell(), second.sell());
        cut.and(one).and(two)
    }

    /// What the pages were told, and which baskets lay safely on the disk.
    fn note_told(&mut self) -> Result<()> {
        for till in &mut self.tills {
            till.report(&mut self.account)?;
        }
        self.kept.clear();
        for till in TILLS {
            let path = format!("counter/basket-{till}.json");
            let Some(Plain::File(bytes)) = self.on.disk.durable(Path::new(&path)) else { continue };
            // A name that is safe whose bytes are not: nothing was promised yet.
            let Some(act) = basket_act(&bytes) else { continue };
            let is_sold = self.account.of_till(till).iter().any(|(paid, _)| paid.act == act);
            if !is_sold {
                self.kept.insert(till, act);
            }
        }
        Ok(())
    }

    /// The box's own journal says the same; the agent does not run.
    async fn compare(&mut self) -> Result<()> {
        let shown = self.on.command(&["journal", "show"]).await?;
        let in_flight: Vec<_> =
            self.tills.iter().filter_map(|till| till.in_flight.as_ref()).map(|paid| paid.act).collect();
        self.account.compare(&shown, &in_flight).map_err(anyhow::Error::msg)
    }

    /// Answers for the prints of which the box does not know. Says how many have not ended.
    async fn answer_prints(&mut self) -> Result<usize> {
        let Some(till) = self.tills.first() else { return Ok(0) };
        till.answer_prints(&mut self.papers).await
    }

    /// A last start on what the last cut left: everything is there, everything is printed, and the books close.
    async fn end(&mut self) -> Result<()> {
        ensure!(self.on.start().await?, "no power was cut");
        ensure!(self.come_back().await?, "no power was cut");
        let campaign = Mutex::new(&mut *self);
        until("the printer", PRINTED_WITHIN, || async {
            match campaign.lock().await.answer_prints().await {
                Ok(0) => Ok(()),
                Ok(left) => Err(format!("{left} prints have not ended")),
                Err(error) => Err(format!("{error:#}")),
            }
        })
        .await?;
        self.compare_papers()?;
        self.on.stop().await;
        self.compare().await?;
        self.report.sales = self.account.len();
        Ok(())
    }

    /// Those of the till with the printer.
    fn compare_papers(&mut self) -> Result<()> {
        self.papers.take()?;
        let _copies = self.papers.compare(self.account.of_till(TILLS[0]))?;
        self.report.papers = self.papers.len();
        Ok(())
    }
}

/// The act in a kept basket's file.
fn basket_act(bytes: &[u8]) -> Option<ActId> {
    #[derive(Deserialize)]
    struct Kept {
        act: ActId,
    }
    let json = bytes.split(|byte| *byte == b'\n').next()?;
    serde_json::from_slice::<Kept>(json).ok().map(|kept| kept.act)
}
