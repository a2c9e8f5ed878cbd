//! Printer models as data: what differs between them is read from `models.toml`, not programmed.

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;

use super::codepage::CodePage;

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
    /// The code page to print with.
    pub code_page: CodePage,
    /// The number of that page in `ESC t`.
    pub code_page_number: u8,
    /// The drawer that it opens.
    pub drawer: Drawer,
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
    code_pages: Vec<RawCodePage>,
    drawer: Drawer,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCodePage {
    page: CodePage,
    number: u8,
}

/// All known models by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrinterModels(BTreeMap<String, PrinterModel>);

impl PrinterModels {
    /// Those that Pestle comes with.
    ///
    /// # Errors
    /// None in practice: a test reads the embedded file.
    pub fn built_in() -> Result<PrinterModels, ModelError> {
        PrinterModels::parse(include_str!("models.toml"))
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
    let best = *raw.code_pages.first().ok_or_else(|| invalid("code_pages needs at least one page"))?;
    Ok(PrinterModel {
        title: raw.title,
        columns: raw.columns,
        dots: raw.dots,
        status: raw.status,
        completion: raw.completion,
        cut: raw.cut,
        code_page: best.page,
        code_page_number: best.number,
        drawer: raw.drawer,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_models_can_be_read() {
        let models = PrinterModels::built_in().unwrap();
        let tm_t20 = models.get("epson-tm-t20").unwrap();
        assert_eq!((tm_t20.columns, tm_t20.code_page, tm_t20.code_page_number), (48, CodePage::Pc858, 19));
        assert_eq!(tm_t20.drawer.kick(), [0x1b, b'p', 0, 50, 100]);
        assert_eq!(tm_t20.drawer.kick_in_real_time(), [0x10, 0x14, 1, 0, 1]);
    }

    #[test]
    fn an_unknown_model_is_answered_with_those_that_there_are() {
        let error = PrinterModels::built_in().unwrap().get("tm-t20").unwrap_err().to_string();
        assert!(error.contains("epson-tm-t20, epson-tm-t88, generic-58"), "{error}");
    }

    #[test]
    fn a_model_that_promises_answers_without_a_way_back_is_refused() {
        let text =
            include_str!("models.toml").replace("completion = \"none\"", "completion = \"process_id\"");
        let error = PrinterModels::parse(&text).unwrap_err().to_string();
        assert!(error.starts_with("printer model one-way-80: completion needs status"), "{error}");
    }
}
