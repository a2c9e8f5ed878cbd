//! The database as modules see it: every query runs in a transaction with a *scope*.
//!
//! - [`Db::tenant`] is the normal one. Row-level security shows and accepts this tenant's rows and no others.
//! - [`Db::system`] is for the few questions that come before a tenant is known: who signs in, whose claim code is
//!   this, whose device is that. It switches to the role `pestle_system`, which may do exactly what the migrations
//!   grant it with explicit policies (search them for `pestle_system`).
//!
//! Roles: `pestle_owner` owns schemas and tables; `pestle_serve` serves and neither owns nor bypasses anything;
//! `pestle_system` cannot log in, `pestle_serve` may switch to it for one transaction. Row-level security is FORCED,
//! so even the owner sees nothing without a tenant. [`schema`] creates roles and applies migrations.

pub mod schema;

use std::{str::FromStr as _, time::Duration};

use pestle_domain::ids::TenantId;
use sqlx::{
    PgPool, Postgres, Transaction,
    postgres::{PgConnectOptions, PgPoolOptions},
};

/// Connections for requests and for ingest together. More only queue inside PostgreSQL instead of here.
const POOL_CONNECTIONS_MAX: u32 = 24;
/// How long a request waits for a connection before it is answered "unavailable".
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);
/// No statement of a request may run longer.
const STATEMENT_TIMEOUT: &str = "30s";
/// No statement waits longer for another's lock.
const LOCK_TIMEOUT: &str = "10s";

/// What went wrong with the database.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// It cannot be reached, or is starting or stopping. Trying again later helps.
    #[error("the database cannot be reached")]
    Away(#[source] sqlx::Error),
    /// The address is wrong.
    #[error("the database address is wrong: write it as postgres://user:password@host/database")]
    BadAddress(#[source] sqlx::Error),
    /// A statement failed.
    #[error("the database refused a statement")]
    Statement(#[source] sqlx::Error),
    /// A row does not hold what it must.
    #[error("a stored {what} cannot be read: {text}")]
    BadRow {
        /// Of what kind.
        what: &'static str,
        /// What stands there.
        text: String,
    },
    /// The serving user may look past tenants.
    #[error(
        "the database user \"{0}\" bypasses row-level security, which keeps chains apart: take SUPERUSER and BYPASSRLS from it, \
         or write another user in database.dsn (database.owner_dsn may stay)"
    )]
    Privileged(String),
    /// The schema cannot be brought up to date.
    #[error("the database's schema cannot be brought up to date")]
    Migrate(#[source] sqlx::migrate::MigrateError),
}

impl From<sqlx::Error> for DbError {
    fn from(error: sqlx::Error) -> Self {
        if is_away(&error) { Self::Away(error) } else { Self::Statement(error) }
    }
}

impl DbError {
    /// Whether the database is away, so that trying again later helps.
    pub fn is_away(&self) -> bool {
        matches!(self, Self::Away(_))
    }

    /// Whether a row of that key is there already (SQLSTATE 23505).
    pub fn is_duplicate(&self) -> bool {
        matches!(self, Self::Statement(error) if error.as_database_error().is_some_and(|error| error.is_unique_violation()))
    }

    /// Nothing was stored, for a reason that passes: somebody tries again.
    pub fn lost() -> Self {
        Self::Away(sqlx::Error::WorkerCrashed)
    }

    /// For values that are stored as text and parsed again.
    pub fn bad_row(what: &'static str, text: impl Into<String>) -> Self {
        Self::BadRow { what, text: text.into() }
    }
}

/// Connection lost, refused or not to be had in time; SQLSTATE classes 08 (connection), 53 (resources), 57
/// (operator intervention: shutting down, starting up, a statement that took too long), 58 (the system) and 25006 (a
/// server that only reads: it is a replica, or about to be the primary).
fn is_away(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Tls(_) => {
            true
        }
        sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            ["08", "53", "57", "58", "25006"].iter().any(|class| code.starts_with(class))
        }),
        _ => false,
    }
}

/// The serving pool.
#[derive(Debug, Clone)]
pub struct Db {
    pool: PgPool,
}

/// One transaction, in a scope. Dropped without `commit` it is rolled back.
pub type Tx = Transaction<'static, Postgres>;

impl Db {
    /// A pool that connects when it is first used.
    pub fn new(options: PgConnectOptions) -> Self {
        let options = options.options([
            ("statement_timeout", STATEMENT_TIMEOUT),
            ("lock_timeout", LOCK_TIMEOUT),
            ("role", "pestle_serve"),
        ]);
        let pool = PgPoolOptions::new()
            .max_connections(POOL_CONNECTIONS_MAX)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_lazy_with(options);
        Self { pool }
    }

    /// This tenant's rows, and no others.
    pub fn tenant<'a>(&'a self, tenant: &'a TenantId) -> TenantScope<'a> {
        TenantScope { db: self, tenant }
    }

    /// What may be asked before a tenant is known; see the module's documentation.
    pub fn system(&self) -> SystemScope<'_> {
        SystemScope { db: self }
    }

    /// Whether the database answers and the serving role is what it should be.
    ///
    /// # Errors
    /// [`DbError`] saying what is wrong.
    pub async fn check(&self) -> Result<(), DbError> {
        // The user who signed in too: what it switched to, it may switch back from.
        let query = "SELECT rolname FROM pg_roles
                     WHERE rolname IN (session_user, current_user) AND (rolsuper OR rolbypassrls) LIMIT 1";
        let privileged: Option<String> = sqlx::query_scalar(query).fetch_optional(&self.pool).await?;
        privileged.map_or(Ok(()), |name| Err(DbError::Privileged(name)))
    }

    /// Ends all connections once they are given back.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// See [`Db::tenant`].
#[derive(Debug, Clone, Copy)]
pub struct TenantScope<'a> {
    db: &'a Db,
    tenant: &'a TenantId,
}

impl TenantScope<'_> {
    /// Begins a transaction that sees and writes this tenant alone.
    ///
    /// # Errors
    /// [`DbError::Away`] when there is no connection in time.
    pub async fn begin(&self) -> Result<Tx, DbError> {
        let mut tx = self.db.pool.begin().await?;
        enter_tenant(&mut tx, self.tenant).await?;
        Ok(tx)
    }

    /// Begins a transaction that reads this tenant alone, and all of it as of one moment.
    ///
    /// # Errors
    /// [`DbError::Away`] when there is no connection in time.
    pub async fn begin_one_moment(&self) -> Result<Tx, DbError> {
        let mut tx = self.db.pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
        enter_tenant(&mut tx, self.tenant).await?;
        Ok(tx)
    }
}

/// Makes a running transaction see and write `tenant` from here on (until its end, or the next call).
///
/// # Errors
/// [`DbError`].
pub async fn enter_tenant(tx: &mut Tx, tenant: &TenantId) -> Result<(), DbError> {
    sqlx::query("SELECT set_config('pestle.tenant_id', $1, true)")
        .bind(tenant.as_str())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// See [`Db::system`].
#[derive(Debug, Clone, Copy)]
pub struct SystemScope<'a> {
    db: &'a Db,
}

impl SystemScope<'_> {
    /// Begins a transaction as `pestle_system`.
    ///
    /// # Errors
    /// [`DbError::Away`] when there is no connection in time.
    pub async fn begin(&self) -> Result<Tx, DbError> {
        let mut tx = self.db.pool.begin().await?;
        sqlx::query("SET LOCAL ROLE pestle_system").execute(&mut *tx).await?;
        Ok(tx)
    }
}

/// Reads a DSN.
///
/// # Errors
/// [`DbError::BadAddress`].
pub fn parse_dsn(dsn: &str) -> Result<PgConnectOptions, DbError> {
    let options = PgConnectOptions::from_str(dsn).map_err(DbError::BadAddress)?;
    Ok(options.application_name("pestle-gateway"))
}
