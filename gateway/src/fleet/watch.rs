//! Keeps the broker's list of revoked boxes current: a box may be revoked by another gateway or on the command line.

use std::{collections::HashSet, sync::Arc, time::Duration};

use pestle_domain::{causes::with_causes, ids::DeviceId};
use tokio::time::{MissedTickBehavior, interval};

use super::store;
use crate::{
    app::App,
    db::{Db, DbError},
};

/// A revocation elsewhere takes effect at this broker after at most this.
const EVERY: Duration = Duration::from_secs(5);

/// The task.
pub async fn run(app: Arc<App>) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = app.stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        if let Err(error) = refresh(&app).await {
            // The last known list stays in force.
            tracing::warn!(error = %with_causes(&error), "the list of revoked boxes cannot be read");
        }
    }
}

/// Reads the list.
///
/// # Errors
/// [`DbError`].
pub async fn read(db: &Db) -> Result<HashSet<DeviceId>, DbError> {
    let mut tx = db.system().begin().await?;
    let revoked = store::revoked(&mut tx).await?;
    tx.commit().await?;
    Ok(revoked)
}

/// Reads the list once; boxes that are new in it are thrown off the broker.
///
/// # Errors
/// [`DbError`].
pub async fn refresh(app: &App) -> Result<(), DbError> {
    for device in app.broker.revoked().replace(read(&app.db).await?) {
        app.broker.shut_out(&device).await;
    }
    Ok(())
}
