//! Which rig, and how it is set up: a TOML file under `hil-tests/rigs/`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::{Ability, bench, qemu, sim, wiring::Wiring};
use crate::processes::project;

/// Names the file; without it the simulated rig is meant.
pub const VARIABLE: &str = "PESTLE_RIG";

/// A rig as its file describes it.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "rig", rename_all = "lowercase", deny_unknown_fields)]
pub enum Settings {
    /// The agent as a process of this machine, its devices simulated over pseudo-terminals and TCP.
    Sim,
    /// The appliance's image in QEMU; the kernel's real drivers.
    Qemu(Machine),
    /// The agent as a process of this machine, real devices, and a person at this terminal.
    Bench(Box<Wiring>),
}

/// A virtual machine.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// What `make image` built; without it, where that puts it.
    pub image: Option<PathBuf>,
    /// Memory in MiB.
    pub memory_mib: u32,
    /// Processors.
    pub processors: u32,
    /// Longest time from the power button to the first answer of the counter's page, in seconds.
    pub boot_within_s: u64,
    /// UEFI's code and the variables that it starts with (Debian's package `ovmf`).
    pub firmware: Firmware,
}

/// UEFI.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Firmware {
    /// Read-only.
    pub code: PathBuf,
    /// Copied for each machine.
    pub variables: PathBuf,
}

impl Settings {
    /// Why this rig cannot do that; `None` when it can.
    pub fn unable(&self, ability: Ability) -> Option<&'static str> {
        match self {
            Self::Sim => sim::unable(ability),
            Self::Qemu(_) => qemu::unable(ability),
            Self::Bench(wiring) => bench::unable(wiring, ability),
        }
    }

    /// The rig that the environment names, from the project's root or absolutely, or the simulated one.
    ///
    /// # Errors
    /// The file cannot be read, or holds something else.
    pub fn from_environment() -> Result<Self> {
        match std::env::var_os(VARIABLE) {
            None => Ok(Self::Sim),
            // Cargo runs a test in its crate's folder.
            Some(file) if Path::new(&file).is_absolute() => Self::read(Path::new(&file)),
            Some(file) => Self::read(&project().join(file)),
        }
    }

    /// Reads a rig's file.
    ///
    /// # Errors
    /// As [`Settings::from_environment`].
    pub fn read(file: &Path) -> Result<Self> {
        let text =
            fs::read_to_string(file).with_context(|| format!("cannot read the rig {}", file.display()))?;
        toml::from_str(&text).with_context(|| format!("{} describes no rig", file.display()))
    }
}
