//! A download that broke: what came of it, and how the next answer goes on from there. Pure but for its file.

use std::{fs, io, path::Path};

use http::{HeaderMap, StatusCode, header};
use serde::{Deserialize, Serialize};

use crate::durable_file::{self, FileError};

const FILE: &str = "partial.snapshot";

/// The beginning of a packed snapshot, as far as it came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Partial {
    /// Of the whole; empty for nothing.
    pub etag: String,
    /// Its first bytes.
    pub bytes: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct FirstLine {
    etag: String,
}

/// What an answer means for a download.
#[derive(Debug, PartialEq, Eq)]
pub enum Came {
    /// All of it is here.
    Whole(Vec<u8>),
    /// It broke again; what is here is kept.
    Broken,
    /// The centre cannot go on from there: the next try begins anew.
    Anew,
}

impl Partial {
    /// The headers with which a request goes on, when there is something to go on from.
    pub fn asked(&self) -> Vec<(header::HeaderName, String)> {
        if self.bytes.is_empty() || self.etag.is_empty() {
            return Vec::new();
        }
        vec![(header::RANGE, format!("bytes={}-", self.bytes.len())), (header::IF_RANGE, self.etag.clone())]
    }

    /// Takes the body of an answer to a request with [`Partial::asked`], as far as it came; `complete` says whether that is
    /// its end.
    pub fn take(&mut self, status: StatusCode, headers: &HeaderMap, body: Vec<u8>, complete: bool) -> Came {
        let etag = text(headers, header::ETAG).unwrap_or_default().to_owned();
        if status == StatusCode::PARTIAL_CONTENT {
            let starts = text(headers, header::CONTENT_RANGE).and_then(start_of);
            if starts != Some(self.bytes.len()) || etag != self.etag {
                *self = Self::default();
                return Came::Anew;
            }
            self.bytes.extend_from_slice(&body);
        } else {
            *self = Self { etag, bytes: body };
        }
        if complete { Came::Whole(std::mem::take(self).bytes) } else { Came::Broken }
    }

    /// What is kept in `folder`; nothing where there is nothing, or nothing that can be read: it is but a beginning.
    pub fn load(folder: &Path) -> Self {
        let Ok(mut bytes) = fs::read(folder.join(FILE)) else { return Self::default() };
        let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else { return Self::default() };
        match serde_json::from_slice::<FirstLine>(&bytes[..end]) {
            Ok(FirstLine { etag }) => Self { etag, bytes: bytes.split_off(end + 1) },
            Err(_) => Self::default(),
        }
    }

    /// Keeps it in `folder`; nothing removes what was there.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn keep(&self, folder: &Path) -> Result<(), FileError> {
        let path = folder.join(FILE);
        if self.bytes.is_empty() || self.etag.is_empty() {
            return match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    Err(FileError::disk("remove", &path)(error))
                }
                _ => Ok(()),
            };
        }
        durable_file::create_folder(folder)?;
        let mut bytes = serde_json::to_vec(&FirstLine { etag: self.etag.clone() })
            .map_err(|error| FileError::Damaged { path: path.clone(), what: error.to_string() })?;
        bytes.push(b'\n');
        bytes.extend_from_slice(&self.bytes);
        durable_file::write(&path, &bytes)
    }
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// The first byte of `bytes 10-99/100`.
fn start_of(range: &str) -> Option<usize> {
    range.strip_prefix("bytes ")?.split_once('-')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(etag: &str, range: Option<&str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::ETAG, etag.parse().unwrap());
        if let Some(range) = range {
            headers.insert(header::CONTENT_RANGE, range.parse().unwrap());
        }
        headers
    }

    #[test]
    fn a_download_that_broke_goes_on_where_it_stopped_also_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let mut partial = Partial::load(folder.path());
        assert_eq!((partial.asked(), &partial), (vec![], &Partial::default()));
        assert_eq!(
            partial.take(StatusCode::OK, &headers("\"a\"", None), b"0123".to_vec(), false),
            Came::Broken
        );
        partial.keep(folder.path()).unwrap();
        let mut partial = Partial::load(folder.path());
        let asked = partial.asked();
        assert_eq!(asked[0], (header::RANGE, "bytes=4-".to_owned()));
        assert_eq!(asked[1], (header::IF_RANGE, "\"a\"".to_owned()));
        let rest = headers("\"a\"", Some("bytes 4-9/10"));
        assert_eq!(partial.take(StatusCode::PARTIAL_CONTENT, &rest, b"45".to_vec(), false), Came::Broken);
        let rest = headers("\"a\"", Some("bytes 6-9/10"));
        let came = partial.take(StatusCode::PARTIAL_CONTENT, &rest, b"6789".to_vec(), true);
        assert_eq!(came, Came::Whole(b"0123456789".to_vec()));
        partial.keep(folder.path()).unwrap();
        assert_eq!(Partial::load(folder.path()), Partial::default());
    }

    #[test]
    fn another_version_or_another_place_is_never_glued_to_the_beginning() {
        let begun = || Partial { etag: "\"a\"".into(), bytes: b"0123".to_vec() };
        let mut partial = begun();
        let whole = partial.take(StatusCode::OK, &headers("\"b\"", None), b"other".to_vec(), true);
        assert_eq!(whole, Came::Whole(b"other".to_vec()));
        for wrong in [headers("\"b\"", Some("bytes 4-9/10")), headers("\"a\"", Some("bytes 3-9/10"))] {
            let mut partial = begun();
            let came = partial.take(StatusCode::PARTIAL_CONTENT, &wrong, b"x".to_vec(), true);
            assert_eq!((came, partial), (Came::Anew, Partial::default()));
        }
    }
}
