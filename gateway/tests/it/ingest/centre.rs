//! A centre without broker and pages: a database of its own, and ingest over it.

use std::sync::Arc;

use pestle_domain::{
    ids::{DeviceId, TenantId},
    journal::{Acknowledgement, Head, Stream},
    signature::{SignatureError, SigningKey, VerifyingKey},
    wire::{
        batch::RefusalReason,
        message::Answer,
        orders::{Header, Span},
    },
};
use pestle_gateway::{
    db::Db,
    ingest::{Ingest, live::Live, metrics::IngestMetrics, seal::Seal},
    inventory::{self, cache::StockCache},
    sales,
    testing::{self, TestDatabase},
};
use sqlx::{
    AssertSqlSafe, Connection as _, PgConnection,
    postgres::{PgConnectOptions, PgRow},
};

use super::branch::{Branch, signing_key};

pub(crate) struct Centre {
    pub(crate) db: Db,
    pub(crate) ingest: Ingest,
    key: Arc<Key>,
    database: TestDatabase,
}

struct Key(SigningKey);

impl Seal for Key {
    fn acknowledge(
        &self,
        incarnation: u64,
        stream: Stream,
        head: Head,
    ) -> Result<Acknowledgement, SignatureError> {
        Acknowledgement::sign(incarnation, stream, head, &self.0, &aws_lc_rs::rand::SystemRandom::new())
    }

    fn orders(&self, span: Span) -> Result<Header, SignatureError> {
        span.sign(&self.0, &aws_lc_rs::rand::SystemRandom::new())
    }
}

impl Centre {
    pub(crate) async fn new() -> Self {
        let database = testing::database().await;
        let db = database.db.clone();
        let key = Arc::new(Key(signing_key()));
        let ingest = gateway(&db, &key);
        Self { db, ingest, key, database }
    }

    /// A second gateway process, as far as ingest knows.
    pub(crate) fn another_gateway(&self) -> Ingest {
        gateway(&self.db, &self.key)
    }

    pub(crate) fn public_key(&self) -> &VerifyingKey {
        self.key.0.public()
    }

    pub(crate) fn signing_key(&self) -> &SigningKey {
        &self.key.0
    }

    /// Changes the database as no gateway may.
    pub(crate) async fn as_owner(&self, statements: &'static str) {
        self.as_owner_says(statements).await;
    }

    /// The same, with something in it that is known at run time alone.
    pub(crate) async fn as_owner_says(&self, statements: &str) {
        let mut root = PgConnection::connect_with(&self.root()).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).execute(&mut root).await.unwrap();
        root.close().await.unwrap();
    }

    /// Writes what enrolment would.
    pub(crate) async fn enrol(&self, branch: &Branch) {
        let Stream { tenant, branch: place, device, .. } = &branch.stream;
        let mut tx = self.db.tenant(tenant).begin().await.unwrap();
        for statement in [
            "INSERT INTO tenancy.tenant (tenant_id, name) VALUES ($1, $1) ON CONFLICT DO NOTHING",
            "INSERT INTO tenancy.branch (tenant_id, branch_id, name, currency, time_zone) VALUES ($1, $2, $2, 'GBP', 'Europe/London') ON CONFLICT DO NOTHING",
            "INSERT INTO fleet.device (tenant_id, device_id, branch_id, term, key_id, enrolled_at) VALUES ($1, $3, $2, $6::bigint, $4, now())",
            "INSERT INTO fleet.device_key (tenant_id, key_id, device_id, public_key, since) VALUES ($1, $4, $3, $5, now())",
        ] {
            // Every statement takes all six, so that one loop binds them.
            let all = format!(
                "WITH given AS (SELECT $1::text, $2::text, $3::text, $4::text, $5::bytea, $6::bigint) {statement}"
            );
            sqlx::query(AssertSqlSafe(all))
                .bind(tenant.as_str())
                .bind(place.as_str())
                .bind(device.as_str())
                .bind(branch.key.id().0.as_str())
                .bind(&branch.key.public().point()[..])
                .bind(i64::from(branch.stream.term))
                .execute(&mut *tx)
                .await
                .unwrap();
        }
        tx.commit().await.unwrap();
    }

    pub(crate) async fn one(&self, message: (DeviceId, Vec<u8>)) -> Answer {
        let mut answers = self.ingest.apply(&[message]).await;
        assert_eq!(answers.len(), 1);
        answers.remove(0)
    }

    pub(crate) async fn rows<T>(&self, query: &'static str) -> Vec<T>
    where
        T: for<'r> sqlx::FromRow<'r, PgRow> + Send + Unpin,
    {
        let mut tx = self.db.tenant(&tenant()).begin().await.unwrap();
        sqlx::query_as(query).fetch_all(&mut *tx).await.unwrap()
    }

    pub(crate) async fn on_hand(&self, branch: &str, product: &str) -> i64 {
        let mut tx = self.db.tenant(&tenant()).begin().await.unwrap();
        sqlx::query_scalar("SELECT coalesce(sum(on_hand), 0)::bigint FROM inventory.balance WHERE branch_id = $1 AND product_id = $2")
            .bind(branch)
            .bind(product)
            .fetch_one(&mut *tx)
            .await
            .unwrap()
    }

    /// Balances are the sums of their movements, sessions and days of theirs.
    pub(crate) async fn assert_books_balance(&self) {
        let mut tx = self.db.tenant(&tenant()).begin().await.unwrap();
        assert_eq!(inventory::store::unequal(&mut tx).await.unwrap(), []);
        assert_eq!(sales::store::read::unequal(&mut tx).await.unwrap(), []);
    }

    /// Ends every connection and lets none in: what a box sees of a database that is away.
    pub(crate) async fn lock_out(&self) {
        let name = &self.database.name;
        self.as_root(&format!("ALTER DATABASE {name} CONNECTION LIMIT 0")).await;
        let end = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
        self.as_root(&end).await;
    }

    pub(crate) async fn let_in(&self) {
        self.as_root(&format!("ALTER DATABASE {} CONNECTION LIMIT -1", self.database.name)).await;
    }

    async fn as_root(&self, statement: &str) {
        let mut root = PgConnection::connect_with(&self.root().database("postgres")).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(&mut root).await.unwrap();
        root.close().await.unwrap();
    }

    /// As superuser: for what no gateway may do.
    pub(crate) fn root(&self) -> PgConnectOptions {
        self.database.root()
    }
}

pub(crate) fn tenant() -> TenantId {
    "acme".parse().unwrap()
}

fn gateway(db: &Db, key: &Arc<Key>) -> Ingest {
    let seal: Arc<dyn Seal> = key.clone();
    Ingest::new(db.clone(), seal, Live::default(), StockCache::default(), IngestMetrics::default())
}

/// The head of a `committed` answer.
#[track_caller]
pub(crate) fn committed(answer: &Answer) -> Head {
    match answer {
        Answer::Committed(acknowledgement) => acknowledgement.head,
        other => panic!("not committed: {other:?}"),
    }
}

/// The reason of a `refused` answer.
#[track_caller]
pub(crate) fn refused(answer: &Answer) -> RefusalReason {
    match answer {
        Answer::Refused { reason, .. } => *reason,
        other => panic!("not refused: {other:?}"),
    }
}
