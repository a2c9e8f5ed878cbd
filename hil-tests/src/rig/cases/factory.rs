//! A box as it is shipped: switched on, set up by a stick, at a real centre.

use std::{fs, time::Duration};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use super::{at_till, device, pay, shown};
use crate::{
    centre::Centre,
    counter::{Counter, Receipt},
    demo_data::{self, Article, LotState, Serials},
    processes::{Keeper, build_folder},
    rig::{PrinterKind, Rig, ScannerKind, qemu::machine::HOST},
    waiting::until,
    world::{
        Gateway, Place,
        gateway::{Broker, Database, Setup},
        seed,
    },
};

/// The branch that the box comes to.
const BRANCH: &str = "north";
/// A machine in software that looks for its disk's end and grows to it.
const UP_WITHIN: Duration = Duration::from_secs(180);
/// From a sale that was told to the centre that shows it.
const AT_CENTRE_WITHIN: Duration = Duration::from_secs(60);
/// A GTIN of GS1's range for examples that the demo's catalogue has not.
const NOT_IN_THE_CATALOGUE: &str = "09520999000016";
/// What a box without an identity says on its screen.
const NOBODY: &str = "not enrolled";
/// The disk has 8 GiB, of which the start and the slots take 2.25.
const DATA_BYTES_MIN: u64 = 5 * 1024 * 1024 * 1024;
const ASK_DATA_BYTES: &str = "findmnt --noheadings --bytes --output SIZE /data";

/// The image as it is, on a larger disk: its data partition grows, its screen says that it is nobody, and nobody is let in. One stick makes
/// it a branch's box that sells: configuration, claim and stock. What it sells the centre has, before a power cut and after it.
pub(super) async fn enrolled(rig: &mut dyn Rig) -> Result<()> {
    let configuration = rig.configuration()?;
    let head_office = HeadOffice::open().await?;
    let claim = seed::claim(&head_office.gateway, BRANCH).await?;
    rig.box_from_factory().await?;
    says_that_it_is_nobody(rig).await?;
    let size = rig.inside(ASK_DATA_BYTES).await?;
    ensure!(size.trim().parse::<u64>()? > DATA_BYTES_MIN, "the data partition has {size} bytes");

    let gateway = head_office.at_box()?;
    let claim = format!("gateway = {gateway}\ncode = {}\n", claim.trim());
    let stock = seed::stock(BRANCH);
    let unknown = format!("{stock}{NOT_IN_THE_CATALOGUE},LOT1,,1\n");
    let said =
        rig.stick(&[("agent.toml", configuration), ("claim", claim), ("stock.csv", unknown)]).await?.result;
    for words in ["agent.toml was taken", "This box is now", "stock.csv was not booked", NOT_IN_THE_CATALOGUE]
    {
        ensure!(said.contains(words), "the stick says {said:?}");
    }
    let corrected = [("stock.csv", stock)];
    for words in ["stock.csv was booked", "stock.csv was not used"] {
        let said = rig.stick(&corrected).await?.result;
        ensure!(said.contains(words), "the stick says {said:?}, and was to say {words:?}");
    }
    rig.trust(head_office.authority()?)?;

    let till = PrinterKind::Serial.till();
    answers(&rig.counter(till)?).await?;
    let serials = Serials::since_now();
    let first = sold(rig, &serials).await?;
    head_office.has(&[&first]).await?;
    let kept = at_till(rig, till).await?.ledger_head().await?;
    rig.cut_power().await?;
    let second = sold(rig, &serials).await?;
    let now = at_till(rig, till).await?.ledger_head().await?;
    ensure!(now.epoch == kept.epoch && now.seq > kept.seq, "{kept:?} was kept, and now there is {now:?}");
    head_office.has(&[&first, &second]).await?;
    head_office.close().await
}

async fn says_that_it_is_nobody(rig: &mut dyn Rig) -> Result<()> {
    let rig = tokio::sync::Mutex::new(rig);
    let said = until("a box that says that it is nobody's", UP_WITHIN, || async {
        let screen = rig.lock().await.console().await.map_err(|error| error.to_string())?;
        if screen.contains(NOBODY) { Ok(()) } else { Err(screen) }
    });
    Ok(said.await?)
}

async fn answers(counter: &Counter) -> Result<()> {
    let answered = until("the page of the enrolled box", UP_WITHIN, || async {
        let till = counter.look().await.map_err(|error| error.to_string())?;
        // Catalogue and people come from the centre.
        if till.phase == "sign_in" { Ok(()) } else { Err(till.phase) }
    });
    Ok(answered.await?)
}

/// A pack is scanned, paid and on paper; says which receipt it got.
async fn sold(rig: &mut dyn Rig, serials: &Serials) -> Result<Receipt> {
    let counter = at_till(rig, PrinterKind::Serial.till()).await?;
    shown(&counter, "that the scanner is there", device(ScannerKind::Serial.name(), true)).await?;
    let articles = demo_data::articles();
    let found = articles.iter().find_map(|article| on_the_shelf(article).map(|lot| (article, lot)));
    let (article, lot) = found.context("nothing on the shelf is sold at the counter")?;
    rig.scan(ScannerKind::Serial, article.data_matrix(lot, &serials.next()).as_bytes()).await?;
    let till = shown(&counter, "the scanned pack", |till| till.basket.is_some()).await?;
    let lines = till.basket.map(|basket| basket.lines).unwrap_or_default();
    ensure!(
        lines.len() == 1 && lines[0].lot.as_deref() == Some(lot.lot.as_str()),
        "the counter shows {lines:?}"
    );
    let receipt = pay(&counter).await?;
    rig.devices().paper(PrinterKind::Serial, &[&receipt.to_string()]).await?;
    Ok(receipt)
}

fn on_the_shelf(article: &Article) -> Option<&demo_data::DemoLot> {
    article.lot(LotState::Good).filter(|_| article.sold_at_counter())
}

/// The chain's centre, with the demo's people and catalogue: a real gateway with its own PostgreSQL and broker, reached from inside the
/// virtual machine.
struct HeadOffice {
    gateway: Gateway,
    place: Place,
    // Last: what runs there ends first.
    _folder: TempDir,
    _keeper: Keeper,
}

impl HeadOffice {
    async fn open() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("pestle-centre-").tempdir()?;
        let place = Place::at(folder.path())?;
        let ports = place.remembered()?;
        let keeper = Keeper::of_place(&build_folder().join("pestle-demo"), place.kept()?)?;
        let setup = Setup {
            name: "gateway".to_owned(),
            https: ports.https,
            names: [HOST.to_string(), "127.0.0.1".to_owned()].into(),
            broker: Broker::BuiltIn(ports.mqtt),
            database: Database::Private,
        };
        let mut gateway = Gateway::prepare_as(&place, &setup, &keeper)?;
        gateway.start().await?;
        seed::centre(&gateway, &place).await?;
        Ok(Self { gateway, place, _folder: folder, _keeper: keeper })
    }

    /// Its address as the box reaches it.
    fn at_box(&self) -> Result<String> {
        let (https, _) = self.gateway.sockets()?;
        Ok(format!("https://{HOST}:{}", https.port()))
    }

    /// What signs the certificates of its boxes, in PEM.
    fn authority(&self) -> Result<Vec<u8>> {
        Ok(fs::read(self.gateway.data().join("authority/ca.pem"))?)
    }

    /// Waits until it has these sales of the branch, and no others.
    async fn has(&self, told: &[&Receipt]) -> Result<()> {
        let mut told: Vec<_> = told.iter().map(ToString::to_string).collect();
        told.sort();
        let centre = Centre::at(self.gateway.url()?, &self.authority()?).await?;
        let there = until("the sales at the centre", AT_CENTRE_WITHIN, || async {
            let sales = centre.sales(BRANCH).await.map_err(|error| error.to_string())?;
            let mut receipts: Vec<_> = sales.into_iter().map(|(receipt, _)| receipt).collect();
            receipts.sort();
            if receipts == told { Ok(()) } else { Err(format!("{receipts:?}, and told were {told:?}")) }
        });
        Ok(there.await?)
    }

    async fn close(mut self) -> Result<()> {
        self.gateway.stop().await;
        Ok(self.place.remove()?)
    }
}
