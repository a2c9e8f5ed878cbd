//! What the box remembers of its devices: which one stands behind a name, and how a scanner is set up. Small files in the data
//! folder, written whole; what is lost with them is asked for or learned again.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use pestle_drivers::{find::binding::Binding, scanner::learn::settings::Learned};
use serde::{Deserialize, Serialize};

use super::page_scanners::LearnedPage;
use crate::durable_file::{self, FileError};

/// How a scanner is set up, and which scanner that was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LearnedScanner {
    /// As the configuration wrote where it is: another address is another scanner.
    pub address: String,
    /// What the sheet of test codes taught.
    pub learned: Learned,
}

/// The files of a data folder.
#[derive(Debug, Clone)]
pub struct DeviceFiles {
    folder: PathBuf,
}

impl DeviceFiles {
    /// Of this data folder.
    pub fn of(data_dir: &Path) -> Self {
        Self { folder: data_dir.join("devices") }
    }

    /// The bindings by name. A damaged file is told, and the next binding replaces it: names are bound anew.
    pub fn bindings(&self) -> BTreeMap<String, Binding> {
        self.read("bindings.json")
    }

    /// Keeps what stands behind a name.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn bind(&self, name: &str, binding: Binding) -> Result<(), FileError> {
        let mut bindings = self.bindings();
        bindings.insert(name.to_owned(), binding);
        self.write("bindings.json", &bindings)
    }

    /// Forgets what stood behind a name, and how it was set up: what is there at the next start is bound anew. Says whether
    /// anything was known.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn unbind(&self, name: &str) -> Result<bool, FileError> {
        let mut bindings = self.bindings();
        let bound = bindings.remove(name).is_some();
        if bound {
            self.write("bindings.json", &bindings)?;
        }
        Ok(self.unlearn(name)? || bound)
    }

    /// How the scanner of this name at this address is set up, if it was learned.
    pub fn learned(&self, name: &str, address: &str) -> Option<Learned> {
        let mut all: BTreeMap<String, LearnedScanner> = self.read("scanners.json");
        all.remove(name).filter(|kept| kept.address == address).map(|kept| kept.learned)
    }

    /// Keeps how a scanner is set up.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn learn(&self, name: &str, scanner: LearnedScanner) -> Result<(), FileError> {
        let mut all: BTreeMap<String, LearnedScanner> = self.read("scanners.json");
        all.insert(name.to_owned(), scanner);
        self.write("scanners.json", &all)
    }

    /// Forgets how a scanner was set up: another one stands there. Says whether anything was known.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn unlearn(&self, name: &str) -> Result<bool, FileError> {
        let mut all: BTreeMap<String, LearnedScanner> = self.read("scanners.json");
        let known = all.remove(name).is_some();
        if known {
            self.write("scanners.json", &all)?;
        }
        Ok(known)
    }

    /// How scanners are set up that type into pages.
    pub(super) fn page_scanners(&self) -> Vec<LearnedPage> {
        self.read("page-scanners.json")
    }

    /// Keeps how scanners are set up that type into pages.
    ///
    /// # Errors
    /// The disk refuses.
    pub(super) fn keep_page_scanners(&self, all: &[LearnedPage]) -> Result<(), FileError> {
        self.write("page-scanners.json", &all)
    }

    fn read<T: Default + serde::de::DeserializeOwned>(&self, name: &str) -> T {
        let path = self.folder.join(name);
        match durable_file::read_json(&path) {
            Ok(found) => found.unwrap_or_default(),
            Err(error) => {
                tracing::error!(%error, "what the box knew of its devices cannot be read: devices are bound and learned anew");
                T::default()
            }
        }
    }

    fn write(&self, name: &str, value: &impl Serialize) -> Result<(), FileError> {
        durable_file::create_folder(&self.folder)?;
        durable_file::write_json(&self.folder.join(name), value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pestle_drivers::{
        find::{binding::Fingerprint, device::DeviceClass, selector::Selector},
        scanner::learn::settings::{RawLearned, Separator, Wire},
    };

    fn learned() -> Learned {
        let raw = RawLearned {
            wire: Wire::Serial,
            separator: Separator::Gs,
            prefix: String::new(),
            suffix: "\r".into(),
            symbology_ids: true,
        };
        Learned::new(raw).unwrap()
    }

    #[test]
    fn what_was_learned_of_a_scanner_is_kept_and_does_not_outlive_its_address() {
        let folder = tempfile::tempdir().unwrap();
        let files = DeviceFiles::of(folder.path());
        assert_eq!(files.learned("counter", "/dev/ttyACM0"), None);
        let kept = LearnedScanner { address: "/dev/ttyACM0".into(), learned: learned() };
        files.learn("counter", kept).unwrap();
        assert_eq!(files.learned("counter", "/dev/ttyACM0"), Some(learned()));
        assert_eq!(files.learned("counter", "/dev/ttyACM1"), None);
        assert_eq!(files.learned("other", "/dev/ttyACM0"), None);
        assert!(files.unlearn("counter").unwrap());
        assert!(!files.unlearn("counter").unwrap());
        assert!(!files.unbind("counter").unwrap());
        assert_eq!(files.learned("counter", "/dev/ttyACM0"), None);
    }

    #[test]
    fn who_decides_that_another_device_has_the_name_forgets_which_one_had_it_and_how_that_was_set_up() {
        let folder = tempfile::tempdir().unwrap();
        let files = DeviceFiles::of(folder.path());
        let selector: Selector = "usb-port:1-2".parse().unwrap();
        let seen = Fingerprint {
            class: DeviceClass::Serial,
            vendor: Some(0x05e0),
            product: Some(0x1701),
            serial: None,
            name: "Scanner".into(),
        };
        let binding = Binding { configured: selector.clone(), selector, seen, perhaps_swapped_with: None };
        files.bind("counter", binding.clone()).unwrap();
        files.bind("other", binding.clone()).unwrap();
        files
            .learn("counter", LearnedScanner { address: "usb-port:1-2".into(), learned: learned() })
            .unwrap();
        assert!(files.unbind("counter").unwrap());
        assert_eq!(files.bindings().into_iter().collect::<Vec<_>>(), [("other".to_owned(), binding)]);
        assert_eq!(files.learned("counter", "usb-port:1-2"), None);
    }

    #[test]
    fn a_damaged_file_costs_what_it_held_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let files = DeviceFiles::of(folder.path());
        let kept = LearnedScanner { address: "a".into(), learned: learned() };
        files.learn("counter", kept.clone()).unwrap();
        std::fs::write(folder.path().join("devices/scanners.json"), "{").unwrap();
        assert_eq!(files.learned("counter", "a"), None);
        files.learn("counter", kept).unwrap();
        assert_eq!(files.learned("counter", "a"), Some(learned()));
    }
}
