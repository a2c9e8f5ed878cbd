//! What `pestle-gateway admin …` does: on the database, beside a running gateway, with the same rules as REST.
//!
//! Each function answers with a sentence for the person at the terminal.

use std::{collections::BTreeSet, fs::File, io::BufReader, net::SocketAddr, path::Path};

use pestle_domain::{
    catalogue::Recall,
    ids::{BranchId, DeviceId, TenantId},
    order::{CatalogueChanged, StaffChanged},
    signature::Hash,
    staff::Role,
    units::UnixMillis,
};
use time::OffsetDateTime;

use crate::{
    audit::{self, AuditError, Report},
    authority::{Authority, AuthorityError},
    broker::{mosquitto, rights},
    catalogue::{self, recalls::Standing},
    config::{Config, DatabaseChoice},
    db::{self, Db, DbError},
    enrolment::enrol::{self, IssueError},
    files::{self, FileError},
    fleet,
    identity::{self, password},
    orders::{
        self,
        issue::{NotIssued, Writer},
    },
    postgres::{Layout, cluster},
    staff,
    tenancy::{
        self,
        rules::{BadProfile, RawProfile},
        store::Branch,
    },
};

/// Why a command did nothing.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// No cluster, or no gateway that runs it.
    #[error("the database does not answer: start the gateway (pestle-gateway run) and try again")]
    NotRunning(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The database.
    #[error(transparent)]
    Database(DbError),
    /// No tenant yet, or several.
    #[error("{0}")]
    WhichTenant(String),
    /// It is there already.
    #[error("{what} \"{name}\" is there already")]
    Duplicate {
        /// Of what kind.
        what: &'static str,
        /// Which.
        name: String,
    },
    /// It is not there.
    #[error("there is no {what} \"{name}\"")]
    Missing {
        /// Of what kind.
        what: &'static str,
        /// Which.
        name: String,
    },
    /// A branch's field.
    #[error(transparent)]
    Profile(#[from] BadProfile),
    /// A user's field.
    #[error(transparent)]
    User(#[from] identity::rules::BadUser),
    /// A file to import.
    #[error("{0}")]
    Import(String),
    /// A password or PIN.
    #[error(transparent)]
    Hash(#[from] password::HashError),
    /// A claim.
    #[error(transparent)]
    Claim(IssueError),
    /// The authority.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// A file or folder.
    #[error(transparent)]
    File(#[from] FileError),
    /// An audit.
    #[error(transparent)]
    Audit(AuditError),
}

impl From<AuditError> for AdminError {
    fn from(error: AuditError) -> Self {
        match error {
            AuditError::Db(error) => error.into(),
            other => Self::Audit(other),
        }
    }
}

impl From<DbError> for AdminError {
    fn from(error: DbError) -> Self {
        if error.is_away() { Self::NotRunning(Box::new(error)) } else { Self::Database(error) }
    }
}

impl From<sqlx::Error> for AdminError {
    fn from(error: sqlx::Error) -> Self {
        DbError::from(error).into()
    }
}

/// Writes what a Mosquitto needs to take the built-in broker's place into `folder`; works without a database.
///
/// # Errors
/// [`AdminError::Authority`], [`AdminError::File`].
pub fn mosquitto(
    config: &Config,
    folder: &Path,
    boxes: SocketAddr,
    gateways: SocketAddr,
) -> Result<String, AdminError> {
    let now = OffsetDateTime::now_utc();
    let authority = Authority::open(&config.data_dir, now)?;
    let server = authority.server(&config.https.public_names, now)?;
    files::make_folder(folder, 0o755)?;
    let folder = folder.canonicalize().map_err(FileError::at("find", folder))?;
    let (acl, configuration) = (folder.join("acl"), folder.join("mosquitto.conf"));
    files::write_atomically(&acl, rights::mosquitto_acl().as_bytes(), files::PUBLIC)?;
    let text = mosquitto::configuration(boxes, gateways, &server, &authority.ca_file(), &acl);
    files::write_atomically(&configuration, text.as_bytes(), files::PUBLIC)?;
    Ok(format!(
        "{} is written. Let the user \"mosquitto\" read {}; then set mqtt.external to where gateways connect ({gateways}), and \
         mqtt.public to the name and port under which boxes reach {boxes}.",
        configuration.display(),
        server.key_file.display()
    ))
}

/// A connection to the centre's data.
#[derive(Debug)]
pub struct Admin {
    db: Db,
    authority: Result<Hash, AuthorityError>,
}

impl Admin {
    /// Connects as the configuration says.
    ///
    /// # Errors
    /// [`AdminError::NotRunning`].
    pub async fn connect(config: &Config) -> Result<Self, AdminError> {
        let options = match &config.database {
            DatabaseChoice::Dsn { serve, .. } => db::parse_dsn(serve)?,
            DatabaseChoice::Private(private) => cluster::Access::read(&Layout::under(&private.cluster_dir))
                .map_err(|error| AdminError::NotRunning(Box::new(error)))?
                .serve(cluster::DATABASE),
        };
        let db = Db::new(options);
        db.check().await?;
        Ok(Self { db, authority: Authority::fingerprint_under(&config.data_dir) })
    }

    /// The tenant that was named, or the only one there is.
    ///
    /// # Errors
    /// [`AdminError::WhichTenant`].
    pub async fn tenant(&self, named: Option<TenantId>) -> Result<TenantId, AdminError> {
        if let Some(tenant) = named {
            return Ok(tenant);
        }
        let mut tx = self.db.system().begin().await?;
        let mut all = tenancy::store::tenants(&mut tx).await?;
        tx.commit().await?;
        match (all.pop(), all.is_empty()) {
            (Some(only), true) => Ok(only),
            (None, _) => {
                Err(AdminError::WhichTenant("there is no tenant yet: begin with \"admin tenant-add\"".into()))
            }
            (Some(last), false) => {
                all.push(last);
                let names: Vec<_> = all.iter().map(TenantId::as_str).collect();
                Err(AdminError::WhichTenant(format!(
                    "there are several tenants: add --tenant with one of {}",
                    names.join(", ")
                )))
            }
        }
    }

    /// Checks a branch's history, and compares it with `export` where that is given.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn audit(
        &self,
        config: &Config,
        tenant: &TenantId,
        branch: &BranchId,
        export: Option<&Path>,
    ) -> Result<Report, AdminError> {
        let mut tx = self.db.tenant(tenant).begin().await?;
        let branches = tenancy::store::branches(&mut tx).await?;
        tx.commit().await?;
        if branches.iter().all(|known| known.id != *branch) {
            return Err(AdminError::Missing { what: "branch", name: branch.to_string() });
        }
        let mut report = audit::verify(&self.db, tenant, branch).await?;
        if let Some(path) = export {
            let centre = Authority::signing_keys_under(&config.data_dir)?;
            let file = BufReader::new(File::open(path).map_err(FileError::at("read", path))?);
            let compared = audit::compare(&self.db, tenant, branch, &centre, file).await?;
            report.extend(compared);
        }
        Ok(report)
    }

    /// Adds a chain.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn tenant_add(&self, tenant: &TenantId, name: &str) -> Result<String, AdminError> {
        let mut tx = self.db.tenant(tenant).begin().await?;
        tenancy::store::add_tenant(&mut tx, tenant, name)
            .await
            .map_err(duplicate("the tenant", tenant.as_str()))?;
        tx.commit().await?;
        Ok(format!("the tenant {tenant} was added"))
    }

    /// Adds a branch.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn branch_add(
        &self,
        tenant: &TenantId,
        id: BranchId,
        raw: RawProfile,
    ) -> Result<String, AdminError> {
        let branch = Branch { id, profile: tenancy::rules::profile(raw)? };
        let mut tx = self.db.tenant(tenant).begin().await?;
        tenancy::store::add_branch(&mut tx, tenant, &branch)
            .await
            .map_err(duplicate("the branch", branch.id.as_str()))?;
        tx.commit().await?;
        Ok(format!("the branch {} was added", branch.id))
    }

    /// Adds a user of the console, or gives one a new name, role and password.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn user_add(
        &self,
        tenant: &TenantId,
        login: &str,
        (name, role): (&str, Role),
        password: &str,
    ) -> Result<String, AdminError> {
        let login = identity::rules::login(login)?;
        identity::rules::check_password(&login, password)?;
        let verifier = password::hash(password)?;
        let mut tx = self.db.tenant(tenant).begin().await?;
        identity::store::put(&mut tx, tenant, &login, name, role, (&verifier, OffsetDateTime::now_utc()))
            .await
            .map_err(duplicate("the login", &login))?;
        tx.commit().await?;
        Ok(format!("{login} may sign in as {}", role.as_str()))
    }

    /// Takes a user's sign-in away: the console ends within seconds, a program's token within the hour.
    ///
    /// # Errors
    /// [`AdminError::Missing`].
    pub async fn user_disable(&self, tenant: &TenantId, login: &str) -> Result<String, AdminError> {
        let login = identity::rules::login(login)?;
        let mut tx = self.db.tenant(tenant).begin().await?;
        let found = identity::store::disable(&mut tx, &login, OffsetDateTime::now_utc()).await?;
        tx.commit().await?;
        if !found {
            return Err(AdminError::Missing { what: "user", name: login });
        }
        Ok(format!(
            "{login} may not sign in any more; open pages end within seconds, a program's token within an hour. \
             \"admin user-add\" lets them in again"
        ))
    }

    /// Imports staff; nothing unless every line is good.
    ///
    /// # Errors
    /// [`AdminError::Import`] with every line that is not.
    pub async fn staff_import(&self, tenant: &TenantId, csv: &[u8]) -> Result<String, AdminError> {
        let members = staff::import::members(csv)
            .map_err(|errors| AdminError::Import(catalogue::import::tell(&errors)))?;
        let mut tx = self.db.tenant(tenant).begin().await?;
        let branches = tenancy::store::branches(&mut tx).await?;
        let unknown = members
            .iter()
            .flat_map(|member| &member.branches)
            .find(|name| branches.iter().all(|branch| branch.id != **name));
        if let Some(unknown) = unknown {
            return Err(AdminError::Missing { what: "branch", name: unknown.to_string() });
        }
        let mut hashed = Vec::with_capacity(members.len());
        for member in members {
            let verifier = password::hash(&member.pin)?;
            hashed.push((member, verifier));
        }
        staff::store::put(&mut tx, tenant, &hashed).await?;
        let changed = |version| StaffChanged { version }.into();
        orders::issue::point_to_snapshot(&mut tx, tenant, changed, &command_line()).await?;
        tx.commit().await?;
        Ok(format!("{} people were imported: delete the file, it holds their PINs", hashed.len()))
    }

    /// Imports articles; nothing unless every line is good.
    ///
    /// # Errors
    /// [`AdminError::Import`] with every line that is not.
    pub async fn catalogue_import(&self, tenant: &TenantId, csv: &[u8]) -> Result<String, AdminError> {
        let products = catalogue::import::products(csv)
            .map_err(|errors| AdminError::Import(catalogue::import::tell(&errors)))?;
        let mut tx = self.db.tenant(tenant).begin().await?;
        catalogue::store::put(&mut tx, tenant, &products).await.map_err(|error| {
            if error.is_duplicate() {
                let said = "a GTIN of this file belongs to an article that is not in it: import both together; nothing was imported";
                AdminError::Import(said.into())
            } else {
                error.into()
            }
        })?;
        let changed = |version| CatalogueChanged { version }.into();
        orders::issue::point_to_snapshot(&mut tx, tenant, changed, &command_line()).await?;
        tx.commit().await?;
        Ok(format!("{} articles were imported", products.len()))
    }

    /// Imports recalls; nothing unless every line is good. A list that grows may be imported again: what it has said before
    /// is no new recall, and one that was lifted since stays so.
    ///
    /// # Errors
    /// [`AdminError::Import`] with every line that is not.
    pub async fn recall_import(&self, tenant: &TenantId, csv: &[u8]) -> Result<String, AdminError> {
        let mut recalls = catalogue::import::recalls(csv)
            .map_err(|errors| AdminError::Import(catalogue::import::tell(&errors)))?;
        let mut names = BTreeSet::new();
        recalls.retain(|recall| {
            names.insert((recall.reference.clone(), recall.product.clone(), recall.lot.clone()))
        });
        let mut tx = self.db.tenant(tenant).begin().await?;
        let products: Vec<_> = recalls.iter().map(|recall| &recall.product).collect();
        if let Some(name) = catalogue::store::unknown(&mut tx, &products).await? {
            return Err(AdminError::Missing { what: "article", name });
        }
        let standings = catalogue::recalls::standings(&mut tx, &recalls).await?;
        let (mut new, mut lifted, mut known) = (Vec::new(), Vec::new(), 0);
        for (recall, standing) in recalls.into_iter().zip(standings) {
            match standing {
                Standing::New => new.push(recall),
                Standing::Holds => known += 1,
                Standing::Lifted => lifted.push(recall),
            }
        }
        if !new.is_empty() {
            orders::issue::issue_recalls(&mut tx, tenant, &new, &command_line()).await?;
        }
        tx.commit().await?;
        Ok(imported(new.len(), known, &lifted))
    }

    /// Issues a claim code for a new box; it is told once.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn claim(self, tenant: &TenantId, branch: &BranchId, hours: u32) -> Result<String, AdminError> {
        let authority = self.authority?;
        let issued = enrol::issue(
            &self.db,
            &authority,
            (tenant, branch),
            ("command line", hours),
            OffsetDateTime::now_utc(),
        );
        let (claim, _) = issued.await.map_err(|error| match error {
            IssueError::Database(error) => error.into(),
            other => AdminError::Claim(other),
        })?;
        Ok(claim.to_string())
    }

    /// Revokes a box. A running gateway throws it off its broker within seconds.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn device_revoke(
        &self,
        tenant: &TenantId,
        device: &DeviceId,
        reason: &str,
    ) -> Result<String, AdminError> {
        let mut tx = self.db.tenant(tenant).begin().await?;
        let before = fleet::store::revoke(&mut tx, device, reason, OffsetDateTime::now_utc()).await?;
        tx.commit().await?;
        match before {
            Some(_) => Ok(format!("the box {device} was revoked")),
            None => Err(AdminError::Missing { what: "box", name: device.to_string() }),
        }
    }
}

impl From<NotIssued> for AdminError {
    fn from(error: NotIssued) -> Self {
        match error {
            NotIssued::Db(error) => error.into(),
            other => Self::Import(other.to_string()),
        }
    }
}

/// What came of a list of recalls.
fn imported(new: usize, known: usize, lifted: &[Recall]) -> String {
    let mut said = format!("recalls: {new} new, {known} known");
    if lifted.is_empty() {
        return said;
    }
    let name = |recall: &Recall| {
        let lot = recall.lot.as_deref().map_or_else(|| "every lot".to_owned(), |lot| format!("lot {lot}"));
        format!("{} ({}, {lot})", recall.reference, recall.product)
    };
    let names: Vec<String> = lifted.iter().map(name).collect();
    said.push_str(&format!(
        ", {} lifted and left so: {}. Issue anew over the interface what is to hold again",
        lifted.len(),
        names.join(", ")
    ));
    said
}

/// Who issues orders by these commands.
fn command_line() -> Writer {
    let nanos = OffsetDateTime::now_utc().unix_timestamp_nanos();
    Writer::command_line(UnixMillis(i64::try_from(nanos / 1_000_000).unwrap_or(i64::MAX)))
}

fn duplicate(what: &'static str, name: &str) -> impl FnOnce(DbError) -> AdminError {
    let name = name.to_owned();
    move |error| if error.is_duplicate() { AdminError::Duplicate { what, name } } else { error.into() }
}
