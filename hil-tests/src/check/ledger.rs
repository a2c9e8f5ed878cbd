//! What a branch's own journal says that it sold: the lines of `pestle-agent journal show`, summed. Pure.

use pestle_domain::fact::{Fact, FactBody};

/// Sums over all sales of a ledger.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sums {
    /// Sales.
    pub sales: i64,
    /// What they came to, in cents.
    pub cents: i64,
    /// Packs on their lines.
    pub packs: i64,
    /// Packs that left the shelf.
    pub packs_moved: i64,
    /// Cash that came into the drawer for them, in cents.
    pub received_cents: i64,
}

/// Reads `epoch/number`, a tab, and a fact on each line.
///
/// # Errors
/// The line that is no fact.
pub fn sum(shown: &str) -> Result<Sums, String> {
    let mut sums = Sums::default();
    for line in shown.lines() {
        let (place, fact) = line.split_once('\t').ok_or_else(|| format!("{line:?} has no place"))?;
        let fact = Fact::from_line(fact.as_bytes()).map_err(|error| format!("{place}: {error}"))?;
        let fact = fact.ok_or_else(|| format!("{place}: a fact that this version does not know"))?;
        match &fact.body {
            FactBody::SaleCompleted(sale) => {
                sums.sales += 1;
                sums.cents += sale.total.minor;
                sums.packs += sale.lines.iter().map(|line| line.quantity.0).sum::<i64>();
            }
            FactBody::StockSold(sold) => {
                sums.packs_moved += sold.moves.iter().map(|one| one.quantity.0).sum::<i64>();
            }
            FactBody::TillReceived(received) => sums.received_cents += received.amount.minor,
            _ => {}
        }
    }
    Ok(sums)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::sample::Sales;

    #[test]
    fn a_ledger_is_summed_over_its_sales_alone() {
        let sales = Sales::of(1);
        let acts = [sales.opening(), sales.sale(1), sales.sale(2)];
        let facts = acts.iter().flat_map(|act| &act.facts);
        let lines = facts.zip(1..).map(|(fact, seq)| {
            let line = String::from_utf8(fact.to_line().unwrap()).unwrap();
            format!("1/{seq}\t{}\n", line.trim_end())
        });
        let shown: String = lines.collect();
        let found = sum(&shown).unwrap();
        let wanted = Sums { sales: 2, cents: 1_496, packs: 4, packs_moved: 4, received_cents: 1_496 };
        assert_eq!(found, wanted);
        assert!(sum("1/1 no tab").is_err() && sum("1/1\tno fact").is_err());
    }
}
