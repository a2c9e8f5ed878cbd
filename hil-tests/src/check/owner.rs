//! The centre's database as its owner sees it: what no page shows, and what only somebody with the keys may do.

use anyhow::{Context, bail};
use pestle_gateway::postgres::Layout;
use pestle_gateway::postgres::cluster::{self, Access};
use sqlx::{Connection, PgConnection, Row};

use crate::counter::LedgerHead;
use crate::world::Place;

/// A connection of the cluster's owner, whom no row-level security holds up.
#[derive(Debug)]
pub(crate) struct Owner {
    connection: PgConnection,
}

/// What the centre has booked of a branch, summed from its own rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Booked {
    /// Sales.
    pub(crate) sales: i64,
    /// What they came to, in cents.
    pub(crate) cents: i64,
    /// Packs on their lines.
    pub(crate) packs: i64,
}

impl Owner {
    /// Connects to the world's private PostgreSQL.
    pub(crate) async fn of(place: &Place) -> anyhow::Result<Self> {
        let access = Access::read(&Layout::under(place.cluster()))?;
        let options = access.root(cluster::DATABASE).application_name("pestle-check");
        let connection = PgConnection::connect_with(&options).await.context("the centre's database")?;
        Ok(Self { connection })
    }

    /// Up to where the centre has committed a branch's ledger of that epoch.
    pub(crate) async fn committed(&mut self, branch: &str, epoch: u32) -> anyhow::Result<u64> {
        let seq: Option<i64> = sqlx::query_scalar(
            "SELECT max(head_seq) FROM ingest.stream WHERE branch_id = $1 AND lane = 'ledger' AND epoch = $2",
        )
        .bind(branch)
        .bind(i64::from(epoch))
        .fetch_one(&mut self.connection)
        .await?;
        Ok(u64::try_from(seq.unwrap_or_default())?)
    }

    /// Fails unless the centre lacks something of what the box has on its disk.
    pub(crate) async fn lacks(&mut self, branch: &str, head: LedgerHead) -> anyhow::Result<u64> {
        let committed = self.committed(branch, head.epoch).await?;
        if committed >= head.seq {
            bail!("the centre had committed all {} facts at the kill: nothing was in the middle", head.seq);
        }
        Ok(head.seq - committed)
    }

    /// Holds the heads of a branch's streams, so that no batch of it can be committed until this connection ends.
    pub(crate) async fn hold_streams(&mut self, branch: &str) -> anyhow::Result<()> {
        sqlx::raw_sql("BEGIN").execute(&mut self.connection).await?;
        let held = sqlx::query("SELECT 1 FROM ingest.stream WHERE branch_id = $1 FOR UPDATE")
            .bind(branch)
            .fetch_all(&mut self.connection)
            .await?;
        if held.is_empty() {
            bail!("the centre knows no stream of {branch}");
        }
        Ok(())
    }

    /// Transactions that wait for a lock: somebody's batch has arrived and is being booked.
    pub(crate) async fn waiting_for_locks(&mut self) -> anyhow::Result<i64> {
        let waiting = sqlx::query_scalar(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
        );
        Ok(waiting.fetch_one(&mut self.connection).await?)
    }

    /// Everything in the centre that cannot be right: quarantined messages, facts without effect, sums that are not
    /// those of their parts.
    pub(crate) async fn faults(&mut self) -> anyhow::Result<Vec<String>> {
        let rows = sqlx::query(
            "SELECT 'quarantined: ' || reason || ' (' || device_id || '): ' || message AS fault FROM ingest.quarantine
             UNION ALL
             SELECT 'unfolded: fact ' || seq || ' of stream ' || stream_id || ', ' || kind FROM ingest.fact WHERE NOT folded
             UNION ALL
             SELECT 'stock of ' || branch_id || ' ' || product_id || ' ' || lot || ' is ' || coalesce(balance::text, '-')
                    || ', its movements ' || coalesce(movements::text, '-') FROM inventory.unequal()
             UNION ALL
             SELECT what || ' ' || name || ' of ' || branch_id || ' is ' || coalesce(kept::text, '-') || ', its parts '
                    || coalesce(summed::text, '-') FROM sales.unequal()",
        )
        .fetch_all(&mut self.connection)
        .await?;
        rows.iter().map(|row| Ok(row.try_get::<String, _>("fault")?)).collect()
    }

    /// The branch's sales, summed from the centre's rows: money from the sales, packs from what left the stock.
    pub(crate) async fn booked(&mut self, branch: &str) -> anyhow::Result<Booked> {
        let row = sqlx::query(
            "SELECT count(*) AS sales, coalesce(sum(total_minor), 0)::bigint AS cents,
                    coalesce((SELECT -sum(on_hand) FROM inventory.movement
                              WHERE branch_id = $1 AND kind = 'stock.sold'), 0)::bigint AS packs
             FROM sales.sale sale WHERE branch_id = $1",
        )
        .bind(branch)
        .fetch_one(&mut self.connection)
        .await?;
        Ok(Booked {
            sales: row.try_get("sales")?,
            cents: row.try_get("cents")?,
            packs: row.try_get("packs")?,
        })
    }
}
