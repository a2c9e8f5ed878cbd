//! SQL of the schema `patients`. Everything here runs inside one transaction of one tenant.

use pestle_domain::{
    ids::{BranchId, DeviceId, PersonId, TenantId},
    personal::Sealed,
    staff::Role,
};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    erasures::Erasure,
    rules::{Patients, Why},
};
use crate::{authority::keyring::Wrapped, db::DbError};

/// Holds a person until the transaction ends, whether or not anything of them is there.
///
/// # Errors
/// [`DbError`].
pub async fn lock_person(
    connection: &mut PgConnection,
    tenant: &TenantId,
    person: PersonId,
) -> Result<(), DbError> {
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended($1, 7311002))")
        .bind(format!("{tenant}/{person}"))
        .execute(connection)
        .await?;
    Ok(())
}

/// A key as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The how-manieth of the person.
    pub generation: u32,
    /// The key.
    pub wrapped: Wrapped,
}

/// All keys of a person, the latest first.
///
/// # Errors
/// [`DbError`].
pub async fn keys(connection: &mut PgConnection, person: PersonId) -> Result<Vec<Stored>, DbError> {
    let rows: Vec<(i64, String, Vec<u8>, Vec<u8>)> = sqlx::query_as(
        "SELECT generation, kek, nonce, wrapped FROM patients.person_key WHERE person_id = $1 ORDER BY generation DESC",
    )
    .bind(person.0)
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|(generation, kek, nonce, text)| {
            let bad = || DbError::bad_row("key of a person", person.to_string());
            let nonce = nonce.try_into().map_err(|_| bad())?;
            let generation = u32::try_from(generation).map_err(|_| bad())?;
            Ok(Stored { generation, wrapped: Wrapped { kek, nonce, text } })
        })
        .collect()
}

/// Keeps a key.
///
/// # Errors
/// [`DbError`].
pub async fn keep_key(
    connection: &mut PgConnection,
    tenant: &TenantId,
    (branch, device): (&BranchId, &DeviceId),
    person: PersonId,
    key: &Stored,
    now: OffsetDateTime,
) -> Result<(), DbError> {
    sqlx::query(
        "INSERT INTO patients.person_key
             (tenant_id, person_id, generation, kek, nonce, wrapped, branch_id, device_id, deposited_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(tenant.as_str())
    .bind(person.0)
    .bind(i64::from(key.generation))
    .bind(&key.wrapped.kek)
    .bind(&key.wrapped.nonce[..])
    .bind(&key.wrapped.text)
    .bind(branch.as_str())
    .bind(device.as_str())
    .bind(now)
    .execute(connection)
    .await?;
    Ok(())
}

/// The names of the key-encryption keys that wrapped anything of this tenant.
///
/// # Errors
/// [`DbError`].
pub async fn keks(connection: &mut PgConnection) -> Result<Vec<String>, DbError> {
    Ok(sqlx::query_scalar("SELECT DISTINCT kek FROM patients.person_key ORDER BY kek")
        .fetch_all(connection)
        .await?)
}

/// Until when that branch may keep the person's key; `None` where it was never lent to it.
///
/// # Errors
/// [`DbError`].
pub async fn lease(
    connection: &mut PgConnection,
    person: PersonId,
    branch: &BranchId,
) -> Result<Option<OffsetDateTime>, DbError> {
    Ok(sqlx::query_scalar("SELECT until FROM patients.lease WHERE person_id = $1 AND branch_id = $2")
        .bind(person.0)
        .bind(branch.as_str())
        .fetch_optional(connection)
        .await?)
}

/// Lends the person's key to a branch, or for longer.
///
/// # Errors
/// [`DbError`].
pub async fn lend(
    connection: &mut PgConnection,
    tenant: &TenantId,
    person: PersonId,
    branch: &BranchId,
    until: OffsetDateTime,
) -> Result<(), DbError> {
    sqlx::query(
        "INSERT INTO patients.lease (tenant_id, person_id, branch_id, until) VALUES ($1, $2, $3, $4)
         ON CONFLICT (tenant_id, person_id, branch_id) DO UPDATE SET until = greatest(lease.until, excluded.until)",
    )
    .bind(tenant.as_str())
    .bind(person.0)
    .bind(branch.as_str())
    .bind(until)
    .execute(connection)
    .await?;
    Ok(())
}

/// When a person was erased, if they were.
///
/// # Errors
/// [`DbError`].
pub async fn erased_at(
    connection: &mut PgConnection,
    person: PersonId,
) -> Result<Option<OffsetDateTime>, DbError> {
    Ok(sqlx::query_scalar("SELECT erased_at FROM patients.erasure WHERE person_id = $1")
        .bind(person.0)
        .fetch_optional(connection)
        .await?)
}

/// Destroys a person's keys, ends the leases, and keeps the tombstone. Again it changes nothing but keys that came back
/// with an old copy of the database. The person is locked. True if anything was destroyed or noted.
///
/// # Errors
/// [`DbError`].
pub async fn erase(connection: &mut PgConnection, erasure: &Erasure) -> Result<bool, DbError> {
    let mut changed = 0;
    for statement in [
        "DELETE FROM patients.person_key WHERE person_id = $1",
        "DELETE FROM patients.lease WHERE person_id = $1",
    ] {
        changed +=
            sqlx::query(statement).bind(erasure.person.0).execute(&mut *connection).await?.rows_affected();
    }
    changed += sqlx::query(
        "INSERT INTO patients.erasure (tenant_id, person_id, erased_at, erased_by, why, reference)
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (tenant_id, person_id) DO NOTHING",
    )
    .bind(erasure.tenant.as_str())
    .bind(erasure.person.0)
    .bind(erasure.at)
    .bind(erasure.by)
    .bind(erasure.why.as_str())
    .bind(&*erasure.reference)
    .execute(connection)
    .await?
    .rows_affected();
    Ok(changed > 0)
}

/// The erasure of one person, if they were erased.
///
/// # Errors
/// [`DbError`].
pub async fn erasure_of(
    connection: &mut PgConnection,
    tenant: &TenantId,
    person: PersonId,
) -> Result<Option<Erasure>, DbError> {
    let row: Option<Row> = sqlx::query_as(
        "SELECT person_id, erased_at, erased_by, why, reference FROM patients.erasure WHERE person_id = $1",
    )
    .bind(person.0)
    .fetch_optional(connection)
    .await?;
    row.map(|row| read_erasure(tenant, row)).transpose()
}

/// All erasures of the tenant.
///
/// # Errors
/// [`DbError`].
pub async fn erasures(connection: &mut PgConnection, tenant: &TenantId) -> Result<Vec<Erasure>, DbError> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT person_id, erased_at, erased_by, why, reference FROM patients.erasure ORDER BY erased_at, person_id",
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(|row| read_erasure(tenant, row)).collect()
}

/// Person, when, by whom, why, reference.
type Row = (Uuid, OffsetDateTime, Uuid, String, String);

fn read_erasure(tenant: &TenantId, (person, at, by, why, reference): Row) -> Result<Erasure, DbError> {
    let why = Why::parse(&why).ok_or_else(|| DbError::bad_row("reason of an erasure", why))?;
    let (tenant, person, reference) = (tenant.clone(), PersonId(person), reference.into());
    Ok(Erasure { tenant, person, at, by, why, reference })
}

/// A patient as the facts tell them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patient {
    /// Where they were registered; `None` while that fact has not come.
    pub branch: Option<String>,
    /// Their fields, sealed.
    pub details: Sealed,
    /// When they were last set, by the branch's clock.
    pub at_ms: i64,
}

/// A patient; `None` when no fact told of them yet.
///
/// # Errors
/// [`DbError`].
pub async fn patient(connection: &mut PgConnection, person: PersonId) -> Result<Option<Patient>, DbError> {
    #[derive(sqlx::FromRow)]
    struct Row {
        branch_id: Option<String>,
        generation: i64,
        nonce: Vec<u8>,
        text: Vec<u8>,
        at_ms: i64,
    }
    // Of each stream there is the last fact; between streams clocks decide.
    let row: Option<Row> = sqlx::query_as(
        "SELECT (SELECT min(p.branch_id) FROM patients.patient p WHERE p.person_id = $1) AS branch_id,
                generation, nonce, text, at_ms
         FROM patients.patient WHERE person_id = $1 ORDER BY at_ms DESC, stream_id DESC LIMIT 1",
    )
    .bind(person.0)
    .fetch_optional(connection)
    .await?;
    row.map(|Row { branch_id: branch, generation, nonce, text, at_ms }| {
        let generation = u32::try_from(generation)
            .map_err(|_| DbError::bad_row("generation of a key", generation.to_string()))?;
        Ok(Patient { branch, details: Sealed::from_parts(person, generation, nonce, text), at_ms })
    })
    .transpose()
}

/// Books what facts tell of patients. Of an erased person too: the fields stay sealed, and nobody has the key.
///
/// # Errors
/// [`DbError`].
pub async fn book(
    connection: &mut PgConnection,
    tenant: &TenantId,
    patients: &Patients<'_>,
) -> Result<(), DbError> {
    for ((person, stream), told) in &patients.told {
        let (nonce, text) = told.details.parts();
        sqlx::query(
            "INSERT INTO patients.patient AS p
                 (tenant_id, person_id, stream_id, branch_id, generation, nonce, text, at_ms, seq)
             VALUES ($1, $2, $3, $4, $5, $6, $7, least($8, (extract(epoch FROM now()) * 1000)::bigint), $9)
             ON CONFLICT (tenant_id, person_id, stream_id) DO UPDATE SET
                 branch_id = coalesce(p.branch_id, excluded.branch_id),
                 (generation, nonce, text, at_ms, seq) = (
                     SELECT w.* FROM (VALUES
                         (p.generation, p.nonce, p.text, p.at_ms, p.seq),
                         (excluded.generation, excluded.nonce, excluded.text, excluded.at_ms, excluded.seq)
                     ) AS w (generation, nonce, text, at_ms, seq)
                     ORDER BY w.seq DESC LIMIT 1)",
        )
        .bind(tenant.as_str())
        .bind(person.0)
        .bind(stream)
        .bind(told.registered_in)
        .bind(i64::from(told.details.generation))
        .bind(nonce)
        .bind(text)
        .bind(told.wall_ms)
        .bind(told.seq)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// Notes that somebody looked at a person, or erased them.
///
/// # Errors
/// [`DbError`].
pub async fn note_access(
    connection: &mut PgConnection,
    tenant: &TenantId,
    person: PersonId,
    (user, role): (Uuid, Role),
    what: &'static str,
    now: OffsetDateTime,
) -> Result<(), DbError> {
    sqlx::query(
        "INSERT INTO patients.access (tenant_id, person_id, user_id, role, what, at) VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(tenant.as_str())
    .bind(person.0)
    .bind(user)
    .bind(role.as_str())
    .bind(what)
    .bind(now)
    .execute(connection)
    .await?;
    Ok(())
}

/// Who looked at a person.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Access {
    /// Who.
    pub user_id: Uuid,
    /// What they were then.
    pub role: String,
    /// `read` or `erased`.
    pub what: String,
    /// When.
    pub at: OffsetDateTime,
}

/// Who looked at a person, the latest first, and how often in all.
///
/// # Errors
/// [`DbError`].
pub async fn accesses(
    connection: &mut PgConnection,
    person: PersonId,
    limit: i64,
    offset: i64,
) -> Result<(Vec<Access>, i64), DbError> {
    let total = sqlx::query_scalar("SELECT count(*) FROM patients.access WHERE person_id = $1")
        .bind(person.0)
        .fetch_one(&mut *connection)
        .await?;
    let rows = sqlx::query_as(
        "SELECT user_id, role, what, at FROM patients.access WHERE person_id = $1
         ORDER BY at DESC, access_id DESC LIMIT $2 OFFSET $3",
    )
    .bind(person.0)
    .bind(limit)
    .bind(offset)
    .fetch_all(connection)
    .await?;
    Ok((rows, total))
}
