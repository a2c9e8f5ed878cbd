//! Setting a scanner up over its own serial line: one command of its maker, and what the scanner answers. The scanner's
//! driver must have been dropped before, since a line is opened once; so nothing that comes back is taken for a scan.
//!
//! Honeywell's and Newland's answer alike: the command comes back, with ACK, ENQ or NAK before each of its punctuation marks
//! (Honeywell N431X User's Guide, p. 9-2, and 1450g User's Guide, p. 10-2; Newland NLS-HR42 User Guide, p. 16). Datalogic's that take
//! `$` commands send `$` and a `>` for each part that they have taken (a published automatic test of them). Of the others none is known to
//! answer.

use std::{fmt, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::{self, Instant},
};

use crate::{
    backoff::Backoff,
    line::{Line, LineAddress},
};

/// What a scanner said to a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// ACK: it did that, and keeps it.
    Taken,
    /// NAK: it knows the command, and not with this value.
    Refused,
    /// ENQ: it does not know the command.
    Unknown,
    /// Nothing.
    Silent,
    /// Something that is no answer to this command.
    Other(Vec<u8>),
    /// The line went away; why.
    Gone(String),
}

/// For a person, without the scanner's name.
impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answer::Taken => f.write_str("the scanner has taken it, and keeps it"),
            Answer::Refused => f.write_str(
                "the scanner refuses it (NAK): this code is not for its model, or not for its maker",
            ),
            Answer::Unknown => f.write_str(
                "the scanner does not know it (ENQ): this code is not for its model, or not for its maker",
            ),
            Answer::Silent => {
                f.write_str("the scanner said nothing, as those of some makers do: learning again tells whether it took it")
            }
            Answer::Other(heard) => {
                write!(
                    f,
                    "the scanner sent \"{}\", which is no answer that is known here",
                    heard.escape_ascii()
                )
            }
            Answer::Gone(why) => {
                write!(f, "{why}, as it does when a scanner begins anew or becomes another kind of device")
            }
        }
    }
}

const ACK: u8 = 0x06;
const ENQ: u8 = 0x05;
const NAK: u8 = 0x15;

fn is_status(byte: u8) -> bool {
    matches!(byte, ACK | ENQ | NAK)
}

/// What was heard, judged. `None` while the command has not come back, which one without text never does. Pure.
fn whole_answer(command: &str, heard: &[u8]) -> Option<Answer> {
    if each_part_is_taken(command, heard) {
        return Some(Answer::Taken);
    }
    // What frames a command differs on the way back; its text does not, but for capitals.
    let text = command.split(|c: char| !c.is_ascii_graphic()).max_by_key(|run| run.len());
    let text = text.filter(|text| !text.is_empty())?.to_ascii_uppercase();
    let back: Vec<u8> = heard.iter().filter(|byte| !is_status(**byte)).map(u8::to_ascii_uppercase).collect();
    back.windows(text.len()).any(|part| part == text.as_bytes()).then(|| judged(heard))
}

/// As Datalogic's scanners say it: "$>,>,>" to "$S,CAIEN01,Ar".
fn each_part_is_taken(command: &str, heard: &[u8]) -> bool {
    let Some(command) = command.strip_prefix("$S,") else { return false };
    let taken = format!("$>{}", ",>".repeat(command.split(',').count()));
    heard.windows(taken.len()).any(|part| part == taken.as_bytes())
}

/// The worst that it says.
fn judged(heard: &[u8]) -> Answer {
    match (heard.contains(&NAK), heard.contains(&ENQ), heard.contains(&ACK)) {
        (true, ..) => Answer::Refused,
        (_, true, _) => Answer::Unknown,
        (.., true) => Answer::Taken,
        _ if heard.is_empty() => Answer::Silent,
        _ => Answer::Other(heard.to_vec()),
    }
}

/// What was heard until nothing more came: a status alone is an answer too, anything else is none.
fn last_judged(heard: &[u8]) -> Answer {
    match heard.iter().all(|byte| is_status(*byte) || matches!(byte, b'\r' | b'\n')) {
        true => judged(heard),
        false => Answer::Other(heard.to_vec()),
    }
}

/// The line went away: what was said before counts, where it is an answer.
fn gone(heard: &[u8], why: String) -> Answer {
    match last_judged(heard) {
        Answer::Silent | Answer::Other(_) | Answer::Gone(_) => Answer::Gone(why),
        answer @ (Answer::Taken | Answer::Refused | Answer::Unknown) => answer,
    }
}

/// The driver that was dropped lets go of the line when its task ends, moments later.
const OPENS_WITHIN: Duration = Duration::from_secs(2);

/// What is being sent while the line is opened is some scan's rest. A scanner makes no pauses; the bound is for one that
/// never rests.
const SILENCE: Duration = Duration::from_millis(50);
const SILENT_WITHIN: Duration = Duration::from_secs(1);

/// A command has some 40 bytes: 40 ms at 9,600 baud. A line that takes none is held by its flow control.
const WRITTEN_WITHIN: Duration = Duration::from_secs(2);

/// Published programs wait 0.4 s (Newland) to 1 s (Honeywell) for it.
const ANSWERED_WITHIN: Duration = Duration::from_secs(3);

/// More than any answer has.
const HEARD_BYTES_MAX: usize = 4_096;

/// An open line over which its scanner can be set up.
#[derive(Debug)]
pub struct SetUpLine(Line);

impl SetUpLine {
    /// Opens it.
    ///
    /// # Errors
    /// A sentence that says what to check.
    pub async fn open(address: &LineAddress) -> Result<SetUpLine, String> {
        let end = Instant::now() + OPENS_WITHIN;
        let mut backoff = Backoff::for_hotplug();
        let mut line = loop {
            match address.open().await {
                Ok(line) => break line,
                Err(reason) if Instant::now() >= end => return Err(reason),
                Err(_perhaps_not_free_yet) => time::sleep(backoff.pause()).await,
            }
        };
        let _never_rests = time::timeout(SILENT_WITHIN, rests(&mut line)).await;
        Ok(SetUpLine(line))
    }

    /// Sends a command, and waits for what the scanner says to it.
    pub async fn send(mut self, command: &str) -> Answer {
        let line = &mut self.0;
        let written = async {
            line.write_all(command.as_bytes()).await?;
            line.flush().await
        };
        match time::timeout(WRITTEN_WITHIN, written).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Answer::Gone(format!("the line failed ({error})")),
            Err(_held) => return Answer::Gone("the line took nothing (flow control)".to_owned()),
        }
        let end = Instant::now() + ANSWERED_WITHIN;
        let (mut buffer, mut heard) = ([0u8; 256], Vec::new());
        while heard.len() < HEARD_BYTES_MAX {
            match time::timeout_at(end, line.read(&mut buffer)).await {
                Err(_late) => break,
                Ok(Ok(count @ 1..)) => heard.extend_from_slice(&buffer[..count]),
                Ok(Ok(0)) => return gone(&heard, "the line was closed".to_owned()),
                Ok(Err(error)) => return gone(&heard, format!("the line failed ({error})")),
            }
            if let Some(answer) = whole_answer(command, &heard) {
                // What stands behind its last mark is no beginning of a scan.
                let _never_rests = time::timeout(SILENT_WITHIN, rests(line)).await;
                return answer;
            }
        }
        last_judged(&heard)
    }
}

/// Until nothing has come for a while, or the line goes: then writing says so.
async fn rests(line: &mut Line) {
    let mut buffer = [0u8; 256];
    while let Ok(Ok(1..)) = time::timeout(SILENCE, line.read(&mut buffer)).await {}
}

#[cfg(test)]
mod tests {
    use super::*;

    const HONEYWELL: &str = "\u{16}M\rVSUFCR.";
    const NEWLAND: &str = "~\u{1}0000@TSUENA1;TSUSET0D0A;\u{3}";

    fn check(command: &str, heard: &[u8], expected: Option<Answer>) {
        assert_eq!(whole_answer(command, heard), expected, "{}", heard.escape_ascii());
    }

    #[test]
    fn an_answer_is_the_command_itself_with_a_status_before_each_of_its_marks() {
        check(HONEYWELL, b"VSUFCR\x06.", Some(Answer::Taken));
        check(HONEYWELL, b"vsufcr\x05.", Some(Answer::Unknown));
        check(HONEYWELL, b"VSUFCR\x15.", Some(Answer::Refused));
        check(NEWLAND, b"\x02\x010000@TSUENA1\x06;TSUSET0D0A\x06;\x03", Some(Answer::Taken));
        check(NEWLAND, b"\x02\x010000@TSUENA1\x06;TSUSET0D0A\x15;\x03", Some(Answer::Refused));
        // A pack that somebody scanned meanwhile stands before it.
        check(HONEYWELL, b"4006381333931\rVSUFCR\x06.", Some(Answer::Taken));
        // What the line itself sends back says nothing of the scanner.
        check(HONEYWELL, HONEYWELL.as_bytes(), Some(Answer::Other(HONEYWELL.into())));
        check(HONEYWELL, b"VSUF", None);
        check(NEWLAND, b"\x02\x010000@TSUENA1\x06;", None);
        check(HONEYWELL, b"4006381333931\r", None);
    }

    #[test]
    fn datalogic_s_scanners_say_of_each_part_that_it_is_taken() {
        let command = "$S,CAIEN01,Ar\r";
        check(command, b"$>,>,>", Some(Answer::Taken));
        check(command, b"\r\n$>,>,>\r\n", Some(Answer::Taken));
        check(command, b"$>,>", None);
        assert_eq!(last_judged(b"$>,%,>"), Answer::Other(b"$>,%,>".to_vec()));
        // Only to such a command.
        check("$+EB2$-\r", b"$>,>,>", None);
    }

    #[test]
    fn what_was_said_before_the_line_went_counts() {
        let why = || "the line was closed".to_owned();
        assert_eq!(gone(b"\x06", why()), Answer::Taken);
        assert_eq!(gone(b"\x15\r", why()), Answer::Refused);
        assert_eq!(gone(b"", why()), Answer::Gone(why()));
        assert_eq!(gone(b"4006381333931\r", why()), Answer::Gone(why()));
    }

    #[test]
    fn a_command_without_text_is_never_said_to_have_come_back() {
        for command in ["", "\u{16}", "\r\n"] {
            check(command, b"", None);
            check(command, b"\x06", None);
        }
    }

    #[test]
    fn without_the_command_a_status_alone_is_an_answer_and_a_scan_is_none() {
        assert_eq!(last_judged(b""), Answer::Silent);
        assert_eq!(last_judged(b"\x06"), Answer::Taken);
        assert_eq!(last_judged(b"\x15\r\n"), Answer::Refused);
        let other = last_judged(b"4006381333931\r");
        assert_eq!(other, Answer::Other(b"4006381333931\r".to_vec()));
        assert!(other.to_string().contains("\"4006381333931\\r\""), "{other}");
    }
}
