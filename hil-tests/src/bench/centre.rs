//! A centre without its ports: a private PostgreSQL of its own, and ingest called directly.

use std::{path::Path, sync::Arc, time::Instant};

use anyhow::{Context as _, Result, bail};
use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use pestle_domain::{
    ids::DeviceId,
    journal::{Acknowledgement, Head, Stream},
    signature::{SignatureError, SigningKey, VerifyingKey},
    wire::{
        message::Answer,
        orders::{Header, Span},
    },
};
use pestle_gateway::{
    config::PrivateDatabase,
    db::{Db, schema},
    ingest::{Ingest, live::Live, metrics::IngestMetrics, seal::Seal},
    inventory::cache::StockCache,
    postgres::{PrivateCluster, cluster, settings::Purpose},
};
use sqlx::{Connection as _, PgConnection};

use crate::world::{Place, gateway::stop_left_postmaster};

/// As `database.run_as` has it by default.
const RUN_AS: &str = "postgres";

/// See the module. Its PostgreSQL ends with it.
#[derive(Debug)]
pub struct BareCentre {
    /// Takes batches.
    pub ingest: Ingest,
    cluster: Option<PrivateCluster>,
    place: Place,
}

impl BareCentre {
    /// A new one in `folder`.
    ///
    /// # Errors
    /// When PostgreSQL does not start.
    pub async fn start(folder: &Path) -> Result<Self> {
        let place = Place::at(folder)?;
        stop_left_postmaster(&place);
        place.begin_anew()?;
        let private = PrivateDatabase {
            program_dir: None,
            cluster_dir: place.cluster().to_owned(),
            run_as: RUN_AS.to_owned(),
        };
        let cluster = PrivateCluster::start(&private, Purpose::Serve).await?;
        let access = cluster.access().clone();
        schema::prepare(&access.root("postgres"), cluster::DATABASE, access.serve_password()).await?;
        schema::apply(&access.root(cluster::DATABASE)).await?;
        let db = Db::new(access.serve(cluster::DATABASE));
        let ingest = ingest(db, Live::default(), StockCache::default())?;
        Ok(Self { ingest, cluster: Some(cluster), place })
    }

    /// As the cluster's owner, whom no row-level security holds up.
    ///
    /// # Errors
    /// When PostgreSQL does not answer.
    pub async fn owner(&self) -> Result<PgConnection> {
        let cluster = self.cluster.as_ref().context("the centre has ended")?;
        Ok(PgConnection::connect_with(&cluster.access().root(cluster::DATABASE)).await?)
    }

    /// Ends it and forgets it.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn end(mut self) -> Result<()> {
        if let Some(cluster) = self.cluster.take() {
            cluster.stop().await;
        }
        Ok(self.place.remove()?)
    }
}

impl Drop for BareCentre {
    fn drop(&mut self) {
        if self.cluster.is_some() {
            stop_left_postmaster(&self.place);
            // A measurement that failed leaves nothing that anybody could want.
            let _ = self.place.remove();
        }
    }
}

/// Makes a box known, and its tenant and branch where they are not.
///
/// # Errors
/// When the database refuses.
pub async fn enrol(owner: &mut PgConnection, stream: &Stream, key: &VerifyingKey) -> Result<()> {
    let (tenant, branch, device) = (stream.tenant.as_str(), stream.branch.as_str(), stream.device.as_str());
    sqlx::query("INSERT INTO tenancy.tenant (tenant_id, name) VALUES ($1, $1) ON CONFLICT DO NOTHING")
        .bind(tenant)
        .execute(&mut *owner)
        .await?;
    sqlx::query(
        "INSERT INTO tenancy.branch (tenant_id, branch_id, name, currency, time_zone)
         VALUES ($1, $2, $2, 'EUR', 'Europe/Berlin') ON CONFLICT DO NOTHING",
    )
    .bind(tenant)
    .bind(branch)
    .execute(&mut *owner)
    .await?;
    sqlx::query(
        "INSERT INTO fleet.device (tenant_id, device_id, branch_id, term, key_id, enrolled_at)
         VALUES ($1, $2, $3, $4, $5, now())",
    )
    .bind(tenant)
    .bind(device)
    .bind(branch)
    .bind(i32::try_from(stream.term)?)
    .bind(key.id().to_string())
    .execute(&mut *owner)
    .await?;
    sqlx::query(
        "INSERT INTO fleet.device_key (tenant_id, key_id, device_id, public_key, since)
         VALUES ($1, $2, $3, $4, now())",
    )
    .bind(tenant)
    .bind(key.id().to_string())
    .bind(device)
    .bind(&key.point()[..])
    .execute(owner)
    .await?;
    Ok(())
}

/// Lets PostgreSQL tidy up and write back what waits, so that it does not do so while something else is measured: its vacuum
/// begins within a minute of a large load, or of its start.
///
/// # Errors
/// When PostgreSQL does not answer.
pub async fn settle(owner: &mut PgConnection) -> Result<()> {
    for statement in ["VACUUM (ANALYZE)", "CHECKPOINT"] {
        sqlx::raw_sql(statement).execute(&mut *owner).await?;
    }
    Ok(())
}

/// Seconds from the first batch to the commit of the last.
///
/// # Errors
/// When the last answer is not that everything up to `head` is committed.
pub async fn apply(ingest: &Ingest, batches: &[(DeviceId, Vec<u8>)], head: Head) -> Result<f64> {
    let began = Instant::now();
    let answers = Box::pin(ingest.apply(batches)).await;
    let took = began.elapsed().as_secs_f64();
    match answers.last() {
        Some(Answer::Committed(acknowledgement)) if acknowledgement.head == head => Ok(took),
        other => bail!("the centre answered the last of {} batches with {other:?}", batches.len()),
    }
}

/// Ingest over any database, with a key of its own: no box here believes its acknowledgements.
///
/// # Errors
/// When the system gives no random numbers.
pub fn ingest(db: Db, live: Live, stock: StockCache) -> Result<Ingest> {
    Ok(Ingest::new(db, Arc::new(OwnKey(new_key()?)), live, stock, IngestMetrics::default()))
}

/// A key made for this run.
///
/// # Errors
/// When the system gives no random numbers.
pub fn new_key() -> Result<SigningKey> {
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())?;
    Ok(SigningKey::from_pkcs8(document.as_ref())?)
}

#[derive(Debug)]
struct OwnKey(SigningKey);

impl Seal for OwnKey {
    fn acknowledge(
        &self,
        incarnation: u64,
        stream: Stream,
        head: Head,
    ) -> Result<Acknowledgement, SignatureError> {
        Acknowledgement::sign(incarnation, stream, head, &self.0, &SystemRandom::new())
    }

    fn orders(&self, span: Span) -> Result<Header, SignatureError> {
        span.sign(&self.0, &SystemRandom::new())
    }
}
