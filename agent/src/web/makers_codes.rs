//! Makers' codes on a page: whatever maker's scanner it is, what can be done with it, and how.

use std::sync::LazyLock;

use askama::Template;
use pestle_domain::ids::TillId;
use pestle_drivers::scanner::{
    mending::{self, MakersWays},
    programming::{Comes, Makers, Purpose},
};

/// Read once: a page is rendered at each change of a device.
static MAKERS: LazyLock<Option<Makers>> = LazyLock::new(|| {
    Makers::built_in().inspect_err(|error| tracing::error!(%error, "no makers' codes")).ok()
});

/// A list of makers, each with its sheet, what is sent over the scanner's line, and names in its manual.
#[derive(Debug, Template)]
#[template(path = "makers_codes.html")]
pub struct MakersCodes {
    till: TillId,
    /// Tells the same button at two places of a page apart.
    place: String,
    makers: Vec<MakersWays>,
    /// Where the sheets are printed; `None` where they are only shown.
    printer: Option<String>,
    /// The scanner that is set up over its line.
    device: String,
    /// What was looked for, in words, where there may be none.
    wanted: String,
}

/// The scanner that a list is for.
#[derive(Debug, Clone)]
pub struct ForScanner<'a> {
    /// At which till its page is.
    pub till: &'a TillId,
    /// Its name; empty for one that types into a page.
    pub name: &'a str,
    /// How it comes.
    pub comes: Comes,
    /// Where its sheets are printed.
    pub printer: Option<&'a String>,
}

impl ForScanner<'_> {
    /// All that the known codes can do for it.
    pub fn all(&self) -> MakersCodes {
        self.list("all".to_owned(), String::new(), |makers| mending::all(makers, self.comes))
    }

    /// What of these mends it.
    pub fn mending(&self, place: &str, purposes: &[Purpose]) -> MakersCodes {
        let titles: Vec<_> = purposes.iter().map(|purpose| format!("“{}”", purpose.title())).collect();
        let first = purposes.first().map_or("", |purpose| purpose.name());
        self.list(format!("{place}-{first}"), titles.join(" or "), |makers| {
            mending::mending(makers, purposes, self.comes)
        })
    }

    fn list(
        &self,
        place: String,
        wanted: String,
        of: impl FnOnce(&Makers) -> Vec<MakersWays>,
    ) -> MakersCodes {
        MakersCodes {
            till: self.till.clone(),
            place,
            makers: MAKERS.as_ref().map(of).unwrap_or_default(),
            printer: self.printer.cloned(),
            device: self.name.to_owned(),
            wanted,
        }
    }
}
