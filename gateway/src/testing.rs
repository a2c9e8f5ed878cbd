//! For integration tests: one throw-away cluster for all test processes of this user, and a database per test.
//!
//! Test processes come and go (nextest runs each test in its own). Each holds a shared lock on a file for as long as
//! it lives; a small watcher process waits until nobody holds it any more, then stops the cluster and removes it. The
//! kernel gives locks back whatever happens to their holders, so nothing is left behind.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where its ground is missing"
)]

use std::{
    fs::{self, File, OpenOptions},
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

use sqlx::{AssertSqlSafe, Connection as _, PgConnection, postgres::PgConnectOptions};
use tempfile::TempDir;
use uuid::Uuid;

use crate::{
    config::{BrokerChoice, Config, DatabaseChoice, Https, Log, LogFormat, PrivateDatabase},
    db::{Db, schema},
    postgres::{Layout, PrivateCluster, cluster::Access, settings::Purpose},
    run::{self, Running},
};

/// A database of one test, migrated, without rows.
#[derive(Debug)]
pub struct TestDatabase {
    /// As the gateway serves.
    pub db: Db,
    /// Its name.
    pub name: String,
    access: Access,
}

/// A gateway of one test, in this process, with its own database, broker and folder, on free ports.
#[derive(Debug)]
pub struct TestGateway {
    /// What runs.
    pub running: Running,
    /// Its database.
    pub database: TestDatabase,
    /// Its data folder.
    pub folder: TempDir,
}

impl TestDatabase {
    /// As superuser.
    pub fn root(&self) -> PgConnectOptions {
        self.access.root(&self.name)
    }
}

/// Creates a database.
///
/// # Panics
/// When PostgreSQL is not installed, or does not start.
pub async fn database() -> TestDatabase {
    install_crypto();
    let access = shared_cluster().await;
    let name = format!("t_{}", Uuid::now_v7().simple());
    let mut root =
        PgConnection::connect_with(&access.root("postgres")).await.expect("the test cluster answers");
    let create = format!("CREATE DATABASE {name} TEMPLATE {}", template_name());
    sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut root).await.expect("a database from the template");
    root.close().await.expect("goodbye");
    TestDatabase { db: Db::new(access.serve(&name)), name, access }
}

/// Starts a gateway.
///
/// # Panics
/// When it does not start.
pub async fn gateway() -> TestGateway {
    let database = database().await;
    let folder = tempfile::tempdir().expect("a folder");
    let running = run::start(config(&database, folder.path())).await.expect("the gateway starts");
    TestGateway { running, database, folder }
}

/// The configuration of a gateway over `database`, on free ports.
pub fn config(database: &TestDatabase, folder: &Path) -> Config {
    let free = "127.0.0.1:0".parse().expect("an address");
    Config {
        data_dir: folder.to_owned(),
        https: Https { listen: free, public_names: vec!["127.0.0.1".into()] },
        broker: BrokerChoice::BuiltIn(free),
        mqtt_public: None,
        database: DatabaseChoice::Dsn {
            serve: database.access.dsn_serve(&database.name),
            owner: database.access.dsn_root(&database.name),
        },
        log: Log { filter: "warn".into(), format: LogFormat::Text },
    }
}

/// Sets the TLS provider of this process; may be called often.
pub fn install_crypto() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// One template per state of the migrations.
fn template_name() -> String {
    let mut text = String::new();
    for migration in schema::MIGRATIONS.iter() {
        text.push_str(&hex::encode(&*migration.checksum));
    }
    let hash = pestle_domain::signature::Hash::of(text.as_bytes());
    format!("template_{}", hash.short())
}

async fn shared_cluster() -> Access {
    static USING: OnceLock<File> = OnceLock::new();
    let base = base_folder();
    let open = |name: &str| {
        let path = base.join(name);
        OpenOptions::new().create(true).truncate(false).write(true).open(path).expect("a lock file")
    };
    USING.get_or_init(|| {
        let users = open("users.lock");
        users.lock_shared().expect("a place among the users");
        users
    });
    let starting = open("start.lock");
    let starting = tokio::task::spawn_blocking(move || starting.lock().map(|()| starting)).await;
    let starting = starting.expect("the thread").expect("the right to start");
    let config =
        PrivateDatabase { program_dir: None, cluster_dir: base.join("cluster"), run_as: "postgres".into() };
    let layout = Layout::under(&config.cluster_dir);
    let access = match Access::read(&layout) {
        Ok(access) if PgConnection::connect_with(&access.root("postgres")).await.is_ok() => access,
        _ => {
            // Half of one is what a removal left that was interrupted.
            if !layout.data.join("PG_VERSION").exists() && config.cluster_dir.exists() {
                fs::remove_dir_all(&config.cluster_dir).expect("room for a cluster");
            }
            let cluster =
                PrivateCluster::start(&config, Purpose::Test).await.expect("the test cluster starts");
            start_watcher(&base, cluster.pid().expect("a process"));
            cluster.access().clone()
        }
    };
    make_template(&access).await;
    drop(starting);
    access
}

/// Migrates the template once. From then on nobody connects to it, so that it can be copied at any time.
async fn make_template(access: &Access) {
    let name = template_name();
    let mut root =
        PgConnection::connect_with(&access.root("postgres")).await.expect("the test cluster answers");
    let ready: Option<bool> = sqlx::query_scalar("SELECT datistemplate FROM pg_database WHERE datname = $1")
        .bind(&name)
        .fetch_optional(&mut root)
        .await
        .expect("the list of databases");
    if ready != Some(true) {
        schema::prepare(&access.root("postgres"), &name, access.serve_password()).await.expect("a template");
        schema::apply(&access.root(&name)).await.expect("migrations");
        let flag = format!("ALTER DATABASE {name} IS_TEMPLATE true");
        sqlx::raw_sql(AssertSqlSafe(flag)).execute(&mut root).await.expect("a finished template");
    }
    root.close().await.expect("goodbye");
}

/// `/tmp/pestle-gateway-tests-<user>`, which the user `postgres` may enter.
fn base_folder() -> PathBuf {
    let base =
        std::env::temp_dir().join(format!("pestle-gateway-tests-{}", rustix::process::geteuid().as_raw()));
    fs::create_dir_all(&base).expect("a folder for tests");
    fs::set_permissions(&base, fs::Permissions::from_mode(0o711)).expect("a folder for tests");
    base
}

/// Waits until nobody uses the cluster, for a moment longer (test processes follow each other), and removes it. It is moved out of the way
/// first: half a cluster in its place would keep every later one from being made.
const WATCHER: &str = r#"
exec 9<"$1/users.lock"
while :; do
    flock -x 9; flock -u 9; sleep 3
    if flock -xn 9; then break; fi
done
kill -QUIT "$2"
n=0; while kill -0 "$2" 2>/dev/null && [ $n -lt 300 ]; do sleep 0.1; n=$((n+1)); done
mv "$1/cluster" "$1/cluster.gone-$$"
flock -u 9
rm -rf "$1"/cluster.gone-*
"#;

#[allow(clippy::zombie_processes, reason = "it outlives this process on purpose")]
fn start_watcher(base: &Path, postmaster: u32) {
    Command::new("sh")
        .args(["-c", WATCHER, "pestle-test-watcher"])
        .arg(base)
        .arg(postmaster.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .expect("the watcher starts");
}
