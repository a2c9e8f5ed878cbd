//! A branch's history as a file: one line that says whose it is, then batches of the wire behind each other, as the box
//! would send them. Every batch is signed by the box, so the file can be carried by anybody and checked without a network.

use serde::{Deserialize, Serialize};

use crate::{
    ids::{BranchId, DeviceId, TenantId},
    journal::Acknowledgement,
    units::UnixMillis,
};

/// The version that this code writes.
pub const EXPORT_VERSION: u16 = 1;

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preface {
    /// [`EXPORT_VERSION`].
    pub export: u16,
    /// The chain.
    pub tenant: TenantId,
    /// The branch.
    pub branch: BranchId,
    /// The box that wrote the file.
    pub device: DeviceId,
    /// When, by its clock.
    pub made_at: UnixMillis,
    /// The centre's last signed word on each stream in the file.
    pub acknowledgements: Vec<Acknowledgement>,
}

/// Why a first line is none.
#[derive(Debug, thiserror::Error)]
pub enum PrefaceError {
    /// Something else.
    #[error("this is no export of a branch: make one with \"pestle-agent journal export\"")]
    NoExport(#[source] serde_json::Error),
    /// Written by a newer version.
    #[error(
        "this export is of version {0}, and {EXPORT_VERSION} is the newest that can be read here: upgrade the gateway"
    )]
    Newer(u16),
}

impl Preface {
    /// Reads the first line of a file.
    ///
    /// # Errors
    /// [`PrefaceError`].
    pub fn parse(line: &[u8]) -> Result<Self, PrefaceError> {
        #[derive(Deserialize)]
        struct Version {
            export: u16,
        }
        let Version { export } = serde_json::from_slice(line).map_err(PrefaceError::NoExport)?;
        if export > EXPORT_VERSION {
            return Err(PrefaceError::Newer(export));
        }
        serde_json::from_slice(line).map_err(PrefaceError::NoExport)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_line_is_read_as_it_was_written_and_what_is_none_says_so() {
        let preface = Preface {
            export: EXPORT_VERSION,
            tenant: "acme".parse().unwrap(),
            branch: "north".parse().unwrap(),
            device: "box-1".parse().unwrap(),
            made_at: UnixMillis(1_795_250_000_000),
            acknowledgements: Vec::new(),
        };
        let line = serde_json::to_vec(&preface).unwrap();
        assert_eq!(
            String::from_utf8(line.clone()).unwrap(),
            r#"{"export":1,"tenant":"acme","branch":"north","device":"box-1","made_at":1795250000000,"acknowledgements":[]}"#
        );
        assert_eq!(Preface::parse(&line).unwrap(), preface);
        assert!(matches!(Preface::parse(b"{\"export\":2}"), Err(PrefaceError::Newer(2))));
        assert!(matches!(Preface::parse(b"{\"v\":1}"), Err(PrefaceError::NoExport(_))));
        assert!(matches!(Preface::parse(b"\xff"), Err(PrefaceError::NoExport(_))));
    }
}
