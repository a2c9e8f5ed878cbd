//! Requests to an office printer, and what is taken from its answers. Pure; RFC 8010 and RFC 8011 through the `ipp` crate.

use std::io::Cursor;

use hyper::body::Bytes;
use ipp::{
    attribute::{IppAttribute, IppAttributes},
    model::{DelimiterTag, IppVersion, Operation, StatusCode},
    parser::{IppParseError, IppParser},
    reader::IppReader,
    request::IppRequestResponse,
    value::IppValue,
};

use super::{
    address::IppAddress,
    raster::{Dots, Paper},
    state::{JobReport, PrinterState},
};

/// The form of what we send.
pub(super) const FORMAT: &str = "image/pwg-raster";

/// Who prints, as the printer's own list of jobs names it.
const USER: &str = "pestle";

/// A name is at most so long (RFC 8011, 5.1.3).
const NAME_BYTES_MAX: usize = 255;

/// What is asked of the printer: enough to know whether it would print, and in which form.
const PRINTER_ATTRIBUTES: [&str; 9] = [
    "printer-up-time",
    "printer-state",
    "printer-state-reasons",
    "printer-is-accepting-jobs",
    "printer-make-and-model",
    "operations-supported",
    "document-format-supported",
    "pwg-raster-document-type-supported",
    "pwg-raster-document-resolution-supported",
];

/// What is asked about a job.
const JOB_ATTRIBUTES: [&str; 4] =
    ["job-state", "job-state-reasons", "job-impressions-completed", "time-at-processing"];

/// Why no answer can be made out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// Not IPP at all.
    #[error("the printer's answer is no IPP ({0}): check its address")]
    Malformed(String),
    /// It lacks what every answer of this kind has.
    #[error("the printer's answer lacks {0}: it may need newer firmware")]
    Lacks(&'static str),
}

/// What a job is called, and on what it is printed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ticket<'a> {
    pub(super) title: &'a str,
    pub(super) paper: Paper,
}

/// What a printer says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrinterReport {
    /// How it is.
    pub state: PrinterState,
    /// Why, as keywords.
    pub reasons: Vec<String>,
    /// It takes jobs at all.
    pub accepts_jobs: bool,
    /// As it names itself.
    pub make_and_model: String,
    /// Seconds since it was switched on.
    pub up_seconds: Option<i32>,
    /// It takes a job first and its document later.
    pub creates_jobs: bool,
    /// It takes what we send.
    pub takes_raster: bool,
    /// How dots are to be written; `None` where it takes neither form.
    pub dots: Option<Dots>,
    /// Dots per inch.
    pub dpi: u16,
}

/// Asks how the printer is.
pub(super) fn get_printer(address: &IppAddress) -> Result<Bytes, IppParseError> {
    let mut request = request(Operation::GetPrinterAttributes, address, None)?;
    add(&mut request, "requested-attributes", keywords(&PRINTER_ATTRIBUTES)?)?;
    Ok(request.to_bytes())
}

/// Asks whether it would take such a job.
pub(super) fn validate_job(address: &IppAddress, ticket: Ticket<'_>) -> Result<Bytes, IppParseError> {
    let mut request = request(Operation::ValidateJob, address, None)?;
    describe(&mut request, ticket)?;
    add(&mut request, "document-format", IppValue::new_mime_media_type(FORMAT)?)?;
    choose_paper(&mut request, ticket)?;
    Ok(request.to_bytes())
}

/// Announces a job.
pub(super) fn create_job(address: &IppAddress, ticket: Ticket<'_>) -> Result<Bytes, IppParseError> {
    let mut request = request(Operation::CreateJob, address, None)?;
    describe(&mut request, ticket)?;
    choose_paper(&mut request, ticket)?;
    Ok(request.to_bytes())
}

/// Sends the document of an announced job.
pub(super) fn send_document(address: &IppAddress, job: i32, pages: &[u8]) -> Result<Bytes, IppParseError> {
    let mut request = request(Operation::SendDocument, address, Some(job))?;
    add(&mut request, "document-format", IppValue::new_mime_media_type(FORMAT)?)?;
    add(&mut request, "last-document", IppValue::new_boolean(true))?;
    Ok([&request.to_bytes(), pages].concat().into())
}

/// Sends job and document at once, for printers that know no other way.
pub(super) fn print_job(
    address: &IppAddress,
    ticket: Ticket<'_>,
    pages: &[u8],
) -> Result<Bytes, IppParseError> {
    let mut request = request(Operation::PrintJob, address, None)?;
    describe(&mut request, ticket)?;
    add(&mut request, "document-format", IppValue::new_mime_media_type(FORMAT)?)?;
    choose_paper(&mut request, ticket)?;
    Ok([&request.to_bytes(), pages].concat().into())
}

/// Asks how a job is.
pub(super) fn get_job(address: &IppAddress, job: i32) -> Result<Bytes, IppParseError> {
    let mut request = request(Operation::GetJobAttributes, address, Some(job))?;
    add(&mut request, "requested-attributes", keywords(&JOB_ATTRIBUTES)?)?;
    Ok(request.to_bytes())
}

/// Takes a job back.
pub(super) fn cancel_job(address: &IppAddress, job: i32) -> Result<Bytes, IppParseError> {
    Ok(request(Operation::CancelJob, address, Some(job))?.to_bytes())
}

/// Version 1.1, which every printer of 2.x takes too (PWG 5100.12, 4.1).
fn request(
    operation: Operation,
    address: &IppAddress,
    job: Option<i32>,
) -> Result<IppRequestResponse, IppParseError> {
    let mut request = IppRequestResponse::new(IppVersion::v1_1(), operation, None)?;
    add(&mut request, "printer-uri", IppValue::new_uri(address.to_string())?)?;
    if let Some(job) = job {
        add(&mut request, "job-id", IppValue::new_integer(job))?;
    }
    add(&mut request, "requesting-user-name", IppValue::new_name_without_language(USER)?)?;
    Ok(request)
}

fn describe(request: &mut IppRequestResponse, ticket: Ticket<'_>) -> Result<(), IppParseError> {
    let mut title = ticket.title;
    while title.len() > NAME_BYTES_MAX {
        title = title.char_indices().next_back().map_or("", |(at, _)| &title[..at]);
    }
    add(request, "job-name", IppValue::new_name_without_language(title)?)
}

fn choose_paper(request: &mut IppRequestResponse, ticket: Ticket<'_>) -> Result<(), IppParseError> {
    for (name, value) in [("media", ticket.paper.name()), ("sides", "one-sided")] {
        let attribute = IppAttribute::with_name(name, IppValue::new_keyword(value)?)?;
        request.attributes_mut().add(DelimiterTag::JobAttributes, attribute);
    }
    Ok(())
}

fn add(request: &mut IppRequestResponse, name: &str, value: IppValue) -> Result<(), IppParseError> {
    let attribute = IppAttribute::with_name(name, value)?;
    request.attributes_mut().add(DelimiterTag::OperationAttributes, attribute);
    Ok(())
}

fn keywords(names: &[&str]) -> Result<IppValue, IppParseError> {
    names.iter().map(|name| IppValue::new_keyword(*name)).collect::<Result<_, _>>().map(IppValue::Array)
}

/// An answer: its status, and its attributes.
#[derive(Debug)]
pub struct Answer {
    pub(super) status: StatusCode,
    attributes: IppAttributes,
}

impl Answer {
    /// Reads an answer.
    ///
    /// # Errors
    /// It is none.
    pub fn read(bytes: Bytes) -> Result<Answer, MessageError> {
        if !texts_with_language_fit(&bytes) {
            return Err(MessageError::Malformed("a text is longer than its place".to_owned()));
        }
        let parser = IppParser::new(IppReader::new(Cursor::new(bytes)));
        let answer = parser.parse().map_err(|error| MessageError::Malformed(error.to_string()))?;
        Ok(Answer { status: answer.header().status_code(), attributes: answer.attributes().clone() })
    }

    /// In the printer's words, for a person.
    #[must_use]
    pub fn refusal(&self) -> String {
        let said = self.text(DelimiterTag::OperationAttributes, "status-message").unwrap_or_default();
        let status = self.status.to_string();
        if said.is_empty() || said == status { status } else { format!("{status} ({said})") }
    }

    /// The number of a new job.
    ///
    /// # Errors
    /// It has none.
    pub fn job_id(&self) -> Result<i32, MessageError> {
        self.number(DelimiterTag::JobAttributes, "job-id").ok_or(MessageError::Lacks("job-id"))
    }

    /// How a job is.
    ///
    /// # Errors
    /// It does not say so.
    pub fn job(&self) -> Result<JobReport, MessageError> {
        let group = DelimiterTag::JobAttributes;
        let state = self.number(group, "job-state").ok_or(MessageError::Lacks("job-state"))?;
        let impressions = self.number(group, "job-impressions-completed").and_then(|n| u32::try_from(n).ok());
        let began = self.first(group, "time-at-processing").and_then(|value| match value {
            IppValue::NoValue => Some(false),
            // Seconds since the printer was switched on: 0 is a time too.
            IppValue::Integer(_) => Some(true),
            _ => None,
        });
        Ok(JobReport { state, reasons: self.texts(group, "job-state-reasons"), impressions, began })
    }

    /// How the printer is.
    ///
    /// # Errors
    /// It does not say so.
    pub fn printer(&self) -> Result<PrinterReport, MessageError> {
        let group = DelimiterTag::PrinterAttributes;
        let state = match self.number(group, "printer-state") {
            Some(3) => PrinterState::Idle,
            Some(4) => PrinterState::Processing,
            Some(5) => PrinterState::Stopped,
            _ => return Err(MessageError::Lacks("printer-state")),
        };
        let operations: Vec<i32> = self.all(group, "operations-supported").filter_map(number).collect();
        let knows = |operation: Operation| operations.contains(&(operation as i32));
        let types = self.texts(group, "pwg-raster-document-type-supported");
        let dots = match () {
            () if types.iter().any(|one| one == "sgray_8") => Some(Dots::Grey8),
            () if types.iter().any(|one| one == "black_1") => Some(Dots::Black1),
            () => None,
        };
        let accepts = self.first(group, "printer-is-accepting-jobs");
        Ok(PrinterReport {
            state,
            reasons: self.texts(group, "printer-state-reasons"),
            accepts_jobs: !matches!(accepts, Some(IppValue::Boolean(false))),
            make_and_model: self.text(group, "printer-make-and-model").unwrap_or_default(),
            up_seconds: self.number(group, "printer-up-time"),
            creates_jobs: knows(Operation::CreateJob) && knows(Operation::SendDocument),
            takes_raster: self.texts(group, "document-format-supported").iter().any(|one| one == FORMAT),
            dots,
            dpi: self.resolution(),
        })
    }

    /// 300 dots an inch where the printer takes that, what it takes first else.
    fn resolution(&self) -> u16 {
        let group = DelimiterTag::PrinterAttributes;
        let all =
            self.all(group, "pwg-raster-document-resolution-supported").filter_map(|value| match value {
                // Units: 3 is dots per inch.
                IppValue::Resolution { cross_feed, feed, units: 3 } if cross_feed == feed => {
                    u16::try_from(*feed).ok()
                }
                _ => None,
            });
        let mut usable = all.filter(|dpi| (150..=1_200).contains(dpi));
        let first = usable.next();
        if first == Some(300) || usable.any(|dpi| dpi == 300) { 300 } else { first.unwrap_or(300) }
    }

    fn all(&self, group: DelimiterTag, name: &str) -> impl Iterator<Item = &IppValue> {
        let attribute = self.attributes.groups_of(group).find_map(|group| group.get(name));
        attribute.into_iter().flat_map(|attribute| attribute.value())
    }

    fn first(&self, group: DelimiterTag, name: &str) -> Option<&IppValue> {
        self.all(group, name).next()
    }

    fn number(&self, group: DelimiterTag, name: &str) -> Option<i32> {
        self.first(group, name).and_then(number)
    }

    fn text(&self, group: DelimiterTag, name: &str) -> Option<String> {
        self.first(group, name).map(words)
    }

    fn texts(&self, group: DelimiterTag, name: &str) -> Vec<String> {
        self.all(group, name).map(words).collect()
    }
}

/// Bytes before the first group (RFC 8010, 3.1.1): version, status, request.
const HEADER_BYTES: usize = 8;
/// RFC 8010, 3.5.1: behind it stands the document.
const END_OF_ATTRIBUTES: u8 = 0x03;
/// Tags up to here begin a group (RFC 8010, 3.5.1).
const DELIMITER_MAX: u8 = 0x0f;
/// Text and name with their language (RFC 8010, 3.5.2).
const WITH_LANGUAGE: [u8; 2] = [0x35, 0x36];

/// Whether the two lengths inside each text or name with a language (RFC 8010, 3.9) keep within its value: the crate
/// believes them and panics. Whatever else is wrong the crate finds.
fn texts_with_language_fit(bytes: &[u8]) -> bool {
    let mut rest = bytes.get(HEADER_BYTES..).unwrap_or_default();
    while let Some((&tag, behind)) = rest.split_first() {
        rest = match tag {
            END_OF_ATTRIBUTES => return true,
            ..=DELIMITER_MAX => behind,
            _ => {
                let value = counted(behind).and_then(|(_name, behind)| counted(behind));
                let Some((value, behind)) = value else { return true };
                let fits = || counted(value).and_then(|(_language, text)| counted(text)).is_some();
                if WITH_LANGUAGE.contains(&tag) && !fits() {
                    return false;
                }
                behind
            }
        };
    }
    true
}

/// What stands behind its length in two bytes, and what stands behind that.
fn counted(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

fn number(value: &IppValue) -> Option<i32> {
    match value {
        IppValue::Integer(number) | IppValue::Enum(number) => Some(*number),
        _ => None,
    }
}

fn words(value: &IppValue) -> String {
    match value {
        IppValue::TextWithLanguage { text, .. } => text.to_string(),
        IppValue::NameWithLanguage { name, .. } => name.to_string(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_ipp_is_said_to_be_none() {
        let error = Answer::read(Bytes::from_static(b"<html>hello</html>")).err().unwrap();
        assert!(error.to_string().ends_with("check its address"), "{error}");
        assert!(Answer::read(Bytes::new()).is_err());
    }

    #[test]
    fn a_text_that_says_it_is_longer_than_its_value_is_refused_and_no_panic() {
        let answer = |language: u8, text: u8| {
            let value = [&[0, language][..], b"en", &[0, text], b"Office"].concat();
            let length = u8::try_from(value.len()).unwrap();
            [&[2, 0, 0, 0, 0, 0, 0, 1, 4, 0x35, 0, 4][..], b"name", &[0, length], &value, &[3]].concat()
        };
        assert!(Answer::read(answer(2, 6).into()).is_ok());
        for (language, text) in [(2, 7), (2, 255), (200, 6)] {
            assert!(Answer::read(answer(language, text).into()).is_err(), "{language} {text}");
        }
    }

    #[test]
    fn a_long_title_is_shortened_at_a_whole_character() {
        let address = "ipp://printer".parse().unwrap();
        let title = "é".repeat(200);
        let bytes = create_job(&address, Ticket { title: &title, paper: Paper::A4 }).unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        assert_eq!(text.matches('é').count(), 127);
    }

    #[test]
    fn a_request_begins_as_rfc_8011_asks_for() {
        let address = "ipps://printer.local".parse().unwrap();
        let bytes = get_job(&address, 7).unwrap();
        // Version 1.1, Get-Job-Attributes, request 1, operation attributes.
        assert_eq!(bytes[..9], [1, 1, 0, 9, 0, 0, 0, 1, 1]);
        let at = |text: &str| bytes.windows(text.len()).position(|window| window == text.as_bytes()).unwrap();
        assert!(at("attributes-charset") < at("attributes-natural-language"));
        assert!(at("attributes-natural-language") < at("printer-uri"));
        assert!(at("ipps://printer.local:631/ipp/print") < at("job-id"));
    }
}
