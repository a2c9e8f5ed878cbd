//! The machine loses its power again and again while two people sell and both printers print: everything from one seed but the
//! moments, which a machine in software does not repeat to the instruction.

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};

use super::{
    QemuRig,
    left::{self, Workplace},
};
use crate::{
    power_cuts::{account::Account, papers::Papers, provisioned, till::Till},
    processes::build_folder,
    rig::{PrinterKind, Rig as _, settings::Machine, site::TILLS},
    seeded::Seeded,
};

/// Longest that is sold between two cuts: some four hundred sales, more than the serial line prints meanwhile, so that a cut finds receipts that
/// wait.
const SELLING_MS_MAX: u64 = 12_000;
/// The printers have nothing more to do.
const PRINTED_WITHIN: Duration = Duration::from_secs(120);
/// Each till's printer.
const PRINTERS: [(&str, PrinterKind); 2] =
    [(TILLS[0], PrinterKind::Serial), (TILLS[1], PrinterKind::Network)];

/// What came of it.
#[derive(Debug, Default)]
pub struct CutsReport {
    /// Power cuts.
    pub cuts: usize,
    /// Payments that were sent and not answered.
    pub in_flight: usize,
    /// Of them those that had been recorded.
    pub recorded_unheard: usize,
    /// Sales that were told.
    pub sales: usize,
    /// Papers that came out.
    pub papers: u64,
    /// Of them copies.
    pub copies: usize,
    /// Longest time from the power button to the first answer.
    pub slowest_start: Duration,
}

struct Campaign {
    rig: QemuRig,
    tills: Vec<Till>,
    /// Of each till's printer.
    papers: Vec<Papers>,
    account: Account,
    left: Workplace,
    report: CutsReport,
}

/// Makes `cuts` power cuts.
///
/// # Errors
/// The first thing that is wrong, with the seed, the number of the cut, and where the disk is kept.
pub async fn run(machine: Machine, cuts: usize, seed: u64) -> Result<CutsReport> {
    let mut rig = QemuRig::new(machine).await?;
    let part = left::data_partition(&rig.disk())?;
    let left = Workplace::new(part.end - part.start)?;
    let mut tills = Vec::new();
    for (number, name) in TILLS.into_iter().enumerate() {
        // Its address is known when the machine is on.
        rig.power_on_if_off().await?;
        let own = Seeded::of_all(&[seed, number as u64]);
        tills.push(Till::new(name, rig.counter(name)?, provisioned::articles()?, own));
    }
    let papers = PRINTERS.map(|(_, kind)| Papers::of(rig.site.printer(kind).device.clone())).into();
    let mut campaign =
        Campaign { rig, tills, papers, account: Account::default(), left, report: CutsReport::default() };
    for number in 0..cuts {
        let mut seeded = Seeded::of(seed, number as u64);
        let one = Box::pin(campaign.one_cut(&mut seeded)).await;
        one.map_err(|error| campaign.told(&error, seed, number))?;
        say_how_far(&campaign.report, cuts);
    }
    let end = Box::pin(campaign.end()).await;
    end.map_err(|error| campaign.told(&error, seed, cuts))?;
    Ok(campaign.report)
}

#[allow(clippy::print_stderr, reason = "each cut takes a minute, and somebody waits")]
fn say_how_far(report: &CutsReport, cuts: usize) {
    eprintln!("{} of {cuts} cuts, {} sales told", report.cuts, report.sales);
}

impl Campaign {
    async fn one_cut(&mut self, seeded: &mut Seeded) -> Result<()> {
        self.come_back().await?;
        let selling = Duration::from_millis(seeded.below(SELLING_MS_MAX));
        let rig = &mut self.rig;
        let [first, second] = self.tills.as_mut_slice() else { return Ok(()) };
        let cut = async {
            tokio::time::sleep(selling).await;
            rig.power_off();
        };
        let ((), one, two) = tokio::join!(cut, first.sell(), second.sell());
        one.and(two)?;
        self.report.cuts += 1;
        for till in &mut self.tills {
            till.report(&mut self.account)?;
        }
        for papers in &mut self.papers {
            papers.take()?;
        }
        self.report.sales = self.account.len();
        self.check_left().await
    }

    /// Everybody signs in again, and says which papers are there.
    async fn come_back(&mut self) -> Result<()> {
        self.rig.power_on_if_off().await?;
        self.report.slowest_start = self.report.slowest_start.max(self.rig.booted_in);
        for till in &mut self.tills {
            let unheard = till.in_flight.is_some();
            let known = self.account.len();
            let counter = self.rig.counter(till.name)?;
            till.come_back(counter, &mut self.account, None).await.context(till.name)?;
            self.report.in_flight += usize::from(unheard);
            self.report.recorded_unheard += self.account.len() - known;
        }
        self.answer_prints().await.map(drop)
    }

    async fn answer_prints(&mut self) -> Result<usize> {
        let mut waiting = 0;
        for ((till, papers), (name, _)) in self.tills.iter().zip(&mut self.papers).zip(PRINTERS) {
            ensure!(till.name == name, "{} is not {name}", till.name);
            waiting += till.answer_prints(papers).await?;
        }
        Ok(waiting)
    }

    /// The disk as the cut left it, without a start.
    async fn check_left(&mut self) -> Result<()> {
        let disk = self.rig.disk();
        let unheard: Vec<_> =
            self.tills.iter().filter_map(|till| till.in_flight.as_ref()).map(|paid| paid.act).collect();
        let (left, account) = (&self.left, &self.account);
        let look = || {
            let blocks = left::read(&disk, &left::data_partition(&disk)?)?;
            left.check(&blocks, account, &unheard).map(drop)
        };
        // The journal blocks, which no task of the runtime may.
        std::thread::scope(|scope| scope.spawn(look).join()).map_err(|_| anyhow!("the check panicked"))?
    }

    /// A last start: everything is printed, and each sale has one paper, or one and copies that a person asked for.
    async fn end(&mut self) -> Result<()> {
        self.come_back().await?;
        let deadline = tokio::time::Instant::now() + PRINTED_WITHIN;
        while self.answer_prints().await? > 0 {
            ensure!(tokio::time::Instant::now() < deadline, "prints have not ended after {PRINTED_WITHIN:?}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        for ((till, _), papers) in PRINTERS.into_iter().zip(&mut self.papers) {
            papers.take()?;
            self.report.copies += papers.compare(self.account.of_till(till))?;
            self.report.papers += papers.len();
        }
        self.rig.power_off();
        self.report.sales = self.account.len();
        self.check_left().await
    }

    fn told(&self, error: &anyhow::Error, seed: u64, number: usize) -> anyhow::Error {
        let folder = build_folder().join("power-cuts").join(format!("machine-{seed}-{number}"));
        let kept = self.rig.keep(&folder);
        let kept = kept.map_or_else(|error| format!("{error:#}"), |()| folder.display().to_string());
        anyhow!(
            "seed {seed}, cut {number}: {error:#}\nagain: pestle-rig power-cuts --seed {seed} --cuts {}\ndisk and console are kept in {kept}",
            number + 1
        )
    }
}
