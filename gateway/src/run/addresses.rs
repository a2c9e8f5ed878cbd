//! `<data_dir>/run/addresses.json`: where the gateway really listens, for whoever started it with port 0.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{
    app::App,
    files::{self, FileError},
};

/// The file's content. It is there exactly while the gateway is ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addresses {
    /// `host:port` of pages and REST.
    pub https: String,
    /// `host:port` of the broker.
    pub mqtt: String,
    /// The gateway's process.
    pub pid: u32,
}

impl Addresses {
    /// Of a running gateway.
    pub fn of(app: &App) -> Self {
        Self { https: app.https.to_string(), mqtt: app.broker.address(), pid: std::process::id() }
    }

    /// Writes the file; gives back where.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn write(&self, folder: &Path) -> Result<PathBuf, FileError> {
        let path = folder.join("addresses.json");
        let json = serde_json::json!(self).to_string();
        files::write_atomically(&path, json.as_bytes(), files::PUBLIC)?;
        Ok(path)
    }
}
