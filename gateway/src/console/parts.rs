//! The parts of the page: read, then rendered. Each is sent again whenever it reads differently.

use askama::Template;
use time::OffsetDateTime;

use super::{
    alarms::{Concerns, alarms},
    orders::{Orders, orders as orders_part},
    store::{self, BoxRow, Branches},
    view,
};
use crate::{
    app::App,
    appeals,
    db::DbError,
    identity::principal::Principal,
    ingest,
    inventory::{self, store::StockFilter},
    orders,
    sales::{self, store::read::SaleFilter},
};

/// Rows of a list on the page; the REST interface gives all.
const ROWS: i64 = 30;
/// Rows of stock.
const STOCK_ROWS: i64 = 100;

/// What the viewer looks for.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// Words, or a part of a number.
    pub search: String,
    /// A branch; empty for all.
    pub branch: String,
}

/// Every part as HTML, by the id of its place in the page.
#[derive(Debug, Default)]
pub struct Parts {
    /// Id of the place, and what goes there.
    pub all: Vec<(&'static str, String)>,
    /// Branches by id and name, for the page's filter.
    pub branches: Vec<(String, String)>,
}

impl Parts {
    /// What goes into the place of that id.
    pub fn take(&mut self, id: &str) -> String {
        self.all
            .iter_mut()
            .find(|(name, _)| *name == id)
            .map(|(_, html)| std::mem::take(html))
            .unwrap_or_default()
    }
}

/// Why the page cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum PartsError {
    /// The database.
    #[error(transparent)]
    Db(#[from] DbError),
    /// A template.
    #[error("a part of the page cannot be rendered")]
    Render(#[from] askama::Error),
}

/// Reads and renders everything, in one transaction, so that the parts agree.
///
/// # Errors
/// [`PartsError`].
pub async fn read(app: &App, viewer: &Principal, asked: &Asked) -> Result<Parts, PartsError> {
    let now = app.now();
    let tenant = &viewer.tenant;
    let mut tx = app.db.tenant(tenant).begin_one_moment().await?;
    let boxes = store::boxes(&mut tx).await?;
    let days = sales::store::read::latest_days(&mut tx).await?;
    let last = sales::store::read::latest(&mut tx, &SaleFilter::default(), ROWS, 0).await?;
    let (sessions, _) = sales::store::read::sessions(&mut tx, None, ROWS, 0).await?;
    let filter = StockFilter {
        branch: Some(asked.branch.clone()).filter(|branch| !branch.is_empty()),
        search: Some(asked.search.clone()).filter(|search| !search.trim().is_empty()),
        lowest_first: true,
        ..StockFilter::default()
    };
    let (lots, lot_count) = inventory::store::lots(&mut tx, &filter, STOCK_ROWS, 0).await?;
    let (refused, refused_count) = ingest::quarantine::latest(&mut tx, ROWS).await?;
    let doubts = inventory::store::discrepancies(&mut tx, ROWS).await?;
    let below_zero = inventory::store::below_zero(&mut tx).await?;
    let concerns = Concerns {
        breaks: ingest::read::breaks(&mut tx).await?,
        series: sales::store::read::shared_series(&mut tx).await?,
        unfolded: ingest::read::unfolded(&mut tx).await?,
        boxes: ingest::box_words::says(&mut tx).await?,
        alerts: ingest::alerts::latest(&mut tx, ROWS).await?,
    };
    let open = orders::read::open(&mut tx, ROWS).await?;
    let ordered = Orders { open, forks: orders::read::forks(&mut tx).await? };
    let mut asking = Vec::new();
    for row in appeals::store::current(&mut tx, ROWS).await? {
        let seen = appeals::api::view(&mut tx, &row, now).await?;
        asking.push((row, seen));
    }
    tx.commit().await.map_err(DbError::from)?;

    let may_rule = viewer.require(appeals::api::MAY_RULE).is_ok();
    let may_book = viewer.require(ingest::api::MAY_BOOK).is_ok();
    let branches = Branches::of(&boxes);
    let mut listed: Vec<(String, String)> =
        boxes.iter().map(|row| (row.branch_id.clone(), row.branch_name.clone())).collect();
    listed.dedup();
    let all = vec![
        (
            "summary",
            summary(
                &boxes,
                &days,
                refused_count + concerns.count() + ordered.alarms() + super::appeals::waiting(&asking),
                below_zero,
            )
            .render()?,
        ),
        ("devices", devices(&boxes, &days, now).render()?),
        ("sales", last_sales(last, &branches).render()?),
        ("tills", tills(sessions, &branches, viewer.may_know_expected()).render()?),
        ("stock", stock(lots, lot_count, asked, now).render()?),
        ("orders", orders_part(&ordered, &branches, now).render()?),
        ("appeals", super::appeals::appeals(&asking, &branches, may_rule, now).render()?),
        ("alarms", alarms(refused, doubts, &concerns, &branches, may_book, now).render()?),
    ];
    Ok(Parts { all, branches: listed })
}

struct Tile {
    tone: &'static str,
    figure: String,
    name: &'static str,
    note: String,
}

#[derive(Template)]
#[template(path = "console/summary.html")]
struct Summary {
    tiles: Vec<Tile>,
}

fn summary(boxes: &[BoxRow], days: &[sales::store::read::Day], refused: i64, below_zero: i64) -> Summary {
    let living = || boxes.iter().filter(|row| row.device_id.is_some() && !row.revoked);
    let (all, online) = (living().count(), living().filter(|row| row.online == Some(true)).count());
    let waiting = living().filter_map(|row| row.waiting).fold(0i64, i64::saturating_add);
    let latest = days.iter().map(|day| day.business_date).max();
    let today: Vec<_> = days.iter().filter(|day| Some(day.business_date) == latest).collect();
    let mut gross: Vec<(&str, i64)> = Vec::new();
    for day in &today {
        match gross.iter_mut().find(|(currency, _)| *currency == day.currency) {
            Some((_, sum)) => *sum += day.gross_minor,
            None => gross.push((&day.currency, day.gross_minor)),
        }
    }
    let takings: Vec<String> = gross.iter().map(|(currency, sum)| view::money(*sum, currency)).collect();
    let tone = |bad: bool| if bad { view::BAD } else { view::GOOD };
    let tiles = vec![
        Tile {
            tone: if online < all { view::BAD } else { view::GOOD },
            figure: format!("{online} of {all}"),
            name: "boxes online",
            note: if online < all { format!("{} offline", all - online) } else { "all there".into() },
        },
        Tile {
            tone: view::CALM,
            figure: waiting.to_string(),
            name: "facts waiting",
            note: "in the branches".into(),
        },
        Tile {
            tone: view::CALM,
            figure: if takings.is_empty() { "–".into() } else { takings.join(" · ") },
            name: "takings",
            note: latest.map(view::day).unwrap_or_default(),
        },
        Tile {
            tone: view::CALM,
            figure: today.iter().map(|day| day.sales).sum::<i64>().to_string(),
            name: "sales",
            note: latest.map(view::day).unwrap_or_default(),
        },
        Tile {
            tone: tone(below_zero > 0),
            figure: below_zero.to_string(),
            name: "lots below zero",
            note: "to be counted".into(),
        },
        Tile {
            tone: tone(refused > 0),
            figure: refused.to_string(),
            name: "in quarantine",
            note: "refused or doubted".into(),
        },
    ];
    Summary { tiles }
}

struct DeviceLine {
    branch: String,
    device: String,
    tone: &'static str,
    state: &'static str,
    seen: String,
    waiting: String,
    snapshot: String,
    agent: String,
    day: String,
}

#[derive(Template)]
#[template(path = "console/devices.html")]
struct Devices {
    rows: Vec<DeviceLine>,
}

fn devices(boxes: &[BoxRow], days: &[sales::store::read::Day], now: OffsetDateTime) -> Devices {
    let dash = || "–".to_owned();
    let line = |row: &BoxRow| {
        let (tone, state) = view::presence(row.device_id.is_some(), row.revoked, row.online, row.waiting);
        let taken: Vec<String> = days
            .iter()
            .filter(|day| day.branch_id == row.branch_id)
            .map(|day| format!("{} in {}", view::money(day.gross_minor, &day.currency), day.sales))
            .collect();
        DeviceLine {
            branch: row.branch_name.clone(),
            device: row.device_id.clone().unwrap_or_else(dash),
            tone,
            state,
            seen: row.last_seen.map_or_else(dash, |seen| view::ago(seen, now)),
            waiting: row.waiting.map_or_else(dash, |waiting| waiting.to_string()),
            snapshot: row.snapshot.map_or_else(dash, |version| version.to_string()),
            agent: row.agent.clone().unwrap_or_else(dash),
            day: if taken.is_empty() { dash() } else { taken.join(" · ") },
        }
    };
    Devices { rows: boxes.iter().map(line).collect() }
}

struct SaleLine {
    at: String,
    branch: String,
    receipt: String,
    lines: i32,
    total: String,
}

#[derive(Template)]
#[template(path = "console/sales.html")]
struct Sales {
    rows: Vec<SaleLine>,
}

fn last_sales(sales: Vec<sales::store::read::Sale>, branches: &Branches) -> Sales {
    let line = |sale: sales::store::read::Sale| SaleLine {
        at: view::moment(sale.wall_ms, branches.zone(&sale.branch_id)),
        branch: branches.name(&sale.branch_id),
        receipt: format!("{}/{}/{}", sale.till_id, sale.receipt_epoch, sale.receipt_number),
        lines: sale.lines,
        total: view::money(sale.total_minor, &sale.currency),
    };
    Sales { rows: sales.into_iter().map(line).collect() }
}

struct TillLine {
    till: String,
    tone: &'static str,
    state: &'static str,
    opened: String,
    sales: i64,
    float: String,
    expected: String,
    counted: String,
    variance: String,
}

#[derive(Template)]
#[template(path = "console/tills.html")]
struct Tills {
    rows: Vec<TillLine>,
}

/// What should be in an open drawer is for those who do not count it.
fn tills(sessions: Vec<sales::store::read::Session>, branches: &Branches, knows_expected: bool) -> Tills {
    let line = |session: sales::store::read::Session| {
        let (tone, state) = view::till(session.state(), session.variance_minor(), session.late_count);
        TillLine {
            till: format!("{} · {}", branches.name(&session.branch_id), session.till_id),
            tone,
            state,
            opened: session
                .opened_ms
                .map_or_else(|| "–".into(), |opened| view::moment(opened, branches.zone(&session.branch_id))),
            sales: session.sales,
            float: view::money_or_dash(session.float_minor, &session.currency),
            expected: if knows_expected || session.state() == "closed" {
                view::money_or_dash(session.expected_minor(), &session.currency)
            } else {
                "hidden until counted".into()
            },
            counted: view::money_or_dash(session.counted_minor, &session.currency),
            variance: view::money_or_dash(session.variance_minor(), &session.currency),
        }
    };
    Tills { rows: sessions.into_iter().map(line).collect() }
}

struct StockLine {
    article: String,
    id: String,
    branch: String,
    lot: String,
    expiry: String,
    on_hand: i64,
    tone: &'static str,
    state: &'static str,
}

#[derive(Template)]
#[template(path = "console/stock.html")]
struct Stock {
    caption: String,
    empty: &'static str,
    rows: Vec<StockLine>,
}

fn stock(lots: Vec<inventory::store::LotRow>, total: i64, asked: &Asked, now: OffsetDateTime) -> Stock {
    let line = |row: inventory::store::LotRow| {
        let (tone, state) = view::stock(row.on_hand, row.expiry, now.date());
        StockLine {
            article: row.product_name,
            id: row.product_id,
            branch: row.branch_name,
            lot: if row.lot.is_empty() { "unknown".into() } else { row.lot },
            expiry: row.expiry.map_or_else(|| "–".into(), view::day),
            on_hand: row.on_hand,
            tone,
            state,
        }
    };
    let shown = lots.len();
    let caption = if i64::try_from(shown) == Ok(total) {
        format!("{total} lots, the lowest first")
    } else {
        format!("the lowest {shown} of {total} lots: search to see others")
    };
    let searched = !asked.search.trim().is_empty() || !asked.branch.is_empty();
    let empty = if searched {
        "Nothing fits: try fewer letters, or all branches."
    } else {
        "No stock has reached the centre yet."
    };
    Stock { caption, empty, rows: lots.into_iter().map(line).collect() }
}
