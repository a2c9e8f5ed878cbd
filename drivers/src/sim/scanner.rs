//! A barcode scanner on a serial cable.

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio::{sync::Mutex, time};

use super::{SimError, pty::Pty};

/// A scanner that types what it is told. Cloned handles drive the same scanner.
#[derive(Debug, Clone)]
pub struct SimScanner {
    link: PathBuf,
    cable: Arc<Mutex<Cable>>,
}

#[derive(Debug)]
struct Cable {
    pty: Option<Arc<Pty>>,
    suffix: Vec<u8>,
}

impl SimScanner {
    /// Plugs a scanner in at the path `link`; it ends each scan with a carriage return.
    /// Must be called within a tokio runtime.
    ///
    /// # Errors
    /// No pseudo-terminal could be made there.
    pub fn plug_in(link: impl Into<PathBuf>) -> Result<SimScanner, SimError> {
        let link = link.into();
        let pty = Some(Arc::new(Pty::plug_in(&link)?));
        Ok(SimScanner { link, cable: Arc::new(Mutex::new(Cable { pty, suffix: b"\r".to_vec() })) })
    }

    /// The path that a driver opens.
    #[must_use]
    pub fn path(&self) -> &std::path::Path {
        &self.link
    }

    /// What ends each scan from now on; empty for a scanner that was set up without a suffix.
    pub async fn set_suffix(&self, suffix: &[u8]) {
        self.cable.lock().await.suffix = suffix.to_vec();
    }

    /// A barcode passes under the beam.
    ///
    /// # Errors
    /// The scanner is unplugged, or nobody reads.
    pub async fn scan(&self, barcode: &[u8]) -> Result<(), SimError> {
        let cable = self.cable.lock().await;
        let bytes = [barcode, &cable.suffix].concat();
        write(&cable, &bytes).await
    }

    /// Types bytes as they are, without a suffix: noise, half a barcode.
    ///
    /// # Errors
    /// The scanner is unplugged, or nobody reads.
    pub async fn type_raw(&self, bytes: &[u8]) -> Result<(), SimError> {
        let cable = self.cable.lock().await;
        write(&cable, bytes).await
    }

    /// Types byte by byte with a pause between, as a slow line does, and then the suffix.
    ///
    /// # Errors
    /// The scanner is unplugged, or nobody reads.
    pub async fn type_slowly(&self, barcode: &[u8], pause: Duration) -> Result<(), SimError> {
        let cable = self.cable.lock().await;
        for byte in barcode.iter().chain(&cable.suffix) {
            write(&cable, &[*byte]).await?;
            time::sleep(pause).await;
        }
        Ok(())
    }

    /// Waits until it was sent so many bytes over its line, answers them, and hands them back. A scan may pass meanwhile.
    ///
    /// # Errors
    /// The scanner is unplugged, or nobody reads.
    pub async fn is_told(&self, bytes: usize, answer: &[u8]) -> Result<Vec<u8>, SimError> {
        let pty = self.cable.lock().await.pty.clone().ok_or(SimError::Unplugged)?;
        let (mut told, mut buffer) = (Vec::new(), [0u8; 256]);
        while told.len() < bytes {
            let count = pty.read(&mut buffer).await.map_err(|_gone| SimError::Unplugged)?;
            told.extend_from_slice(&buffer[..count]);
        }
        pty.write_all(answer).await.map_err(|_stuck| SimError::NobodyReads)?;
        Ok(told)
    }

    /// Pulls the cable.
    pub async fn unplug(&self) {
        self.cable.lock().await.pty = None;
    }

    /// Plugs the cable in again, at the same path.
    ///
    /// # Errors
    /// No pseudo-terminal could be made there.
    pub async fn replug(&self) -> Result<(), SimError> {
        let mut cable = self.cable.lock().await;
        if cable.pty.is_none() {
            cable.pty = Some(Arc::new(Pty::plug_in(&self.link)?));
        }
        Ok(())
    }

    /// Is the cable in?
    pub async fn is_plugged_in(&self) -> bool {
        self.cable.lock().await.pty.is_some()
    }
}

async fn write(cable: &Cable, bytes: &[u8]) -> Result<(), SimError> {
    let pty = cable.pty.as_ref().ok_or(SimError::Unplugged)?;
    pty.write_all(bytes).await.map_err(|_stuck| SimError::NobodyReads)
}
