//! A branch's export, read piece by piece: a day's history of a branch need not fit into memory.

use std::io::{self, BufRead, Read as _};

use pestle_domain::wire::{
    MESSAGE_BYTES_MAX,
    export::{Preface, PrefaceError},
};
use serde::Deserialize;

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum BadExport {
    /// The disk.
    #[error("the export cannot be read")]
    Disk(#[from] io::Error),
    /// Its first line.
    #[error(transparent)]
    Preface(#[from] PrefaceError),
    /// A header.
    #[error("line {line} of the export is no header of a batch")]
    Header {
        /// From 1.
        line: u64,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// A batch that no box would write.
    #[error("the batch at line {line} of the export is longer than {MESSAGE_BYTES_MAX} bytes")]
    TooLong {
        /// From 1.
        line: u64,
    },
    /// The file ends in the middle.
    #[error("the export ends at line {line}, within a batch: copy the file again")]
    Cut {
        /// From 1.
        line: u64,
    },
}

/// A file that is being read.
#[derive(Debug)]
pub struct Export<R> {
    input: R,
    preface: Preface,
    line: u64,
}

impl<R: BufRead> Export<R> {
    /// Reads the first line.
    ///
    /// # Errors
    /// [`BadExport`].
    pub fn open(mut input: R) -> Result<Self, BadExport> {
        let mut first = Vec::new();
        read_line(&mut input, 1, &mut first)?;
        let preface = Preface::parse(&first)?;
        Ok(Self { input, preface, line: 1 })
    }

    /// Whose it is.
    pub fn preface(&self) -> &Preface {
        &self.preface
    }

    /// The next batch, as it would be a message; `None` at the end.
    ///
    /// # Errors
    /// [`BadExport`].
    pub fn next_message(&mut self) -> Result<Option<Vec<u8>>, BadExport> {
        #[derive(Deserialize)]
        struct Counted {
            count: u64,
        }
        let mut message = Vec::new();
        self.line += 1;
        if read_line(&mut self.input, self.line, &mut message)? == 0 {
            return Ok(None);
        }
        let header = self.line;
        let Counted { count } =
            serde_json::from_slice(&message).map_err(|source| BadExport::Header { line: header, source })?;
        for _ in 0..count {
            self.line += 1;
            if read_line(&mut self.input, self.line, &mut message)? == 0 {
                return Err(BadExport::Cut { line: self.line });
            }
            if message.len() > MESSAGE_BYTES_MAX {
                return Err(BadExport::TooLong { line: header });
            }
        }
        Ok(Some(message))
    }
}

/// Appends a line with its end, and says how many bytes that were; 0 at the end of the file.
fn read_line(input: &mut impl BufRead, line: u64, into: &mut Vec<u8>) -> Result<usize, BadExport> {
    let most = MESSAGE_BYTES_MAX as u64 + 1;
    let read = input.by_ref().take(most).read_until(b'\n', into)?;
    match into.last() {
        Some(b'\n') | None => Ok(read),
        Some(_) if read == 0 => Ok(0),
        Some(_) if read as u64 == most => Err(BadExport::TooLong { line }),
        Some(_) => Err(BadExport::Cut { line }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREFACE: &str =
        r#"{"export":1,"tenant":"acme","branch":"north","device":"box-1","made_at":1,"acknowledgements":[]}"#;

    fn check(rest: &str, expected: Result<usize, &str>) {
        let text = format!("{PREFACE}\n{rest}");
        let mut export = Export::open(text.as_bytes()).unwrap();
        let mut found = 0;
        let outcome = loop {
            match export.next_message() {
                Ok(Some(_)) => found += 1,
                Ok(None) => break Ok(found),
                Err(error) => break Err(error.to_string()),
            }
        };
        assert_eq!(outcome, expected.map_err(str::to_owned), "{rest}");
    }

    #[test]
    fn a_file_is_cut_into_its_batches_and_one_that_is_not_whole_says_where() {
        check("", Ok(0));
        check("{\"count\":2}\na\nb\n{\"count\":1}\nc\n", Ok(2));
        check("{\"count\":2}\na\n", Err("the export ends at line 4, within a batch: copy the file again"));
        check("{\"count\":1}\nab", Err("the export ends at line 3, within a batch: copy the file again"));
        check("what\n", Err("line 2 of the export is no header of a batch"));
        let long = format!("{{\"count\":1}}\n{}\n", "x".repeat(MESSAGE_BYTES_MAX + 10));
        check(&long, Err("the batch at line 3 of the export is longer than 262144 bytes"));
        assert!(matches!(Export::open(&b"{}\n"[..]), Err(BadExport::Preface(_))));
        assert!(matches!(Export::open(&b""[..]), Err(BadExport::Preface(_))));
    }
}
