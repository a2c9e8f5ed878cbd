//! Where a device file is: by its path, by a name that stays, or as the keeper of the box's names says. Looked up at
//! each opening, so that a device may come back under another file.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use pestle_domain::causes::with_causes;

use crate::find::{
    device::DeviceClass,
    keeper::KeptPlace,
    selector::{self, Selector, SelectorError},
    sysfs::{self, System},
};

/// Where a device file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DevicePlace {
    /// At this path.
    File(PathBuf),
    /// Wherever the device is that this names.
    Selected(Selector, System),
    /// Where the keeper says; it may also say that the device must not be opened now.
    Kept(KeptPlace),
}

impl DevicePlace {
    /// As a configuration writes it: a path, or a selector such as `usb:05e0:1701:S21357`.
    ///
    /// # Errors
    /// It begins like a selector and is none.
    pub fn written(text: &str) -> Result<DevicePlace, SelectorError> {
        match selector::looks_like_one(text) {
            true => text.parse().map(|selector| DevicePlace::Selected(selector, System::default())),
            false => Ok(DevicePlace::File(text.into())),
        }
    }

    /// The device file as of now. Reads the kernel's list, and may wait for it.
    ///
    /// # Errors
    /// A sentence that says what to check.
    pub fn resolve(&self, class: DeviceClass) -> Result<PathBuf, String> {
        match self {
            DevicePlace::File(path) => Ok(path.clone()),
            DevicePlace::Selected(selector, system) => {
                let attached = sysfs::scan(system).map_err(|error| with_causes(&error))?;
                selector
                    .find(class, &attached)
                    .map(|device| device.file.clone())
                    .map_err(|error| error.to_string())
            }
            DevicePlace::Kept(place) => place.file(),
        }
    }

    /// The same, for a task: the kernel's list is many small files, and a driver that hangs may hold its own, so it is read
    /// apart from the tasks that wait for lines. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// A sentence that says what to check.
    pub async fn look_up(&self, class: DeviceClass) -> Result<PathBuf, String> {
        if let DevicePlace::File(path) = self {
            return Ok(path.clone());
        }
        let place = self.clone();
        let looked = tokio::task::spawn_blocking(move || place.resolve(class)).await;
        looked.unwrap_or_else(|error| Err(format!("looking for it failed ({error})")))
    }

    /// Is what was opened at `path` the device that is meant? A device may go, and another take its file's name,
    /// between looking and opening; once it is open, that can be seen. To be asked behind each opening, and what was
    /// opened is to be closed where the answer is no.
    ///
    /// # Errors
    /// A sentence for a person.
    pub async fn confirm(&self, class: DeviceClass, path: &Path) -> Result<(), String> {
        match self.look_up(class).await? {
            now if now == path => Ok(()),
            now => {
                Err(format!("{self} went from {} to {} while it was opened", path.display(), now.display()))
            }
        }
    }
}

impl DevicePlace {
    /// Can another device stand here and look the same? It can where a socket names it; a number of its own names one
    /// device alone. A path says nothing of it, and is believed.
    #[must_use]
    pub fn may_hold_a_twin(&self) -> bool {
        match self {
            DevicePlace::File(_) => false,
            DevicePlace::Selected(selector, _) => matches!(selector, Selector::UsbPort { .. }),
            DevicePlace::Kept(place) => place.may_hold_a_twin(),
        }
    }
}

/// As it is written.
impl fmt::Display for DevicePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DevicePlace::File(path) => write!(f, "{}", path.display()),
            DevicePlace::Selected(selector, _) => write!(f, "{selector}"),
            DevicePlace::Kept(place) => write!(f, "{}", place.name()),
        }
    }
}
