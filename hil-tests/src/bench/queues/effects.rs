//! What facts do at the centre, as sums under names: packs of each lot, cash and sales of each session, receipts and takings. A fact
//! that were lost or counted twice would be seen here, whatever the event store's own keys allow.

use std::collections::BTreeMap;

use anyhow::Result;
use pestle_domain::fact::FactBody;
use sqlx::PgConnection;

use super::super::sample::Sales;

/// Each of a branch's sums, as [`Effects::of_sales`] names them.
const SUMS: &str = "
    SELECT format('packs of %s, lot %s', product_id, lot), on_hand FROM inventory.balance WHERE branch_id = $1
    UNION ALL SELECT format('float of session %s', session_id), float_minor FROM sales.session WHERE branch_id = $1
    UNION ALL SELECT format('cash of session %s', session_id), received_minor + paid_in_minor - paid_out_minor
        FROM sales.session WHERE branch_id = $1
    UNION ALL SELECT format('sales of session %s', session_id), sales FROM sales.session WHERE branch_id = $1
    UNION ALL SELECT format('sales on %s', business_date), sales FROM sales.day WHERE branch_id = $1
    UNION ALL SELECT format('takings on %s', business_date), gross_minor FROM sales.day WHERE branch_id = $1
    UNION ALL SELECT 'receipts', count(*) FROM sales.sale WHERE branch_id = $1
    UNION ALL SELECT 'total of receipts', coalesce(sum(total_minor), 0)::bigint FROM sales.sale WHERE branch_id = $1";

/// See the module. What is not named is zero.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Effects(BTreeMap<String, i64>);

impl Effects {
    /// All that a branch did so far, as the centre has it.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn at_centre(owner: &mut PgConnection, branch: &str) -> Result<Self> {
        let sums: Vec<(String, Option<i64>)> = sqlx::query_as(SUMS).bind(branch).fetch_all(owner).await?;
        Ok(Self(sums.into_iter().map(|(name, sum)| (name, sum.unwrap_or_default())).collect()))
    }

    /// What an opening and so many sales of a run do ([`super::super::backlog::Backlog::write`]).
    pub fn of_sales(run: u64, sales: u64) -> Self {
        let ours = Sales::of(run);
        let mut effects = Self::default();
        for fact in std::iter::once(ours.opening())
            .chain((1..=sales).map(|number| ours.sale(number)))
            .flat_map(|act| act.facts)
        {
            effects.add(&fact.body, &fact.at.business_date.to_string());
        }
        effects
    }

    fn add(&mut self, body: &FactBody, day: &str) {
        let packs =
            |product: &str, lot: Option<&str>| format!("packs of {product}, lot {}", lot.unwrap_or_default());
        let mut put = |name: String, more: i64| *self.0.entry(name).or_default() += more;
        match body {
            FactBody::StockOpened(opened) => {
                for line in &opened.lines {
                    put(packs(line.product.as_str(), line.lot.as_deref()), line.quantity.0);
                }
            }
            FactBody::StockSold(sold) => {
                for line in &sold.moves {
                    put(packs(line.product.as_str(), line.lot.as_deref()), -line.quantity.0);
                }
            }
            FactBody::TillOpened(opened) => {
                put(format!("float of session {}", opened.session.0), opened.float.minor)
            }
            FactBody::TillReceived(received) => {
                put(format!("cash of session {}", received.session.0), received.amount.minor);
                put(format!("sales of session {}", received.session.0), 1);
            }
            FactBody::SaleCompleted(sale) => {
                for (count, total) in [
                    ("receipts".to_owned(), "total of receipts".to_owned()),
                    (format!("sales on {day}"), format!("takings on {day}")),
                ] {
                    put(count, 1);
                    put(total, sale.total.minor);
                }
            }
            _ => {}
        }
    }

    /// Without what was there before.
    #[must_use]
    pub fn since(mut self, earlier: &Self) -> Self {
        for (name, sum) in &earlier.0 {
            *self.0.entry(name.clone()).or_default() -= sum;
        }
        self
    }

    /// Where `found` is not this.
    pub fn differences(&self, found: &Self) -> Vec<String> {
        let mut names: Vec<_> = self.0.keys().chain(found.0.keys()).collect();
        names.sort();
        names.dedup();
        let sum = |effects: &Self, name: &str| effects.0.get(name).copied().unwrap_or_default();
        let differ = |name: &&String| sum(self, name) != sum(found, name);
        let told = |name: &String| format!("{name}: {} instead of {}", sum(found, name), sum(self, name));
        names.into_iter().filter(differ).map(told).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fact_that_counts_twice_or_not_at_all_is_seen_in_what_it_does() {
        let sold = Effects::of_sales(7, 3);
        assert_eq!(sold.differences(&sold.clone()), Vec::<String>::new());
        for fact in Sales::of(7).sale(2).facts {
            let mut twice = sold.clone();
            twice.add(&fact.body, &fact.at.business_date.to_string());
            // A drawer that is opened moves neither packs nor money.
            let does_nothing = matches!(fact.body, FactBody::DrawerOpened(_));
            assert_eq!(sold.differences(&twice).is_empty(), does_nothing, "{fact:?}");
            assert_eq!(twice.differences(&sold).is_empty(), does_nothing, "{fact:?}");
        }
    }

    #[test]
    fn what_was_there_before_does_not_count() {
        let (earlier, later) = (Effects::of_sales(7, 3), Effects::of_sales(8, 2));
        let mut both = earlier.clone();
        for (name, sum) in &later.0 {
            *both.0.entry(name.clone()).or_default() += sum;
        }
        assert!(later.differences(&both.since(&earlier)).is_empty());
    }
}
