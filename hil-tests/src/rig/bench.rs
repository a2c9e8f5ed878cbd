//! Real devices on this machine, the agent as a process of it, and a person who does with their hands and judges with their eyes what no
//! program can. [`operator`] is that person.

pub mod operator;

use std::{
    fs,
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail, ensure};
use async_trait::async_trait;
use pestle_domain::document::{Block, Document};
use pestle_drivers::printer::render::{Artwork, Canvas, draw};

use super::{Ability, Devices, PrinterKind, PrinterState, Rig, ScannerKind, here::BoxHere, wiring::Wiring};
use crate::{counter::Counter, processes::build_folder};
use operator::{Operator, Question, Task};

/// Between a sensor and a thermometer beside it, in thousandths of a degree: what both makers allow (half a degree each, as is usual for a
/// refrigerator's), and a draught between them.
const BESIDE: i32 = 2_000;
/// 80 mm paper at 203 dpi, 48 columns.
const SHEET: (usize, u16, u8) = (576, 203, 48);

/// Why this rig cannot do that; `None` when it can.
pub fn unable(wiring: &Wiring, ability: Ability) -> Option<&'static str> {
    let missing = |there: bool, reason| (!there).then_some(reason);
    match ability {
        Ability::Scanner(kind) => {
            missing(wiring.scanner(kind).is_some(), "the rig's file names no scanner of this kind")
        }
        Ability::Printer(kind) => {
            missing(wiring.printer(kind).is_some(), "the rig's file names no printer of this kind")
        }
        Ability::Sensors => missing(wiring.fridge.is_some(), "the rig's file names no sensor"),
        Ability::Plugs => None,
        Ability::PaperEnding => Some("nobody can end a roll of paper after four lines"),
        Ability::NetworkCable => Some("the page is asked over loopback, which has no cable"),
        Ability::Disk => Some("the disk is the one of the machine that asks"),
        Ability::Stick => {
            Some("the appliance's own system takes the stick, and here the agent runs without it")
        }
        Ability::Keyboard => Some("the keyboard here is the one of who asks"),
        Ability::Factory => {
            Some("it is the appliance's image that leaves the factory, and here the agent runs without it")
        }
        Ability::System => Some("it is the appliance's own system, and here the agent runs without it"),
        Ability::Power => Some("the box is a process of the machine that asks, whose power must stay"),
    }
}

/// See the module.
#[derive(Debug)]
pub struct BenchRig {
    wiring: Wiring,
    here: BoxHere,
    hands: Hands,
}

/// The devices, as far as a person stands between.
#[derive(Debug)]
struct Hands {
    operator: Box<dyn Operator>,
    /// What brings everything back to where a case begins.
    undo: Vec<Task>,
    sheets: PathBuf,
}

impl BenchRig {
    /// A box that does not run yet, with these devices and somebody beside them.
    ///
    /// # Errors
    /// The disk refuses, or a program is not built.
    pub async fn new(wiring: Wiring, operator: Box<dyn Operator>) -> Result<Self> {
        let place = tempfile::Builder::new().prefix("pestle-rig-").tempdir()?;
        let sheets = build_folder().join("bench");
        fs::create_dir_all(&sheets)?;
        let hands = Hands { operator, undo: Vec::new(), sheets };
        Ok(Self { wiring, here: BoxHere::new(place).await?, hands })
    }
}

#[async_trait]
impl Rig for BenchRig {
    async fn reset(&mut self) -> Result<()> {
        // What was done last is undone first.
        while let Some(task) = self.hands.undo.pop() {
            self.hands.operator.carry_out(&task).await?;
        }
        self.hands.operator.carry_out(&Task::Prepare).await?;
        self.here.start(&self.wiring).await
    }

    fn counter(&self, till: &str) -> Result<Counter> {
        self.here.counter(till, self.here.web()?)
    }

    fn devices(&mut self) -> &mut dyn Devices {
        &mut self.hands
    }

    async fn scan(&mut self, scanner: ScannerKind, barcode: &[u8]) -> Result<()> {
        let sheet = draw_sheet(&self.hands.sheets, barcode)?;
        let task = Task::Scan { scanner, barcode: barcode.to_vec(), sheet };
        self.hands.operator.carry_out(&task).await
    }

    async fn plug_scanner(&mut self, scanner: ScannerKind, into: bool) -> Result<()> {
        let task = |into| Task::PlugScanner { scanner, into };
        self.hands.now_and_later(task(into), task(true)).await
    }

    async fn plug_printer(&mut self, printer: PrinterKind, into: bool) -> Result<()> {
        let task = |into| Task::PlugPrinter { printer, into };
        self.hands.now_and_later(task(into), task(true)).await
    }

    async fn console(&mut self) -> Result<String> {
        self.here.console()
    }
}

impl Hands {
    /// Has a task carried out; `well` is how it stands when nothing is wrong.
    async fn now_and_later(&mut self, task: Task, well: Task) -> Result<()> {
        self.undo.retain(|undo| *undo != well);
        self.operator.carry_out(&task).await?;
        if task != well {
            self.undo.push(well);
        }
        Ok(())
    }

    async fn confirm(&mut self, question: Question) -> Result<()> {
        ensure!(self.operator.confirm(&question).await?, "the person at the bench said no to: {question}");
        Ok(())
    }
}

#[async_trait]
impl Devices for Hands {
    async fn set_printer(&mut self, printer: PrinterKind, state: PrinterState) -> Result<()> {
        let task = |state| Task::SetPrinter { printer, state };
        self.now_and_later(task(state), task(PrinterState::Well)).await
    }

    async fn paper(&mut self, printer: PrinterKind, says: &[&str]) -> Result<()> {
        let says = says.iter().map(|&words| words.to_owned()).collect();
        self.confirm(Question::Paper { printer, says }).await
    }

    async fn nothing_more(&mut self, printer: PrinterKind) -> Result<()> {
        self.confirm(Question::NothingMore { printer }).await
    }

    async fn picture_of_paper(&mut self, _printer: PrinterKind) -> Result<Option<Vec<u8>>> {
        Ok(None)
    }

    async fn set_fridge(&mut self, milli_celsius: i32) -> Result<RangeInclusive<i32>> {
        let beside = self.operator.measure(milli_celsius).await?;
        Ok(beside - BESIDE..=beside + BESIDE)
    }

    async fn silence_fridge(&mut self) -> Result<()> {
        let task = |there| Task::Fridge { there };
        self.now_and_later(task(false), task(true)).await
    }
}

/// Draws a barcode to hold under a scanner, and says where.
fn draw_sheet(folder: &Path, barcode: &[u8]) -> Result<PathBuf> {
    let text = std::str::from_utf8(barcode).context("a barcode is text")?;
    // AIM's identifiers (ISO/IEC 15424) of a GS1 DataMatrix, a Code 128 and an EAN-13; the scanner puts them there again.
    let (id, data) = match text.split_at_checked(3) {
        Some((id, data)) if id.starts_with(']') => (id, data.to_owned()),
        _ => ("", text.to_owned()),
    };
    let (name, symbol) = match id {
        "]d2" => ("datamatrix".to_owned(), Block::DataMatrix { data }),
        "]C0" => ("code128".to_owned(), Block::Code128 { data }),
        "]E0" | "" if data.len() == 13 => (data.clone(), Block::Ean13 { data }),
        _ => bail!("no sheet can be drawn of {text:?}"),
    };
    let (width, dpi, columns) = SHEET;
    let document = Document { title: name.clone(), copy_of: None, blocks: vec![symbol] };
    let drawn = draw(&document, &Canvas::strip(width, dpi, columns), &Artwork::default())?;
    let file = folder.join(name).with_extension("png");
    fs::write(&file, drawn.bitmap.png(8)?)?;
    Ok(file)
}
