//! What is compared: what the people at the tills were told, the boxes' own ledgers, and the centre.

use std::{collections::BTreeSet, fmt, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, ensure};

use super::{blows::Victim, field::Field, seller::Account};
use crate::{
    centre::Centre,
    check::{
        expected::{differences, numbering_faults},
        ledger,
        owner::Owner,
    },
    waiting::until,
};

/// From the last restart to the centre's figures.
const ARRIVED_WITHIN: Duration = Duration::from_secs(120);

/// What a whole run saw.
#[derive(Debug, Default)]
pub struct Sum {
    sales: usize,
    cents: i64,
    doubted: u64,
    not_recorded: u64,
    agents: u32,
    gateways: u32,
    databases: u32,
    brokers: u32,
}

impl Sum {
    /// The kills of a round.
    pub fn note(&mut self, hit: &[Victim]) {
        for victim in hit {
            *match victim {
                Victim::Agent(_) => &mut self.agents,
                Victim::FirstGateway | Victim::SecondGateway => &mut self.gateways,
                Victim::Database => &mut self.databases,
                Victim::Broker => &mut self.brokers,
            } += 1;
        }
    }

    /// Whether each kind of program was hit.
    pub fn hit_all(&self) -> bool {
        [self.agents, self.gateways, self.databases, self.brokers].iter().all(|hit| *hit > 0)
    }

    /// The sales of a half.
    pub fn end(&mut self, accounts: &[Arc<Account>]) {
        for account in accounts {
            self.sales += account.expected.sales.len();
            self.cents += account.expected.total_cents();
            self.doubted += account.doubted;
            self.not_recorded += account.not_recorded;
        }
    }

    /// Another half.
    pub fn add(&mut self, other: Self) {
        self.sales += other.sales;
        self.cents += other.cents;
        self.doubted += other.doubted;
        self.not_recorded += other.not_recorded;
        self.agents += other.agents;
        self.gateways += other.gateways;
        self.databases += other.databases;
        self.brokers += other.brokers;
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sales, cents, doubted, not_recorded, agents, gateways, databases, brokers } = self;
        write!(
            formatter,
            "{sales} sales of {cents} cents, none lost and none twice; killed: {agents} agents, {gateways} gateways, {databases} \
             times PostgreSQL, {brokers} times Mosquitto; {doubted} payments without an answer at first, of which {not_recorded} \
             had not counted"
        )
    }
}

/// Waits until the centre's figures are those that the people were told, and looks for anything in doubt.
///
/// # Errors
/// What differs.
pub async fn agree(field: &Field, accounts: &[Arc<Account>]) -> Result<String> {
    for account in accounts {
        let faults = numbering_faults(account.expected.sales.iter().map(|sale| sale.receipt.clone()));
        ensure!(faults.is_empty(), "{}: {}", account.branch, faults.join("; "));
        until("the centre to say the same", ARRIVED_WITHIN, || async {
            differs(field, account).await.map_err(|error| format!("{error:#}"))?.map_or(Ok(()), Err)
        })
        .await?;
    }
    let faults = Owner::of(&field.world.place).await?.faults().await?;
    ensure!(faults.is_empty(), "at the centre:\n{}", faults.join("\n"));
    let sales: usize = accounts.iter().map(|account| account.expected.sales.len()).sum();
    let cents: i64 = accounts.iter().map(|account| account.expected.total_cents()).sum();
    Ok(format!("{sales} sales, {cents} cents, and every lot"))
}

/// What is not the same at the centre.
async fn differs(field: &Field, account: &Account) -> Result<Option<String>> {
    let centre = Centre::of(&field.world).await?;
    let (branch, expected) = (&account.branch, &account.expected);
    let told = expected.sales.iter().map(|sale| (sale.receipt.to_string(), sale.total_cents));
    let told: BTreeSet<_> = told.collect();
    let booked = centre.sales(branch).await?;
    let known: BTreeSet<_> = booked.iter().cloned().collect();
    if known.len() != booked.len() || known != told {
        let missing: Vec<_> = told.difference(&known).collect();
        let surplus: Vec<_> = known.difference(&told).collect();
        return Ok(Some(format!(
            "{branch}: {} sales at the centre, {} were told; missing {missing:?}, nobody was told of {surplus:?}",
            booked.len(),
            told.len()
        )));
    }
    let mut takings = 0;
    for session in centre.sessions(branch).await? {
        let known = |cents: Option<i64>| cents.with_context(|| format!("{session:?} has no sums"));
        takings += known(session.expected_minor)? - known(session.float_minor)?;
    }
    if takings != expected.total_cents() {
        return Ok(Some(format!(
            "{branch}: {takings} cents in the tills, {} were told",
            expected.total_cents()
        )));
    }
    let wrong = differences(&expected.stock, &centre.stock(branch).await?);
    Ok((!wrong.is_empty()).then(|| format!("{branch}: lot, wanted, found: {wrong:?}")))
}

/// At the end: the boxes' own ledgers say the same, and both ends prove their records. Hands the accounts back.
///
/// # Errors
/// What differs.
pub async fn prove<'a>(field: &Field, accounts: &'a [Arc<Account>]) -> Result<&'a [Arc<Account>]> {
    agree(field, accounts).await?;
    for (account, branch) in accounts.iter().zip(&field.world.branches) {
        branch.stop().await;
        let local = ledger::sum(&branch.journal().await?).map_err(anyhow::Error::msg)?;
        let expected = &account.expected;
        let told = (i64::try_from(expected.sales.len())?, expected.total_cents(), expected.packs());
        ensure!(
            (local.sales, local.cents, local.packs) == told,
            "{}: the box has {local:?}, told were {told:?}",
            branch.slug
        );
        let proved = branch.verify().await.context("the box's own proof")?;
        ensure!(proved.contains("are those that the centre signed"), "{}: {proved}", branch.slug);
        let export = branch.export().await?;
        field.world.gateway.lock().await.audit(&branch.slug, &export).await.context("the centre's proof")?;
    }
    Ok(accounts)
}
