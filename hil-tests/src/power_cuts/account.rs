//! What the pages were told, kept by the people who sell, and compared with what the box's own journal says. Pure.

use std::collections::{BTreeMap, BTreeSet};

use pestle_domain::{
    fact::{Fact, FactBody},
    ids::ActId,
    money::Money,
    stock::Ledger,
    units::Quantity,
};
use serde::{Deserialize, Serialize};

use super::provisioned::OPENING;
use crate::counter::Receipt;

/// A basket at the moment of its payment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paid {
    /// Its act.
    pub act: ActId,
    /// What it came to.
    pub total: Money,
    /// Packs.
    pub packs: i64,
}

/// All sales that were told.
#[derive(Debug, Default)]
pub struct Account {
    sales: BTreeMap<ActId, (Paid, Receipt)>,
    /// Payments of which the page was told that they are not recorded, or whose baskets a cut took.
    never: BTreeSet<ActId>,
}

impl Account {
    /// The page was told "sold".
    ///
    /// # Errors
    /// It had been told another receipt, or the receipt is another sale's.
    pub fn sold(&mut self, paid: &Paid, receipt: &Receipt) -> Result<(), String> {
        if let Some((_, known)) = self.sales.get(&paid.act) {
            let same = known == receipt;
            return same.then_some(()).ok_or(format!("{} was receipt {known}, is {receipt}", paid.act));
        }
        if let Some((other, _)) = self.sales.values().find(|(_, known)| known == receipt) {
            return Err(format!("receipt {receipt} is {} and {}", other.act, paid.act));
        }
        self.never.remove(&paid.act);
        self.sales.insert(paid.act, (paid.clone(), receipt.clone()));
        Ok(())
    }

    /// It is certain that this was not recorded.
    pub fn not_recorded(&mut self, act: ActId) {
        self.never.insert(act);
    }

    /// All sales of a till, by receipt.
    pub fn of_till(&self, till: &str) -> Vec<&(Paid, Receipt)> {
        let mut sales: Vec<_> = self.sales.values().filter(|(_, receipt)| receipt.till == till).collect();
        sales.sort_by_key(|(_, receipt)| receipt.number);
        sales
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.sales.len()
    }

    /// Whether nothing was sold.
    pub fn is_empty(&self) -> bool {
        self.sales.is_empty()
    }

    /// Compares with what `pestle-agent journal show` prints. `in_flight` may be there or not.
    ///
    /// # Errors
    /// What differs.
    pub fn compare(&self, shown: &str, in_flight: &[ActId]) -> Result<(), String> {
        let mut ledger = Ledger::default();
        let mut found = BTreeMap::<ActId, u64>::new();
        let mut numbers = BTreeMap::<String, Vec<u64>>::new();
        let (mut packs, mut moved) = (0, 0);
        for line in shown.lines() {
            let (place, line) = line.split_once('\t').ok_or_else(|| format!("{line:?} has no place"))?;
            let fact = Fact::from_line(line.as_bytes()).map_err(|error| format!("{place}: {error}"))?;
            let fact = fact.ok_or_else(|| format!("{place}: an unknown fact"))?;
            ledger.apply(&fact.body);
            match &fact.body {
                FactBody::SaleCompleted(sale) => {
                    *found.entry(fact.act).or_default() += 1;
                    numbers.entry(sale.receipt.till.to_string()).or_default().push(sale.receipt.number);
                    packs += sale.lines.iter().map(|line| line.quantity.0).sum::<i64>();
                    self.compare_sale(fact.act, sale.total, &sale.receipt.to_string(), in_flight)?;
                }
                FactBody::StockSold(sold) => {
                    moved += sold.moves.iter().map(|one| one.quantity.0).sum::<i64>();
                }
                FactBody::BoxStarted(started) => {
                    if let Some(found) = &started.found {
                        return Err(format!("{place}: a power cut is told as damage: {found}"));
                    }
                }
                _ => {}
            }
        }
        if let Some((act, times)) = found.iter().find(|(_, times)| **times > 1) {
            return Err(format!("{act} is there {times} times"));
        }
        if let Some(act) = self.sales.keys().find(|act| !found.contains_key(act)) {
            return Err(format!("{act} was told as sold, and is not there"));
        }
        for (till, numbers) in numbers {
            if !numbers.iter().copied().eq(1..=numbers.len() as u64) {
                return Err(format!("the receipts of {till} are numbered {numbers:?}"));
            }
        }
        let left: i64 = ledger.iter().flat_map(|(_, lots)| lots).map(|lot| lot.on_hand.0).sum();
        let articles = ledger.iter().filter(|(_, lots)| lots.iter().any(|lot| lot.on_hand != Quantity::ZERO));
        let wanted = OPENING * i64::try_from(articles.count()).unwrap_or(0) - packs;
        if (moved, left) == (packs, wanted) {
            Ok(())
        } else {
            Err(format!("{packs} packs were sold, {moved} left the shelf, {left} are there and not {wanted}"))
        }
    }

    fn compare_sale(
        &self,
        act: ActId,
        total: Money,
        receipt: &str,
        in_flight: &[ActId],
    ) -> Result<(), String> {
        // A basket that a cut took back may be paid again.
        if self.never.contains(&act) && !in_flight.contains(&act) {
            return Err(format!("{act} was told as not recorded, and is there"));
        }
        match self.sales.get(&act) {
            None if in_flight.contains(&act) => Ok(()),
            None => Err(format!("{act} is there, and nobody paid it")),
            Some((paid, told)) if told.to_string() == receipt && paid.total == total => Ok(()),
            Some((paid, told)) => {
                Err(format!("{act} is receipt {receipt} over {total}, told were {told} and {}", paid.total))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::sample::Sales;
    use pestle_domain::fact::Act;

    fn shown(acts: &[Act]) -> String {
        let facts = acts.iter().flat_map(|act| &act.facts);
        let line = |(fact, seq): (&Fact, u64)| {
            let line = String::from_utf8(fact.to_line().unwrap()).unwrap();
            format!("1/{seq}\t{}\n", line.trim_end())
        };
        facts.zip(1..).map(line).collect()
    }

    fn sale_of(act: &Act) -> (Paid, Receipt) {
        let sale = act.facts.iter().find_map(|fact| match &fact.body {
            FactBody::SaleCompleted(sale) => Some(sale),
            _ => None,
        });
        let sale = sale.unwrap();
        let receipt = Receipt {
            till: sale.receipt.till.to_string(),
            epoch: sale.receipt.epoch,
            number: sale.receipt.number,
        };
        (Paid { act: act.id, total: sale.total, packs: 0 }, receipt)
    }

    #[test]
    fn whatever_the_journal_says_otherwise_than_was_told_is_seen() {
        let sales = Sales::of(0);
        let (one, two) = (sales.sale(1), sales.sale(2));
        let both = [one.clone(), two.clone()];
        let told = |acts: &[&Act]| {
            let mut account = Account::default();
            for act in acts {
                let (paid, receipt) = sale_of(act);
                account.sold(&paid, &receipt).unwrap();
            }
            account
        };
        let check = |account: &Account, acts: &[Act], words: &str| {
            let said = account.compare(&shown(acts), &[]).unwrap_err();
            assert!(said.contains(words), "{said}");
        };
        check(&told(&[&one, &two]), &both, "are there and not");
        check(&told(&[&one]), &both, "nobody paid it");
        check(&told(&[&one, &two]), &both[..1], "is not there");
        check(&told(&[&two]), &both[1..], "are numbered [2]");
        check(&told(&[&one]), &[one.clone(), one.clone()], "is there 2 times");
        let mut refused = told(&[&two]);
        refused.not_recorded(one.id);
        check(&refused, &both, "told as not recorded");

        let mut account = told(&[&one]);
        let (paid, receipt) = sale_of(&two);
        let (_, taken) = sale_of(&one);
        assert!(account.sold(&paid, &taken).unwrap_err().contains("receipt"), "one receipt for two sales");
        account.sold(&paid, &receipt).unwrap();
        assert!(account.sold(&paid, &taken).unwrap_err().contains("receipt"), "two receipts for one sale");
    }
}
