//! SQL of the schema `identity`.

use pestle_domain::{ids::TenantId, staff::Role};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::db::{DbError, Tx};

/// A user, with what is needed to sign in.
#[derive(Clone)]
pub struct User {
    /// Of which chain.
    pub tenant: TenantId,
    /// Who.
    pub id: Uuid,
    /// As pages greet them.
    pub name: String,
    /// What they are.
    pub role: Role,
    /// argon2id, PHC string.
    pub verifier: String,
}

impl std::fmt::Debug for User {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("User").field("id", &self.id).field("role", &self.role).finish_non_exhaustive()
    }
}

/// The active user of that login, in the system scope.
///
/// # Errors
/// [`DbError`].
pub async fn by_login(tx: &mut Tx, login: &str) -> Result<Option<User>, DbError> {
    let row: Option<(String, Uuid, String, String, String)> = sqlx::query_as(
        "SELECT tenant_id, user_id, name, role, password_verifier FROM identity.user_account WHERE login = $1 AND active",
    )
    .bind(login)
    .fetch_optional(&mut **tx)
    .await?;
    row.map(|(tenant, id, name, role, verifier)| {
        Ok(User {
            tenant: tenant.parse().map_err(|_| DbError::bad_row("tenant", tenant))?,
            id,
            name,
            role: role.parse().map_err(|_| DbError::bad_row("role", role))?,
            verifier,
        })
    })
    .transpose()
}

/// How an active user stands now, whatever their token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// As pages greet them.
    pub name: String,
    /// What they are.
    pub role: Role,
    /// Tokens from before are not renewed.
    pub valid_from: OffsetDateTime,
}

/// How that user of this tenant stands; `None` when there is none, or none that is active.
///
/// # Errors
/// [`DbError`].
pub async fn standing(tx: &mut Tx, user: Uuid) -> Result<Option<Standing>, DbError> {
    let row: Option<(String, String, OffsetDateTime)> = sqlx::query_as(
        "SELECT name, role, valid_from FROM identity.user_account WHERE user_id = $1 AND active",
    )
    .bind(user)
    .fetch_optional(&mut **tx)
    .await?;
    row.map(|(name, role, valid_from)| {
        Ok(Standing { name, role: role.parse().map_err(|_| DbError::bad_row("role", role))?, valid_from })
    })
    .transpose()
}

/// Ends what that user was given so far: nothing from before `now` is renewed.
///
/// # Errors
/// [`DbError`].
pub async fn end_all(tx: &mut Tx, user: Uuid, now: OffsetDateTime) -> Result<(), DbError> {
    sqlx::query("UPDATE identity.user_account SET valid_from = greatest(valid_from, $2) WHERE user_id = $1")
        .bind(user)
        .bind(now)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Takes a user's sign-in away; false when this tenant has no such login. [`put`] gives it back.
///
/// # Errors
/// [`DbError`].
pub async fn disable(tx: &mut Tx, login: &str, now: OffsetDateTime) -> Result<bool, DbError> {
    let disabled =
        sqlx::query("UPDATE identity.user_account SET active = false, valid_from = $2 WHERE login = $1")
            .bind(login)
            .bind(now)
            .execute(&mut **tx)
            .await?;
    Ok(disabled.rows_affected() == 1)
}

/// Adds a user, or gives an existing one of this tenant a new name, role and password; what they were given before
/// `now` is not renewed.
///
/// # Errors
/// [`DbError`]; [`DbError::is_duplicate`] when another tenant has that login.
pub async fn put(
    tx: &mut Tx,
    tenant: &TenantId,
    login: &str,
    name: &str,
    role: Role,
    (verifier, now): (&str, OffsetDateTime),
) -> Result<(), DbError> {
    let updated = sqlx::query(
        "UPDATE identity.user_account
         SET name = $2, role = $3, password_verifier = $4, active = true, valid_from = $5 WHERE login = $1",
    )
    .bind(login)
    .bind(name)
    .bind(role.as_str())
    .bind(verifier)
    .bind(now)
    .execute(&mut **tx)
    .await?;
    if updated.rows_affected() == 1 {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO identity.user_account (tenant_id, user_id, login, name, role, password_verifier)
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(tenant.as_str())
    .bind(Uuid::now_v7())
    .bind(login)
    .bind(name)
    .bind(role.as_str())
    .bind(verifier)
    .execute(&mut **tx)
    .await?;
    Ok(())
}
