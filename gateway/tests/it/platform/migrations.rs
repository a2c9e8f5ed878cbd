//! A database of an earlier version goes on with what it has.

use std::borrow::Cow;

use pestle_gateway::{db::schema::MIGRATIONS, testing};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, migrate::Migrator};

/// The migrations below that number.
fn before(version: i64) -> Migrator {
    let earlier: Vec<_> = MIGRATIONS.iter().filter(|one| one.version < version).cloned().collect();
    Migrator { migrations: Cow::Owned(earlier), ..Migrator::DEFAULT }
}

const NORTH: &str = "
    INSERT INTO tenancy.tenant (tenant_id, name) VALUES ('acme', 'Acme');
    INSERT INTO tenancy.branch (tenant_id, branch_id, name, currency, time_zone)
    VALUES ('acme', 'north', 'North', 'GBP', 'Europe/London');
    INSERT INTO ingest.stream (tenant_id, branch_id, term, device_id, lane, epoch) VALUES ('acme', 'north', 1, 'north-1', 'ledger', 1);
    INSERT INTO ingest.fact (tenant_id, stream_id, seq, fact_id, act_id, wall_ms, business_date, folded, kind, hash, bytes)
    SELECT 'acme', s.stream_id, f.seq, gen_random_uuid(), gen_random_uuid(), extract(epoch FROM now()) * 1000 - 1000, '2026-11-21',
           f.folded, f.kind, '', convert_to(f.line, 'UTF8')
    FROM ingest.stream s, (VALUES
        (1, true, 'box.space_low', '{\"data\":{\"level\":\"low\",\"free_mib\":300,\"days_left\":12}}'),
        (2, true, 'box.space_low', '{\"data\":{\"level\":\"full\",\"free_mib\":9}}'),
        (3, true, 'box.space_low', '{\"data\":{\"level\":\"\\u0000\",\"free_mib\":1}}'),
        (4, true, 'box.shed', '{\"data\":{\"facts\":3,\"from\":1,\"to\":2}}'),
        (5, true, 'box.shed', '{\"data\":{\"facts\":4,\"from\":1,\"to\":2}}'),
        (6, false, 'box.shed', '{\"data\":{\"facts\":\"many\"}}'),
        (7, true, 'box.books_incomplete', '{\"data\":{\"epoch\":1,\"from\":1,\"to\":50}}'),
        (8, true, 'box.books_incomplete', '{\"data\":{\"epoch\":1,\"from\":40,\"to\":77}}'),
        (9, true, 'box.books_incomplete', 'what')
    ) AS f (seq, folded, kind, line);
    INSERT INTO orders.issued (tenant_id, order_id, kind, bytes, by_name)
    SELECT 'acme', ('00000000-0000-0000-0000-00000000000' || n)::uuid, 'stock.adjust', '', 'x' FROM generate_series(1, 4) AS n;
    INSERT INTO orders.log (tenant_id, branch_id, seq, incarnation, hash, order_id, in_snapshots)
    SELECT 'acme', 'north', n, 1, '', ('00000000-0000-0000-0000-00000000000' || n)::uuid, n = 3 FROM generate_series(1, 4) AS n;
    INSERT INTO orders.outcome (tenant_id, branch_id, order_id, kind, state, incarnation, seq, done)
    SELECT 'acme', 'north', ('00000000-0000-0000-0000-00000000000' || n)::uuid, 'stock.adjust', state, 1, n, 0
    FROM (VALUES (1, 'applied'), (2, 'refused'), (3, 'contained'), (9, 'applied')) AS o (n, state);
    INSERT INTO patients.patient (tenant_id, person_id, generation, nonce, text, at_ms, stream_id, seq)
    VALUES ('acme', '00000000-0000-0000-0000-000000000001', 1, '', '', 1, 1, 1);
    INSERT INTO catalogue.product (tenant_id, product_id, name, price_minor, currency, tax_basis_points, supply, storage)
    VALUES ('acme', 'p-1', 'A', 1, 'GBP', 0, 'general', 'ambient');
    INSERT INTO catalogue.recall (tenant_id, recall_id, reference, product_id, reason, issued, branches)
    VALUES ('acme', gen_random_uuid(), 'R-1', 'p-1', 'glass', '2026-11-01', NULL),
           ('acme', gen_random_uuid(), 'R-2', 'p-1', 'glass', '2026-11-01', '{south}');";

#[tokio::test]
async fn what_an_earlier_version_stored_is_there_after_the_migrations_and_what_cannot_be_read_stops_none() {
    let database = testing::database().await;
    let name = format!("{}_old", database.name);
    let mut root = PgConnection::connect_with(&database.root()).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut root).await.unwrap();
    root.close().await.unwrap();
    let mut old = PgConnection::connect_with(&database.root().database(&name)).await.unwrap();
    let say = async |connection: &mut PgConnection, text: String| {
        sqlx::raw_sql(AssertSqlSafe(text)).execute(connection).await.unwrap();
    };
    // As the owner of the tables, who is no superuser: row-level security is for it too.
    let rights = format!(
        "GRANT CREATE ON DATABASE {name} TO pestle_owner; GRANT USAGE, CREATE ON SCHEMA public TO pestle_owner; SET ROLE pestle_owner"
    );
    say(&mut old, rights).await;
    before(220).run(&mut old).await.unwrap();
    say(&mut old, format!("RESET ROLE; {NORTH} SET ROLE pestle_owner")).await;
    MIGRATIONS.run(&mut old).await.unwrap();
    say(&mut old, "RESET ROLE".to_owned()).await;

    let says: Vec<(String, String)> = sqlx::query_as(
        "SELECT says, coalesce(data->>'level', data->>'facts', data->>'lacks') FROM ingest.box_says() ORDER BY 1",
    )
    .fetch_all(&mut old)
    .await
    .unwrap();
    let says: Vec<(&str, &str)> = says.iter().map(|(says, what)| (says.as_str(), what.as_str())).collect();
    assert_eq!(says, [("books", r#"[{"to": 77, "from": 1, "epoch": 1}]"#), ("shed", "7"), ("space", "full")]);
    let settled: Vec<bool> =
        sqlx::query_scalar("SELECT settled FROM orders.log ORDER BY seq").fetch_all(&mut old).await.unwrap();
    assert_eq!(settled, [true, true, true, false]);
    let outcomes: Vec<(i64, bool, bool)> =
        sqlx::query_as("SELECT seq, lost, orders.left_behind(o) FROM orders.outcome o ORDER BY seq")
            .fetch_all(&mut old)
            .await
            .unwrap();
    assert_eq!(outcomes, [(1, false, false), (2, false, true), (3, false, false), (9, true, false)]);
    let holds: Vec<(String, bool, bool)> = sqlx::query_as(
        "SELECT reference, catalogue.holds_in(r, 'north'), catalogue.holds_in(r, 'south') FROM catalogue.recall r ORDER BY 1",
    )
    .fetch_all(&mut old)
    .await
    .unwrap();
    assert_eq!(holds, [("R-1".to_owned(), true, true), ("R-2".to_owned(), false, true)]);
    // And row-level security is as strict as it was.
    let open: Vec<String> = sqlx::query_scalar(
        "SELECT c.oid::regclass::text FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
         WHERE c.relkind = 'r' AND NOT (c.relrowsecurity AND c.relforcerowsecurity) AND c.relnamespace::regnamespace::text !~ '^pg_'",
    )
    .fetch_all(&mut old)
    .await
    .unwrap();
    assert_eq!(open, Vec::<String>::new());
    old.close().await.unwrap();
}
