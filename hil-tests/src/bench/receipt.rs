//! A receipt of 30 lines as the bytes that print it, beside python-escpos on the same content.
//!
//! Both write for the same model (Epson TM-T20, 48 columns, the printer's own letters and its own QR code). Before
//! anything is measured the simulated printer prints the bytes of both: text, QR code and cut must be the same. Python
//! is started before its clock runs. It is measured as one writes it, a call for each line, and with the 30 lines in one call;
//! the faster of the two is the baseline.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context as _, Result, bail, ensure};
use pestle_domain::document::{Block, Document};
use pestle_drivers::{
    printer::{
        compose::compose,
        model::{PrinterModel, PrinterModels},
        render::Artwork,
    },
    sim::printer::{paper_of, receipt::Receipt},
};
use tokio::process::Command;

use super::{
    place,
    report::{Reach, Row, short},
    stats::{Scale, Spread},
};

/// Receipts of one round; python-escpos takes some milliseconds for each.
const RECEIPTS: u64 = 400;
/// How many times as fast it must be.
const TIMES_MIN: f64 = 20.0;
/// The printer that both write for: `TM-T20II` in python-escpos.
const MODEL: &str = "epson-tm-t20";

/// Measures in this process, and in one of Python's.
///
/// # Errors
/// When python-escpos is not installed, or prints something else.
pub async fn measure(scale: Scale) -> Result<Row> {
    let models = PrinterModels::built_in()?;
    let model = models.get(MODEL).context("a model of ours")?;
    let witness = Witness::find()?;
    let ours = compose(&receipt(), model, &Artwork::default())?.bytes;
    for way in [Way::LineByLine, Way::AtOnce] {
        let theirs = witness.receipt(way).await?;
        same_paper(&paper_of(&ours, model.dots), &paper_of(&theirs, model.dots))
            .with_context(|| format!("python-escpos, {}", way.word()))?;
    }
    let (mut rounds, mut each) = (Vec::new(), [vec![], vec![], vec![]]);
    for round in 0..scale.rounds {
        let receipts = scale.of(RECEIPTS);
        let (line_by_line, at_once, ours);
        // In turn at being first.
        if round % 2 == 0 {
            ours = ours_a_second(model, receipts)?;
            line_by_line = witness.a_second(Way::LineByLine, receipts).await?;
            at_once = witness.a_second(Way::AtOnce, receipts).await?;
        } else {
            at_once = witness.a_second(Way::AtOnce, receipts).await?;
            line_by_line = witness.a_second(Way::LineByLine, receipts).await?;
            ours = ours_a_second(model, receipts)?;
        }
        rounds.push((ours, line_by_line.max(at_once)));
        for (all, one) in each.iter_mut().zip([ours, line_by_line, at_once]) {
            all.push(1e6 / one);
        }
    }
    let [ours, line_by_line, at_once] = each.map(|all| short(Spread::of(&all).median));
    let name = "receipts of 30 lines, as a printer's bytes";
    Ok(Row::against(name, "1/s", "python-escpos, the faster way", &rounds, Reach::AtLeast(TIMES_MIN))
        .noting(format!(
            "µs a receipt: ours {ours}, python-escpos {line_by_line} line by line, {at_once} with the lines in one call"
        ))
        .noting("the simulated printer prints the same text, QR code and cut from the bytes of both"))
}

/// As `measure.py` writes it.
fn receipt() -> Document {
    let row = |number: usize| Block::Columns {
        left: format!("Paracetamol 500 mg, line {number}"),
        right: "3.20 €".into(),
        bold: false,
    };
    let mut blocks = vec![Block::Heading { text: "Old Town Pharmacy".into() }];
    blocks.extend((0..30).map(row));
    blocks.push(Block::Total { label: "Total".into(), amount: "96.00 €".into(), strong: true });
    blocks.push(Block::Qr { data: "https://pharmacy.example/r/1042".into() });
    blocks.push(Block::Cut);
    Document { blocks, ..Document::new("Receipt") }
}

/// Receipts a second. Each is made from its document, as a job's is.
fn ours_a_second(model: &PrinterModel, receipts: u64) -> Result<f64> {
    let (document, artwork) = (receipt(), Artwork::default());
    let began = Instant::now();
    for _ in 0..receipts {
        ensure!(!compose(&document, model, &artwork)?.bytes.is_empty(), "a receipt without bytes");
    }
    Ok(super::stats::per_second(receipts, began.elapsed()))
}

/// Whether two receipts say the same.
fn same_paper(ours: &Receipt, theirs: &Receipt) -> Result<()> {
    let said = |paper: &Receipt| (paper.lines(), paper.qr_codes(), paper.end);
    ensure!(said(ours).0.len() == 32, "our receipt has not 32 lines: {:?}", ours.lines());
    if said(ours) != said(theirs) {
        bail!("the two receipts differ: ours {:?}, theirs {:?}", said(ours), said(theirs));
    }
    Ok(())
}

/// How python-escpos is given the lines.
#[derive(Debug, Clone, Copy)]
enum Way {
    LineByLine,
    AtOnce,
}

impl Way {
    fn word(self) -> &'static str {
        match self {
            Way::LineByLine => "line-by-line",
            Way::AtOnce => "at-once",
        }
    }
}

/// python-escpos, as `hil-tests/setup.sh bench` installs it.
struct Witness {
    python: PathBuf,
    script: PathBuf,
}

impl Witness {
    fn find() -> Result<Self> {
        let python = place::target().join("witness/printers/venv/bin/python");
        ensure!(python.exists(), "{} is missing: run hil-tests/setup.sh bench", python.display());
        let drivers = Path::new(env!("CARGO_MANIFEST_DIR")).join("../drivers");
        Ok(Self { python, script: drivers.join("tests/witness/printers/measure.py") })
    }

    /// The bytes of its receipt.
    async fn receipt(&self, way: Way) -> Result<Vec<u8>> {
        Ok(hex::decode(self.say(&[way.word()]).await?.trim())?)
    }

    /// Receipts a second.
    #[allow(clippy::float_arithmetic, reason = "a rate of things that were counted")]
    async fn a_second(&self, way: Way, receipts: u64) -> Result<f64> {
        let nanoseconds: f64 = self.say(&[way.word(), "1", &receipts.to_string()]).await?.trim().parse()?;
        Ok(1e9 / nanoseconds)
    }

    async fn say(&self, words: &[&str]) -> Result<String> {
        let output =
            Command::new(&self.python).arg(&self.script).args(words).kill_on_drop(true).output().await?;
        ensure!(
            output.status.success(),
            "measure.py said: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(String::from_utf8(output.stdout)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receipts_that_say_different_things_are_not_compared() {
        let models = PrinterModels::built_in().unwrap();
        let model = models.get(MODEL).unwrap();
        let paper = |document: &Document| {
            paper_of(&compose(document, model, &Artwork::default()).unwrap().bytes, model.dots)
        };
        let whole = receipt();
        assert!(same_paper(&paper(&whole), &paper(&whole)).is_ok());
        for without in [1, 32, 33] {
            let mut other = whole.clone();
            other.blocks.remove(without);
            assert!(same_paper(&paper(&whole), &paper(&other)).is_err(), "without block {without}");
        }
    }
}
