//! SQL of what only the console asks: branches beside their boxes.

use std::collections::HashMap;

use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::db::DbError;

/// A branch with one of its boxes, or with none.
#[derive(Debug, sqlx::FromRow)]
pub struct BoxRow {
    /// The branch.
    pub branch_id: String,
    /// As people call it.
    pub branch_name: String,
    /// Its IANA time zone.
    pub time_zone: String,
    /// The box.
    pub device_id: Option<String>,
    /// Whether it was revoked.
    pub revoked: bool,
    /// Whether it is connected, as far as known.
    pub online: Option<bool>,
    /// Its last word.
    pub last_seen: Option<OffsetDateTime>,
    /// Its agent's version.
    pub agent: Option<String>,
    /// Facts that wait in it.
    pub waiting: Option<i64>,
    /// Version of the snapshot that it works with.
    pub snapshot: Option<i64>,
}

/// Names and clocks of branches, for rows that have but their ids.
#[derive(Debug, Default)]
pub struct Branches(HashMap<String, (String, String)>);

impl Branches {
    /// From every branch's rows.
    pub fn of(rows: &[BoxRow]) -> Self {
        let entry = |row: &BoxRow| (row.branch_id.clone(), (row.branch_name.clone(), row.time_zone.clone()));
        Self(rows.iter().map(entry).collect())
    }

    /// As people call it; the id where that is not known.
    pub fn name(&self, branch: &str) -> String {
        self.0.get(branch).map_or_else(|| branch.to_owned(), |(name, _)| name.clone())
    }

    /// Its IANA time zone; empty where that is not known.
    pub fn zone(&self, branch: &str) -> &str {
        self.0.get(branch).map_or("", |(_, zone)| zone)
    }
}

/// Every branch with each of its boxes, the newest first.
///
/// # Errors
/// [`DbError`].
pub async fn boxes(connection: &mut PgConnection) -> Result<Vec<BoxRow>, DbError> {
    Ok(sqlx::query_as(
        "SELECT b.branch_id, b.name AS branch_name, b.time_zone, d.device_id, d.revoked_at IS NOT NULL AS revoked,
                CASE WHEN p.last_seen IS NOT NULL THEN fleet.is_online(p) END AS online, p.last_seen, p.agent, fleet.waiting(p) AS waiting, p.snapshot
         FROM tenancy.branch b
         LEFT JOIN fleet.device d ON d.tenant_id = b.tenant_id AND d.branch_id = b.branch_id
         LEFT JOIN fleet.presence p ON p.tenant_id = d.tenant_id AND p.device_id = d.device_id
         ORDER BY b.name, b.branch_id, d.term DESC",
    )
    .fetch_all(connection)
    .await?)
}
