//! What a box is to be sent that states where it stands in its branch's log.

use pestle_domain::{
    ids::OrderId,
    order::{OrderHead, OrderLog},
    wire::{
        message::Heads,
        orders::{ORDERS_BYTES_MAX, Span},
    },
};
use sqlx::PgConnection;
use uuid::Uuid;

use super::store::{head, note_place, signed};
use crate::{db::DbError, ingest::rules::Sender, tenancy};

/// Most orders in one message; a box that lacks more asks again.
const ORDERS_MAX: i64 = 200;

/// A run of orders, or the place at which a new box takes up the log.
#[derive(Debug)]
pub struct Behind {
    /// To be signed.
    pub span: Span,
    /// In order; none for a place alone.
    pub lines: Vec<Vec<u8>>,
}

/// What `sender` lacks that stated `heads`; `None` when it has everything, writes for its branch no more, or knows no orders.
///
/// # Errors
/// [`DbError`].
pub async fn behind(
    connection: &mut PgConnection,
    sender: &Sender,
    heads: &Heads,
) -> Result<Option<Behind>, DbError> {
    let Some(stated) = heads.orders else { return Ok(None) };
    if !writes_for_its_branch(connection, sender).await? {
        return Ok(None);
    }
    let known = is_in_log(connection, sender, &stated).await?;
    note_place(connection, &sender.tenant, (&sender.branch, &sender.device), &stated, known).await?;
    if stated == OrderHead::START {
        return for_a_new_box(connection, sender, heads.snapshot).await;
    }
    let first =
        if known { Some(stated.seq + 1) } else { first_of_a_later_life(connection, sender, &stated).await? };
    match first {
        Some(first) => run(connection, sender, first).await,
        None => Ok(None),
    }
}

/// One box at a time writes what happens in a branch, and so one carries out what is ordered.
async fn writes_for_its_branch(connection: &mut PgConnection, sender: &Sender) -> Result<bool, DbError> {
    let last: Option<i32> = sqlx::query_scalar("SELECT max(term) FROM fleet.device WHERE branch_id = $1")
        .bind(sender.branch.as_str())
        .fetch_one(connection)
        .await?;
    Ok(last.is_none_or(|last| i64::from(last) <= i64::from(sender.term)))
}

async fn is_in_log(
    connection: &mut PgConnection,
    sender: &Sender,
    stated: &OrderHead,
) -> Result<bool, DbError> {
    if *stated == OrderHead::START {
        return Ok(true);
    }
    let found: Option<i64> =
        sqlx::query_scalar("SELECT seq FROM orders.log WHERE branch_id = $1 AND seq = $2 AND hash = $3")
            .bind(sender.branch.as_str())
            .bind(signed(stated.seq))
            .bind(&stated.hash.0[..])
            .fetch_optional(connection)
            .await?;
    Ok(found.is_some())
}

/// The box has orders that this log lost with a restore: it joins where the life after that began.
async fn first_of_a_later_life(
    connection: &mut PgConnection,
    sender: &Sender,
    stated: &OrderHead,
) -> Result<Option<u64>, DbError> {
    let first: Option<i64> =
        sqlx::query_scalar("SELECT min(seq) FROM orders.log WHERE branch_id = $1 AND incarnation > $2")
            .bind(sender.branch.as_str())
            .bind(signed(stated.incarnation))
            .fetch_one(connection)
            .await?;
    Ok(first.and_then(|first| u64::try_from(first).ok()))
}

/// A box without any orders begins behind all that its snapshot has, or that another box of its branch has judged. What no
/// snapshot carries and nobody has judged it is sent. What another box refused it is not: it would be sent what follows as
/// well, and do again what that box did; so the console says that it is to be ordered anew.
async fn for_a_new_box(
    connection: &mut PgConnection,
    sender: &Sender,
    snapshot: u64,
) -> Result<Option<Behind>, DbError> {
    let open: Option<i64> = sqlx::query_scalar(
        "SELECT min(seq) FROM orders.log WHERE branch_id = $1 AND NOT in_snapshots AND NOT settled",
    )
    .bind(sender.branch.as_str())
    .fetch_one(&mut *connection)
    .await?;
    if open == Some(1) {
        return run(connection, sender, 1).await;
    }
    // A snapshot of before may lack a recall that stands before the place.
    if snapshot < tenancy::store::version(connection).await? {
        return Ok(None);
    }
    let row: Option<(i64, i64, Vec<u8>)> = sqlx::query_as(
        "SELECT incarnation, seq, hash FROM orders.log
         WHERE branch_id = $1 AND ($2::bigint IS NULL OR seq < $2) ORDER BY seq DESC LIMIT 1",
    )
    .bind(sender.branch.as_str())
    .bind(open)
    .fetch_optional(connection)
    .await?;
    let Some(place) = row.map(head).transpose()? else { return Ok(None) };
    Ok(Some(Behind { span: Span { log: log_of(sender), before: place, after: place }, lines: Vec::new() }))
}

/// The orders from number `first` on that were written in one life of the database.
async fn run(connection: &mut PgConnection, sender: &Sender, first: u64) -> Result<Option<Behind>, DbError> {
    type Row = (i64, i64, Vec<u8>, Uuid, Vec<u8>);
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT l.incarnation, l.seq, l.hash, l.order_id, i.bytes
         FROM orders.log l JOIN orders.issued i USING (tenant_id, order_id)
         WHERE l.branch_id = $1 AND l.seq >= $2 ORDER BY l.seq LIMIT $3",
    )
    .bind(sender.branch.as_str())
    .bind(signed(first))
    .bind(ORDERS_MAX)
    .fetch_all(&mut *connection)
    .await?;
    let Some(incarnation) = rows.first().map(|row| row.0) else { return Ok(None) };
    let before = before(connection, sender, first).await?;
    let (mut lines, mut bytes, mut after) = (Vec::new(), 0, before);
    for (life, seq, hash, order, line) in rows {
        if life != incarnation || (!lines.is_empty() && bytes + line.len() > ORDERS_BYTES_MAX) {
            break;
        }
        let at = head((life, seq, hash))?;
        if after.after(&log_of(sender), at.incarnation, &line) != at {
            return Err(DbError::bad_row("order in its place", OrderId(order).to_string()));
        }
        bytes += line.len();
        after = at;
        lines.push(line);
    }
    Ok(Some(Behind { span: Span { log: log_of(sender), before, after }, lines }))
}

async fn before(connection: &mut PgConnection, sender: &Sender, first: u64) -> Result<OrderHead, DbError> {
    let row: Option<(i64, i64, Vec<u8>)> =
        sqlx::query_as("SELECT incarnation, seq, hash FROM orders.log WHERE branch_id = $1 AND seq = $2")
            .bind(sender.branch.as_str())
            .bind(signed(first.saturating_sub(1)))
            .fetch_optional(connection)
            .await?;
    row.map_or(Ok(OrderHead::START), head)
}

fn log_of(sender: &Sender) -> OrderLog {
    OrderLog { tenant: sender.tenant.clone(), branch: sender.branch.clone() }
}
