//! Orders that wait, were refused, or that something is wrong with: rows into words. Pure.

use askama::Template;
use time::OffsetDateTime;

use super::{store::Branches, view};
use crate::orders::{
    api::body_of,
    read::{ForkRow, Open, OpenRow},
    rules,
};

/// What the page shows of orders.
#[derive(Debug, Default)]
pub struct Orders {
    /// Orders that wait, or that need a person.
    pub open: Open,
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
pub(super) struct Part {
    caption: String,
    rows: Vec<OrderLine>,
}

/// The part of the page that shows them.
pub(super) fn orders(orders: &Orders, branches: &Branches, now: OffsetDateTime) -> Part {
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
    let forked = |row: &ForkRow| OrderLine {
        tone: view::BAD,
        state: "Contradiction",
        at: view::ago(row.at, now),
        branch: branches.name(&row.branch_id),
        order: format!("{} has other orders than this centre, up to number {}", row.device_id, row.seq),
        todo: parted(&row.why).into(),
    };
    let Orders { open, forks } = orders;
    let caption = format!("{} wait, {} need a person", open.waiting, orders.alarms());
    Part { caption, rows: forks.iter().map(forked).chain(open.rows.iter().map(line)).collect() }
}

impl Orders {
    /// How many need a person.
    pub fn alarms(&self) -> i64 {
        let forks = i64::try_from(self.forks.len()).unwrap_or(i64::MAX);
        self.open.troubled.saturating_add(forks)
    }
}

/// What to do about a box that has other orders.
fn parted(why: &str) -> &'static str {
    match why {
        "another_branch" => {
            "It was a box of another branch and still has the orders of there, so it is sent none of this one: set it up anew with an empty data folder, once all that waits in it has come"
        }
        "does_not_join" => {
            "Its orders are from before a restore of this centre, and it does not go on with those of after it: read what stands at its tills, and call support"
        }
        _ => {
            "The database was restored, and its incarnation was not raised: raise it, see the operations manual"
        }
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
        "left_behind" => (
            view::BAD,
            "Refused",
            format!(
                "{}. The box that refused it began anew or was replaced, and nobody tries again: order it anew if it is still wanted",
                row.detail.trim_end_matches('.')
            ),
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
        let rows = ["refused", "left_behind", "lost", "twice", "waiting"].map(row).to_vec();
        let fork = |why: &str| ForkRow {
            device_id: "north-1".into(),
            branch_id: "north".into(),
            seq: 7,
            why: why.into(),
            at: OffsetDateTime::UNIX_EPOCH,
        };
        let forks = ["another_branch", "same_life", "does_not_join"].map(fork).to_vec();
        let all = Orders { open: Open { rows, waiting: 1, troubled: 4 }, forks };
        let shown = orders(&all, &Branches::default(), OffsetDateTime::UNIX_EPOCH);
        assert_eq!(shown.caption, "1 wait, 7 need a person");
        let expected = [
            "empty data folder",
            "raise it",
            "call support",
            "A newer agent tries again",
            "order it anew if",
            "/adopt",
            "set the stock right",
            "Nothing",
        ];
        assert_eq!(shown.rows.len(), expected.len());
        for (line, words) in shown.rows.iter().zip(expected) {
            assert!(line.todo.contains(words), "{}", line.todo);
            assert_eq!(line.tone == view::BAD, line.state != "Waiting");
        }
    }
}
