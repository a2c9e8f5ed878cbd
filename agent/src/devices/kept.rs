//! What the box remembers of its devices: which one stands behind a name, and how a scanner is set up. Small files in the data
//! folder, written whole; what is lost with them is asked for or learned again.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use pestle_domain::{ids::TillId, units::UnixMillis};
use pestle_drivers::{
    find::binding::{Binding, Fingerprint},
    scanner::{learn::settings::Learned, start::ScannerSettings},
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::durable_file::{self, FileError};

/// What is known of how a scanner is set up, and of which scanner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScannerRecord {
    /// As the configuration wrote where it is: another address is another scanner.
    pub address: String,
    /// What the sheet of test codes taught. `None` where another scanner came in the place of the one that was known: it is
    /// not believed, whatever the configuration says, until it has learned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learned: Option<Learned>,
    /// When that was; `None` in what an earlier agent kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<UnixMillis>,
    /// What it looked like, where that can be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<Fingerprint>,
}

/// What a browser calls itself, for as long as it keeps what pages store. It is no secret: who has it can have a scanner
/// believed, which whoever is signed in can by learning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PageId(pub Uuid);

/// What was learned of the scanner at one browser.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LearnedPage {
    /// Which browser.
    pub page: PageId,
    /// At which till's page it was learned, for people.
    pub till: TillId,
    /// What the sheet of test codes taught.
    pub learned: Learned,
}

/// Takes into a scanner's settings what is known of it. One that came in the place of another is not believed, whatever the
/// configuration says. Returns what is known.
pub fn take_known(settings: &mut ScannerSettings, files: &DeviceFiles) -> Option<ScannerRecord> {
    let known = files.scanner(settings.name.as_str(), &settings.address.to_string())?;
    settings.learned.clone_from(&known.learned);
    settings.proved &= known.learned.is_some();
    Some(known)
}

/// All of them.
const FILES: [&str; 3] = ["bindings.json", "scanners.json", "page-scanners.json"];

/// The files of a data folder. Clones change them one after the other.
#[derive(Debug, Clone)]
pub struct DeviceFiles {
    folder: PathBuf,
    one_at_a_time: Arc<Mutex<()>>,
}

impl DeviceFiles {
    /// Of this data folder.
    pub fn of(data_dir: &Path) -> Self {
        Self { folder: data_dir.join("devices"), one_at_a_time: Arc::default() }
    }

    /// The bindings by name. A damaged file is told, and the next binding replaces it: names are bound anew.
    pub fn bindings(&self) -> BTreeMap<String, Binding> {
        self.read("bindings.json")
    }

    /// Keeps what stands behind each of these names, all or nothing.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn bind(&self, bound: impl IntoIterator<Item = (String, Binding)>) -> Result<(), FileError> {
        let _alone = self.alone();
        let mut bindings = self.bindings();
        bindings.extend(bound);
        self.write("bindings.json", &bindings)
    }

    /// Forgets what stood behind a name, and how it was set up: what is there at the next start is bound anew. Says whether
    /// anything was known.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn unbind(&self, name: &str) -> Result<bool, FileError> {
        let _alone = self.alone();
        let mut bindings = self.bindings();
        let bound = bindings.remove(name).is_some();
        if bound {
            self.write("bindings.json", &bindings)?;
        }
        let mut scanners = self.scanners();
        let known = scanners.remove(name).is_some();
        if known {
            self.write("scanners.json", &scanners)?;
        }
        Ok(known || bound)
    }

    /// What is known of the scanner of this name at this address.
    pub fn scanner(&self, name: &str, address: &str) -> Option<ScannerRecord> {
        self.scanners().remove(name).filter(|kept| kept.address == address)
    }

    /// How the scanner of this name at this address is set up, if it was learned.
    pub fn learned(&self, name: &str, address: &str) -> Option<Learned> {
        self.scanner(name, address)?.learned
    }

    /// Keeps what is known of a scanner, in place of what was.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn learn(&self, name: &str, scanner: ScannerRecord) -> Result<(), FileError> {
        let _alone = self.alone();
        let mut all = self.scanners();
        all.insert(name.to_owned(), scanner);
        self.write("scanners.json", &all)
    }

    fn scanners(&self) -> BTreeMap<String, ScannerRecord> {
        self.read("scanners.json")
    }

    fn alone(&self) -> MutexGuard<'_, ()> {
        // Whoever panicked had the file whole before or behind it.
        self.one_at_a_time.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// What of this cannot be read, and what a person has to look at then: devices are bound and learned anew, and one that was
    /// exchanged meanwhile is taken for the one that was known.
    pub fn damage(&self) -> Option<String> {
        let broken =
            |name: &&str| durable_file::read_json::<serde_json::Value>(&self.folder.join(name)).is_err();
        let files: Vec<&str> = FILES.into_iter().filter(broken).collect();
        (!files.is_empty()).then(|| {
            format!(
                "what the box knew of them cannot be read ({}): look on the page for devices whether each stands where it \
                 belongs, and let the scanners learn again",
                files.join(", ")
            )
        })
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
        find::{device::DeviceClass, selector::Selector},
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

    fn record(address: &str) -> ScannerRecord {
        let at = Some(UnixMillis(1_700_000_000_000));
        ScannerRecord { address: address.into(), learned: Some(learned()), at, seen: None }
    }

    #[test]
    fn what_was_learned_of_a_scanner_is_kept_and_does_not_outlive_its_address() {
        let folder = tempfile::tempdir().unwrap();
        let files = DeviceFiles::of(folder.path());
        assert_eq!(files.learned("counter", "/dev/ttyACM0"), None);
        let kept = record("/dev/ttyACM0");
        files.learn("counter", kept).unwrap();
        assert_eq!(files.learned("counter", "/dev/ttyACM0"), Some(learned()));
        assert_eq!(files.learned("counter", "/dev/ttyACM1"), None);
        assert_eq!(files.learned("other", "/dev/ttyACM0"), None);
        assert!(files.unbind("counter").unwrap());
        assert!(!files.unbind("counter").unwrap());
        assert_eq!(files.learned("counter", "/dev/ttyACM0"), None);
    }

    #[test]
    fn what_cannot_be_read_any_more_is_named_and_what_is_not_there_is_no_damage() {
        let folder = tempfile::tempdir().unwrap();
        let files = DeviceFiles::of(folder.path());
        assert_eq!(files.damage(), None);
        files.learn("counter", record("/dev/ttyACM0")).unwrap();
        assert_eq!(files.damage(), None);
        std::fs::write(files.folder.join("scanners.json"), "{").unwrap();
        let said = files.damage().unwrap();
        assert!(said.contains("(scanners.json)") && said.contains("let the scanners learn again"), "{said}");
    }

    #[test]
    fn what_an_earlier_agent_kept_of_a_scanner_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let files = DeviceFiles::of(folder.path());
        let learned = serde_json::to_value(learned()).unwrap();
        let earlier = serde_json::json!({"counter": {"address": "a", "learned": learned}});
        files.write("scanners.json", &earlier).unwrap();
        assert_eq!(files.scanner("counter", "a"), Some(ScannerRecord { at: None, ..record("a") }));
    }

    #[test]
    fn a_scanner_that_came_in_the_place_of_another_is_kept_as_one_that_is_not_believed() {
        let folder = tempfile::tempdir().unwrap();
        let files = DeviceFiles::of(folder.path());
        files.learn("counter", ScannerRecord { learned: None, ..record("a") }).unwrap();
        assert!(files.scanner("counter", "a").is_some_and(|kept| kept.learned.is_none()));
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
        let both = ["counter", "other"].map(|name| (name.to_owned(), binding.clone()));
        files.bind(both).unwrap();
        files.learn("counter", record("usb-port:1-2")).unwrap();
        assert!(files.unbind("counter").unwrap());
        assert_eq!(files.bindings().into_iter().collect::<Vec<_>>(), [("other".to_owned(), binding)]);
        assert_eq!(files.learned("counter", "usb-port:1-2"), None);
    }

    #[test]
    fn a_damaged_file_costs_what_it_held_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let files = DeviceFiles::of(folder.path());
        let kept = record("a");
        files.learn("counter", kept.clone()).unwrap();
        std::fs::write(folder.path().join("devices/scanners.json"), "{").unwrap();
        assert_eq!(files.learned("counter", "a"), None);
        files.learn("counter", kept).unwrap();
        assert_eq!(files.learned("counter", "a"), Some(learned()));
    }
}
