//! Facts that people are told of, as lines among the alarms: when they happened, should the centre have heard of them late, and
//! whether they have ended. Pure.

use pestle_domain::units::UnixMillis;
use time::{Duration, OffsetDateTime};

use super::{alarms::AlarmLine, view};
use crate::ingest::alerts::AlertRow;

/// What was heard that much later than it happened was late: a link that comes and goes, and a clock that is a little wrong, stay below.
const LATE: Duration = Duration::minutes(5);
/// Nothing is heard later than that (a box's disk holds so long without the centre, and is not read again beyond that): its clock was wrong.
const LATE_MAX: Duration = Duration::days(90);

/// An alert's line.
pub(super) fn line(row: &AlertRow, place: String, now: OffsetDateTime) -> AlarmLine {
    let goes_on = row.urgent && row.ended_ms.is_none();
    AlarmLine {
        can_wait: !goes_on,
        when: row.at,
        at: when(row, now),
        tone: if goes_on { view::BAD } else { view::WAIT },
        kind: told_as(row).into(),
        place,
        message: match row.ended_ms {
            None => row.message.clone(),
            Some(ended) => format!("{} – it ended {}", row.message, by_its_clock(ended, row, now)),
        },
        times: 1,
        kept: None,
    }
}

fn told_as(row: &AlertRow) -> &'static str {
    match (row.urgent, row.ended_ms, row.early) {
        (true, Some(_), _) => "Urgent, has ended",
        (true, None, true) => "Urgent, early word",
        (true, None, false) => "Urgent",
        (false, ..) => "From the branch",
    }
}

/// "1 min ago", or "happened 2 d ago, heard 1 min ago".
fn when(row: &AlertRow, now: OffsetDateTime) -> String {
    let heard = view::ago(row.at, now);
    let at = |wall: i64| UnixMillis(wall).utc();
    match row.wall_ms {
        // A box whose clock is ahead is not late.
        Some(wall) if at(wall).is_none_or(|at| row.at - at > LATE) => {
            format!("happened {}, heard {heard}", by_its_clock(wall, row, now))
        }
        _ => heard,
    }
}

/// How long ago that was, if it can be.
fn by_its_clock(wall_ms: i64, row: &AlertRow, now: OffsetDateTime) -> String {
    let at = UnixMillis(wall_ms).utc().filter(|at| (-LATE_MAX..=LATE).contains(&(*at - now)));
    match at.filter(|at| row.at - *at <= LATE_MAX) {
        Some(at) => view::ago(at, now),
        None => "at a time that its clock did not know".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE_MS: i64 = 60_000;
    const HEARD_MS: i64 = 1_795_250_000_000;

    fn row(urgent: bool, early: bool, wall_ms: Option<i64>, ended_ms: Option<i64>) -> AlertRow {
        AlertRow {
            branch_id: "north".into(),
            device_id: "north-1".into(),
            message: "vaccines: too warm".into(),
            urgent,
            early,
            at: UnixMillis(HEARD_MS).utc().unwrap(),
            wall_ms,
            ended_ms,
        }
    }

    fn shown(row: &AlertRow) -> AlarmLine {
        // A minute after it was heard.
        line(row, "North".into(), UnixMillis(HEARD_MS + MINUTE_MS).utc().unwrap())
    }

    #[test]
    fn what_can_wait_or_has_ended_is_not_shown_as_what_is_urgent() {
        let check = |row: AlertRow, kind: &str, tone: &str, can_wait: bool| {
            let line = shown(&row);
            assert_eq!((&*line.kind, line.tone, line.can_wait), (kind, tone, can_wait));
        };
        check(row(true, true, None, None), "Urgent, early word", view::BAD, false);
        check(row(true, false, None, None), "Urgent", view::BAD, false);
        check(row(true, true, None, Some(HEARD_MS)), "Urgent, has ended", view::WAIT, true);
        check(row(false, false, None, None), "From the branch", view::WAIT, true);
    }

    #[test]
    fn what_was_heard_late_says_when_it_happened_and_a_clock_that_was_wrong_is_not_believed() {
        let check = |wall_ms: Option<i64>, expected: &str| {
            assert_eq!(shown(&row(true, false, wall_ms, None)).at, expected, "{wall_ms:?}");
        };
        let days = 24 * 60 * MINUTE_MS;
        check(None, "1 min ago");
        check(Some(HEARD_MS - 5 * MINUTE_MS), "1 min ago");
        check(Some(HEARD_MS + 2 * days), "1 min ago");
        check(Some(HEARD_MS - 6 * MINUTE_MS), "happened 7 min ago, heard 1 min ago");
        check(Some(HEARD_MS - 2 * days), "happened 2 d ago, heard 1 min ago");
        let unknown = "happened at a time that its clock did not know, heard 1 min ago";
        for wall in [0, HEARD_MS - 91 * days, i64::MIN] {
            check(Some(wall), unknown);
        }
    }

    #[test]
    fn what_has_ended_says_when() {
        let message = |ended| shown(&row(true, false, None, Some(ended))).message;
        assert_eq!(message(HEARD_MS - 9 * MINUTE_MS), "vaccines: too warm – it ended 10 min ago");
        assert_eq!(message(0), "vaccines: too warm – it ended at a time that its clock did not know");
        assert_eq!(message(i64::MAX), "vaccines: too warm – it ended at a time that its clock did not know");
    }
}
