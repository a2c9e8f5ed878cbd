//! Time, and how far it can be believed (invariant I7). The rules are plain functions; [`Clock`] asks the system.
//!
//! The wall clock is *doubted* when it is before a time that has certainly passed, the *floor*, or years ahead of it. The
//! floor is the centre's word in a verified snapshot; from there it rises with a clock that follows a time source, but no
//! faster than time went by, since a time source can be wrong too. It is kept in a file. Links to the centre verify
//! certificates against max(wall clock, floor, release), or against the floor where the wall clock is far ahead of it: so a
//! box whose clock fell back to 1970, or jumped to 2080, still connects.

use std::{
    path::PathBuf,
    sync::{
        Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use jiff::{Timestamp, ToSpan as _, tz::TimeZone};
use pestle_domain::{
    fact::{ClockQuality, Stamp},
    units::{Day, UnixMillis},
};
use rustls_pki_types::UnixTime;
use time::{Date, Month};

use crate::{
    durable_file::{self, FileError},
    zone,
};

/// No box runs this code before: 2026-01-01 00:00 UTC. To be raised with each release.
pub const RELEASED_AFTER: UnixMillis = UnixMillis(1_767_225_600_000);
/// systemd-timesyncd makes this file when it has set the clock from a server.
const SYNCHRONISED_FILE: &str = "/run/systemd/timesync/synchronized";
/// How long what was seen there is believed.
const SYNCHRONISED_LOOKS_APART_MS: u64 = 5_000;
/// The floor is kept when it rose by this much: often enough for calendar days, seldom enough for the disk.
const FLOOR_STEP_MS: i64 = 3_600_000;

/// A synchronised clock may be this much further than the time that went by: what a box that lost its clock is put right
/// by at a start. Anything more waits for the centre's signed word.
const RISE_SLACK_MS: i64 = 3_600_000;
/// A wall clock so far ahead of the floor is wrong: no box lies on a shelf for two years and is then sold from unasked.
const AHEAD_MS_MAX: i64 = 2 * 366 * 86_400_000;

/// Whether the wall clock is years beyond any time that is known to have passed.
fn is_far_ahead(wall: UnixMillis, floor: UnixMillis) -> bool {
    wall.0.saturating_sub(floor.max(RELEASED_AFTER).0) > AHEAD_MS_MAX
}

/// What is known of a wall clock.
pub fn quality(wall: UnixMillis, floor: UnixMillis, synchronised: bool, confirmed: bool) -> ClockQuality {
    if wall < floor.max(RELEASED_AFTER) || is_far_ahead(wall, floor) {
        if confirmed { ClockQuality::Confirmed } else { ClockQuality::Doubted }
    } else if synchronised {
        ClockQuality::Synchronised
    } else {
        ClockQuality::Free
    }
}

/// The day of business at `wall` in `zone`, where a day ends `cut_over_minutes` after midnight. A clock outside the years
/// that a calendar can say gives its first day.
pub fn business_date(wall: UnixMillis, zone: &TimeZone, cut_over_minutes: u16) -> Day {
    let calendar = || {
        let moment = Timestamp::from_millisecond(wall.0).ok()?;
        let local = zone.to_datetime(moment).checked_sub(i64::from(cut_over_minutes).minutes()).ok()?;
        let month = Month::try_from(u8::try_from(local.month()).ok()?).ok()?;
        let day = u8::try_from(local.day()).ok()?;
        Date::from_calendar_date(i32::from(local.year()), month, day).ok()
    };
    Day(calendar()
        .filter(|date| (0..=9999).contains(&date.year()))
        .unwrap_or(time::macros::date!(1970 - 01 - 01)))
}

/// A time that has certainly passed, and how it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Floor {
    /// The time.
    passed: UnixMillis,
    /// The last that was kept or signed, and when that was (monotonic): what a rise is measured from.
    anchor: UnixMillis,
    anchor_mono_ms: u64,
}

impl Floor {
    fn at(passed: UnixMillis, mono_ms: u64) -> Self {
        Self { passed, anchor: passed, anchor_mono_ms: mono_ms }
    }

    /// The centre signed that `passed` has passed.
    fn signed(self, passed: UnixMillis, mono_ms: u64) -> Self {
        if passed > self.passed { Self::at(passed, mono_ms) } else { self }
    }

    /// The clock follows a time source and shows `wall`.
    fn shown(self, wall: UnixMillis, mono_ms: u64) -> Self {
        let went_by = i64::try_from(mono_ms.saturating_sub(self.anchor_mono_ms)).unwrap_or(i64::MAX);
        let most = self.anchor.0.saturating_add(went_by).saturating_add(RISE_SLACK_MS);
        Self { passed: self.passed.max(UnixMillis(wall.0.min(most))), ..self }
    }
}

/// Where the branch is, for its days of business.
#[derive(Debug, Clone)]
struct Zone {
    zone: TimeZone,
    cut_over_minutes: u16,
}

/// The box's clock; cheap to share.
#[derive(Debug)]
pub struct Clock {
    boot: Box<str>,
    floor_file: PathBuf,
    floor: Mutex<Floor>,
    floor_kept: Mutex<UnixMillis>,
    confirmed: AtomicBool,
    synchronised: AtomicBool,
    /// When that is looked at again, in milliseconds since the machine started.
    look_at_ms: AtomicU64,
    zone: RwLock<Zone>,
}

impl Clock {
    /// A clock whose floor is kept in `data_dir`. Until the branch's profile is known, days are those of UTC.
    ///
    /// # Errors
    /// When the folder cannot be made. A floor that cannot be read is begun anew.
    pub fn open(data_dir: &std::path::Path) -> Result<Self, FileError> {
        durable_file::create_folder(data_dir)?;
        let floor_file = data_dir.join("time-floor.json");
        let floor = match durable_file::read_json::<UnixMillis>(&floor_file) {
            Ok(floor) => floor.unwrap_or(RELEASED_AFTER),
            Err(error) => {
                tracing::warn!(%error, "the time floor is begun anew");
                RELEASED_AFTER
            }
        };
        Ok(Self {
            boot: boot_id(),
            floor_file,
            floor: Mutex::new(Floor::at(floor, mono_ms())),
            floor_kept: Mutex::new(floor),
            confirmed: AtomicBool::new(false),
            synchronised: AtomicBool::new(false),
            look_at_ms: AtomicU64::new(0),
            zone: RwLock::new(Zone { zone: TimeZone::UTC, cut_over_minutes: 0 }),
        })
    }

    /// Milliseconds since the machine started; it never goes back and counts sleep.
    pub fn mono_ms(&self) -> u64 {
        mono_ms()
    }

    /// The wall clock.
    pub fn wall(&self) -> UnixMillis {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => UnixMillis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX)),
            Err(before) => UnixMillis(-i64::try_from(before.duration().as_millis()).unwrap_or(i64::MAX)),
        }
    }

    /// What a fact of this moment carries.
    pub fn stamp(&self) -> Stamp {
        let wall = self.wall();
        let clock = quality(wall, self.floor(), self.is_synchronised(), self.confirmed.load(Relaxed));
        if clock == ClockQuality::Synchronised {
            self.move_floor(|floor, mono_ms| floor.shown(wall, mono_ms));
        }
        let zone = self.zone.read().unwrap_or_else(PoisonError::into_inner);
        let business_date = business_date(wall, &zone.zone, zone.cut_over_minutes);
        Stamp { boot: self.boot.clone(), mono_ms: self.mono_ms(), wall_ms: wall, clock, business_date }
    }

    /// Looked at now and then: it changes once in a start, and everything that is recorded has a stamp.
    fn is_synchronised(&self) -> bool {
        let now_ms = self.mono_ms();
        if now_ms >= self.look_at_ms.load(Relaxed) {
            self.synchronised.store(std::path::Path::new(SYNCHRONISED_FILE).exists(), Relaxed);
            self.look_at_ms.store(now_ms + SYNCHRONISED_LOOKS_APART_MS, Relaxed);
        }
        self.synchronised.load(Relaxed)
    }

    /// A time that has certainly passed.
    pub fn floor(&self) -> UnixMillis {
        lock(&self.floor).passed.max(RELEASED_AFTER)
    }

    /// `passed` has certainly passed: the centre said so under its signature.
    pub fn raise_floor(&self, passed: UnixMillis) {
        self.move_floor(|floor, mono_ms| floor.signed(passed, mono_ms));
    }

    /// Kept on the disk now and then; should that fail, the floor holds until the next start.
    fn move_floor(&self, change: impl FnOnce(Floor, u64) -> Floor) {
        let passed = {
            let mut floor = lock(&self.floor);
            *floor = change(*floor, mono_ms());
            floor.passed
        };
        let due = {
            let mut kept = lock(&self.floor_kept);
            let due = passed.0.saturating_sub(kept.0) >= FLOOR_STEP_MS;
            if due {
                *kept = passed;
            }
            due
        };
        if due {
            let file = self.floor_file.clone();
            let keep = move || {
                if let Err(error) = durable_file::write_json(&file, &passed) {
                    tracing::warn!(%error, "the time floor could not be kept");
                }
            };
            // Never on the path of an act.
            if std::thread::Builder::new().name("time-floor".into()).spawn(keep).is_err() {
                tracing::warn!("the time floor could not be kept: no thread can be started");
            }
        }
    }

    /// A person confirmed today's date at the opening of a till.
    pub fn confirm(&self) {
        self.confirmed.store(true, Relaxed);
    }

    /// From now on days are counted where the branch is. An unknown zone leaves the one before and returns false.
    pub fn set_branch(&self, time_zone: &str, cut_over_minutes: u16) -> bool {
        let Ok(zone) = zone::named(time_zone) else {
            tracing::error!(
                time_zone,
                "the branch's time zone is not known to this box; the days of business stay as they were"
            );
            return false;
        };
        *self.zone.write().unwrap_or_else(PoisonError::into_inner) = Zone { zone, cut_over_minutes };
        true
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn mono_ms() -> u64 {
    let since = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let seconds = u64::try_from(since.tv_sec).unwrap_or_default();
    seconds * 1_000 + u64::try_from(since.tv_nsec).unwrap_or_default() / 1_000_000
}

/// Certificates are verified against a time that cannot have fallen behind, and has not run years ahead.
impl rustls::time_provider::TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        let (wall, floor) = (self.wall(), self.floor());
        let now = if is_far_ahead(wall, floor) { floor } else { wall.max(floor) };
        Some(UnixTime::since_unix_epoch(Duration::from_millis(u64::try_from(now.0).ok()?)))
    }
}

/// The kernel's name for this start of the machine, or one drawn now where it has none.
fn boot_id() -> Box<str> {
    match std::fs::read_to_string("/proc/sys/kernel/random/boot_id") {
        Ok(text) if !text.trim().is_empty() => text.trim().into(),
        _ => uuid::Uuid::now_v7().to_string().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> UnixMillis {
        UnixMillis(text.parse::<Timestamp>().unwrap().as_millisecond())
    }

    #[test]
    fn a_day_of_business_ends_at_its_cut_over_where_the_branch_is() {
        let check = |moment: &str, zone: &str, cut_over: u16, expected: &str| {
            let zone = TimeZone::get(zone).unwrap();
            assert_eq!(business_date(at(moment), &zone, cut_over).to_string(), expected, "{moment}");
        };
        check("2026-11-21T12:00:00Z", "Europe/London", 0, "2026-11-21");
        check("2026-07-01T23:30:00Z", "Europe/London", 0, "2026-07-02");
        check("2026-11-21T02:59:00Z", "Europe/London", 180, "2026-11-20");
        check("2026-11-21T03:00:00Z", "Europe/London", 180, "2026-11-21");
        check("2026-11-21T20:00:00Z", "Asia/Tokyo", 0, "2026-11-22");
        // The night in which the clock is put back has 25 hours.
        check("2026-10-25T03:30:00Z", "Europe/London", 240, "2026-10-24");
    }

    #[test]
    fn a_clock_before_a_time_that_has_passed_is_doubted_until_a_person_confirms_the_date() {
        let (past, floor, now) =
            (at("1970-01-02T00:00:00Z"), at("2026-11-20T00:00:00Z"), at("2026-11-21T00:00:00Z"));
        assert_eq!(quality(past, floor, true, false), ClockQuality::Doubted);
        assert_eq!(quality(past, floor, false, true), ClockQuality::Confirmed);
        assert_eq!(quality(now, floor, false, false), ClockQuality::Free);
        assert_eq!(quality(now, floor, true, false), ClockQuality::Synchronised);
    }

    #[test]
    fn certificates_are_never_verified_at_a_time_before_the_floor() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::open(folder.path()).unwrap();
        let ahead = UnixMillis(clock.wall().0 + 86_400_000);
        clock.raise_floor(ahead);
        let now = rustls::time_provider::TimeProvider::current_time(&clock).unwrap();
        assert_eq!(i64::try_from(now.as_secs()).unwrap(), ahead.0 / 1_000);
        assert_eq!(clock.stamp().clock, ClockQuality::Doubted);
    }

    #[test]
    fn a_clock_that_follows_a_wrong_source_moves_the_floor_no_faster_than_time_goes_by() {
        let kept = at("2026-11-20T00:00:00Z");
        let floor = Floor::at(kept, 1_000);
        let wrong = at("2080-01-01T00:00:00Z");
        let soon = floor.shown(wrong, 61_000);
        assert_eq!(soon.passed.0, kept.0 + 60_000 + RISE_SLACK_MS);
        // However often it is asked.
        assert_eq!(soon.shown(wrong, 61_000).shown(wrong, 61_000), soon);
        assert_eq!(floor.shown(at("2026-11-20T00:00:30Z"), 61_000).passed, at("2026-11-20T00:00:30Z"));
        assert_eq!(floor.shown(at("1970-01-01T00:00:30Z"), 61_000), floor, "it never falls");
        // What the centre signs counts at once.
        let signed = floor.signed(at("2027-03-01T00:00:00Z"), 61_000);
        assert_eq!(signed, Floor::at(at("2027-03-01T00:00:00Z"), 61_000));
        assert_eq!(signed.signed(kept, 70_000), signed);
    }

    #[test]
    fn a_clock_years_ahead_of_all_that_is_known_is_doubted() {
        let floor = at("2026-11-20T00:00:00Z");
        let check =
            |wall: &str, expected| assert_eq!(quality(at(wall), floor, true, false), expected, "{wall}");
        check("2028-11-20T00:00:00Z", ClockQuality::Synchronised);
        check("2029-01-01T00:00:00Z", ClockQuality::Doubted);
        assert_eq!(quality(at("2080-01-01T00:00:00Z"), floor, true, true), ClockQuality::Confirmed);
    }
}
