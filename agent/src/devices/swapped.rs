//! Scanners that are bound by a path: whatever stands there is used, and the finder sees when it is another than before. Then
//! nothing that was learned holds any more.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use pestle_drivers::find::{
    binding::Fingerprint,
    device::{FoundDevice, placeholder},
    keeper::Keeper,
    selector::UsbPort,
};

use super::{
    kept::{DeviceFiles, ScannerRecord},
    names::distrust,
    scanner::ScannerEnd,
};

/// What stands at a path, and where it is plugged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stands {
    pub(super) looks: Fingerprint,
    port: Option<UsbPort>,
}

impl Stands {
    /// Is it another device than `before`? One without a number of its own is known by its socket alone.
    fn is_another_than(&self, before: &Stands) -> bool {
        let numbered = self.looks.serial.as_deref().is_some_and(|serial| !placeholder(serial));
        !self.looks.looks_like(&before.looks) || (!numbered && self.port != before.port)
    }
}

/// What stands at this path now; `None` where nothing is attached, or nothing that the finder knows.
pub(super) fn stands_at(path: &Path, attached: &[FoundDevice]) -> Option<Stands> {
    // The path may be a link, such as those below /dev/serial/by-id.
    let real = std::fs::canonicalize(path).ok();
    let device = attached.iter().find(|device| device.file == path || Some(&device.file) == real.as_ref())?;
    let port = device.usb.as_ref().map(|usb| usb.port.clone());
    Some(Stands { looks: Fingerprint::of(device), port })
}

/// Watches the scanners that are bound by these paths, for as long as the finder looks.
pub(super) async fn watch(
    keeper: Arc<Keeper>,
    paths: BTreeMap<String, PathBuf>,
    files: DeviceFiles,
    scanners: BTreeMap<String, ScannerEnd>,
) {
    let mut attached = keeper.attached();
    let mut before: BTreeMap<String, Stands> = BTreeMap::new();
    loop {
        let found = attached.borrow_and_update().clone();
        for (name, path) in &paths {
            let (Some(now), Some(scanner)) = (stands_at(path, &found), scanners.get(name)) else { continue };
            let another = match before.get(name) {
                Some(before) => now.is_another_than(before),
                None => files
                    .scanner(name, &scanner.written)
                    .and_then(|known| known.seen)
                    .is_some_and(|known| !known.looks_like(&now.looks)),
            };
            let looks = now.looks.clone();
            before.insert(name.clone(), now);
            if another {
                let stranger = ScannerRecord {
                    address: scanner.written.clone(),
                    learned: None,
                    at: None,
                    seen: Some(looks),
                };
                let (files, called) = (files.clone(), name.clone());
                let kept = tokio::task::spawn_blocking(move || files.learn(&called, stranger));
                if !matches!(kept.await, Ok(Ok(()))) {
                    tracing::error!(scanner = name, "that another scanner stands there could not be kept");
                }
                distrust(name, scanner).await;
            }
        }
        if attached.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pestle_drivers::sim::attached::{SimSystem, SimUsbDevice};

    #[test]
    fn another_device_at_a_path_is_told_from_the_same_one_that_came_back() {
        let folder = tempfile::tempdir().unwrap();
        let sim = SimSystem::new(folder.path()).unwrap();
        let at = |port: &str, device: &SimUsbDevice| {
            let file = sim.plug_in(port, device).unwrap().remove(0);
            let found = pestle_drivers::find::sysfs::scan(&sim.system()).unwrap();
            sim.unplug(port).unwrap();
            stands_at(&file, &found).unwrap()
        };
        let numbered = at("1-1", &SimUsbDevice::scanner("S1"));
        assert!(!at("1-2", &SimUsbDevice::scanner("S1")).is_another_than(&numbered), "at any socket");
        assert!(at("1-1", &SimUsbDevice::scanner("S2")).is_another_than(&numbered));
        let bare = at("1-1", &SimUsbDevice::clone_adapter());
        assert!(!at("1-1", &SimUsbDevice::clone_adapter()).is_another_than(&bare));
        assert!(at("1-2", &SimUsbDevice::clone_adapter()).is_another_than(&bare));
        assert!(bare.is_another_than(&numbered));
    }
}
