//! Label printer models as data, and the labels that a branch has put in.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
    time::Duration,
};

use serde::Deserialize;

use super::super::model::ModelError;
use crate::tables;

/// What a driver has to know about a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZplModel {
    /// What a person reads.
    pub title: String,
    /// Dots per inch: 203, 300 or 600.
    pub dpi: u16,
    /// Dots across the head.
    pub dots: u16,
    /// What it can print with.
    pub methods: Vec<Method>,
    /// Inches per second.
    pub speed_max: u8,
    /// Does it answer `~HS`?
    pub status: bool,
    /// Does it answer `~HQES`?
    pub error_status: bool,
}

/// How the labels turn black.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// By heat alone (`^MTD`). Fades in light and warmth within months.
    Direct,
    /// By a ribbon (`^MTT`).
    Transfer,
}

/// How the printer finds where a label begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tracking {
    /// By the gap between labels (`^MNY`).
    #[default]
    Gap,
    /// By a black mark on the back (`^MNM`).
    Mark,
    /// Not at all: one long strip (`^MNN`).
    Continuous,
}

/// A label's size in tenths of a millimetre, as a configuration writes it: `"70x35"`, `"50.8 x 25.4"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct LabelSize {
    /// Across the roll.
    pub width: u16,
    /// Along the roll.
    pub height: u16,
}

impl FromStr for LabelSize {
    type Err = String;

    fn from_str(text: &str) -> Result<LabelSize, String> {
        let tenths = |side: &str| {
            let (whole, tenth) = side.trim().split_once('.').unwrap_or((side.trim(), "0"));
            let single = |digits: &str| digits.len() == 1;
            let (whole, tenth) =
                (whole.parse::<u16>().ok()?, tenth.parse::<u16>().ok().filter(|_| single(tenth))?);
            whole.checked_mul(10)?.checked_add(tenth).filter(|side| (100..=3_000).contains(side))
        };
        let size = || {
            let (width, height) = text.split_once(['x', '×'])?;
            Some(LabelSize { width: tenths(width)?, height: tenths(height)? })
        };
        size().ok_or_else(|| {
            format!("label size is \"{text}\": write width x height in millimetres, 10 to 300 each, such as \"70x35\"")
        })
    }
}

impl TryFrom<String> for LabelSize {
    type Error = String;

    fn try_from(text: String) -> Result<LabelSize, String> {
        text.parse()
    }
}

impl fmt::Display for LabelSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = |tenths: u16| match tenths % 10 {
            0 => (tenths / 10).to_string(),
            rest => format!("{}.{rest}", tenths / 10),
        };
        write!(f, "{} x {} mm", side(self.width), side(self.height))
    }
}

/// The labels that are in the printer, and how they are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelStock {
    /// One label.
    pub size: LabelSize,
    /// How it finds their beginning.
    #[serde(default)]
    pub tracking: Tracking,
    /// How they turn black.
    #[serde(default = "direct")]
    pub method: Method,
    /// 0 to 30, sent as `~SD`; what is set at the printer where this is absent.
    #[serde(default)]
    pub darkness: Option<u8>,
    /// Inches per second, sent as `^PR`; what is set at the printer where this is absent.
    #[serde(default)]
    pub speed: Option<u8>,
}

fn direct() -> Method {
    Method::Direct
}

/// Why these labels do not go with this printer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StockError {
    /// Wider than the head.
    #[error("labels of {size} are wider than {printer} can print ({dots} dots)")]
    TooWide {
        /// The labels.
        size: LabelSize,
        /// The model's title.
        printer: String,
        /// Its dots.
        dots: u16,
    },
    /// It has no ribbon, or only ribbon.
    #[error("{printer} cannot print by {method:?}: set the label's method to one of {known:?}")]
    Method {
        /// The model's title.
        printer: String,
        /// What was asked for.
        method: Method,
        /// What it can.
        known: Vec<Method>,
    },
    /// Beyond 30.
    #[error("a label's darkness is 0 to 30, not {0}")]
    Darkness(u8),
    /// Faster than it can.
    #[error("the print speed of {printer} is 1 to {speed_max} inches per second, not {speed}")]
    Speed {
        /// The model's title.
        printer: String,
        /// What was asked for.
        speed: u8,
        /// What it can.
        speed_max: u8,
    },
}

impl LabelStock {
    /// Labels with gaps, printed by heat, with the printer's own darkness and speed.
    #[must_use]
    pub fn new(size: LabelSize) -> LabelStock {
        LabelStock { size, tracking: Tracking::Gap, method: Method::Direct, darkness: None, speed: None }
    }

    /// Do these labels go with `model`?
    ///
    /// # Errors
    /// What does not fit.
    pub fn check(&self, model: &ZplModel) -> Result<(), StockError> {
        let printer = model.title.clone();
        if model.dots_for(self.size.width) > model.dots {
            return Err(StockError::TooWide { size: self.size, printer, dots: model.dots });
        }
        if !model.methods.contains(&self.method) {
            let known = model.methods.clone();
            return Err(StockError::Method { printer, method: self.method, known });
        }
        if let Some(darkness) = self.darkness.filter(|darkness| *darkness > 30) {
            return Err(StockError::Darkness(darkness));
        }
        match self.speed {
            Some(speed) if speed == 0 || speed > model.speed_max => {
                Err(StockError::Speed { printer, speed, speed_max: model.speed_max })
            }
            _ => Ok(()),
        }
    }
}

impl ZplModel {
    /// Whole dots within so many tenths of a millimetre. Rounded down: a picture is never wider than its label.
    #[must_use]
    pub fn dots_for(&self, tenths_mm: u16) -> u16 {
        let dots = u32::from(tenths_mm) * u32::from(self.dpi) / 254;
        u16::try_from(dots).unwrap_or(u16::MAX)
    }

    /// The shortest time in which `labels` labels can come out: whoever says earlier that they have is not believed.
    #[must_use]
    pub fn least_time(&self, labels: usize, stock: &LabelStock) -> Duration {
        let speed = u64::from(stock.speed.unwrap_or(self.speed_max).max(1));
        let labels = u64::try_from(labels).unwrap_or(u64::MAX);
        Duration::from_millis(labels.saturating_mul(u64::from(stock.size.height)) * 1_000 / (254 * speed))
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawModel {
    title: String,
    dpi: u16,
    dots: u16,
    methods: Vec<Method>,
    speed_max: u8,
    status: bool,
    error_status: bool,
}

const BUILT_IN: &str = include_str!("zpl-models.toml");

/// All known models by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZplModels(BTreeMap<String, ZplModel>);

impl ZplModels {
    /// Those that Pestle comes with.
    ///
    /// # Errors
    /// None in practice: a test reads the embedded file.
    pub fn built_in() -> Result<ZplModels, ModelError> {
        ZplModels::parse(BUILT_IN)
    }

    /// Those of them that `names` names, which takes less time; all where one of the names is none of theirs, for
    /// [`ZplModels::get`] to list.
    ///
    /// # Errors
    /// As [`ZplModels::built_in`].
    pub fn built_in_of(names: &BTreeSet<&str>) -> Result<ZplModels, ModelError> {
        match tables::only(BUILT_IN, names) {
            Some(some) => ZplModels::parse(&some),
            None => ZplModels::built_in(),
        }
    }

    /// Reads a file of models.
    ///
    /// # Errors
    /// Bad TOML, an unknown key, or a value that no printer has.
    pub fn parse(toml_text: &str) -> Result<ZplModels, ModelError> {
        let raw: BTreeMap<String, RawModel> = toml::from_str(toml_text)?;
        let models = raw.into_iter().map(|(name, raw)| Ok((name.clone(), validate(name, raw)?)));
        Ok(ZplModels(models.collect::<Result<_, ModelError>>()?))
    }

    /// These, with `more` added; a name that is in both means the later one.
    #[must_use]
    pub fn with(mut self, more: ZplModels) -> ZplModels {
        self.0.extend(more.0);
        self
    }

    /// One model.
    ///
    /// # Errors
    /// There is none of that name; the message lists those that there are.
    pub fn get(&self, name: &str) -> Result<&ZplModel, ModelError> {
        self.0.get(name).ok_or_else(|| ModelError::Unknown {
            model: name.to_owned(),
            known: self.0.keys().map(String::as_str).collect::<Vec<_>>().join(", "),
        })
    }
}

fn validate(name: String, raw: RawModel) -> Result<ZplModel, ModelError> {
    let invalid = |what| ModelError::Invalid { model: name.clone(), what };
    if !matches!(raw.dpi, 203 | 300 | 600) {
        return Err(invalid("dpi is 203, 300 or 600"));
    }
    if raw.dots < 128 || !raw.dots.is_multiple_of(8) {
        return Err(invalid("dots is at least 128, and whole bytes (a multiple of 8)"));
    }
    if raw.methods.is_empty() {
        return Err(invalid("methods names \"direct\", \"transfer\" or both"));
    }
    // `^PR` knows 1 to 14 inches per second.
    if !(1..=14).contains(&raw.speed_max) {
        return Err(invalid("speed_max is 1 to 14 inches per second"));
    }
    if raw.error_status && !raw.status {
        return Err(invalid("error_status needs status = true: without a way back it cannot answer"));
    }
    let RawModel { title, dpi, dots, methods, speed_max, status, error_status } = raw;
    Ok(ZplModel { title, dpi, dots, methods, speed_max, status, error_status })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(name: &str) -> ZplModel {
        ZplModels::built_in().unwrap().get(name).unwrap().clone()
    }

    #[test]
    fn a_model_is_the_same_whether_it_is_read_alone_or_with_all_others() {
        for (name, model) in ZplModels::built_in().unwrap().0 {
            let alone = ZplModels::built_in_of(&BTreeSet::from([name.as_str()])).unwrap();
            assert_eq!(alone.0, BTreeMap::from([(name, model)]));
        }
    }

    #[test]
    fn a_label_is_never_drawn_wider_than_it_is() {
        // 70 mm are 559.4 dots at 203 dpi, 826.8 at 300.
        assert_eq!(model("zebra-zd421-203").dots_for(700), 559);
        assert_eq!(model("zebra-zd421-300").dots_for(700), 826);
    }

    #[test]
    fn an_unknown_model_is_answered_with_those_that_there_are() {
        let error = ZplModels::built_in().unwrap().get("zd421").unwrap_err().to_string();
        assert!(error.contains("generic-zpl-203, generic-zpl-300"), "{error}");
    }

    #[test]
    fn a_size_is_written_in_millimetres_with_at_most_one_decimal() {
        let size = |text: &str| text.parse::<LabelSize>();
        assert_eq!(size("70x35"), Ok(LabelSize { width: 700, height: 350 }));
        assert_eq!(size("50.8 x 25.4").unwrap().to_string(), "50.8 x 25.4 mm");
        for wrong in ["70", "70x", "7x35", "70x400", "50.80x25", "axb", "70x35x2"] {
            assert!(size(wrong).unwrap_err().contains("such as \"70x35\""), "{wrong}");
        }
    }

    #[test]
    fn labels_that_do_not_go_with_the_printer_are_refused_with_the_reason() {
        let narrow = model("zebra-zd411-203");
        let stock = LabelStock::new("70x35".parse().unwrap());
        let error = stock.check(&narrow).unwrap_err().to_string();
        assert_eq!(
            error,
            "labels of 70 x 35 mm are wider than Zebra ZD411, 203 dpi, 56 mm can print (448 dots)"
        );
        let wide = model("zebra-zd421-203");
        assert_eq!(stock.check(&wide), Ok(()));
        assert_eq!(LabelStock { darkness: Some(31), ..stock }.check(&wide), Err(StockError::Darkness(31)));
        assert!(LabelStock { speed: Some(7), ..stock }.check(&wide).is_err());
        let direct_only = ZplModel { methods: vec![Method::Direct], ..wide };
        assert!(LabelStock { method: Method::Transfer, ..stock }.check(&direct_only).is_err());
    }

    #[test]
    fn labels_need_their_time() {
        let stock = LabelStock { speed: Some(2), ..LabelStock::new("70x35".parse().unwrap()) };
        // 35 mm are 1.38 inches: 0.69 s at two inches per second.
        assert_eq!(model("zebra-zd421-203").least_time(2, &stock), Duration::from_millis(1_377));
    }
}
