//! Time zones by their IANA names.

use std::{
    fs,
    path::{Component, Path},
    sync::Arc,
};

use jiff::{Timestamp, tz::TimeZone};
use pestle_domain::units::UnixMillis;
use time::UtcOffset;

/// The offset from UTC at any moment.
pub type OffsetAt = Arc<dyn Fn(UnixMillis) -> UtcOffset + Send + Sync>;

/// Where the system keeps them, each under its name, in the form of RFC 9636.
const FOLDER: &str = "/usr/share/zoneinfo";

/// A zone as the system knows it, else as this program was built with it.
///
/// The one file is read: the library's own list of names is made by reading hundreds, which a start would wait for.
///
/// # Errors
/// Neither knows such a name.
pub fn named(name: &str) -> Result<TimeZone, jiff::Error> {
    of_the_system(Path::new(FOLDER), name).map_or_else(|| TimeZone::get(name), Ok)
}

fn of_the_system(folder: &Path, name: &str) -> Option<TimeZone> {
    let is_below = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
    if name.is_empty() || !is_below {
        return None;
    }
    TimeZone::tzif(name, &fs::read(folder.join(name)).ok()?).ok()
}

/// The offsets of a zone; one that this box does not know counts as UTC, and is told.
pub fn offsets_of(name: &str) -> OffsetAt {
    let zone = named(name).unwrap_or_else(|error| {
        tracing::error!(
            time_zone = name, %error,
            "the branch's time zone is not known to this box; receipts show UTC"
        );
        TimeZone::UTC
    });
    Arc::new(move |at| {
        let moment = Timestamp::from_millisecond(at.0).unwrap_or_default();
        UtcOffset::from_whole_seconds(zone.to_offset(moment).seconds()).unwrap_or(UtcOffset::UTC)
    })
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZoneDatabase;

    use super::*;

    #[test]
    fn a_zone_is_the_same_from_the_systems_file_and_from_the_program() {
        let system = of_the_system(Path::new(FOLDER), "Europe/London").expect("Debian's tzdata is installed");
        let built_in = TimeZoneDatabase::bundled().get("Europe/London").unwrap();
        for moment in
            ["2026-01-01T12:00:00Z", "2026-07-01T12:00:00Z", "2026-10-25T00:59:59Z", "2026-10-25T01:00:00Z"]
        {
            let moment: Timestamp = moment.parse().unwrap();
            assert_eq!(system.to_offset(moment), built_in.to_offset(moment), "{moment}");
        }
        assert_eq!(system.iana_name(), Some("Europe/London"));
    }

    #[test]
    fn a_name_that_leads_out_of_the_folder_or_to_no_zone_is_none() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("zones")).unwrap();
        let london = fs::read(Path::new(FOLDER).join("Europe/London")).unwrap();
        fs::write(folder.path().join("outside"), &london).unwrap();
        fs::write(folder.path().join("zones/Here"), &london).unwrap();
        fs::write(folder.path().join("zones/Torn"), &london[..20]).unwrap();
        let known = |name: &str| of_the_system(&folder.path().join("zones"), name).is_some();
        assert!(known("Here"));
        for name in ["../outside", "", ".", "Torn", "Nowhere"] {
            assert!(!known(name), "{name:?}");
        }
        assert!(!known(folder.path().join("outside").to_str().unwrap()));
        assert!(named("Not/AZone").is_err());
    }

    #[test]
    fn a_zone_that_nobody_knows_counts_as_utc() {
        assert_eq!(offsets_of("Not/AZone")(UnixMillis(1_790_000_000_000)), UtcOffset::UTC);
        assert_eq!(offsets_of("Asia/Tokyo")(UnixMillis(1_790_000_000_000)).whole_hours(), 9);
    }
}
