//! A technician's stick in the machine's USB port: FAT32, with the name that sets a box up (docs/operations.md).

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Result;
use serde_json::json;

use super::machine::Running;
use crate::{processes::tool, rig::TakenHome, waiting::until};

/// FAT32 begins at some 33 MiB.
const SIZE: u64 = 64 * 1024 * 1024;
/// The box mounts it, tries what is on it and starts its agent again; in software, and beside other work.
const DONE_WITHIN: Duration = Duration::from_secs(180);
/// QEMU frees what a device held a moment after it is gone.
const PULLED_WITHIN: Duration = Duration::from_secs(20);
/// The last line of what the box writes on it.
const LAST_WORDS: &str = "The stick can be pulled.";

/// A stick.
#[derive(Debug)]
pub struct Stick {
    image: PathBuf,
}

impl Stick {
    /// One with these files, as `stick.img` in `folder`.
    ///
    /// # Errors
    /// A tool refuses.
    pub async fn with(folder: &Path, files: &[(&str, String)]) -> Result<Self> {
        let image = folder.join("stick.img");
        File::create(&image)?.set_len(SIZE)?;
        let named = image.display().to_string();
        tool(Path::new("/usr/sbin/mkfs.vfat"), &["-F", "32", "-n", "PESTLESETUP", &named], "").await?;
        for (name, text) in files {
            let here = folder.join(name);
            fs::write(&here, text)?;
            let (here, there) = (here.display().to_string(), format!("::{name}"));
            tool(Path::new("/usr/bin/mcopy"), &["-i", &named, &here, &there], "").await?;
        }
        Ok(Self { image })
    }

    /// Plugs it in, waits until the box has no more use for it, pulls it, and says what the box has written on it.
    ///
    /// # Errors
    /// The box does nothing with it in time, or QEMU refuses.
    pub async fn plug_into(&self, machine: &mut Running) -> Result<TakenHome> {
        let file = json!({ "driver": "raw", "node-name": "stick",
            "file": { "driver": "file", "filename": self.image } });
        machine.ask("blockdev-add", file).await?;
        let plug =
            json!({ "driver": "usb-storage", "id": "stick", "bus": "usb.0", "port": "4", "drive": "stick" });
        machine.ask("device_add", plug).await?;
        let said = until("what the box writes on the stick", DONE_WITHIN, || async {
            let said = self.read("result.txt").await.map_err(|error| error.to_string())?;
            if said.contains(LAST_WORDS) { Ok(said) } else { Err(said) }
        });
        let said = said.await;
        machine.ask("device_del", json!({ "id": "stick" })).await?;
        let machine = tokio::sync::Mutex::new(machine);
        let pulled = until("the stick's end", PULLED_WITHIN, || async {
            let freed = machine.lock().await.ask("blockdev-del", json!({ "node-name": "stick" })).await;
            freed.map_err(|error| format!("{error:#}"))
        });
        pulled.await?;
        let result = said?;
        Ok(TakenHome { result, devices: self.read("devices.txt").await?, log: self.read("log.0").await? })
    }

    /// The box writes each file through at once, so it can be read while the stick is plugged in.
    async fn read(&self, name: &str) -> Result<String> {
        let image = self.image.display().to_string();
        Ok(tool(Path::new("/usr/bin/mtype"), &["-i", &image, &format!("::{name}")], "").await?)
    }
}
