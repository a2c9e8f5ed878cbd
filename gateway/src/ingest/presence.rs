//! Who is there: birth, death, and what a box says of its backlog. The rule is [`crate::fleet::rules::Standing`].

use pestle_domain::{
    ids::ConnectionId,
    wire::message::{Heads, Presence, Status},
};
use serde::Serialize;
use sqlx::{PgConnection, types::Json};
use uuid::Uuid;

use super::rules::Sender;
use crate::{db::DbError, fleet::rules::Standing};

/// Streams of one box whose heads are kept: two lanes of more lives of its store than any box will have.
const STATED_MAX: usize = 64;

/// What a box says of itself, in whichever message.
#[derive(Debug)]
struct Word<'a> {
    session: ConnectionId,
    state: Presence,
    agent: &'a str,
    held: Option<Held<'a>>,
}

/// What a box holds, by its own word.
#[derive(Debug)]
struct Held<'a> {
    waiting: i64,
    snapshot: i64,
    stated: Vec<Stated<'a>>,
}

/// The head of one stream, as `fleet.waiting` reads it.
#[derive(Debug, Serialize)]
struct Stated<'a> {
    device_id: &'a str,
    branch_id: &'a str,
    term: u32,
    lane: &'static str,
    epoch: u32,
    seq: u64,
}

/// Notes a birth or a death.
///
/// # Errors
/// [`DbError`].
pub async fn note_status(
    connection: &mut PgConnection,
    sender: &Sender,
    status: &Status,
) -> Result<(), DbError> {
    let word = Word { session: status.connection, state: status.state, agent: &status.agent, held: None };
    note(connection, sender, word).await
}

/// Notes what a box states of itself; it corrects a stale death as well.
///
/// # Errors
/// [`DbError`].
pub async fn note_heads(
    connection: &mut PgConnection,
    sender: &Sender,
    heads: &Heads,
) -> Result<(), DbError> {
    let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    let own = heads.streams.iter().filter(|stated| sender.writes(&stated.stream));
    let stated = own.take(STATED_MAX).map(|stated| Stated {
        device_id: stated.stream.device.as_str(),
        branch_id: stated.stream.branch.as_str(),
        term: stated.stream.term,
        lane: stated.stream.lane.as_str(),
        epoch: stated.stream.epoch,
        seq: stated.head.seq,
    });
    let held =
        Held { waiting: number(heads.waiting), snapshot: number(heads.snapshot), stated: stated.collect() };
    let word =
        Word { session: heads.connection, state: Presence::Online, agent: &heads.agent, held: Some(held) };
    note(connection, sender, word).await
}

async fn note(connection: &mut PgConnection, sender: &Sender, word: Word<'_>) -> Result<(), DbError> {
    let before: Option<(bool, Option<Uuid>)> =
        sqlx::query_as("SELECT online, connection_id FROM fleet.presence WHERE device_id = $1 FOR UPDATE")
            .bind(sender.device.as_str())
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
        "INSERT INTO fleet.presence AS p
             (tenant_id, device_id, online, connection_id, last_seen, agent, waiting, snapshot, stated)
         VALUES ($1, $2, $3, $4, CASE WHEN $5 THEN now() END, $6, $7, $8, $9)
         ON CONFLICT (tenant_id, device_id) DO UPDATE
            SET online = excluded.online, connection_id = excluded.connection_id,
                last_seen = coalesce(excluded.last_seen, p.last_seen),
                agent = CASE WHEN $5 THEN excluded.agent ELSE p.agent END,
                waiting = coalesce(excluded.waiting, p.waiting), snapshot = coalesce(excluded.snapshot, p.snapshot),
                stated = coalesce(excluded.stated, p.stated)",
    )
    .bind(sender.tenant.as_str())
    .bind(sender.device.as_str())
    .bind(online)
    .bind(session)
    .bind(seen)
    .bind(word.agent.replace('\0', "\u{FFFD}"))
    .bind(word.held.as_ref().map(|held| held.waiting))
    .bind(word.held.as_ref().map(|held| held.snapshot))
    .bind(word.held.as_ref().map(|held| Json(&held.stated)))
    .execute(connection)
    .await?;
    Ok(())
}
