//! The event store in memory, on which the simulation stands, against the real one: the same histories, the same answers,
//! the same heads, facts, quarantine, stock and cash, the same logs of orders and what became of each.

use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use pestle_domain::{
    ids::{ConnectionId, DeviceId, TenantId},
    journal::{Acknowledgement, Head, Stream},
    order::{Order, OrderHead, OrderLog},
    signature::{SignatureError, SigningKey},
    wire::{
        message::Heads,
        orders::{Header, Span},
    },
};
use pestle_gateway::{
    ingest::{Incoming, Ingest, live::Live, metrics::IngestMetrics, rules::Sender, seal::Seal},
    inventory::cache::StockCache,
    orders::issue::{self, Whom, Writer},
    testing::{self, TestDatabase},
};
use pestle_hil_tests::simulation::{
    conformance::{Asked, EventStore, InMemory, OrderRow, Said, SessionSums, State, ask},
    history,
    world::centre_key,
};
use sqlx::{AssertSqlSafe, Connection, PgConnection, postgres::PgRow};
use tokio::runtime::Runtime;
use uuid::Uuid;

/// Lives whose histories are asked of both.
const LIVES: std::ops::RangeInclusive<u64> = 1..=24;

struct Key(Arc<SigningKey>);

impl Seal for Key {
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

/// PostgreSQL, with the gateway's ingest over it.
struct Postgres {
    runtime: Runtime,
    database: TestDatabase,
    ingest: Ingest,
}

fn gateway(database: &TestDatabase) -> Ingest {
    let seal: Arc<dyn Seal> = Arc::new(Key(centre_key()));
    Ingest::new(database.db.clone(), seal, Live::default(), StockCache::default(), IngestMetrics::default())
}

impl Postgres {
    fn new() -> Self {
        let runtime = Runtime::new().unwrap();
        let database = runtime.block_on(testing::database());
        let ingest = gateway(&database);
        let new = Self { runtime, database, ingest };
        for statement in [
            "INSERT INTO tenancy.tenant (tenant_id, name) VALUES ('acme', 'acme')",
            "INSERT INTO tenancy.branch (tenant_id, branch_id, name, currency, time_zone)
             VALUES ('acme', 'north', 'north', 'GBP', 'Europe/London'), ('acme', 'south', 'south', 'GBP', 'Europe/London')",
        ] {
            new.execute(statement.to_owned());
        }
        new
    }

    fn execute(&self, statement: String) {
        self.runtime.block_on(async {
            let mut tx = self.database.db.tenant(&tenant()).begin().await.unwrap();
            sqlx::query(AssertSqlSafe(statement)).execute(&mut *tx).await.unwrap();
            tx.commit().await.unwrap();
        });
    }

    fn rows<T>(&self, query: &'static str) -> Vec<T>
    where
        T: for<'r> sqlx::FromRow<'r, PgRow> + Send + Unpin,
    {
        self.runtime.block_on(async {
            let mut tx = self.database.db.tenant(&tenant()).begin().await.unwrap();
            sqlx::query_as(query).fetch_all(&mut *tx).await.unwrap()
        })
    }
}

fn tenant() -> TenantId {
    "acme".parse().unwrap()
}

const STREAM: &str =
    "s.branch_id || '/' || s.device_id || ' term ' || s.term || ' ' || s.lane || ' epoch ' || s.epoch";

impl EventStore for Postgres {
    fn enrol(&mut self, sender: &Arc<Sender>) {
        let Sender { branch, device, term, .. } = &**sender;
        let key = &sender.keys[0];
        let (id, point) = (key.id().0, hex::encode(key.point()));
        self.execute(format!(
            "INSERT INTO fleet.device (tenant_id, device_id, branch_id, term, key_id, enrolled_at)
             VALUES ('acme', '{device}', '{branch}', {term}, '{id}', now())"
        ));
        self.execute(format!(
            "INSERT INTO fleet.device_key (tenant_id, key_id, device_id, public_key, since)
             VALUES ('acme', '{id}', '{device}', decode('{point}', 'hex'), now())"
        ));
        for earlier in &sender.earlier {
            let earlier = &earlier.device;
            self.execute(format!(
                "INSERT INTO fleet.succession (tenant_id, device_id, earlier_id) VALUES ('acme', '{device}', '{earlier}')"
            ));
        }
        // A gateway keeps for some seconds whose device is whose; another one does not know yet.
        self.ingest = gateway(&self.database);
    }

    fn settle(&mut self, messages: Vec<Incoming>) -> Vec<Said> {
        let settled =
            self.runtime.block_on(async { self.ingest.settle(self.ingest.read(messages).await).await });
        settled.iter().map(Said::from).collect()
    }

    fn issue(&mut self, log: &OrderLog, order: &Order) {
        let Order { id, issued_at, by, body } = order.clone();
        let writer = Writer { by, name: "office".into(), at: issued_at };
        let whom = Whom::Some(vec![log.branch.clone()]);
        self.runtime.block_on(async {
            let mut tx = self.database.db.tenant(&log.tenant).begin().await.unwrap();
            assert!(issue::issue(&mut tx, &log.tenant, (id, body), &whom, &writer).await.unwrap());
            tx.commit().await.unwrap();
        });
    }

    fn orders(&mut self, device: &DeviceId, stated: OrderHead) -> Said {
        let heads = Heads {
            v: 1,
            connection: ConnectionId(Uuid::nil()),
            streams: vec![],
            waiting: 0,
            // No snapshot holds a box back here.
            snapshot: 1_000,
            agent: "sim".into(),
            orders: Some(stated),
        };
        let message = self.runtime.block_on(async {
            let sender = self.ingest.sender(device).await.unwrap().unwrap();
            self.ingest.orders(&sender, &heads).await.unwrap()
        });
        Said::of_orders(message.as_deref())
    }

    fn new_life(&mut self) {
        self.runtime.block_on(async {
            let mut root = PgConnection::connect_with(&self.database.root()).await.unwrap();
            sqlx::raw_sql("SELECT ingest.raise_incarnation()").execute(&mut root).await.unwrap();
            root.close().await.unwrap();
        });
        self.ingest = gateway(&self.database);
    }

    fn state(&mut self) -> State {
        let mut state = State::default();
        let named =
            |query: &str| -> &'static str { Box::leak(query.replace("$STREAM", STREAM).into_boxed_str()) };
        let heads: Vec<(String, i64, String)> =
            self.rows(named("SELECT $STREAM, head_seq, encode(head_hash, 'hex') FROM ingest.stream s"));
        state.heads.extend(heads.into_iter().map(|(name, seq, hash)| (name, (seq, hash))));
        let facts: Vec<(String, i64, String, String, bool)> = self.rows(named(
            "SELECT $STREAM, f.seq, f.fact_id::text, encode(f.hash, 'hex'), false
             FROM ingest.fact f JOIN ingest.stream s USING (tenant_id, stream_id)
             UNION ALL SELECT $STREAM, d.seq, d.fact_id::text, encode(d.hash, 'hex'), true
             FROM ingest.duplicate d JOIN ingest.stream s USING (tenant_id, stream_id)",
        ));
        state
            .facts
            .extend(facts.into_iter().map(|(name, seq, id, hash, again)| ((name, seq), (id, hash, again))));
        let quarantine: Vec<(String, String, String, i64)> =
            self.rows("SELECT device_id, reason, encode(bytes_hash, 'hex'), times FROM ingest.quarantine");
        state
            .quarantine
            .extend(quarantine.into_iter().map(|(one, two, three, times)| ((one, two, three), times)));
        let stock: Vec<(String, String, String, i64)> =
            self.rows("SELECT branch_id, product_id, lot, on_hand FROM inventory.balance");
        state.stock.extend(stock.into_iter().map(|(one, two, three, packs)| ((one, two, three), packs)));
        type Row = (String, String, Option<i64>, i64, i64, i64, i64, i64, Option<i64>);
        let sessions: Vec<Row> = self.rows(
            "SELECT branch_id, session_id::text, float_minor, received_minor, paid_in_minor, paid_out_minor, sales,
                    late_minor, counted_minor FROM sales.session",
        );
        for (branch, session, float, received, paid_in, paid_out, sales, late, counted) in sessions {
            let sums: SessionSums = (float, received, paid_in, paid_out, sales, late, counted);
            state.sessions.insert((branch, session), sums);
        }
        let days: Vec<(String, String, i64, i64)> =
            self.rows("SELECT branch_id, business_date::text, sales, gross_minor FROM sales.day");
        state
            .days
            .extend(days.into_iter().map(|(branch, day, sales, gross)| ((branch, day), (sales, gross))));
        type Placed = (String, i64, i64, String, String, bool, String, i32);
        let orders: Vec<Placed> = self.rows(
            "SELECT l.branch_id, l.seq, l.incarnation, encode(l.hash, 'hex'), l.order_id::text, l.settled,
                    coalesce(o.state, ''), coalesce(o.done, 0)
             FROM orders.log l LEFT JOIN orders.outcome o USING (tenant_id, branch_id, order_id)",
        );
        for (branch, seq, incarnation, hash, order, settled, word, done) in orders {
            let row = OrderRow { incarnation, hash, order, settled, state: word, done };
            state.orders.insert((branch, seq), row);
        }
        state
    }
}

#[test]
fn the_store_in_memory_and_postgresql_answer_alike_and_end_alike() {
    let (mut duplicates, mut refused, mut gaps) = (0, 0, 0);
    let (mut done, mut orders_refused, mut open, mut cut) = (0, 0, 0, 0);
    for seed in LIVES {
        let history: Vec<Asked> = history(seed);
        let (words, state) = ask(&history, &mut InMemory::new(centre_key()));
        let (real_words, real_state) = ask(&history, &mut Postgres::new());
        for (number, (one, other)) in words.iter().zip(&real_words).enumerate() {
            assert_eq!(one, other, "seed {seed}, group {number}");
        }
        assert_eq!(words.len(), real_words.len(), "seed {seed}");
        assert_eq!(state.heads, real_state.heads, "seed {seed}");
        assert_eq!(state.quarantine, real_state.quarantine, "seed {seed}");
        assert_eq!(state.stock, real_state.stock, "seed {seed}");
        assert_eq!(state.sessions, real_state.sessions, "seed {seed}");
        assert_eq!(state.days, real_state.days, "seed {seed}");
        assert_eq!(state.facts, real_state.facts, "seed {seed}");
        assert_eq!(state.orders, real_state.orders, "seed {seed}");
        duplicates += state.facts.values().filter(|(.., again)| *again).count();
        refused += state.quarantine.len();
        gaps += words.iter().flatten().filter(|said| matches!(said, Said::Gap(_))).count();
        done += state.orders.values().filter(|row| row.state == "applied").count();
        orders_refused += state.orders.values().filter(|row| row.state == "refused").count();
        open += state.orders.values().filter(|row| !row.settled).count();
        let whole = |said: &&Said| matches!(said, Said::Orders(_, orders) if orders.len() == 200);
        cut += words.iter().flatten().filter(whole).count();
    }
    // Histories in which nothing ever goes wrong would agree with any store.
    assert!(
        duplicates > 0 && refused > 0 && gaps > 0,
        "{duplicates} duplicates, {refused} refusals, {gaps} gaps"
    );
    assert!(
        done > 0 && orders_refused > 0 && open > 0 && cut > 0,
        "orders: {done} done, {orders_refused} refused, {open} open; {cut} messages as long as can be"
    );
}
