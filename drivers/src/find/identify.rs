//! "Which of the two is it?": a printer prints a mark, a scanner reads a code that the page shows, the sensors of a
//! line are asked in a rhythm that the lamps of its adapter show.

use std::time::Duration;

use pestle_domain::document::{Block, Document, Style};

use crate::device::DeviceName;

/// Letters that stand at the same place on US, UK, German, French and Spanish keyboards: a scanner that types
/// believes in one of them, and nobody knows yet in which. Neither digits nor signs do.
const LETTERS: &[u8; 20] = b"BCDEFGHIJKLNOPRSTUVX";

/// Before the letters, so that the code is no product's: these too stand still.
const PREFIX: &str = "PESTLE";

/// What a printer prints so that a person sees which one it is.
#[must_use]
pub fn mark(name: &DeviceName, place: &str) -> Document {
    let mut document = Document::new(format!("Mark of {name}"));
    let text = |text: &str| Block::Text { text: text.to_owned(), style: Style::default() };
    document.blocks = vec![
        Block::Rule,
        text("This printer is"),
        Block::Heading { text: name.to_string() },
        text(place),
        text("Write the name on the printer and on its cable."),
        Block::Rule,
        Block::Cut,
    ];
    document
}

/// What a printer prints of which nobody knows whether it is the one of this name.
#[must_use]
pub fn mark_of_socket(name: &DeviceName, socket: &str) -> Document {
    let mut document = Document::new(format!("Mark of {socket}"));
    let text = |text: String| Block::Text { text, style: Style::default() };
    document.blocks = vec![
        Block::Rule,
        text("This printer is at".to_owned()),
        Block::Heading { text: socket.to_owned() },
        text(format!("where {name} was. Is it {name}?")),
        text("Answer on the page for devices.".to_owned()),
        Block::Rule,
        Block::Cut,
    ];
    document
}

/// A code that one scanner is to read; the one that sends it is the one in the hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownCode(String);

impl ShownCode {
    /// A code from a random number.
    #[must_use]
    pub fn new(random: u64) -> ShownCode {
        let mut rest = random;
        let letters = std::iter::repeat_with(|| {
            let letter = LETTERS[usize::try_from(rest % 20).unwrap_or(0)];
            rest /= 20;
            char::from(letter)
        });
        ShownCode(PREFIX.chars().chain(letters.take(6)).collect())
    }

    /// As Code 128 shows it.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Did a scanner read it? Its symbology identifier does not matter (ISO/IEC 15424: `]`, a letter, a character),
    /// nor Caps Lock.
    #[must_use]
    pub fn was_scanned(&self, scan: &[u8]) -> bool {
        let without = match scan {
            [b']', letter, _, rest @ ..] if letter.is_ascii_alphabetic() => rest,
            whole => whole,
        };
        without.eq_ignore_ascii_case(self.0.as_bytes())
    }
}

/// How long lamps flicker and rest: slower than a bus that is at work, and no accident.
const FLICKER: Duration = Duration::from_millis(700);
const REST: Duration = Duration::from_millis(700);

/// Asks a sensor or a contact so that the lamps of its adapter flicker and rest in turns, `rounds` times; `ask` asks it once.
/// Other lines are asked now and then. Does nothing to what the sensor says; a sensor that is silent makes the adapter's
/// sending lamp flicker all the same, unless it is being left alone.
pub async fn blink<Ask>(ask: impl Fn() -> Ask, rounds: u32)
where
    Ask: Future<Output = ()>,
{
    for _ in 0..rounds {
        let end = tokio::time::Instant::now() + FLICKER;
        while tokio::time::Instant::now() < end {
            ask().await;
            // A resting slave answers at once: this must not turn into a busy loop.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        tokio::time::sleep(REST).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_is_known_again_in_whatever_way_a_scanner_sends_it() {
        let code = ShownCode::new(123_456_789);
        assert_eq!(code.text().len(), 12);
        assert_ne!(code, ShownCode::new(123_456_790));
        for scan in [code.text().to_owned(), format!("]C0{}", code.text()), code.text().to_lowercase()] {
            assert!(code.was_scanned(scan.as_bytes()), "{scan}");
        }
        for scan in ["", "]C0", "4006381333931", "PESTLE", &ShownCode::new(1).0] {
            assert!(!code.was_scanned(scan.as_bytes()), "{scan}");
        }
    }

    #[test]
    fn a_printer_s_mark_says_its_name() {
        let mark = mark(&DeviceName::new("printer-2"), "usb-port:1-2.3");
        let headings: Vec<_> = mark
            .blocks
            .iter()
            .filter(|b| matches!(b, Block::Heading { text } if text == "printer-2"))
            .collect();
        assert_eq!(headings.len(), 1);
    }
}
