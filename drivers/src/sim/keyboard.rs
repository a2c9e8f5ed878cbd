//! A scanner that pretends to be a keyboard: it presses keys of a country's layout and writes the kernel's records of
//! them on a Unix socket, where a driver reads what it would read from an input device.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use tokio::{
    io::AsyncWriteExt as _,
    net::{UnixListener, UnixStream},
    sync::Mutex,
    time,
};

use super::{SimError, typist::Typist};
use crate::scanner::keyboard::{
    record::{EV_SYN, KeyRecord, SYN_DROPPED, SYN_REPORT},
    source::KeySource,
};

/// A scanner in keyboard mode. Cloned handles drive the same one.
#[derive(Debug, Clone)]
pub struct SimKeyboard {
    path: PathBuf,
    typist: Typist,
    cable: Arc<Mutex<Option<Cable>>>,
}

#[derive(Debug)]
struct Cable {
    listener: UnixListener,
    reader: Option<UnixStream>,
}

/// How long a scan may wait for a driver to open the device.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);

impl SimKeyboard {
    /// Plugs a scanner in at the path `path`. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// No socket could be made there.
    pub fn plug_in(path: impl Into<PathBuf>, typist: Typist) -> Result<SimKeyboard, SimError> {
        let path = path.into();
        let cable = listen(&path)?;
        Ok(SimKeyboard { path, typist, cable: Arc::new(Mutex::new(Some(cable))) })
    }

    /// What a driver opens.
    #[must_use]
    pub fn source(&self) -> KeySource {
        KeySource::Stream(self.path.clone())
    }

    /// Types a text as the scanner does; see [`Typist::press`] for what stands for keys without a character.
    ///
    /// # Errors
    /// The scanner is unplugged, nobody reads, or its layout does not have a character.
    pub async fn type_text(&self, text: &str) -> Result<(), SimError> {
        let records = self.typist.press(text).ok_or_else(|| SimError::NoSuchKey(text.to_owned()))?;
        self.send(&records).await
    }

    /// Sends records as they are.
    ///
    /// # Errors
    /// The scanner is unplugged, or nobody reads.
    pub async fn send(&self, records: &[KeyRecord]) -> Result<(), SimError> {
        let mut cable = self.cable.lock().await;
        let cable = cable.as_mut().ok_or(SimError::Unplugged)?;
        let bytes: Vec<u8> = records.iter().flat_map(|record| record.to_bytes()).collect();
        time::timeout(OPEN_TIMEOUT, cable.write(&bytes)).await.map_err(|_elapsed| SimError::NobodyReads)
    }

    /// The kernel's queue overflows: some events are gone.
    ///
    /// # Errors
    /// The scanner is unplugged, or nobody reads.
    pub async fn drop_events(&self) -> Result<(), SimError> {
        let marks = [SYN_DROPPED, SYN_REPORT];
        self.send(&marks.map(|code| KeyRecord { at_us: 0, kind: EV_SYN, code, value: 0 })).await
    }

    /// Pulls the cable.
    pub async fn unplug(&self) {
        *self.cable.lock().await = None;
        let _already_gone = std::fs::remove_file(&self.path);
    }

    /// Plugs the cable in again, at the same path.
    ///
    /// # Errors
    /// No socket could be made there.
    pub async fn replug(&self) -> Result<(), SimError> {
        let mut cable = self.cable.lock().await;
        if cable.is_none() {
            *cable = Some(listen(&self.path)?);
        }
        Ok(())
    }
}

impl Cable {
    async fn write(&mut self, bytes: &[u8]) {
        loop {
            let reader = match &mut self.reader {
                Some(reader) => reader,
                None => match self.listener.accept().await {
                    Ok((reader, _)) => self.reader.insert(reader),
                    Err(error) => {
                        tracing::warn!(%error, "the simulated keyboard could not be opened");
                        continue;
                    }
                },
            };
            match reader.write_all(bytes).await {
                Ok(()) => return,
                // The driver that had it has gone; the next one gets all of it.
                Err(_gone) => self.reader = None,
            }
        }
    }
}

fn listen(path: &PathBuf) -> Result<Cable, SimError> {
    let error = |source: io::Error| SimError::Keyboard { path: path.clone(), source };
    if path.exists() {
        std::fs::remove_file(path).map_err(error)?;
    }
    Ok(Cable { listener: UnixListener::bind(path).map_err(error)?, reader: None })
}
