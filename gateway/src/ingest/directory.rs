//! Whose device is that? Asked before a tenant is known, and for every message: kept for a few seconds.

use std::{sync::Arc, time::Duration};

use pestle_domain::{ids::DeviceId, signature::VerifyingKey};

use super::rules::{Predecessor, Sender};
use crate::{
    db::{Db, DbError},
    http::{error::ApiError, peer::DevicePeer},
};

/// How long an entry is believed. A revoked device is cut off by the broker at once; what it had in flight is refused
/// after at most this.
const LIFE: Duration = Duration::from_secs(5);
/// Devices that are kept; one entry is some 400 bytes.
const ENTRIES_MAX: u64 = 50_000;

/// See the module.
#[derive(Debug, Clone)]
pub struct Directory {
    db: Db,
    entries: moka::future::Cache<DeviceId, Option<Arc<Sender>>>,
}

impl Directory {
    /// Over this database.
    pub fn new(db: Db) -> Self {
        Self {
            db,
            entries: moka::future::Cache::builder().max_capacity(ENTRIES_MAX).time_to_live(LIFE).build(),
        }
    }

    /// Who that is; `None` for a device that was never enrolled.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn look_up(&self, device: &DeviceId) -> Result<Option<Arc<Sender>>, DbError> {
        if let Some(known) = self.kept(device).await {
            return Ok(known);
        }
        let found = find(&self.db, device).await?.map(Arc::new);
        self.entries.insert(device.clone(), found.clone()).await;
        Ok(found)
    }

    /// Who that is, as far as it was asked in the last seconds.
    pub async fn kept(&self, device: &DeviceId) -> Option<Option<Arc<Sender>>> {
        self.entries.get(device).await
    }
}

/// Who that is by the database; `None` for a device that was never enrolled.
///
/// # Errors
/// [`DbError`].
pub async fn find(db: &Db, device: &DeviceId) -> Result<Option<Sender>, DbError> {
    let mut tx = db.system().begin().await?;
    let row: Option<(String, String, i32, bool)> = sqlx::query_as(
        "SELECT tenant_id, branch_id, term, revoked_at IS NOT NULL FROM fleet.device WHERE device_id = $1",
    )
    .bind(device.as_str())
    .fetch_optional(&mut *tx)
    .await?;
    let Some((tenant, branch, term, revoked)) = row else { return Ok(None) };
    let points: Vec<Vec<u8>> =
        sqlx::query_scalar("SELECT public_key FROM fleet.device_key WHERE tenant_id = $1 AND device_id = $2")
            .bind(&tenant)
            .bind(device.as_str())
            .fetch_all(&mut *tx)
            .await?;
    let before: Vec<(String, String, i32)> = sqlx::query_as(
        "SELECT d.branch_id, d.device_id, d.term FROM fleet.succession s
         JOIN fleet.device d ON (d.tenant_id, d.device_id) = (s.tenant_id, s.earlier_id)
         WHERE s.tenant_id = $1 AND s.device_id = $2",
    )
    .bind(&tenant)
    .bind(device.as_str())
    .fetch_all(&mut *tx)
    .await?;
    tx.commit().await?;
    let earlier = before
        .into_iter()
        .map(|(branch, device, term)| {
            Ok(Predecessor {
                branch: branch.parse().map_err(|_| DbError::bad_row("branch", branch))?,
                device: device.parse().map_err(|_| DbError::bad_row("device", device))?,
                term: u32::try_from(term).map_err(|_| DbError::bad_row("term", term.to_string()))?,
            })
        })
        .collect::<Result<_, DbError>>()?;
    let keys = points
        .iter()
        .map(|point| {
            VerifyingKey::from_point(point).map_err(|_| DbError::bad_row("public key", hex::encode(point)))
        })
        .collect::<Result<_, _>>()?;
    Ok(Some(Sender {
        tenant: tenant.parse().map_err(|_| DbError::bad_row("tenant", tenant))?,
        branch: branch.parse().map_err(|_| DbError::bad_row("branch", branch))?,
        device: device.clone(),
        term: u32::try_from(term).map_err(|_| DbError::bad_row("term", term.to_string()))?,
        keys,
        revoked,
        earlier,
    }))
}

/// The box of a request as the writer of its streams.
///
/// # Errors
/// AUTHORIZATION for one that is not enrolled in its chain or was revoked; the database's error.
pub async fn admit(db: &Db, peer: &DevicePeer) -> Result<Sender, ApiError> {
    let known = find(db, &peer.device).await?.filter(|sender| sender.tenant == peer.tenant);
    match known {
        None => {
            Err(ApiError::authorization("this box is not known here: enrol it again with a new claim code"))
        }
        Some(sender) if sender.revoked => {
            Err(ApiError::authorization("this box was revoked: enrol it again with a new claim code"))
        }
        Some(sender) => Ok(sender),
    }
}
