//! Orders that wait, were refused, or that something is wrong with: rows into words. Pure.

use askama::Template;
use time::OffsetDateTime;

use super::{store::Branches, view};
use crate::orders::{
    api::body_of,
    read::{ForkRow, OpenRow},
    rules,
};

/// What the page shows of orders.
#[derive(Debug, Default)]
pub struct Open {
    /// Some of them.
    pub rows: Vec<OpenRow>,
    /// How many wait.
    pub waiting: i64,
    /// How many were refused, lost, or carried out twice.
    pub troubled: i64,
    /// Boxes that have other orders than this centre.
    pub forks: Vec<ForkRow>,
}

struct OrderLine {
    tone: &'static str,
    state: &'static str,
    at: String,
    branch: String,
    order: String,
    todo: String,
}

#[derive(Template)]
#[template(path = "console/orders.html")]
pub(super) struct Orders {
    caption: String,
    rows: Vec<OrderLine>,
}

/// The part of the page that shows them.
pub(super) fn orders(open: &Open, branches: &Branches, now: OffsetDateTime) -> Orders {
    let line = |row: &OpenRow| {
        let (tone, state, todo) = state(row);
        let body = row.bytes.as_deref().and_then(body_of);
        OrderLine {
            tone,
            state,
            at: view::ago(row.at, now),
            branch: branches.name(&row.branch_id),
            order: rules::summary(&row.kind, body.as_ref()),
            todo,
        }
    };
    let forked = |row: &ForkRow| {
        OrderLine {
        tone: view::BAD,
        state: "Contradiction",
        at: view::ago(row.at, now),
        branch: branches.name(&row.branch_id),
        order: format!("{} has other orders than this centre, up to number {}", row.device_id, row.seq),
        todo: "The database was restored, and its incarnation was not raised: raise it, see the operations manual".into(),
    }
    };
    let caption = format!("{} wait, {} need a person", open.waiting, open.troubled + count(&open.forks));
    Orders { caption, rows: open.forks.iter().map(forked).chain(open.rows.iter().map(line)).collect() }
}

fn count(forks: &[ForkRow]) -> i64 {
    i64::try_from(forks.len()).unwrap_or(i64::MAX)
}

impl Open {
    /// How many need a person.
    pub fn alarms(&self) -> i64 {
        self.troubled.saturating_add(count(&self.forks))
    }
}

fn state(row: &OpenRow) -> (&'static str, &'static str, String) {
    match row.state.as_str() {
        "waiting" => (view::WAIT, "Waiting", "Nothing: the branch does it when it hears of it".into()),
        "lost" => (
            view::BAD,
            "Order the centre lost",
            format!(
                "The branch has done it, and a restore of this centre took it away. Adopt it: POST /api/v1/branches/{}/orders/{}/adopt",
                row.branch_id, row.order_id
            ),
        ),
        "twice" => (
            view::BAD,
            "Done twice",
            "Two boxes of the branch, or an old copy of its store, have done it: set the stock right, and call support".into(),
        ),
        _ => (
            view::BAD,
            "Refused",
            format!("{}. A newer agent tries again by itself; else order it anew", row.detail.trim_end_matches('.')),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_says_what_to_do_and_nothing_bad_looks_mild() {
        let row = |state: &str| OpenRow {
            branch_id: "north".into(),
            order_id: uuid::Uuid::nil(),
            kind: "stock.adjust".into(),
            bytes: None,
            state: state.into(),
            detail: "0 packs cannot be booked".into(),
            at: OffsetDateTime::UNIX_EPOCH,
        };
        let rows = ["refused", "lost", "twice", "waiting"].map(row).to_vec();
        let open = Open { rows, waiting: 1, troubled: 3, forks: vec![] };
        let shown = orders(&open, &Branches::default(), OffsetDateTime::UNIX_EPOCH);
        assert_eq!(shown.caption, "1 wait, 3 need a person");
        for (line, words) in
            shown.rows.iter().zip(["cannot be booked", "/adopt", "set the stock right", "Nothing"])
        {
            assert!(line.todo.contains(words), "{}", line.todo);
            assert_eq!(line.tone == view::BAD, line.state != "Waiting");
        }
    }
}
