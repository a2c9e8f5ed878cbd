//! The snapshot's file: a line with the proof, then the unpacked JSON as it came. One file, so that it is swapped whole.

use std::{fs, io, path::Path};

use super::verify::Proof;
use crate::durable_file::{self, FileError};

const FILE: &str = "current.snapshot";

/// Keeps a snapshot in place of the one before.
///
/// # Errors
/// The disk refuses; the one before stays.
pub fn keep(folder: &Path, proof: &Proof, body: &[u8]) -> Result<(), FileError> {
    durable_file::create_folder(folder)?;
    let path = folder.join(FILE);
    let mut bytes = serde_json::to_vec(proof)
        .map_err(|error| FileError::Damaged { path: path.clone(), what: error.to_string() })?;
    bytes.reserve(body.len() + 1);
    bytes.push(b'\n');
    bytes.extend_from_slice(body);
    durable_file::write(&path, &bytes)
}

/// What is kept; `None` for nothing. It is not verified yet.
///
/// # Errors
/// The file cannot be read, or has no proof.
pub fn load(folder: &Path) -> Result<Option<(Proof, Vec<u8>)>, FileError> {
    let path = folder.join(FILE);
    let mut bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(FileError::disk("read", &path)(error)),
    };
    let damaged = |what: &str| FileError::Damaged { path: path.clone(), what: what.to_owned() };
    let end =
        bytes.iter().position(|byte| *byte == b'\n').ok_or_else(|| damaged("its first line has no end"))?;
    let proof = serde_json::from_slice(&bytes[..end]).map_err(|error| damaged(&error.to_string()))?;
    let body = bytes.split_off(end + 1);
    Ok(Some((proof, body)))
}
