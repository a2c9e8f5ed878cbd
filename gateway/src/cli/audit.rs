//! `pestle-gateway audit …`.

use std::path::PathBuf;

use clap::Subcommand;
use pestle_domain::ids::BranchId;
use pestle_gateway::{admin::Admin, config::Config};

use super::admin::Tenant;

/// What to prove.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Compute a branch's chains anew from the stored bytes and check the box's signatures; name the keys that signed, and
    /// the first record that differs.
    Verify {
        /// Which branch.
        #[arg(long)]
        branch: BranchId,
        /// What "pestle-agent journal export" wrote in that branch: compared record by record.
        #[arg(long)]
        export: Option<PathBuf>,
        /// Succeed also where nothing differs and something is not proved.
        #[arg(long)]
        allow_unproved: bool,
        #[command(flatten)]
        tenant: Tenant,
    },
}

/// Executes the command, prints what holds, and fails with what does not, or is not proved.
#[allow(clippy::print_stdout, reason = "the command's answer")]
#[allow(clippy::print_stderr, reason = "what differs, each in a line; the last one is the error")]
pub(crate) async fn execute(command: Command, config: &Config) -> anyhow::Result<()> {
    let Command::Verify { branch, export, allow_unproved, tenant } = command;
    let admin = Admin::connect(config).await?;
    let tenant = admin.tenant(tenant.tenant).await?;
    let report = admin.audit(config, &tenant, &branch, export.as_deref()).await?;
    for sentence in &report.holds {
        println!("{sentence}");
    }
    let mut bad: Vec<String> =
        report.unproved.iter().map(|sentence| format!("not proved: {sentence}")).collect();
    if allow_unproved {
        bad.drain(..).for_each(|sentence| println!("{sentence}"));
    }
    bad.extend(report.differs);
    let Some((last, others)) = bad.split_last() else { return Ok(()) };
    for sentence in others {
        eprintln!("pestle-gateway: {sentence}");
    }
    Err(anyhow::anyhow!("{last}"))
}
