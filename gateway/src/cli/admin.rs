//! `pestle-gateway admin …`.

use std::{
    io::Read as _,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use pestle_domain::{
    ids::{BranchId, DeviceId, TenantId},
    staff::Role,
};
use pestle_gateway::{
    admin::{self, Admin},
    config::Config,
    enrolment::rules::LIFE_DEFAULT_HOURS,
    tenancy::rules::RawProfile,
};

/// Which chain; may be left out while there is one.
#[derive(Debug, Args)]
pub(crate) struct Tenant {
    /// Which chain; may be left out while there is only one.
    #[arg(long)]
    pub(super) tenant: Option<TenantId>,
}

/// What to do to the centre's data.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Add a chain of pharmacies.
    TenantAdd {
        /// 1 to 40 characters of a-z, 0-9 and -.
        tenant: TenantId,
        /// As people call it.
        #[arg(long)]
        name: Option<String>,
    },
    /// Add a pharmacy.
    BranchAdd(Box<BranchAdd>),
    /// Add a user of the console, or give one a new name, role and password.
    UserAdd {
        /// What they type to sign in.
        login: String,
        /// assistant, technician, pharmacist, manager, `field_tech`, `central_it` or admin.
        #[arg(long)]
        role: Role,
        /// As pages greet them; the login by default.
        #[arg(long)]
        name: Option<String>,
        /// The password. Without it, it is read from standard input (one line), where no process list shows it.
        #[arg(long)]
        password: Option<String>,
        #[command(flatten)]
        tenant: Tenant,
    },
    /// Take a user's sign-in away; user-add gives it back.
    UserDisable {
        /// What they type to sign in.
        login: String,
        #[command(flatten)]
        tenant: Tenant,
    },
    /// Import people at counters from CSV: id,name,role,pin,branches,valid_until.
    StaffImport(File),
    /// Import articles from CSV: id,gtins,name,price,currency,tax_percent,supply,storage.
    CatalogueImport(File),
    /// Import recalls from CSV: reference,product,lot,reason,issued.
    RecallImport(File),
    /// Issue a claim code for a new box of a branch, and print it.
    Claim {
        /// Which branch.
        branch: BranchId,
        /// How many hours it may be used, 1 to 720.
        #[arg(long, default_value_t = LIFE_DEFAULT_HOURS)]
        hours: u32,
        #[command(flatten)]
        tenant: Tenant,
    },
    /// Revoke a box at once and for good.
    DeviceRevoke {
        /// Which box.
        device: DeviceId,
        /// Why, for the record.
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        tenant: Tenant,
    },
    /// Write mosquitto.conf and its access list, for a Mosquitto in place of the built-in broker.
    Mosquitto {
        /// Where to write them.
        folder: PathBuf,
        /// Where boxes connect.
        #[arg(long, default_value = "0.0.0.0:8883")]
        boxes: SocketAddr,
        /// Where gateways connect (`mqtt.external`).
        #[arg(long, default_value = "127.0.0.1:8884")]
        gateways: SocketAddr,
    },
}

/// A file of a chain.
#[derive(Debug, Args)]
pub(crate) struct File {
    /// CSV, UTF-8, with a header line.
    file: PathBuf,
    #[command(flatten)]
    tenant: Tenant,
}

/// A new pharmacy.
#[derive(Debug, Args)]
pub(crate) struct BranchAdd {
    /// 1 to 40 characters of a-z, 0-9 and -; for ever.
    branch: BranchId,
    /// On the receipt and on the pages.
    #[arg(long)]
    name: String,
    /// ISO 4217, such as GBP.
    #[arg(long)]
    currency: String,
    /// IANA name, such as Europe/London.
    #[arg(long)]
    time_zone: String,
    /// A line of the address; may be repeated.
    #[arg(long)]
    address: Vec<String>,
    /// As printed.
    #[arg(long, default_value = "")]
    tax_number: String,
    /// The day of business ends this many minutes after midnight.
    #[arg(long, default_value_t = 0)]
    cut_over_minutes: u16,
    /// A line above those of a receipt; may be repeated.
    #[arg(long)]
    receipt_header: Vec<String>,
    /// A line below the total; may be repeated.
    #[arg(long)]
    receipt_footer: Vec<String>,
    #[command(flatten)]
    tenant: Tenant,
}

/// Executes the command and prints what it answers.
pub(crate) async fn execute(command: Command, config: &Config) -> anyhow::Result<()> {
    if let Command::Mosquitto { folder, boxes, gateways } = command {
        say(&admin::mosquitto(config, &folder, boxes, gateways)?);
        return Ok(());
    }
    let admin = Admin::connect(config).await?;
    let answer = match command {
        Command::TenantAdd { tenant, name } => {
            admin.tenant_add(&tenant, name.as_deref().unwrap_or(tenant.as_str())).await?
        }
        Command::BranchAdd(new) => {
            let tenant = admin.tenant(new.tenant.tenant).await?;
            let raw = RawProfile {
                name: new.name,
                address: new.address,
                tax_number: new.tax_number,
                currency: new.currency,
                time_zone: new.time_zone,
                cut_over_minutes: new.cut_over_minutes,
                receipt_header: new.receipt_header,
                receipt_footer: new.receipt_footer,
            };
            admin.branch_add(&tenant, new.branch, raw).await?
        }
        Command::UserAdd { login, role, name, password, tenant } => {
            let tenant = admin.tenant(tenant.tenant).await?;
            let password = password.map_or_else(password_from_input, Ok)?;
            admin.user_add(&tenant, &login, (name.as_deref().unwrap_or(&login), role), &password).await?
        }
        Command::UserDisable { login, tenant } => {
            admin.user_disable(&admin.tenant(tenant.tenant).await?, &login).await?
        }
        Command::StaffImport(file) => {
            admin.staff_import(&admin.tenant(file.tenant.tenant).await?, &read(&file.file)?).await?
        }
        Command::CatalogueImport(file) => {
            admin.catalogue_import(&admin.tenant(file.tenant.tenant).await?, &read(&file.file)?).await?
        }
        Command::RecallImport(file) => {
            admin.recall_import(&admin.tenant(file.tenant.tenant).await?, &read(&file.file)?).await?
        }
        Command::Claim { branch, hours, tenant } => {
            let tenant = admin.tenant(tenant.tenant).await?;
            admin.claim(&tenant, &branch, hours).await?
        }
        Command::DeviceRevoke { device, reason, tenant } => {
            let tenant = admin.tenant(tenant.tenant).await?;
            admin.device_revoke(&tenant, &device, &reason).await?
        }
        Command::Mosquitto { .. } => return Ok(()),
    };
    say(&answer);
    Ok(())
}

#[allow(clippy::print_stdout, reason = "the command's answer")]
fn say(answer: &str) {
    println!("{answer}");
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()))
}

fn password_from_input() -> anyhow::Result<String> {
    let mut text = String::new();
    std::io::stdin()
        .read_to_string(&mut text)
        .context("no password on standard input: write one line there, or use --password")?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}
