//! What a machine wrote to its disk while two people sold, with what they had been told at which point of it.

use std::{
    fs::{self, File},
    ops::Range,
    path::Path,
};

use anyhow::{Context as _, Result, anyhow, ensure};
use pestle_domain::ids::ActId;
use serde::{Deserialize, Serialize};

use super::{
    QemuRig,
    disk_cuts::Plan,
    left,
    replay::Blocks,
    write_log::{WriteLog, entries_flushed},
};
use crate::{
    counter::Receipt,
    power_cuts::{
        account::{Account, Paid},
        provisioned,
        till::Till,
    },
    rig::{Rig as _, settings::Machine, site::TILLS},
    seeded::Seeded,
};

/// The log of writes, in a recording's folder.
const WRITES: &str = "writes.log";
/// The data partition before the first of them.
const BEFORE: &str = "before.img";
/// What was told.
const TOLD: &str = "told.json";

/// A sale that was told when so many entries of the log were safe.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Told {
    paid: Paid,
    receipt: Receipt,
    entries: usize,
}

/// Of a recording, what its people know.
#[derive(Debug, Serialize, Deserialize)]
struct People {
    /// Where the data partition lies on the disk.
    part: Range<u64>,
    told: Vec<Told>,
    /// Sent, and not answered when the power went.
    in_flight: Vec<ActId>,
}

/// A machine's writes.
#[derive(Debug)]
pub struct Recording {
    /// In order.
    pub log: WriteLog,
    /// The data partition before the first of them.
    pub before: Blocks,
    people: People,
}

impl Recording {
    /// Starts a machine, has two people sell, and takes its power in the middle of printing.
    ///
    /// # Errors
    /// It does not start, or does not sell.
    pub async fn make(machine: Machine, plan: Plan) -> Result<Self> {
        let mut rig = QemuRig::new(machine).await?;
        let place = tempfile::Builder::new().prefix("pestle-writes-").tempdir()?;
        let path = place.path().join(WRITES);
        fs::write(&path, b"")?;
        let part = left::data_partition(&rig.disk())?;
        let before = left::read(&rig.disk(), &part)?;
        rig.write_log = Some(path.clone());
        rig.power_on().await?;
        let mut tills = Vec::new();
        for (number, name) in TILLS.into_iter().enumerate() {
            let own = Seeded::of_all(&[plan.seed, number as u64, 1]);
            let mut till = Till::new(name, rig.counter(name)?, provisioned::articles()?, own);
            till.come_back(rig.counter(name)?, &mut Account::default(), None).await?;
            tills.push(till);
        }
        let [first, second] = tills.as_mut_slice() else { return Err(anyhow!("there are two tills")) };
        let (one, two) = tokio::join!(sell(first, plan.sales, &path), sell(second, plan.sales, &path));
        let told = [one?, two?].concat();
        // In the middle of printing, and of whatever else goes on.
        rig.power_off();
        let in_flight =
            tills.iter().filter_map(|till| till.in_flight.as_ref()).map(|paid| paid.act).collect();
        let log = WriteLog::parse(fs::read(&path)?)?;
        Ok(Self { log, before, people: People { part, told, in_flight } })
    }

    /// Where the data partition lies on the disk, in bytes.
    pub const fn part(&self) -> &Range<u64> {
        &self.people.part
    }

    /// How many sales were told.
    pub const fn sales(&self) -> usize {
        self.people.told.len()
    }

    /// How many entries were safe when the last sale but one was told.
    pub fn last_sale_but_one(&self) -> Option<usize> {
        let mut entries: Vec<usize> = self.people.told.iter().map(|told| told.entries).collect();
        entries.sort_unstable();
        let last = *entries.last()?;
        // Two tills may be told within one flush.
        entries.into_iter().rfind(|entries| *entries < last)
    }

    /// What had been told after so many entries, and what may be there beside that.
    ///
    /// # Errors
    /// One sale was told twice, with two receipts.
    pub fn by_then(&self, entries: usize) -> Result<(Account, Vec<ActId>)> {
        let mut account = Account::default();
        let mut unheard = self.people.in_flight.clone();
        for told in &self.people.told {
            if told.entries <= entries {
                account.sold(&told.paid, &told.receipt).map_err(anyhow::Error::msg)?;
            } else {
                unheard.push(told.paid.act);
            }
        }
        Ok((account, unheard))
    }

    /// Keeps it in `folder`, to be looked at again.
    ///
    /// # Errors
    /// There is no room.
    pub fn save(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder)?;
        fs::write(folder.join(WRITES), self.log.bytes())?;
        let before = File::create(folder.join(BEFORE))?;
        self.before.write_to(&before, self.people.part.end - self.people.part.start)?;
        fs::write(folder.join(TOLD), serde_json::to_vec(&self.people)?)?;
        Ok(())
    }

    /// Reads what [`Recording::save`] kept.
    ///
    /// # Errors
    /// It is not there, or is none.
    pub fn load(folder: &Path) -> Result<Self> {
        let at = |name: &str| folder.join(name);
        let people = fs::read(at(TOLD)).with_context(|| format!("{} is no recording", folder.display()))?;
        let people: People = serde_json::from_slice(&people)?;
        let length = people.part.end.saturating_sub(people.part.start);
        ensure!(fs::metadata(at(BEFORE))?.len() == length, "{BEFORE} is not as long as the partition was");
        let before = left::read(&at(BEFORE), &(0..length))?;
        Ok(Self { log: WriteLog::parse(fs::read(at(WRITES))?)?, before, people })
    }
}

/// Sells, and notes for each sale how far the log was when the answer came.
async fn sell(till: &mut Till, sales: usize, log: &Path) -> Result<Vec<Told>> {
    let mut told = Vec::new();
    while told.len() < sales {
        till.one_sale().await?;
        let entries = entries_flushed(log)?;
        told.extend(till.take_told().into_iter().map(|(paid, receipt)| Told { paid, receipt, entries }));
    }
    Ok(told)
}
