//! Makers' programming codes: what sets a scanner up. Pure; the codes are data (`programming.toml`), each with its source.
//!
//! Some are printed and scanned, some are sent over the scanner's own serial line, and of some only the name is known,
//! under which the maker's manual prints them.

use pestle_domain::document::{Block, Document, DocumentError, Fnc3, Style};
use serde::Deserialize;

pub use super::purpose::{Comes, Purpose};

/// How well it is known what a code does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Certainty {
    /// Its source can be looked up and says so.
    #[default]
    Sourced,
    /// A part of it was concluded from other codes, or whoever says so has no title under which it can be looked up: a person is told.
    Inferred,
}

/// One code of a maker.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "RawCode")]
pub struct ProgrammingCode {
    /// What it does.
    pub purpose: Purpose,
    /// What it is.
    pub form: Form,
    /// It mends nothing of scanners that come otherwise; `None` for any.
    pub only: Option<Comes>,
    /// What a person should know before using it.
    pub note: Option<String>,
    /// Who says so: manual, edition, page.
    pub source: String,
    /// How well.
    pub certainty: Certainty,
}

impl ProgrammingCode {
    /// What a person should know before using it, whether it is confirmed first of all.
    pub fn notes(&self) -> impl Iterator<Item = &str> {
        self.doubt().into_iter().chain(self.note.as_deref())
    }

    fn doubt(&self) -> Option<&'static str> {
        match (self.certainty, &self.form) {
            (Certainty::Sourced, _) => None,
            (Certainty::Inferred, Form::Printed { .. }) => {
                Some("Not confirmed: try the code on the sheet on one scanner first.")
            }
            (Certainty::Inferred, Form::Serial { .. }) => {
                Some("Not confirmed: try what is sent over the line on one scanner first.")
            }
            (Certainty::Inferred, Form::LookUp { .. }) => {
                Some("Not confirmed: the manual may call the code otherwise.")
            }
        }
    }
}

/// As the file has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCode {
    purpose: Purpose,
    form: RawForm,
    data: Option<String>,
    #[serde(default)]
    fnc3: Fnc3,
    name: Option<String>,
    only: Option<Comes>,
    note: Option<String>,
    source: String,
    #[serde(default)]
    certainty: Certainty,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RawForm {
    Printed,
    Serial,
    LookUp,
}

impl TryFrom<RawCode> for ProgrammingCode {
    type Error = &'static str;

    fn try_from(raw: RawCode) -> Result<ProgrammingCode, &'static str> {
        let form = match (raw.form, raw.data, raw.name) {
            (RawForm::Printed, Some(data), None) => Form::Printed { data, fnc3: raw.fnc3 },
            (RawForm::Serial, Some(data), None) => Form::Serial { data },
            (RawForm::LookUp, None, Some(name)) => Form::LookUp { name },
            (RawForm::Printed | RawForm::Serial, ..) => {
                return Err("a printed or serial code has data, and no name");
            }
            (RawForm::LookUp, ..) => return Err("a code to look up has a name, and no data"),
        };
        let RawCode { purpose, only, note, source, certainty, .. } = raw;
        Ok(ProgrammingCode { purpose, form, only, note, source, certainty })
    }
}

/// What a code is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// A Code 128 with FNC3.
    Printed {
        /// What stands beside FNC3.
        data: String,
        /// Where that is.
        fnc3: Fnc3,
    },
    /// Bytes for the scanner's serial line.
    Serial {
        /// They are ASCII.
        data: String,
    },
    /// A code of the maker's manual.
    LookUp {
        /// Its name there.
        name: String,
    },
}

/// A maker's codes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Maker {
    /// In configurations and addresses.
    pub name: String,
    /// What a person reads, with the series that these codes are for.
    pub title: String,
    /// In the order in which they are printed.
    #[serde(rename = "code")]
    pub codes: Vec<ProgrammingCode>,
}

/// All makers that are known.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Makers {
    #[serde(rename = "maker")]
    makers: Vec<Maker>,
}

/// Why a file of codes is refused.
#[derive(Debug, thiserror::Error)]
pub enum ProgrammingError {
    /// Not as the file's form asks.
    #[error("the file of programming codes cannot be read")]
    Toml(#[from] toml::de::Error),
    /// A code that cannot be drawn.
    #[error("{maker}: a code cannot be printed")]
    Printed {
        /// Whose.
        maker: String,
        /// What is wrong with it.
        #[source]
        source: DocumentError,
    },
    /// A command with other bytes than ASCII, or without a visible one: a scanner's answer is known by the text that comes back.
    #[error("{maker}: the serial command {data:?} is not ASCII, or has no visible character")]
    Serial {
        /// Whose.
        maker: String,
        /// The command.
        data: String,
    },
    /// A code without a source.
    #[error("{maker}: a code has no source; write the manual, its edition and the page")]
    NoSource {
        /// Whose.
        maker: String,
    },
    /// The maker has none that can be sent.
    #[error("no command of {maker} is known that does this over a serial line: {purpose}")]
    NotOverLine {
        /// Whose.
        maker: String,
        /// For what.
        purpose: &'static str,
    },
    /// The maker has none that can be printed.
    #[error("no code of {maker} can be printed here; {instead}")]
    NothingPrinted {
        /// Whose.
        maker: String,
        /// What to do instead.
        instead: String,
    },
    /// No such maker.
    #[error("no codes are known of \"{name}\"; there are those of {known}")]
    UnknownMaker {
        /// What was asked for.
        name: String,
        /// Those that there are.
        known: String,
    },
}

const BUILT_IN: &str = include_str!("programming.toml");

impl Makers {
    /// Those that come with Pestle.
    ///
    /// # Errors
    /// Never, as a test shows; the type says that a file is read.
    pub fn built_in() -> Result<Makers, ProgrammingError> {
        Makers::parse(BUILT_IN)
    }

    /// Reads a file of the same form.
    ///
    /// # Errors
    /// What is wrong in it.
    pub fn parse(text: &str) -> Result<Makers, ProgrammingError> {
        let makers: Makers = toml::from_str(text)?;
        makers.makers.iter().try_for_each(check)?;
        Ok(makers)
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Maker> {
        self.makers.iter()
    }

    /// One by its name.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn get(&self, name: &str) -> Result<&Maker, ProgrammingError> {
        self.iter().find(|maker| maker.name == name).ok_or_else(|| {
            let known: Vec<_> = self.iter().map(|maker| maker.name.as_str()).collect();
            ProgrammingError::UnknownMaker { name: name.to_owned(), known: known.join(", ") }
        })
    }
}

fn check(maker: &Maker) -> Result<(), ProgrammingError> {
    let name = || maker.name.clone();
    for code in &maker.codes {
        if code.source.trim().is_empty() {
            return Err(ProgrammingError::NoSource { maker: name() });
        }
        match &code.form {
            Form::Printed { data, fnc3 } => {
                let blocks = vec![Block::ScannerCode { data: data.clone(), fnc3: *fnc3 }];
                Document { blocks, ..Document::new("check") }
                    .check()
                    .map_err(|source| ProgrammingError::Printed { maker: name(), source })?;
            }
            Form::Serial { data } if !data.is_ascii() || !data.chars().any(|c| c.is_ascii_graphic()) => {
                return Err(ProgrammingError::Serial { maker: name(), data: data.clone() });
            }
            Form::Serial { .. } | Form::LookUp { .. } => {}
        }
    }
    Ok(())
}

impl Maker {
    /// The codes that do this, in the order of the file.
    pub fn codes_for(&self, purpose: Purpose) -> impl Iterator<Item = &ProgrammingCode> {
        self.codes.iter().filter(move |code| code.purpose == purpose)
    }

    /// The command that does this over the scanner's serial line.
    ///
    /// # Errors
    /// None is known.
    pub fn command_for(&self, purpose: Purpose) -> Result<&str, ProgrammingError> {
        let command = self.codes_for(purpose).find_map(|code| match &code.form {
            Form::Serial { data } => Some(data.as_str()),
            Form::Printed { .. } | Form::LookUp { .. } => None,
        });
        command.ok_or_else(|| ProgrammingError::NotOverLine {
            maker: self.title.clone(),
            purpose: purpose.title(),
        })
    }

    /// The page with this maker's codes, and the names of those that only the manual prints. What is sent over a line is
    /// not on it.
    ///
    /// # Errors
    /// None of them can be printed; the error says what to do instead.
    pub fn sheet(&self) -> Result<Document, ProgrammingError> {
        if !self.codes.iter().any(|code| matches!(code.form, Form::Printed { .. })) {
            return Err(ProgrammingError::NothingPrinted {
                maker: self.title.clone(),
                instead: self.without_sheet(),
            });
        }
        let text = |text: String| Block::Text { text, style: Style::default() };
        let title = format!("Scanner set-up: {}", self.title);
        let mut blocks = vec![
            Block::Heading { text: "Scanner set-up".to_owned() },
            text(self.title.clone()),
            text(
                "Scan only what the page for devices asks for, then let the scanner learn again.".to_owned(),
            ),
        ];
        for code in &self.codes {
            let mut part = match &code.form {
                Form::Printed { data, fnc3 } => vec![Block::ScannerCode { data: data.clone(), fnc3: *fnc3 }],
                Form::LookUp { name } => {
                    vec![text(format!("Scan \"{name}\" in the maker's manual: {}", code.source))]
                }
                Form::Serial { .. } => continue,
            };
            let style = Style { bold: true, ..Style::default() };
            blocks.extend([Block::Rule, Block::Text { text: code.purpose.title().to_owned(), style }]);
            blocks.extend(code.notes().map(|note| text(note.to_owned())));
            blocks.append(&mut part);
            blocks.push(Block::Feed { lines: 2 });
        }
        blocks.push(Block::Cut);
        Ok(Document { blocks, ..Document::new(title) })
    }

    /// What a person does with codes of which none is printed.
    fn without_sheet(&self) -> String {
        let instead = self.codes.iter().filter_map(|code| {
            let title = code.purpose.title();
            let doubt = code.doubt().map(|doubt| format!(" {doubt}")).unwrap_or_default();
            match &code.form {
                Form::Printed { .. } => None,
                Form::Serial { .. } => Some(format!(
                    "{title}: over its serial line, `pestle-agent devices program NAME --maker {} --purpose {}`.{doubt}",
                    self.name,
                    code.purpose.name()
                )),
                Form::LookUp { name } => {
                    Some(format!("{title}: scan \"{name}\" in the maker's manual ({}).{doubt}", code.source))
                }
            }
        });
        instead.collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_codes_are_read_and_each_names_its_source() {
        let makers = Makers::built_in().unwrap();
        let names: Vec<_> = makers.iter().map(|maker| maker.name.as_str()).collect();
        assert_eq!(
            names,
            ["datalogic", "datalogic-powerscan", "honeywell", "metrologic", "newland", "opticon", "zebra"]
        );
        for maker in makers.iter() {
            if let Ok(sheet) = maker.sheet() {
                assert_eq!(sheet.check(), Ok(()), "{}", maker.name);
            }
        }
    }

    /// What a source is called that somebody else can find: a manual, a tool's address, a titled article.
    const TITLES: [&str; 5] =
        ["Guide", "Instructions", "github.com/", "EZConfig-Scanning 4, help", "bar code symbologies, \""];
    /// Whoever has no title.
    const NOBODY: [&str; 5] =
        ["a published", "A published", "command list of", "that was run on", "Name: as above"];

    #[test]
    fn a_code_whose_source_cannot_be_looked_up_says_so_on_the_sheet_and_wherever_it_is_offered() {
        let makers = Makers::built_in().unwrap();
        for (maker, code) in makers.iter().flat_map(|maker| maker.codes.iter().map(move |code| (maker, code)))
        {
            let what = format!("{} {} {:?}: {}", maker.name, code.purpose.name(), code.form, code.source);
            let is_titled = TITLES.iter().any(|title| code.source.contains(title))
                && !NOBODY.iter().any(|nobody| code.source.contains(nobody));
            let expected = if is_titled { Certainty::Sourced } else { Certainty::Inferred };
            assert_eq!(code.certainty, expected, "{what}");
            let doubted = code.notes().any(|note| note.starts_with("Not confirmed: "));
            assert_eq!(doubted, code.certainty == Certainty::Inferred, "{what}");
        }
        let sheet = format!("{:?}", makers.get("honeywell").unwrap().sheet().unwrap());
        assert_eq!(sheet.matches("Not confirmed: try the code on the sheet").count(), 1, "{sheet}");
        let newland = makers.get("newland").unwrap().sheet().unwrap_err().to_string();
        assert_eq!(newland.matches("Not confirmed: try what is sent").count(), 2, "{newland}");
    }

    #[test]
    fn a_sheet_shows_what_is_printed_and_what_is_to_be_looked_up_and_no_serial_command() {
        let makers = Makers::built_in().unwrap();
        let printed = |name: &str| {
            let blocks = makers.get(name).unwrap().sheet().unwrap().blocks;
            let codes = blocks.into_iter().filter_map(|block| match block {
                Block::ScannerCode { data, fnc3 } => Some((data, fnc3)),
                _ => None,
            });
            codes.collect::<Vec<_>>()
        };
        let first = |data: &str| (data.to_owned(), Fnc3::First);
        let last = |data: &str| (data.to_owned(), Fnc3::Last);
        assert_eq!(printed("datalogic"), ["$P,Ae,P\r", "$P,HA47,P\r", "$P,HA35,P\r"].map(first));
        assert_eq!(printed("honeywell"), ["~DEFALT.", "~VSUFCR."].map(last));
    }

    #[test]
    fn a_maker_without_printed_codes_has_no_sheet_and_what_is_done_instead_is_said() {
        let makers = Makers::built_in().unwrap();
        let instead = |name: &str| makers.get(name).unwrap().sheet().unwrap_err().to_string();
        assert!(instead("zebra").contains("scan \"Transmit Code ID Character"), "{}", instead("zebra"));
        let newland = instead("newland");
        assert!(newland.contains("program NAME --maker newland --purpose suffix_cr"), "{newland}");
    }

    #[test]
    fn serial_commands_are_framed_as_their_makers_ask() {
        let makers = Makers::built_in().unwrap();
        let serial = |name: &str| makers.get(name).unwrap().command_for(Purpose::SuffixCr);
        assert_eq!(serial("honeywell").unwrap(), "\u{16}M\rVSUFCR.");
        assert_eq!(serial("newland").unwrap(), "~\u{1}0000@TSUENA1;TSUSET0D0A;\u{3}");
        // Twenty bytes in hexadecimal, the first of them the carriage return.
        assert_eq!(serial("datalogic").unwrap(), format!("$S,CLFSU0D{},Ar\r", "00".repeat(19)));
        assert_eq!(serial("datalogic-powerscan").unwrap(), "$+EA110D$-\r");
        assert_eq!(serial("opticon").unwrap(), "\u{1b}RZ1MZ2\r");
        assert!(serial("zebra").unwrap_err().to_string().starts_with("no command of Zebra"));
    }

    #[test]
    fn a_purpose_is_written_alike_in_a_file_and_in_a_command() {
        for purpose in Purpose::ALL {
            assert_eq!(purpose.name().parse(), Ok(purpose));
            let text =
                format!("purpose = \"{}\"\nform = \"look_up\"\nname = \"n\"\nsource = \"s\"", purpose.name());
            let code: ProgrammingCode = toml::from_str(&text).unwrap();
            assert_eq!(code.purpose, purpose);
        }
        assert!("beep".parse::<Purpose>().unwrap_err().contains("there are factory_default, suffix_cr"));
    }

    fn check_refused(code: &str, expected: &str) {
        let text = format!("[[maker]]\nname = \"x\"\ntitle = \"X\"\n[[maker.code]]\n{code}");
        let error = Makers::parse(&text).unwrap_err();
        let all = format!(
            "{error} {}",
            std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default()
        );
        assert!(all.contains(expected), "{all}");
    }

    #[test]
    fn a_code_that_cannot_be_used_is_refused_with_what_is_wrong() {
        check_refused(
            "purpose = \"suffix_cr\"\nform = \"printed\"\ndata = \"\"\nsource = \"s\"",
            "1 to 48 ASCII",
        );
        check_refused(
            "purpose = \"suffix_cr\"\nform = \"serial\"\ndata = \"é\"\nsource = \"s\"",
            "not ASCII",
        );
        for data in ["", "\\u0016\\r"] {
            check_refused(
                &format!("purpose = \"suffix_cr\"\nform = \"serial\"\ndata = \"{data}\"\nsource = \"s\""),
                "no visible character",
            );
        }
        check_refused(
            "purpose = \"suffix_cr\"\nform = \"look_up\"\nname = \"n\"\nsource = \" \"",
            "no source",
        );
        check_refused(
            "purpose = \"beep\"\nform = \"look_up\"\nname = \"n\"\nsource = \"s\"",
            "unknown variant",
        );
        let error = Makers::built_in().unwrap().get("acme").unwrap_err().to_string();
        assert!(error.contains("there are those of datalogic, datalogic-powerscan, honeywell"), "{error}");
    }
}
