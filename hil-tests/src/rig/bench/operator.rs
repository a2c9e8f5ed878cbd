//! The person at the bench: what they are asked to do and to judge, and how that is asked at a terminal.

use std::{
    fmt,
    io::{BufRead, BufReader, Stderr, Stdin, Write},
    path::PathBuf,
};

use anyhow::{Result, bail};
use async_trait::async_trait;
use pestle_domain::units::MilliCelsius;

use crate::rig::{PrinterKind, PrinterState, ScannerKind};

/// Something to do. Its words are what the person reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Task {
    /// Bring everything to where a case begins.
    Prepare,
    /// Scan a barcode.
    Scan {
        /// With which scanner.
        scanner: ScannerKind,
        /// What it reads.
        barcode: Vec<u8>,
        /// Where it is drawn.
        sheet: PathBuf,
    },
    /// Pull or put in a scanner's plug.
    PlugScanner {
        /// Which.
        scanner: ScannerKind,
        /// In.
        into: bool,
    },
    /// Pull or put in a printer's cable.
    PlugPrinter {
        /// Which.
        printer: PrinterKind,
        /// In.
        into: bool,
    },
    /// Do something to a printer.
    SetPrinter {
        /// Which.
        printer: PrinterKind,
        /// What it is to be like.
        state: PrinterState,
    },
    /// Pull or put in the cable of the fridge's sensor.
    Fridge {
        /// In.
        there: bool,
    },
}

/// Something to judge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// Has a paper come out that says all of that?
    Paper {
        /// Of which printer.
        printer: PrinterKind,
        /// What stands on it.
        says: Vec<String>,
    },
    /// Has nothing come out beside?
    NothingMore {
        /// Of which printer.
        printer: PrinterKind,
    },
}

/// Somebody beside the devices.
#[async_trait]
pub trait Operator: Send + Sync + fmt::Debug {
    /// Does something, and says when it is done.
    async fn carry_out(&mut self, task: &Task) -> Result<()>;

    /// Judges something.
    async fn confirm(&mut self, question: &Question) -> Result<bool>;

    /// Brings the sensor towards so many thousandths of a degree, and says what a thermometer beside it shows.
    async fn measure(&mut self, towards_milli_celsius: i32) -> Result<i32>;
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prepare => f.write_str(
                "See that all devices are plugged in and switched on, with paper and shut; take away every paper that has come out.",
            ),
            Self::Scan { scanner, sheet, .. } => {
                write!(f, "Scan the code in {} with {}.", sheet.display(), in_words(*scanner))
            }
            Self::PlugScanner { scanner, into: false } => {
                write!(f, "Pull the plug of {}.", in_words(*scanner))
            }
            Self::PlugScanner { scanner, into: true } => {
                write!(f, "Plug {} in again.", in_words(*scanner))
            }
            Self::PlugPrinter { printer, into: false } => {
                write!(f, "Pull the data cable of the {} printer; leave it switched on.", printer.name())
            }
            Self::PlugPrinter { printer, into: true } => {
                write!(f, "Put the data cable of the {} printer in again.", printer.name())
            }
            Self::SetPrinter { printer, state } => {
                let printer = printer.name();
                match state {
                    PrinterState::Well => write!(f, "Put paper into the {printer} printer and shut it."),
                    PrinterState::PaperOut => {
                        write!(f, "Take the paper out of the {printer} printer and shut it.")
                    }
                    PrinterState::CoverOpen => write!(f, "Open the cover of the {printer} printer."),
                    PrinterState::PaperEnding => {
                        write!(f, "Leave a few lines of paper in the {printer} printer.")
                    }
                }
            }
            Self::Fridge { there: false } => f.write_str("Pull the cable of the fridge's sensor."),
            Self::Fridge { there: true } => f.write_str("Put the cable of the fridge's sensor in again."),
        }
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Paper { printer, says } => {
                let says: Vec<String> = says.iter().map(|words| format!("\"{words}\"")).collect();
                write!(
                    f,
                    "Has a whole paper come out of the {} printer, and does it say {}? (take it away)",
                    printer.name(),
                    says.join(" and ")
                )
            }
            Self::NothingMore { printer } => {
                write!(f, "Has NOTHING more come out of the {} printer?", printer.name())
            }
        }
    }
}

const fn in_words(scanner: ScannerKind) -> &'static str {
    match scanner {
        ScannerKind::Keyboard => "the scanner that types (\"second\")",
        ScannerKind::Serial => "the scanner on the serial line (\"counter\")",
        ScannerKind::CdcAcm => "the USB serial scanner (\"usb-counter\")",
    }
}

/// Somebody at a terminal. Nobody else waits for this program while they do what it asks.
#[derive(Debug)]
pub struct AtTerminal<Reads, Writes> {
    reads: Reads,
    writes: Writes,
}

impl AtTerminal<BufReader<Stdin>, Stderr> {
    /// At this program's own.
    pub fn here() -> Self {
        Self::on(BufReader::new(std::io::stdin()), std::io::stderr())
    }
}

impl<Reads, Writes> AtTerminal<Reads, Writes>
where
    Reads: BufRead,
    Writes: Write,
{
    /// At another one.
    pub const fn on(reads: Reads, writes: Writes) -> Self {
        Self { reads, writes }
    }

    fn ask(&mut self, words: &str, answers: &str) -> Result<String> {
        write!(self.writes, "\n>> {words} [{answers}] ")?;
        self.writes.flush()?;
        let mut line = String::new();
        if self.reads.read_line(&mut line)? == 0 {
            bail!("nobody is at the terminal to answer: {words}");
        }
        Ok(line.trim().to_lowercase())
    }
}

#[async_trait]
impl<Reads, Writes> Operator for AtTerminal<Reads, Writes>
where
    Reads: BufRead + Send + Sync + fmt::Debug,
    Writes: Write + Send + Sync + fmt::Debug,
{
    async fn carry_out(&mut self, task: &Task) -> Result<()> {
        match &*self.ask(&task.to_string(), "Enter when done, n if it cannot be done")? {
            "n" | "no" => bail!("the person at the bench could not do it: {task}"),
            _ => Ok(()),
        }
    }

    async fn confirm(&mut self, question: &Question) -> Result<bool> {
        loop {
            match &*self.ask(&question.to_string(), "y/n")? {
                "y" | "yes" => return Ok(true),
                "n" | "no" => return Ok(false),
                _ => {}
            }
        }
    }

    async fn measure(&mut self, towards_milli_celsius: i32) -> Result<i32> {
        let towards = MilliCelsius(towards_milli_celsius);
        let words = format!(
            "Bring the fridge's sensor near {towards} if you can, and wait until it has settled. What does the thermometer beside it show?"
        );
        loop {
            let answer = self.ask(&words, "degrees Celsius, such as 5.3")?;
            if let Some(milli_celsius) = in_thousandths(&answer) {
                return Ok(milli_celsius);
            }
        }
    }
}

/// "-5.3" is -5,300. Pure.
fn in_thousandths(text: &str) -> Option<i32> {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    let (whole, part) = digits.split_once(['.', ',']).unwrap_or((digits, "0"));
    if part.is_empty() || part.len() > 3 || !part.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let whole: u16 = whole.parse().ok()?;
    let part: i32 = format!("{part:0<3}").parse().ok()?;
    Some(sign * (i32::from(whole) * 1_000 + part))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at_terminal(typed: &str) -> (AtTerminal<BufReader<&[u8]>, Vec<u8>>, Question) {
        let question = Question::NothingMore { printer: PrinterKind::Serial };
        (AtTerminal::on(BufReader::new(typed.as_bytes()), Vec::new()), question)
    }

    #[tokio::test]
    async fn a_question_is_asked_until_it_is_answered_with_yes_or_no() {
        let (mut operator, question) = at_terminal("\nperhaps\nN\ny\n");
        assert!(!operator.confirm(&question).await.unwrap());
        assert!(operator.confirm(&question).await.unwrap());
        let written = String::from_utf8(operator.writes).unwrap();
        assert_eq!(written.matches("Has NOTHING more come out of the receipts printer? [y/n]").count(), 4);
    }

    #[tokio::test]
    async fn nobody_at_the_terminal_is_an_error_and_no_answer() {
        let (mut operator, question) = at_terminal("");
        assert!(operator.confirm(&question).await.unwrap_err().to_string().contains("nobody is at"));
    }

    #[tokio::test]
    async fn what_cannot_be_done_ends_the_case() {
        let (mut operator, _) = at_terminal("\nn\n");
        operator.carry_out(&Task::Prepare).await.unwrap();
        let error = operator.carry_out(&Task::Fridge { there: false }).await.unwrap_err();
        assert!(error.to_string().contains("Pull the cable of the fridge's sensor"), "{error}");
    }

    #[tokio::test]
    async fn a_thermometer_is_read_in_tenths() {
        let (mut operator, _) = at_terminal("cold\n5.\n4,25\n-0.5\n");
        assert_eq!(operator.measure(5_300).await.unwrap(), 4_250);
        assert_eq!(operator.measure(5_300).await.unwrap(), -500);
    }
}
