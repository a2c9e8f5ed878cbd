//! A centre with orders, and what a box of it would do.

use std::sync::Arc;

use pestle_domain::{
    fact::{FactBody, OrderApplied},
    ids::{ConnectionId, OrderId},
    order::{Order, OrderBody, OrderHead, OrderHow, RecallIssued, RecallLifted, StockAdjust},
    units::{Quantity, UnixMillis},
    wire::{
        message::Heads,
        orders::{Orders, VerifiedOrders},
    },
};
use pestle_gateway::{
    db::Db,
    ingest::Ingest,
    orders::issue::{self, NotIssued, Whom, Writer},
};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use uuid::Uuid;

use crate::ingest::{
    branch::Branch,
    centre::{Centre, tenant},
};

pub(super) struct Desk {
    pub(super) centre: Centre,
    pub(super) north: Branch,
}

pub(super) fn id(number: u128) -> OrderId {
    OrderId(Uuid::from_u128(number))
}

pub(super) fn adjust(packs: i64) -> OrderBody {
    let reason = "counted".into();
    StockAdjust { product: "p-1".parse().unwrap(), lot: Some("A1".into()), delta: Quantity(packs), reason }
        .into()
}

pub(super) fn recall(reference: &str) -> OrderBody {
    RecallIssued {
        reference: reference.into(),
        product: "p-1".parse().unwrap(),
        lot: None,
        reason: "glass".into(),
        issued: "2026-11-21".parse().unwrap(),
    }
    .into()
}

pub(super) fn lifting(reference: &str) -> OrderBody {
    RecallLifted {
        reference: reference.into(),
        product: "p-1".parse().unwrap(),
        lot: None,
        reason: "another maker".into(),
    }
    .into()
}

/// In these branches.
pub(super) fn only(branches: &[&str]) -> Whom {
    Whom::Some(branches.iter().map(|branch| branch.parse().unwrap()).collect())
}

pub(super) fn writer() -> Writer {
    Writer { by: "user:x".into(), name: "Somebody".into(), at: UnixMillis(1_795_000_000_000) }
}

pub(super) async fn issue(db: &Db, order: (OrderId, OrderBody), whom: Whom) -> Result<bool, NotIssued> {
    let mut tx = db.tenant(&tenant()).begin().await.unwrap();
    let issued = issue::issue(&mut tx, &tenant(), order, &whom, &writer()).await?;
    tx.commit().await.unwrap();
    Ok(issued)
}

impl Desk {
    /// A centre with the branch north, its box, and an article.
    pub(super) async fn new() -> Self {
        let centre = Centre::new().await;
        let north = Branch::new("north", "north-1");
        centre.enrol(&north).await;
        let desk = Self { centre, north };
        desk.as_root(
            "INSERT INTO catalogue.product (tenant_id, product_id, name, price_minor, currency, tax_basis_points, supply, storage)
             VALUES ('acme', 'p-1', 'A', 1, 'GBP', 0, 'general', 'ambient')",
        )
        .await;
        desk
    }

    /// What no gateway may do: an administrator's work, a restore.
    pub(super) async fn as_root(&self, statements: &str) {
        let mut root = PgConnection::connect_with(&self.centre.root()).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).execute(&mut root).await.unwrap();
        root.close().await.unwrap();
    }

    pub(super) async fn order(&self, number: u128, body: OrderBody) {
        assert!(issue(&self.centre.db, (id(number), body), Whom::All).await.unwrap());
    }

    pub(super) async fn sent_by(&self, ingest: &Ingest, stated: Option<OrderHead>) -> Option<VerifiedOrders> {
        let sender = ingest.sender(&self.north.device()).await.unwrap().unwrap();
        let heads = Heads {
            v: 1,
            connection: ConnectionId(Uuid::nil()),
            streams: vec![],
            waiting: 0,
            snapshot: 1_000,
            agent: "0.1.0".into(),
            orders: stated,
        };
        let message = ingest.orders(&Arc::clone(&sender), &heads).await.unwrap()?;
        Some(Orders::parse(&message).unwrap().verify(self.centre.public_key()).unwrap())
    }

    /// What the box is sent that states `stated`.
    pub(super) async fn sent(&self, stated: OrderHead) -> Option<VerifiedOrders> {
        self.sent_by(&self.centre.ingest, Some(stated)).await
    }

    /// The box reports facts.
    pub(super) async fn report(&mut self, bodies: Vec<FactBody>) {
        let first = self.north.last() + 1;
        let last = self.north.write(bodies);
        let answer = self.centre.one(self.north.batch(first, last)).await;
        crate::ingest::centre::committed(&answer);
    }

    /// Another branch, whose box has the number 1.
    pub(super) async fn south(&self) -> Branch {
        let south = Branch::new("south", "south-1");
        self.centre.enrol(&south).await;
        south
    }

    /// A restore of the centre to a moment at which the log of north had `seq` orders.
    pub(super) async fn restore(&self, seq: u64) {
        self.as_root(&format!(
            "CREATE TEMP TABLE gone AS SELECT order_id FROM orders.log WHERE branch_id = 'north' AND seq > {seq};
             DELETE FROM orders.log WHERE order_id IN (SELECT order_id FROM gone);
             DELETE FROM orders.issued WHERE order_id IN (SELECT order_id FROM gone);
             DELETE FROM orders.head;
             INSERT INTO orders.head SELECT DISTINCT ON (branch_id) tenant_id, branch_id, incarnation, seq, hash
             FROM orders.log ORDER BY branch_id, seq DESC;
             SELECT ingest.raise_incarnation();"
        ))
        .await;
    }

    /// As a person adopts it.
    pub(super) async fn adopt(&self, order: OrderId) -> Result<(), NotIssued> {
        let mut tx = self.centre.db.tenant(&tenant()).begin().await.unwrap();
        let line = pestle_gateway::orders::read::lost(&mut tx, "north", order).await.unwrap().unwrap();
        let read = Order::from_line(&line).unwrap().unwrap();
        issue::adopt(&mut tx, &tenant(), &"north".parse().unwrap(), (read, line), "Somebody").await?;
        tx.commit().await.unwrap();
        Ok(())
    }

    /// The numbers of the recalls in force in a branch.
    pub(super) async fn recalled(&self, branch: &str) -> Vec<String> {
        let mut tx = self.centre.db.tenant(&tenant()).begin().await.unwrap();
        let all =
            pestle_gateway::catalogue::recalls::in_force(&mut tx, &branch.parse().unwrap()).await.unwrap();
        all.into_iter().map(|recall| recall.reference.into()).collect()
    }

    /// State by order, for those that are in the log or have an outcome.
    pub(super) async fn open(&self) -> Vec<(OrderId, String)> {
        let mut tx = self.centre.db.tenant(&tenant()).begin().await.unwrap();
        let open = pestle_gateway::orders::read::open(&mut tx, 100).await.unwrap();
        let waiting = open.rows.iter().filter(|row| row.state == "waiting").count();
        let counted = (open.waiting, open.waiting + open.troubled);
        assert_eq!(counted, (i64::try_from(waiting).unwrap(), i64::try_from(open.rows.len()).unwrap()));
        open.rows.into_iter().map(|row| (OrderId(row.order_id), row.state)).collect()
    }
}

pub(super) fn applied(at: OrderHead, line: &str, how: OrderHow) -> FactBody {
    let order = Order::from_line(line.as_bytes()).unwrap().unwrap();
    OrderApplied { at, order: order.id, kind: order.body.kind().into(), how, line: line.into() }.into()
}
