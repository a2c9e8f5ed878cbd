//! Tenants do not see each other.

use pestle_gateway::{config::DatabaseChoice, run, testing};
use sqlx::{Connection as _, PgConnection};

use super::client::{branch, profile};

async fn add_branch_to(db: &pestle_gateway::db::Db, tenant: &str) {
    let tenant = tenant.parse().unwrap();
    let mut tx = db.tenant(&tenant).begin().await.unwrap();
    pestle_gateway::tenancy::store::add_tenant(&mut tx, &tenant, "x").await.unwrap();
    let profile = pestle_gateway::tenancy::rules::profile(profile()).unwrap();
    let branch = pestle_gateway::tenancy::store::Branch { id: branch(), profile };
    pestle_gateway::tenancy::store::add_branch(&mut tx, &tenant, &branch).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn a_tenant_sees_its_own_rows_and_no_others() {
    let database = testing::database().await;
    add_branch_to(&database.db, "one").await;
    add_branch_to(&database.db, "two").await;
    let one = "one".parse().unwrap();
    let mut tx = database.db.tenant(&one).begin().await.unwrap();
    let seen: Vec<String> =
        sqlx::query_scalar("SELECT tenant_id FROM tenancy.branch").fetch_all(&mut *tx).await.unwrap();
    assert_eq!(seen, ["one"]);
    let changed = sqlx::query("UPDATE tenancy.branch SET name = 'mine' WHERE tenant_id = 'two'")
        .execute(&mut *tx)
        .await
        .unwrap();
    assert_eq!(changed.rows_affected(), 0);
    let foreign = sqlx::query("INSERT INTO tenancy.tenant (tenant_id, name) VALUES ('three', 'x')")
        .execute(&mut *tx)
        .await;
    assert!(foreign.unwrap_err().to_string().contains("row-level security"));
}

#[tokio::test]
async fn a_tenant_does_not_leak_into_the_next_transaction_of_its_connection() {
    let database = testing::database().await;
    add_branch_to(&database.db, "one").await;
    // The same connection again: the pool has one at this point.
    let mut tx = database.db.system().begin().await.unwrap();
    let tenant: Option<String> =
        sqlx::query_scalar("SELECT nullif(current_setting('pestle.tenant_id', true), '')")
            .fetch_one(&mut *tx)
            .await
            .unwrap();
    assert_eq!(tenant, None);
}

#[tokio::test]
async fn the_system_scope_reads_what_it_must_and_changes_nothing() {
    let database = testing::database().await;
    add_branch_to(&database.db, "one").await;
    let mut tx = database.db.system().begin().await.unwrap();
    assert_eq!(pestle_gateway::tenancy::store::tenants(&mut tx).await.unwrap().len(), 1);
    let denied =
        sqlx::query("UPDATE tenancy.tenant SET name = 'x'").execute(&mut *tx).await.unwrap_err().to_string();
    assert!(denied.contains("permission denied"), "{denied}");
    let mut tx = database.db.system().begin().await.unwrap();
    let denied = sqlx::query("SELECT FROM tenancy.branch").execute(&mut *tx).await.unwrap_err().to_string();
    assert!(denied.contains("permission denied"), "{denied}");
}

#[tokio::test]
async fn a_gateway_whose_database_user_looks_past_tenants_does_not_start() {
    let database = testing::database().await;
    let folder = tempfile::tempdir().unwrap();
    let mut config = testing::config(&database, folder.path());
    if let DatabaseChoice::Dsn { serve, owner } = &mut config.database {
        serve.clone_from(owner);
    }
    let said = run::start(config).await.unwrap_err().to_string();
    assert!(said.contains("bypasses row-level security") && said.contains("database.dsn"), "{said}");
}

#[tokio::test]
async fn every_table_leads_with_the_tenant_and_forces_row_level_security() {
    let database = testing::database().await;
    let mut root = PgConnection::connect_with(&database.root()).await.unwrap();
    let loose: Vec<String> = sqlx::query_scalar(
        "SELECT n.nspname || '.' || c.relname
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = 1
         WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition
           AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'public')
           -- The centre's own number, of no tenant.
           AND (n.nspname, c.relname) <> ('ingest', 'incarnation')
           AND (NOT c.relrowsecurity OR NOT c.relforcerowsecurity OR a.attname <> 'tenant_id')
         ORDER BY 1",
    )
    .fetch_all(&mut root)
    .await
    .unwrap();
    assert_eq!(loose, Vec::<String>::new());
    let owners: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM pg_tables WHERE tableowner IN ('pestle_serve', 'pestle_system')",
    )
    .fetch_one(&mut root)
    .await
    .unwrap();
    assert_eq!(owners, 0);
}
