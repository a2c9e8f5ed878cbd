//! Who is there: birth, death, and what a box says of its backlog. The rule is [`crate::fleet::rules::Standing`].

use pestle_domain::{
    ids::{ConnectionId, DeviceId, TenantId},
    wire::message::{Heads, Presence, Status},
};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{db::DbError, fleet::rules::Standing};

/// What a box says of itself, in whichever message.
#[derive(Debug, Clone, Copy)]
struct Word<'a> {
    session: ConnectionId,
    state: Presence,
    agent: &'a str,
    /// Facts that wait, and the snapshot's version.
    held: Option<(i64, i64)>,
}

/// Notes a birth or a death.
///
/// # Errors
/// [`DbError`].
pub async fn note_status(
    connection: &mut PgConnection,
    tenant: &TenantId,
    device: &DeviceId,
    status: &Status,
) -> Result<(), DbError> {
    let word = Word { session: status.connection, state: status.state, agent: &status.agent, held: None };
    note(connection, tenant, device, word).await
}

/// Notes what a box states of itself; it corrects a stale death as well.
///
/// # Errors
/// [`DbError`].
pub async fn note_heads(
    connection: &mut PgConnection,
    tenant: &TenantId,
    device: &DeviceId,
    heads: &Heads,
) -> Result<(), DbError> {
    let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    let held = Some((number(heads.waiting), number(heads.snapshot)));
    let word = Word { session: heads.connection, state: Presence::Online, agent: &heads.agent, held };
    note(connection, tenant, device, word).await
}

async fn note(
    connection: &mut PgConnection,
    tenant: &TenantId,
    device: &DeviceId,
    word: Word<'_>,
) -> Result<(), DbError> {
    let before: Option<(bool, Option<Uuid>)> =
        sqlx::query_as("SELECT online, connection_id FROM fleet.presence WHERE device_id = $1 FOR UPDATE")
            .bind(device.as_str())
            .fetch_optional(&mut *connection)
            .await?;
    let standing = match before {
        Some((true, Some(session))) => Standing::Here(ConnectionId(session)),
        _ => Standing::Gone,
    };
    let (online, session) = match standing.after(word.session, word.state) {
        Standing::Here(session) => (true, Some(session.0)),
        Standing::Gone => (false, None),
    };
    // A death is said by the broker: it is not the box that was seen.
    let seen = word.state == Presence::Online;
    sqlx::query(
        "INSERT INTO fleet.presence AS p (tenant_id, device_id, online, connection_id, last_seen, agent, waiting, snapshot)
         VALUES ($1, $2, $3, $4, CASE WHEN $5 THEN now() END, $6, $7, $8)
         ON CONFLICT (tenant_id, device_id) DO UPDATE
            SET online = excluded.online, connection_id = excluded.connection_id,
                last_seen = coalesce(excluded.last_seen, p.last_seen),
                agent = CASE WHEN $5 THEN excluded.agent ELSE p.agent END,
                waiting = coalesce(excluded.waiting, p.waiting), snapshot = coalesce(excluded.snapshot, p.snapshot)",
    )
    .bind(tenant.as_str())
    .bind(device.as_str())
    .bind(online)
    .bind(session)
    .bind(seen)
    .bind(word.agent.replace('\0', "\u{FFFD}"))
    .bind(word.held.map(|(waiting, _)| waiting))
    .bind(word.held.map(|(_, snapshot)| snapshot))
    .execute(connection)
    .await?;
    Ok(())
}
