//! A branch's box with nothing attached: enrolled like any other, with the real agent, and straight to the centre
//! without a simulated cable between.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Result;
use pestle_agent::identity::DeviceIdentity;
use pestle_domain::journal::{Lane, Stream};
use serde::Deserialize;

use crate::processes::{Keeper, Process, Program, build_folder, log_tail, tool};
use crate::world::branch::with_scheme;

/// From the start to the first answer: 200,000 facts are folded first.
const READY_WITHIN: Duration = Duration::from_secs(120);

#[derive(Debug, Deserialize)]
struct Addresses {
    web: String,
}

/// See the module.
#[derive(Debug)]
pub struct BranchBox {
    /// Its `data_dir`.
    pub folder: PathBuf,
    /// Who it is.
    pub identity: DeviceIdentity,
    program: Program,
}

impl BranchBox {
    /// Enrols a new one in `folder` with the technician's tool.
    ///
    /// # Errors
    /// With the tool's own words.
    pub async fn enrol(folder: &Path, gateway: &str, claim: &str) -> Result<Self> {
        super::place::make_anew(folder)?;
        let data_dir = folder.display().to_string();
        let words = ["enrol", "--gateway", gateway, "--code", claim, "--data-dir", &data_dir];
        tool(&build_folder().join("pestle-provision"), &words, "").await?;
        let config = folder.join("agent.toml");
        fs::write(
            &config,
            format!(
                "data_dir = {folder:?}\n\n[web]\nlisten = \"127.0.0.1:0\"\n\n[[till]]\nid = \"till-1\"\n"
            ),
        )?;
        let program = Program {
            name: "agent".to_owned(),
            path: build_folder().join("pestle-agent"),
            arguments: vec!["--config".to_owned(), config.display().to_string(), "run".to_owned()],
            environment: vec![],
            log: folder.join("agent.log"),
        };
        Ok(Self { folder: folder.to_owned(), identity: DeviceIdentity::load(folder)?, program })
    }

    /// Adds lines to its configuration, for its agent's next start.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn configure(&self, lines: &str) -> Result<()> {
        let mut config = fs::OpenOptions::new().append(true).open(self.folder.join("agent.toml"))?;
        Ok(config.write_all(lines.as_bytes())?)
    }

    /// Its ledger.
    pub fn stream(&self) -> Stream {
        let who = &self.identity.identity;
        Stream {
            tenant: who.tenant.clone(),
            branch: who.branch.clone(),
            term: who.term,
            device: who.device.clone(),
            lane: Lane::Ledger,
            epoch: 1,
        }
    }

    /// Starts its agent on `core`, without waiting for anything.
    ///
    /// # Errors
    /// When it is not built.
    pub fn start(&self, core: usize, keeper: &Keeper) -> Result<Process> {
        Ok(self.program.on_core(core).start(keeper)?)
    }

    /// The end of its log.
    pub fn log_tail(&self) -> String {
        log_tail(&self.program.log)
    }

    /// Waits until its agent answers, and hands back where.
    ///
    /// # Errors
    /// When it ends instead.
    pub async fn ready(&self, agent: &mut Process) -> Result<String> {
        let Addresses { web } = agent.ready(&self.folder.join("run/addresses.json"), READY_WITHIN).await?;
        Ok(with_scheme(&web))
    }
}
