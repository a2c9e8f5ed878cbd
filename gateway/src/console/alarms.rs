//! What was refused, and what cannot be right: rows into words that say what to do, and the forms by which a person does it.

use std::sync::Arc;

use askama::Template;
use axum::{
    Form,
    extract::State,
    response::{IntoResponse as _, Redirect, Response},
};
use time::OffsetDateTime;

use super::{
    alerts,
    pages::{Decided, html},
    store::Branches,
    view,
};
use crate::{
    app::App,
    http::{error::ApiError, extract::Named},
    identity::Principal,
    ingest::{self, alerts::AlertRow, box_words::BoxSays, read::Break},
    inventory,
    sales::store::read::SharedSeries,
};

/// What nobody refused and yet cannot be right.
#[derive(Debug)]
pub struct Concerns {
    /// Where a box's store does not go on where it ended.
    pub breaks: Vec<Break>,
    /// Series of receipt numbers that two stores use.
    pub series: Vec<SharedSeries>,
    /// Facts that are stored without their effects.
    pub unfolded: i64,
    /// Boxes that need a person.
    pub boxes: Vec<BoxSays>,
    /// Facts that people are told of, of the last day.
    pub alerts: Vec<AlertRow>,
}

impl Concerns {
    /// How many there are.
    pub fn count(&self) -> i64 {
        let rows = self.breaks.len()
            + self.series.len()
            + self.boxes.len()
            + self.alerts.len()
            + usize::from(self.unfolded > 0);
        i64::try_from(rows).unwrap_or(i64::MAX)
    }

    fn lines<'a>(
        &'a self,
        branches: &'a Branches,
        now: OffsetDateTime,
    ) -> impl Iterator<Item = AlarmLine> + 'a {
        let breaks = self.breaks.iter().map(move |row| {
            let (tone, kind, message) = broken(row);
            let place = format!("{} · {}", branches.name(&row.branch_id), row.device_id);
            AlarmLine {
                can_wait: false,
                when: row.at,
                at: view::ago(row.at, now),
                tone,
                kind: kind.into(),
                place,
                message,
                times: 1,
                kept: None,
            }
        });
        let series = self.series.iter().map(move |row| AlarmLine {
            can_wait: false,
            when: row.at,
            at: view::ago(row.at, now),
            tone: view::BAD,
            kind: "Receipt numbers".into(),
            place: branches.name(&row.branch_id),
            message: format!(
                "two stores number receipts of {} as {}/{}/…: a number may stand on two receipts. Enrol the newer box again",
                row.till_id, row.till_id, row.epoch
            ),
            times: 1,
            kept: None,
        });
        let unfolded = (self.unfolded > 0).then(|| AlarmLine {
            can_wait: false,
            when: now,
            at: view::ago(now, now),
            tone: view::WAIT,
            kind: "Not in the books".into(),
            place: "Centre".into(),
            message: "facts are stored and have no effect yet: a newer gateway may understand them, and the log says what is wrong"
                .into(),
            times: self.unfolded,
            kept: None,
        });
        let boxes = self.boxes.iter().map(move |row| {
            let (tone, kind, message) = of_box(row);
            let place = format!("{} · {}", branches.name(&row.branch_id), row.device_id);
            AlarmLine {
                can_wait: false,
                when: row.at,
                at: view::ago(row.at, now),
                tone,
                kind: kind.into(),
                place,
                message,
                times: 1,
                kept: None,
            }
        });
        let place = move |row: &AlertRow| format!("{} · {}", branches.name(&row.branch_id), row.device_id);
        let alerts = self.alerts.iter().map(move |row| alerts::line(row, place(row), now));
        breaks.chain(series).chain(boxes).chain(unfolded).chain(alerts)
    }
}

fn broken(row: &Break) -> (&'static str, &'static str, String) {
    let Break { lane, epoch, first_seq, last_seq, .. } = row;
    let facts = format!("facts {first_seq} to {last_seq} of its {lane}, epoch {epoch},");
    match row.kind.as_str() {
        "missing" => (
            view::WAIT,
            "Missing",
            format!(
                "{facts} have not come: they may be on their way. If the box was replaced, keep its old disk"
            ),
        ),
        "lost" => (
            view::BAD,
            "Lost in the branch",
            format!(
                "the box has lost {facts} which are here: its own books lack them until it has fetched them back, which it does by itself once it reaches the centre. If this stays, count its stock and its till"
            ),
        ),
        _ => (
            view::BAD,
            "Contradiction",
            format!(
                "the box has another record than the centre where its {lane}, epoch {epoch}, ended (fact {last_seq}): an old copy of its store was restored. What it holds of that epoch cannot come; once it asks under \"Two boxes with one name\", decide there"
            ),
        ),
    }
}

fn of_box(row: &BoxSays) -> (&'static str, &'static str, String) {
    let number = |name: &str| row.data.get(name).and_then(serde_json::Value::as_u64);
    let shown = |name: &str| number(name).map_or_else(|| "?".to_owned(), |number| number.to_string());
    match row.says.as_str() {
        "space" => {
            let days = number("days_left")
                .map_or_else(String::new, |days| format!(", for about {days} days as it goes"));
            let level = row.data.get("level").and_then(serde_json::Value::as_str);
            let (tone, follows) = match level {
                Some("full") => {
                    (view::BAD, "it begins no new business any more. Free the disk or replace it at once")
                }
                Some("shedding") => {
                    (view::BAD, "it records no readings any more. Free the disk or replace it")
                }
                _ => (view::WAIT, "it sells on. See what fills it, and whether the box reaches the centre"),
            };
            (tone, "Little room", format!("the disk has {} MiB left{days}: {follows}", shown("free_mib")))
        }
        "shed" => (
            view::WAIT,
            "Readings left out",
            format!(
                "{} readings were not recorded within a day, because the disk has little room",
                shown("facts")
            ),
        ),
        _ => (
            view::BAD,
            "Box's own books",
            format!(
                "the box's own books lack {}, which are here: its stock and the receipts that it knows may be wrong until it has \
                 fetched them back, which it does by itself. If this stays, call support",
                lacks(&row.data)
            ),
        ),
    }
}

/// Which facts the books lack: "facts 1 to 300 of epoch 2, 7 to 9 of epoch 3".
fn lacks(data: &serde_json::Value) -> String {
    let gaps = data.get("lacks").and_then(serde_json::Value::as_array).map_or(&[][..], Vec::as_slice);
    let number = |gap: &serde_json::Value, name: &str| {
        let number = gap.get(name).and_then(serde_json::Value::as_i64);
        number.map_or_else(|| "?".to_owned(), |number| number.to_string())
    };
    let gap =
        |gap| format!("{} to {} of epoch {}", number(gap, "from"), number(gap, "to"), number(gap, "epoch"));
    format!("facts {}", gaps.iter().map(gap).collect::<Vec<_>>().join(", "))
}

pub(super) struct AlarmLine {
    /// It stands behind those that do not.
    pub(super) can_wait: bool,
    pub(super) when: OffsetDateTime,
    pub(super) at: String,
    pub(super) tone: &'static str,
    pub(super) kind: String,
    pub(super) place: String,
    pub(super) message: String,
    pub(super) times: i64,
    /// Where a person may say what becomes of it.
    pub(super) kept: Option<KeptForm>,
}

/// What a person may do with a row of the quarantine.
pub(super) struct KeptForm {
    number: i64,
    may_be_booked: bool,
}

#[derive(Template)]
#[template(path = "console/alarms.html")]
pub(super) struct Alarms {
    rows: Vec<AlarmLine>,
}

/// What a person does about it, where the message does not say so itself.
fn todo(reason: &str) -> Option<&'static str> {
    Some(match reason {
        ingest::rules::FENCED => "If no other box sells under this name, central IT books it",
        ingest::rules::NOT_ALLOWED => {
            "What it recorded before it was revoked, and cannot send again, central IT books"
        }
        "contradicts" => "If its box asks under \"Two boxes with one name\", decide there",
        "newer_version" => "Upgrade this gateway: the box sends it again by itself",
        "malformed" | "wrong_hash" | "split_act" => {
            "It is sent again by itself. If it comes again after Done, call support: the box keeps everything"
        }
        "wrong_signature" | "wrong_stream" => "Enrol the box again",
        _ => return None,
    })
}

fn of_refused(row: ingest::quarantine::QuarantineRow, may_book: bool, now: OffsetDateTime) -> AlarmLine {
    let may_be_booked = ingest::by_hand::may_be_booked(&row.reason);
    let number = row.quarantine_id;
    let message = match todo(&row.reason) {
        Some(todo) if may_be_booked => format!("{}. {todo}: number {number}", row.message),
        Some(todo) => format!("{}. {todo}", row.message),
        None => row.message,
    };
    AlarmLine {
        can_wait: false,
        when: row.last_at,
        at: view::ago(row.last_at, now),
        tone: view::BAD,
        kind: view::reason(&row.reason).to_owned(),
        place: format!("{} · {}", row.device_id, row.channel),
        message,
        times: row.times,
        kept: may_book.then_some(KeptForm { number, may_be_booked }),
    }
}

/// The part of the page that says what was refused, and what cannot be right: the latest first, and behind them what can wait.
pub(super) fn alarms(
    refused: Vec<ingest::quarantine::QuarantineRow>,
    doubts: Vec<inventory::store::DiscrepancyRow>,
    concerns: &Concerns,
    branches: &Branches,
    may_book: bool,
    now: OffsetDateTime,
) -> Alarms {
    let from_refused = refused.into_iter().map(|row| of_refused(row, may_book, now));
    let from_doubts = doubts.into_iter().map(|row| AlarmLine {
        can_wait: false,
        when: row.at,
        at: view::ago(row.at, now),
        tone: view::WAIT,
        kind: view::reason(&row.kind).to_owned(),
        place: branches.name(&row.branch_id),
        message: match row.kind.as_str() {
            "below_zero" => {
                format!("{} lot {}: the book said {}; count it", row.product_id, lot(&row.lot), row.on_hand)
            }
            _ => format!(
                "{} lot {}: two last days of use were told; the earlier is kept, look at a pack",
                row.product_id,
                lot(&row.lot)
            ),
        },
        times: 1,
        kept: None,
    });
    let mut rows: Vec<AlarmLine> =
        from_refused.chain(from_doubts).chain(concerns.lines(branches, now)).collect();
    rows.sort_by_key(|row| (row.can_wait, std::cmp::Reverse(row.when)));
    Alarms { rows }
}

fn lot(lot: &str) -> &str {
    if lot.is_empty() { "unknown" } else { lot }
}

fn decided<T>(done: Result<T, ApiError>, title: &'static str) -> Response {
    match done {
        Ok(_) => Redirect::to("/console#alarms-h").into_response(),
        Err(error) => {
            let message = error.message.into_owned();
            html(
                error.code.status(),
                &Decided { tone: view::BAD, title, message, step: None, back: "alarms-h" },
            )
        }
    }
}

/// Takes a person's word that nobody else needs to look at what is kept, as their page showed it.
pub async fn close(
    State(app): State<Arc<App>>,
    who: Principal,
    Named(number): Named<i64>,
    Form(seen): Form<ingest::api::Seen>,
) -> Response {
    decided(ingest::api::close_one(&app, &who, number, &seen).await, "Not closed")
}

/// Takes a person's decision that what is kept counts.
pub async fn book(State(app): State<Arc<App>>, who: Principal, Named(number): Named<i64>) -> Response {
    decided(ingest::api::book_one(&app, &who, number).await, "Not booked")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thing_that_a_box_says_of_itself_has_its_words() {
        let check = |says: &str, data: serde_json::Value, tone: &str, word: &str| {
            let row = BoxSays {
                says: says.into(),
                branch_id: "north".into(),
                device_id: "north-1".into(),
                data,
                at: OffsetDateTime::UNIX_EPOCH,
            };
            let (found, _, message) = of_box(&row);
            assert_eq!(found, tone, "{message}");
            assert!(message.contains(word), "{message}");
        };
        let space = |level: &str, days: Option<u32>| serde_json::json!({"level": level, "free_mib": 300, "days_left": days});
        check(
            "space",
            space("low", Some(12)),
            view::WAIT,
            "300 MiB left, for about 12 days as it goes: it sells on",
        );
        check("space", space("shedding", None), view::BAD, "300 MiB left: it records no readings");
        check("space", space("full", None), view::BAD, "no new business");
        check("shed", serde_json::json!({"facts": 90}), view::WAIT, "90 readings");
        check(
            "books",
            serde_json::json!({"lacks": [{"epoch": 2, "from": 1, "to": 300}, {"epoch": 3, "from": 7, "to": 9}]}),
            view::BAD,
            "facts 1 to 300 of epoch 2, 7 to 9 of epoch 3",
        );
    }

    #[test]
    fn whoever_decides_closes_each_kept_row_and_books_what_may_be_booked_and_nobody_else_does() {
        let shown = |reason: &str, may_book: bool| {
            let row = ingest::quarantine::QuarantineRow {
                quarantine_id: 41,
                device_id: "north-1".into(),
                channel: "ledger".into(),
                reason: reason.into(),
                message: "facts 7 to 9".into(),
                times: 3,
                last_at: OffsetDateTime::UNIX_EPOCH,
            };
            let rows = vec![of_refused(row, may_book, OffsetDateTime::UNIX_EPOCH)];
            Alarms { rows }.render().unwrap()
        };
        let (close, book) = ("/console/quarantine/41/close", "/console/quarantine/41/book");
        for (reason, may_be_booked, words) in [
            ("fenced", true, "If no other box sells under this name, central IT books it: number 41"),
            ("not_allowed", true, "central IT books: number 41"),
            ("contradicts", false, "facts 7 to 9. If its box asks under"),
            ("wrong_stream", false, "facts 7 to 9. Enrol the box again"),
            ("repeated", false, "facts 7 to 9</td>"),
        ] {
            let page = shown(reason, true);
            assert!(page.contains("facts 7 to 9") && page.contains(close), "{page}");
            assert!(page.contains(r#"<input type="hidden" name="times" value="3">"#), "{page}");
            assert_eq!(page.contains(book), may_be_booked, "{page}");
            let page = shown(reason, false);
            assert!(!page.contains("<form") && page.contains(words), "{page}");
        }
    }

    #[test]
    fn every_line_that_is_shown_as_a_concern_is_counted() {
        let at = OffsetDateTime::UNIX_EPOCH;
        let (branch_id, device_id) = ("north".to_owned(), "north-1".to_owned());
        let (message, urgent, early) = ("anna is locked".into(), true, false);
        let alert =
            AlertRow { branch_id, device_id, message, urgent, early, at, wall_ms: None, ended_ms: None };
        let (data, says) = (serde_json::json!({"facts": 90}), "shed".to_owned());
        let (branch_id, device_id) = ("north".to_owned(), "north-1".to_owned());
        let concerns = Concerns {
            breaks: vec![],
            series: vec![],
            unfolded: 3,
            boxes: vec![BoxSays { says, branch_id, device_id, data, at }],
            alerts: vec![alert],
        };
        let lines = concerns.lines(&Branches::default(), at).count();
        assert_eq!((lines, concerns.count()), (3, 3));
    }

    #[test]
    fn each_break_says_which_facts_and_what_to_do() {
        let row = |kind: &str| Break {
            kind: kind.into(),
            branch_id: "north".into(),
            device_id: "north-1".into(),
            lane: "ledger".into(),
            epoch: 1,
            first_seq: 7,
            last_seq: 9,
            at: OffsetDateTime::UNIX_EPOCH,
        };
        for (kind, words) in [
            ("missing", "keep its old disk"),
            ("lost", "count its stock"),
            ("fork", "Two boxes with one name"),
        ] {
            let (.., message) = broken(&row(kind));
            assert!(message.contains(words) && message.contains('9'), "{message}");
        }
    }
}
