//! SQL of the schema `enrolment`.

use pestle_domain::{
    ids::{BranchId, DeviceId, TenantId},
    signature::Hash,
};
use time::OffsetDateTime;
use uuid::Uuid;

use super::rules::ClaimState;
use crate::db::{DbError, Tx};

/// A claim as it is issued.
#[derive(Debug)]
pub struct NewClaim<'a> {
    /// Of which chain.
    pub tenant: &'a TenantId,
    /// For which pharmacy.
    pub branch: &'a BranchId,
    /// SHA-256 of the code.
    pub code: Hash,
    /// Who issued it.
    pub by: &'a str,
    /// When.
    pub at: OffsetDateTime,
    /// Until when.
    pub expires_at: OffsetDateTime,
}

/// A claim as it is stored.
#[derive(Debug, Clone)]
pub struct Claim {
    /// Which.
    pub id: Uuid,
    /// For which pharmacy.
    pub branch: BranchId,
    /// What became of it.
    pub state: ClaimState,
    /// What its box was answered, once used.
    pub answer: Option<Answer>,
}

/// What a box was answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its name.
    pub device: DeviceId,
    /// The how-manieth of its branch.
    pub term: u32,
    /// Client certificate, PEM.
    pub certificate_pem: String,
    /// Server certificate for its pages, PEM.
    pub web_certificate_pem: String,
    /// The first epoch that it may open.
    pub first_epoch: u32,
    /// Whose records it may deliver beside its own.
    pub earlier: Vec<DeviceId>,
}

/// Stores a new claim.
///
/// # Errors
/// [`DbError`]; a branch that is not there violates a foreign key.
pub async fn add(tx: &mut Tx, claim: &NewClaim<'_>) -> Result<(), DbError> {
    sqlx::query(
        "INSERT INTO enrolment.claim (tenant_id, claim_id, branch_id, code_hash, issued_by, issued_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(claim.tenant.as_str())
    .bind(Uuid::now_v7())
    .bind(claim.branch.as_str())
    .bind(claim.code.0.as_slice())
    .bind(claim.by)
    .bind(claim.at)
    .bind(claim.expires_at)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Whose code this is, in the system scope.
///
/// # Errors
/// [`DbError`].
pub async fn tenant_of(tx: &mut Tx, code: &Hash) -> Result<Option<TenantId>, DbError> {
    let tenant: Option<String> =
        sqlx::query_scalar("SELECT tenant_id FROM enrolment.claim WHERE code_hash = $1")
            .bind(code.0.as_slice())
            .fetch_optional(&mut **tx)
            .await?;
    tenant.map(|text| text.parse().map_err(|_| DbError::bad_row("tenant", text))).transpose()
}

#[derive(sqlx::FromRow)]
struct Row {
    claim_id: Uuid,
    branch_id: String,
    expires_at: OffsetDateTime,
    used_key_id: Option<String>,
    device_id: Option<String>,
    certificate_pem: Option<String>,
    web_certificate_pem: Option<String>,
    term: Option<i32>,
    first_epoch: i64,
    earlier: Vec<String>,
    revoked: bool,
}

/// The claim of that code, locked until the transaction ends.
///
/// # Errors
/// [`DbError`].
pub async fn lock(tx: &mut Tx, code: &Hash) -> Result<Option<Claim>, DbError> {
    let row: Option<Row> = sqlx::query_as(
        "SELECT c.claim_id, c.branch_id, c.expires_at, c.used_key_id, c.device_id, c.certificate_pem,
                c.web_certificate_pem, c.first_epoch, c.earlier, d.term, d.revoked_at IS NOT NULL AS revoked
         FROM enrolment.claim c LEFT JOIN fleet.device d USING (tenant_id, device_id)
         WHERE c.code_hash = $1 FOR UPDATE OF c",
    )
    .bind(code.0.as_slice())
    .fetch_optional(&mut **tx)
    .await?;
    row.map(Claim::try_from).transpose()
}

impl TryFrom<Row> for Claim {
    type Error = DbError;
    fn try_from(row: Row) -> Result<Self, DbError> {
        let state = match row.used_key_id {
            None => ClaimState::Open { expires_at: row.expires_at },
            Some(key_id) => ClaimState::Used { key_id, revoked: row.revoked },
        };
        let answer = match (row.device_id, row.term, row.certificate_pem, row.web_certificate_pem) {
            (Some(device), Some(term), Some(certificate_pem), Some(web_certificate_pem)) => Some(Answer {
                device: device.parse().map_err(|_| DbError::bad_row("device", device))?,
                term: u32::try_from(term).map_err(|_| DbError::bad_row("term", term.to_string()))?,
                certificate_pem,
                web_certificate_pem,
                first_epoch: u32::try_from(row.first_epoch)
                    .map_err(|_| DbError::bad_row("epoch", row.first_epoch.to_string()))?,
                earlier: row
                    .earlier
                    .into_iter()
                    .map(|text| text.parse().map_err(|_| DbError::bad_row("device", text)))
                    .collect::<Result<_, _>>()?,
            }),
            _ => None,
        };
        let branch = row.branch_id.parse().map_err(|_| DbError::bad_row("branch", row.branch_id))?;
        Ok(Self { id: row.claim_id, branch, state, answer })
    }
}

/// Notes that a claim was used, by which key, and what was answered.
///
/// # Errors
/// [`DbError`].
pub async fn mark_used(
    tx: &mut Tx,
    claim: Uuid,
    key_id: &str,
    answer: &Answer,
    now: OffsetDateTime,
) -> Result<(), DbError> {
    sqlx::query(
        "UPDATE enrolment.claim SET used_at = $2, used_key_id = $3, device_id = $4, certificate_pem = $5,
                                    web_certificate_pem = $6, first_epoch = $7, earlier = $8
         WHERE claim_id = $1",
    )
    .bind(claim)
    .bind(now)
    .bind(key_id)
    .bind(answer.device.as_str())
    .bind(&answer.certificate_pem)
    .bind(&answer.web_certificate_pem)
    .bind(i64::from(answer.first_epoch))
    .bind(answer.earlier.iter().map(DeviceId::as_str).collect::<Vec<_>>())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// A claim as lists show it.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Listed {
    /// Which.
    pub claim_id: Uuid,
    /// For which pharmacy.
    pub branch_id: String,
    /// Who issued it.
    pub issued_by: String,
    /// When.
    pub issued_at: OffsetDateTime,
    /// Until when.
    pub expires_at: OffsetDateTime,
    /// When it was used.
    pub used_at: Option<OffsetDateTime>,
    /// By which box.
    pub device_id: Option<String>,
}

/// A page of the claims, the newest first, with the number of all.
///
/// # Errors
/// [`DbError`].
pub async fn list(tx: &mut Tx, limit: i64, offset: i64) -> Result<(Vec<Listed>, u64), DbError> {
    let total: i64 = sqlx::query_scalar("SELECT count(*) FROM enrolment.claim").fetch_one(&mut **tx).await?;
    let rows = sqlx::query_as(
        "SELECT claim_id, branch_id, issued_by, issued_at, expires_at, used_at, device_id
         FROM enrolment.claim ORDER BY issued_at DESC, claim_id LIMIT $1 OFFSET $2",
    )
    .bind(limit)
    .bind(offset)
    .fetch_all(&mut **tx)
    .await?;
    Ok((rows, total.unsigned_abs()))
}
