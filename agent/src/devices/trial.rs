//! One way to try a device, for the page and for `pestle-agent devices test`: a printer prints something once, a scanner shows
//! what it reads, the lamps of a sensor line flicker.

use std::time::Duration;

use pestle_domain::document::Document;
use pestle_drivers::{
    device::DeviceName,
    printer::{Calibration, NotPrinted, Outcome, PrintJob, Printer, PrinterStatus, Unknown},
    scanner::{Scan, over_line::Answer},
    sensor::{NoData, Sample},
};
use tokio::time;

/// How long a printer may take to say for the first time how it is.
const PRINTER_READY_MAX: Duration = Duration::from_secs(10);

/// What came of a trial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tried {
    /// It works; in words.
    Works(String),
    /// It did what it was told, as far as it can tell: a person has to look.
    CannotTell(String),
    /// Nobody knows whether it did. It is never done again by itself.
    Unknown(String),
    /// It is not there.
    Away(String),
    /// It is there and does not do what it should.
    Broken(String),
}

/// Prints a document once; `what` names it in the answer.
pub async fn print(printer: &dyn Printer, document: Document, what: &str) -> Tried {
    let name = printer.name().to_string();
    let mut status = printer.status();
    let known = |status: &PrinterStatus| !matches!(status, PrinterStatus::Starting);
    let ready = match time::timeout(PRINTER_READY_MAX, status.wait_for(known)).await {
        Ok(Ok(status)) => status.ready(),
        Ok(Err(_ended)) => Err(NotPrinted::Ended),
        Err(_elapsed) => {
            return Tried::Away("it did not answer in 10 s: check its power and its cable".to_owned());
        }
    };
    if let Err(trouble) = ready {
        return not_printed(trouble);
    }
    match printer.print(PrintJob { document, open_drawer: false }).await.outcome {
        Outcome::Printed => Tried::Works(format!("{name} has printed {what}, and says so itself.")),
        Outcome::NotPrinted { reason } => not_printed(reason),
        Outcome::Unknown { reason: Unknown::CannotTell } => Tried::CannotTell(format!(
            "{name} took {what} and cannot say whether it printed it: look at the paper."
        )),
        Outcome::Unknown { reason } => Tried::Unknown(reason.to_string()),
    }
}

/// Has a label printer measure its labels; `height` is what is configured for one of them, along the roll, in tenths of a
/// millimetre.
pub async fn measure(printer: &dyn Printer, height: u16) -> Tried {
    let name = printer.name().to_string();
    match printer.calibrate().await {
        Calibration::Done { label_tenths_mm: measured } if fits(measured, height) => {
            Tried::Works(format!("{name} has measured its labels: {}, as configured.", millimetres(measured)))
        }
        Calibration::Done { label_tenths_mm: measured } => Tried::Broken(format!(
            "it has measured labels of {}, and {} are configured: correct the size if another roll is in it; if none is, \
             it saw the wrong gaps, so measure once more",
            millimetres(measured),
            millimetres(height)
        )),
        Calibration::Unseen => Tried::CannotTell(format!(
            "{name} was told to measure its labels and cannot say what it found: look whether it stops at a gap."
        )),
        Calibration::Failed(reason) => not_printed(reason),
        Calibration::NotNeeded => Tried::Broken("it has no labels to measure".to_owned()),
    }
}

/// A label that is measured from gap to gap is a gap longer than what is printed on: 2 to 4 mm on most rolls.
fn fits(measured: u16, height: u16) -> bool {
    const SHORTER_MAX: u16 = 10;
    const GAP_MAX: u16 = 60;
    measured.saturating_add(SHORTER_MAX) >= height && measured <= height.saturating_add(GAP_MAX)
}

fn millimetres(tenths: u16) -> String {
    format!("{}.{} mm", tenths / 10, tenths % 10)
}

/// Sounds a printer's buzzer, as an alarm does.
pub async fn sound(printer: &dyn Printer) -> Tried {
    match printer.beep().await {
        Ok(()) => Tried::CannotTell(format!("{} was told to sound: did you hear it?", printer.name())),
        Err(reason) => not_printed(reason),
    }
}

fn not_printed(reason: NotPrinted) -> Tried {
    match reason {
        NotPrinted::Away(reason) => Tried::Away(reason),
        other => Tried::Broken(other.to_string()),
    }
}

/// What a scanner read, and what that means.
pub fn scan_words(scan: &Scan) -> String {
    let meaning = pestle_domain::gs1::decode::line(&scan.bytes);
    let proved = match scan.proved {
        true => "",
        false => " It is not proved yet: lot and serial number are not taken from it.",
    };
    format!("{} read {}, which means {meaning}.{proved}", scan.source, readable(&scan.bytes))
}

/// Why a scanner that types is not set up from here.
pub const NO_LINE: &str =
    "it has no serial line over which it could be set up: scan its maker's codes with it";

/// What a scanner said when it was set up over its line. Whatever it said, it may be set up otherwise now.
pub fn set_up(name: &str, answer: &Answer) -> Tried {
    let words =
        format!("{name}: {answer}. Let it learn now; until then it sells by the article's number alone.");
    match answer {
        Answer::Taken => Tried::Works(words),
        Answer::Refused | Answer::Unknown => Tried::Broken(words),
        Answer::Silent | Answer::Other(_) | Answer::Gone(_) => Tried::CannotTell(words),
    }
}

/// What a sensor said.
pub fn reading(name: &DeviceName, sample: &Sample) -> Tried {
    match sample.temperature {
        Ok(_) => Tried::Works(format!("{}.", reading_words(name.as_str(), sample))),
        Err(why @ (NoData::Timeout | NoData::Gone)) => Tried::Away(why.to_string()),
        Err(why) => Tried::Broken(why.to_string()),
    }
}

/// A sample as a person reads it.
pub fn reading_words(name: &str, sample: &Sample) -> String {
    match sample.temperature {
        Ok(temperature) => {
            let sign = if temperature.0 < 0 { "-" } else { "" };
            let (degrees, rest) = (temperature.0.abs() / 1_000, temperature.0.abs() % 1_000 / 10);
            format!("{name}: {sign}{degrees}.{rest:02} °C")
        }
        Err(why) => format!("{name}: no reading, {why}"),
    }
}

/// Bytes as a person reads them: text as it is, GS and line ends by name, the rest in hexadecimal digits.
pub fn readable(bytes: &[u8]) -> String {
    bytes
        .iter()
        .map(|byte| match byte {
            0x1d => "<GS>".to_owned(),
            b'\r' => "<CR>".to_owned(),
            b'\n' => "<LF>".to_owned(),
            b'\t' => "<TAB>".to_owned(),
            b' '..=b'~' => char::from(*byte).to_string(),
            other => format!("<{other:02X}>"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use pestle_domain::units::MilliCelsius;

    #[test]
    fn a_label_may_be_measured_with_its_gap_and_neither_as_half_nor_as_two() {
        for (measured, height, expected) in
            [(350, 350, true), (380, 350, true), (345, 350, true), (175, 350, false), (730, 350, false)]
        {
            assert_eq!(fits(measured, height), expected, "{measured} {height}");
        }
        assert_eq!(millimetres(383), "38.3 mm");
    }

    #[test]
    fn bytes_and_readings_are_written_so_that_a_person_can_read_them() {
        assert_eq!(readable(b"]d201\x1d21S1\r\n\x00\xff"), "]d201<GS>21S1<CR><LF><00><FF>");
        let words = |temperature| {
            let correction = MilliCelsius(0);
            reading_words("fridge-1", &Sample { temperature, correction, humidity_permille: None })
        };
        assert_eq!(words(Ok(MilliCelsius(4_250))), "fridge-1: 4.25 °C");
        assert_eq!(words(Ok(MilliCelsius(-450))), "fridge-1: -0.45 °C");
        assert!(words(Err(NoData::Timeout)).contains("no reading, the sensor does not answer"));
    }
}
