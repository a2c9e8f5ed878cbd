//! A broker as a process with a folder, a port and a core.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result};
use tokio::net::TcpStream;

use super::super::place::make_anew;
use crate::{
    processes::{Keeper, Process, Program, build_folder},
    waiting::until,
};

/// Longer than its start takes on a busy machine.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// See the module.
#[derive(Debug)]
pub struct Broker {
    program: Program,
    keeper: Keeper,
    at: SocketAddr,
    process: Option<Process>,
}

/// What a broker is started with.
#[derive(Debug)]
pub struct Settings<'a> {
    /// In logs.
    pub name: &'a str,
    /// The program.
    pub path: PathBuf,
    /// Its folder, made anew.
    pub folder: &'a Path,
    /// Its configuration's text.
    pub config: String,
    /// Where clients connect.
    pub at: SocketAddr,
    /// Its processor core.
    pub core: usize,
}

impl Broker {
    /// Writes its configuration. Nothing runs yet.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn prepare(settings: Settings<'_>) -> Result<Self> {
        make_anew(settings.folder)?;
        let config = settings.folder.join("broker.conf");
        fs::write(&config, settings.config)?;
        let program = Program {
            name: settings.name.to_owned(),
            path: settings.path,
            arguments: vec!["-c".to_owned(), config.display().to_string()],
            environment: vec![],
            log: settings.folder.join("broker.log"),
        };
        Ok(Self {
            program: program.on_core(settings.core),
            keeper: Keeper::start(&build_folder().join("pestle-demo"))?,
            at: settings.at,
            process: None,
        })
    }

    /// Starts it and waits until it takes connections.
    ///
    /// # Errors
    /// When it does not.
    pub async fn start(&mut self) -> Result<()> {
        let at = self.at;
        let mut process = self.program.start(&self.keeper)?;
        let answers = until("the broker", READY_WITHIN, || {
            let ended = process.ended();
            async move {
                if let Some(status) = ended {
                    return Err(format!("it ended with {status}"));
                }
                TcpStream::connect(at).await.map(drop).map_err(|error| error.to_string())
            }
        })
        .await;
        answers.with_context(|| crate::processes::log_tail(&self.program.log))?;
        self.process = Some(process);
        Ok(())
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }

    /// Asks it to end, and waits.
    pub async fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.stop().await;
        }
    }

    /// Where clients connect.
    pub fn at(&self) -> SocketAddr {
        self.at
    }
}
