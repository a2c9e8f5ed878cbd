//! SQL of the schema `identity`.

use pestle_domain::{ids::TenantId, staff::Role};
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

/// Adds a user, or gives an existing one of this tenant a new name, role and password.
///
/// # Errors
/// [`DbError`]; [`DbError::is_duplicate`] when another tenant has that login.
pub async fn put(
    tx: &mut Tx,
    tenant: &TenantId,
    login: &str,
    name: &str,
    role: Role,
    verifier: &str,
) -> Result<(), DbError> {
    let updated = sqlx::query(
        "UPDATE identity.user_account SET name = $2, role = $3, password_verifier = $4, active = true WHERE login = $1",
    )
    .bind(login)
    .bind(name)
    .bind(role.as_str())
    .bind(verifier)
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
