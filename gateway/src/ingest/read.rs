//! What pages read of the event store.

use sqlx::PgConnection;

use crate::db::DbError;

/// A place where a box's store does not go on where it ended; see `ingest.breaks()`.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Break {
    /// `missing`, `lost` or `fork`.
    pub kind: String,
    /// The branch.
    pub branch_id: String,
    /// The box.
    pub device_id: String,
    /// The lane.
    pub lane: String,
    /// The life of the store that ended.
    pub epoch: i64,
    /// The first fact that it is about.
    pub first_seq: i64,
    /// The last fact that it is about.
    pub last_seq: i64,
    /// When the next life began, by the centre's clock.
    pub at: time::OffsetDateTime,
}

/// All such places, the latest first, but for what the box has taken back into its books from here.
///
/// # Errors
/// [`DbError`].
pub async fn breaks(connection: &mut PgConnection) -> Result<Vec<Break>, DbError> {
    Ok(sqlx::query_as(
        "SELECT * FROM ingest.breaks() b
         WHERE NOT (b.kind = 'lost' AND b.lane = 'ledger' AND EXISTS (
             SELECT FROM ingest.box_fetched f
             WHERE (f.branch_id, f.epoch) = (b.branch_id, b.epoch) AND f.fetched @> int8range(b.first_seq, b.last_seq, '[]')))",
    )
    .fetch_all(connection)
    .await?)
}

/// How many facts wait for a version that understands them.
///
/// # Errors
/// [`DbError`].
pub async fn unfolded(connection: &mut PgConnection) -> Result<i64, DbError> {
    Ok(sqlx::query_scalar("SELECT count(*) FROM ingest.fact WHERE NOT folded").fetch_one(connection).await?)
}
