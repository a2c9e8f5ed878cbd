//! Printer models as data: what differs between them is read from `models.toml`, not programmed.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use pestle_domain::document::QR_BYTES_MAX;
use serde::Deserialize;

use super::codepage::NumberedPage;
use crate::tables;

/// What a driver has to know about a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrinterModel {
    /// What a person reads.
    pub title: String,
    /// Characters of font A across the paper.
    pub columns: u8,
    /// Printable dots across the paper.
    pub dots: u16,
    /// Does it answer status questions?
    pub status: bool,
    /// How it says that a job was printed.
    pub completion: Completion,
    /// Its cutter.
    pub cut: Cutter,
    /// Dots an inch.
    pub dpi: u16,
    /// The code pages to print with, best first; at least one.
    pub code_pages: Vec<NumberedPage>,
    /// The drawer that it opens.
    pub drawer: Drawer,
    /// Codes that it draws by itself; the others are sent as images.
    pub symbols: Vec<NativeSymbol>,
    /// How it takes images.
    pub raster: Raster,
    /// How it is made to beep; `None` when it has no buzzer, or nobody knows how.
    pub buzzer: Option<Buzzer>,
    /// What a technician should know, such as which flow control to set. May be empty.
    pub advice: String,
}

impl PrinterModel {
    /// Bytes of the longest command that is sent to it: an image, or a counted one such as a code.
    #[must_use]
    pub fn longest_command(&self) -> usize {
        let image = match self.raster.command {
            RasterCommand::None => 0,
            RasterCommand::GsV0 | RasterCommand::Gs8L => {
                usize::from(self.raster.rows_max) * usize::from(self.dots.div_ceil(8)) + 32
            }
        };
        // A QR code's text, or a barcode's, with its head.
        image.max(QR_BYTES_MAX + 16)
    }
}

/// A code that a printer draws by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NativeSymbol {
    /// `GS ( k`, type 49.
    Qr,
    /// `GS k 67`.
    Ean13,
    /// `GS k 68`.
    Ean8,
    /// `GS k 73`, with code sets and functions: also GS1-128 and programming codes.
    Code128,
}

/// How a printer takes images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Raster {
    /// By which command.
    pub command: RasterCommand,
    /// Rows that are sent in one command at most.
    #[serde(default = "rows_max")]
    pub rows_max: u16,
    /// Does it execute real-time commands in the middle of an image? Then no image holds the bytes of one.
    #[serde(default = "yes")]
    pub obeys_inside: bool,
}

/// 64 rows of 80 mm paper are 4.5 KiB: enough that the paper does not stop between two, little enough to be filled up with
/// white after a job that broke off (5 s on a line of 9600 baud).
fn rows_max() -> u16 {
    64
}

fn yes() -> bool {
    true
}

impl Default for Raster {
    fn default() -> Raster {
        Raster { command: RasterCommand::GsV0, rows_max: rows_max(), obeys_inside: true }
    }
}

/// The command of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RasterCommand {
    /// `GS v 0`, which nearly all have.
    #[serde(rename = "gs_v_0")]
    GsV0,
    /// `GS 8 L`, function 112, and `GS ( L`, function 50: store and print.
    #[serde(rename = "gs_8_l")]
    Gs8L,
    /// None: text of its code pages alone.
    None,
}

/// The buzzer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub enum Buzzer {
    /// `ESC B n t`: n times, t times 50 ms.
    EscB {
        /// 1 to 9.
        times: u8,
        /// 1 to 9.
        duration: u8,
    },
    /// `ESC ( A`, function 48: a sound of the model, c times, every t times 100 ms.
    EscParenA {
        /// The sound's number; the maker's manual of the model has it.
        sound: u8,
        /// How often.
        times: u8,
        /// Tenths of a second from one to the next.
        cycle: u8,
    },
}

impl Buzzer {
    /// The bytes that make it beep.
    #[must_use]
    pub fn beep(&self) -> Vec<u8> {
        match *self {
            Buzzer::EscB { times, duration } => vec![0x1b, b'B', times, duration],
            Buzzer::EscParenA { sound, times, cycle } => {
                vec![0x1b, b'(', b'A', 4, 0, 48, sound, times, cycle]
            }
        }
    }
}

/// How a printer says that a job was printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Completion {
    /// It answers `GS ( H` when all before it is on paper.
    ProcessId,
    /// It answers `GS r` when all before it has been processed; the last lines may still be in the mechanism.
    QueuedStatus,
    /// It says nothing: each job's outcome stays unknown.
    None,
}

/// What it does at a cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cutter {
    /// Cuts through.
    Full,
    /// Leaves a bridge.
    Partial,
    /// Has no cutter; the paper is fed to the tear bar.
    None,
}

/// A level of the drawer's sensor pin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// About 0 V.
    Low,
    /// About 5 V.
    High,
}

/// The drawer kick: `ESC p m t1 t2`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drawer {
    /// 0: connector pin 2; 1: connector pin 5.
    pub pin: u8,
    /// How long the pulse lasts, at most 510 ms.
    pub on_ms: u16,
    /// How long the pin then rests, at most 510 ms.
    pub off_ms: u16,
    /// The sensor's level when the drawer is open; `None` when it has no sensor.
    #[serde(default)]
    pub open_level: Option<Level>,
    /// Does the printer take the kick in real time (`DLE DC4`), and so without paper or with its cover open?
    #[serde(default)]
    pub real_time: bool,
}

impl Drawer {
    /// The bytes of the kick. Times go in units of 2 ms.
    #[must_use]
    pub fn kick(&self) -> [u8; 5] {
        let units = |ms: u16| u8::try_from(ms / 2).unwrap_or(u8::MAX);
        [0x1b, b'p', self.pin, units(self.on_ms), units(self.off_ms)]
    }

    /// The bytes of the kick in real time: `DLE DC4 1 m t`, where t is 1 to 8 times 100 ms. The printer carries it out as
    /// it arrives, also while it is offline and its buffer is full (Epson's ESC/POS reference).
    #[must_use]
    pub fn kick_in_real_time(&self) -> [u8; 5] {
        let tenths = u8::try_from(self.on_ms.div_ceil(100)).unwrap_or(8).clamp(1, 8);
        [0x10, 0x14, 1, self.pin, tenths]
    }

    /// How long the drawer may take to be seen open: the pulse, and a second for the spring.
    #[must_use]
    pub fn opens_within(&self) -> Duration {
        Duration::from_millis(u64::from(self.on_ms) + 1_000)
    }
}

/// Why a model cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The file is no TOML of this form.
    #[error("the printer models cannot be read")]
    Syntax(#[from] toml::de::Error),
    /// A model with a value that no printer has.
    #[error("printer model {model}: {what}")]
    Invalid {
        /// Which.
        model: String,
        /// What is wrong, and what would be right.
        what: &'static str,
    },
    /// No such model.
    #[error("there is no printer model {model:?}; known are {known}")]
    Unknown {
        /// What was asked for.
        model: String,
        /// What there is.
        known: String,
    },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawModel {
    title: String,
    columns: u8,
    dots: u16,
    status: bool,
    completion: Completion,
    cut: Cutter,
    #[serde(default = "usual_dpi")]
    dpi: u16,
    code_pages: Vec<NumberedPage>,
    drawer: Drawer,
    #[serde(default)]
    symbols: Vec<NativeSymbol>,
    #[serde(default)]
    raster: Raster,
    #[serde(default)]
    buzzer: Option<Buzzer>,
    #[serde(default)]
    advice: String,
}

fn usual_dpi() -> u16 {
    203
}

const BUILT_IN: &str = include_str!("models.toml");

/// All known models by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrinterModels(BTreeMap<String, PrinterModel>);

impl PrinterModels {
    /// Those that Pestle comes with.
    ///
    /// # Errors
    /// None in practice: a test reads the embedded file.
    pub fn built_in() -> Result<PrinterModels, ModelError> {
        PrinterModels::parse(BUILT_IN)
    }

    /// Those of them that `names` names, which takes less time; all where one of the names is none of theirs, for
    /// [`PrinterModels::get`] to list.
    ///
    /// # Errors
    /// As [`PrinterModels::built_in`].
    pub fn built_in_of(names: &BTreeSet<&str>) -> Result<PrinterModels, ModelError> {
        match tables::only(BUILT_IN, names) {
            Some(some) => PrinterModels::parse(&some),
            None => PrinterModels::built_in(),
        }
    }

    /// Reads a file of models.
    ///
    /// # Errors
    /// Bad TOML, an unknown key, or a value that no printer has.
    pub fn parse(toml_text: &str) -> Result<PrinterModels, ModelError> {
        let raw: BTreeMap<String, RawModel> = toml::from_str(toml_text)?;
        let models = raw.into_iter().map(|(name, raw)| Ok((name.clone(), validate(name, raw)?)));
        Ok(PrinterModels(models.collect::<Result<_, ModelError>>()?))
    }

    /// These, with `more` added; a name that is in both means the later one.
    #[must_use]
    pub fn with(mut self, more: PrinterModels) -> PrinterModels {
        self.0.extend(more.0);
        self
    }

    /// All names with their titles, for a list to choose from.
    pub fn titles(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, model)| (name.as_str(), model.title.as_str()))
    }

    /// One model.
    ///
    /// # Errors
    /// There is none of that name; the message lists those that there are.
    pub fn get(&self, name: &str) -> Result<&PrinterModel, ModelError> {
        self.0.get(name).ok_or_else(|| ModelError::Unknown {
            model: name.to_owned(),
            known: self.0.keys().map(String::as_str).collect::<Vec<_>>().join(", "),
        })
    }
}

fn validate(name: String, raw: RawModel) -> Result<PrinterModel, ModelError> {
    let invalid = |what| ModelError::Invalid { model: name.clone(), what };
    if !(16..=96).contains(&raw.columns) {
        return Err(invalid("columns is between 16 and 96"));
    }
    if raw.dots < u16::from(raw.columns) * 8 {
        return Err(invalid("dots is at least eight for each column"));
    }
    if raw.drawer.pin > 1 || raw.drawer.on_ms > 510 || raw.drawer.off_ms > 510 || raw.drawer.on_ms == 0 {
        return Err(invalid("the drawer's pin is 0 or 1, its times are at most 510 ms, and on_ms is not 0"));
    }
    if !raw.status && raw.completion != Completion::None {
        return Err(invalid("completion needs status = true: without a way back it cannot answer"));
    }
    if raw.code_pages.is_empty() {
        return Err(invalid("code_pages needs at least one page"));
    }
    if !(100..=600).contains(&raw.dpi) {
        return Err(invalid("dpi is between 100 and 600; most receipt printers have 203 or 180"));
    }
    if raw.raster.rows_max == 0 {
        return Err(invalid("raster.rows_max is at least 1"));
    }
    Ok(PrinterModel {
        title: raw.title,
        columns: raw.columns,
        dots: raw.dots,
        status: raw.status,
        completion: raw.completion,
        cut: raw.cut,
        dpi: raw.dpi,
        code_pages: raw.code_pages,
        drawer: raw.drawer,
        symbols: raw.symbols,
        raster: raw.raster,
        buzzer: raw.buzzer,
        advice: raw.advice,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::printer::codepage::CodePage;

    #[test]
    fn the_built_in_models_can_be_read() {
        let models = PrinterModels::built_in().unwrap();
        let tm_t20 = models.get("epson-tm-t20").unwrap();
        let best = NumberedPage { page: CodePage::Pc858, number: 19 };
        assert_eq!((tm_t20.columns, tm_t20.code_pages[0]), (48, best));
        assert_eq!(tm_t20.drawer.kick(), [0x1b, b'p', 0, 50, 100]);
        assert_eq!(tm_t20.drawer.kick_in_real_time(), [0x10, 0x14, 1, 0, 1]);
    }

    #[test]
    fn a_model_is_the_same_whether_it_is_read_alone_or_with_all_others() {
        let all = PrinterModels::built_in().unwrap();
        for (name, model) in &all.0 {
            let alone = PrinterModels::built_in_of(&BTreeSet::from([name.as_str()])).unwrap();
            assert_eq!(alone.0, BTreeMap::from([(name.clone(), model.clone())]));
        }
        assert_eq!(PrinterModels::built_in_of(&BTreeSet::from(["generic-80", "tm-t20"])).unwrap(), all);
    }

    #[test]
    fn an_unknown_model_is_answered_with_those_that_there_are() {
        let error = PrinterModels::built_in().unwrap().get("tm-t20").unwrap_err().to_string();
        assert!(error.contains("citizen-ct-s651, epson-tm-t20, "), "{error}");
    }

    #[test]
    fn every_built_in_model_has_columns_that_fit_its_dots_and_each_page_once() {
        for (name, model) in PrinterModels::built_in().unwrap().0 {
            let column = model.dots / u16::from(model.columns);
            assert!((8..=14).contains(&column), "{name}: {column} dots a column");
            for (at, page) in model.code_pages.iter().enumerate() {
                assert!(
                    !model.code_pages[..at].iter().any(|p| p.page == page.page || p.number == page.number),
                    "{name}: {page:?}"
                );
            }
        }
    }

    #[test]
    fn a_model_of_a_branch_needs_only_what_every_printer_differs_in() {
        let text = "[ours]\ntitle = \"Ours\"\ncolumns = 32\ndots = 384\nstatus = false\ncompletion = \"none\"\ncut = \"none\"\n\
                    code_pages = [{ page = \"pc437\", number = 0 }]\ndrawer = { pin = 0, on_ms = 100, off_ms = 100 }\n";
        let models = PrinterModels::parse(text).unwrap();
        let model = models.get("ours").unwrap();
        assert_eq!((model.dpi, model.raster, model.symbols.len()), (203, Raster::default(), 0));
        assert_eq!(
            PrinterModels::built_in()
                .unwrap()
                .with(models)
                .titles()
                .filter(|(_, title)| *title == "Ours")
                .count(),
            1
        );
    }

    #[test]
    fn a_buzzer_beeps_by_the_command_of_its_model() {
        assert_eq!(Buzzer::EscB { times: 2, duration: 3 }.beep(), b"\x1bB\x02\x03");
        let epson = Buzzer::EscParenA { sound: 1, times: 2, cycle: 5 };
        assert_eq!(epson.beep(), b"\x1b(A\x04\x000\x01\x02\x05");
    }

    #[test]
    fn a_model_that_promises_answers_without_a_way_back_is_refused() {
        let text =
            include_str!("models.toml").replace("completion = \"none\"", "completion = \"process_id\"");
        let error = PrinterModels::parse(&text).unwrap_err().to_string();
        assert!(error.starts_with("printer model one-way-58: completion needs status"), "{error}");
    }
}
