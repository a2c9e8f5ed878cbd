//! A sale at the counter: what may go into the basket, what it comes to, and the facts that paying for it makes.
//!
//! The pack in the hand is what counts (invariant I5): an article that the book has none of is sold, and the find is
//! recorded. What must not be sold is refused with its reason, once when the pack is scanned and once more when the
//! basket is paid, because a recall may arrive between the two.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    catalogue::{Catalogue, Product, Recall},
    fact::{FactBody, Lot, Provenance, ReceiptNumber, TaxShare},
    gs1::Gtin,
    ids::{ActId, ProductId},
    money::{BasisPoints, Currency, Money, MoneyError},
    stock::{Ledger, LotBalance},
    units::{Day, Quantity},
};

mod refusal;
mod settle;
#[cfg(test)]
mod tests;

pub use refusal::{LotChoice, Refusal};
pub use settle::{CHANGE_WHOLE_MAX, Payment, Settlement, settle};

/// Lines that one basket holds. Nobody buys more articles, and a page with more is not looked at.
pub const LINES_MAX: usize = 200;

/// What one customer is buying.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Basket {
    /// Drawn when the basket begins: the sale will be this act, however often its payment is sent.
    pub act: ActId,
    /// In which everything is priced.
    pub currency: Currency,
    lines: Vec<Line>,
    next_line: u32,
}

/// A line of one basket; never given twice in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LineId(pub u32);

/// One article in the basket, of one lot as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Which.
    pub id: LineId,
    /// The article.
    pub product: ProductId,
    /// As scanned or chosen.
    pub gtin: Gtin,
    /// As it will be printed.
    pub name: Box<str>,
    /// Of one pack, as it was when the line was made: a basket keeps its prices.
    pub unit_price: Money,
    /// The rate inside.
    pub tax: BasisPoints,
    /// Packs; above zero.
    pub quantity: Quantity,
    /// The lot, where somebody knows it, and who says so.
    pub lot: Option<KnownLot>,
    /// Last day of use, where the code or the book tells it.
    pub expiry: Option<Day>,
    /// Serial numbers that were scanned; at most `quantity`.
    pub serials: Vec<Box<str>>,
}

/// A lot that somebody knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownLot {
    /// As the maker wrote it.
    pub lot: Lot,
    /// Read by a proved scanner, or chosen by a person.
    pub provenance: Provenance,
}

/// What a scan says of a pack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pack {
    /// Its number.
    pub gtin: Gtin,
    /// GS1 AI 10.
    pub lot: Option<Lot>,
    /// GS1 AI 21.
    pub serial: Option<Box<str>>,
    /// GS1 AI 17.
    pub expiry: Option<Day>,
    /// Whether the scanner was proved to keep the separators: of one that was not, the number alone is believed.
    pub proved: bool,
}

/// What a basket is judged by.
#[derive(Clone, Copy)]
pub struct World<'a> {
    /// Articles and recalls.
    pub catalogue: &'a Catalogue,
    /// What the branch holds.
    pub ledger: &'a Ledger,
    /// Facts that are on their way to the disk: another till may be taking the last pack at this moment.
    pub under_way: &'a [&'a FactBody],
    /// The day of business.
    pub today: Day,
    /// The receipt with which a serial number of an article left, if it did.
    pub sold: &'a dyn Fn(&ProductId, &str) -> Option<ReceiptNumber>,
}

impl fmt::Debug for World<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("World").field("today", &self.today).finish_non_exhaustive()
    }
}

/// What is known of one pack after the scanner's trust was taken into account.
struct Known {
    gtin: Gtin,
    lot: Option<KnownLot>,
    serial: Option<Box<str>>,
    expiry: Option<Day>,
}

impl Basket {
    /// An empty basket.
    pub fn new(act: ActId, currency: Currency) -> Self {
        Self { act, currency, lines: Vec::new(), next_line: 1 }
    }

    /// The lines in the order in which they were begun.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// Puts a scanned pack in: a new line, or one more on the line of the same article, lot and price.
    ///
    /// # Errors
    /// The [`Refusal`]; the basket is then as it was.
    pub fn add(&mut self, pack: Pack, world: &World<'_>) -> Result<LineId, Refusal> {
        let Pack { gtin, lot, serial, expiry, proved } = pack;
        let known = if proved {
            let lot = lot.map(|lot| KnownLot { lot, provenance: Provenance::Scanned });
            Known { gtin, lot, serial, expiry }
        } else {
            Known { gtin, lot: None, serial: None, expiry: None }
        };
        self.add_known(known, world)
    }

    /// Puts in a pack whose lot a person read and chose, after [`Refusal::LotNeeded`].
    ///
    /// # Errors
    /// As [`Basket::add`].
    pub fn add_with_lot(&mut self, pack: Pack, lot: Lot, world: &World<'_>) -> Result<LineId, Refusal> {
        let (serial, expiry) = if pack.proved { (pack.serial, pack.expiry) } else { (None, None) };
        let lot = Some(KnownLot { lot, provenance: Provenance::Chosen });
        self.add_known(Known { gtin: pack.gtin, lot, serial, expiry }, world)
    }

    fn add_known(&mut self, known: Known, world: &World<'_>) -> Result<LineId, Refusal> {
        let Known { gtin, lot, serial, expiry } = known;
        let product = world.catalogue.by_gtin(gtin).ok_or(Refusal::UnknownGtin { gtin })?;
        if product.price.currency != self.currency {
            return Err(MoneyError::Mixed(product.price.currency, self.currency).into());
        }
        let expiry = world.may_be_sold(product, lot.as_ref().map(|known| &known.lot), expiry)?;
        if let Some(serial) = &serial {
            let twice = self.lines.iter().any(|line| line.gtin == gtin && line.serials.contains(serial));
            if twice {
                return Err(Refusal::AlreadyScanned { name: product.name.clone(), serial: serial.clone() });
            }
            world.not_sold_before(product.name.clone(), &product.id, serial)?;
        }
        let same =
            |line: &&mut Line| line.gtin == gtin && line.lot == lot && line.unit_price == product.price;
        if let Some(line) = self.lines.iter_mut().find(same) {
            if line.quantity >= Quantity::LINE_MAX {
                return Err(Refusal::Quantity);
            }
            line.quantity += Quantity::ONE;
            line.expiry = [line.expiry, expiry].into_iter().flatten().min();
            line.serials.extend(serial);
            return Ok(line.id);
        }
        if self.lines.len() >= LINES_MAX {
            return Err(Refusal::Full);
        }
        let id = LineId(self.next_line);
        self.next_line = self.next_line.saturating_add(1);
        self.lines.push(Line {
            id,
            product: product.id.clone(),
            gtin,
            name: product.name.clone(),
            unit_price: product.price,
            tax: product.tax,
            quantity: Quantity::ONE,
            lot,
            expiry,
            serials: serial.into_iter().collect(),
        });
        Ok(id)
    }

    fn line_mut(&mut self, id: LineId) -> Result<&mut Line, Refusal> {
        self.lines.iter_mut().find(|line| line.id == id).ok_or(Refusal::NoSuchLine)
    }

    /// Sets how many packs a line has.
    ///
    /// # Errors
    /// [`Refusal::Quantity`], [`Refusal::SerialsOnLine`], [`Refusal::NoSuchLine`].
    pub fn set_quantity(&mut self, id: LineId, quantity: Quantity) -> Result<(), Refusal> {
        let line = self.line_mut(id)?;
        if !(Quantity::ONE..=Quantity::LINE_MAX).contains(&quantity) {
            return Err(Refusal::Quantity);
        }
        let serials = line.serials.len();
        if i64::try_from(serials).is_ok_and(|serials| quantity.0 < serials) {
            return Err(Refusal::SerialsOnLine { serials });
        }
        line.quantity = quantity;
        Ok(())
    }

    /// Takes a line off.
    ///
    /// # Errors
    /// [`Refusal::NoSuchLine`].
    pub fn void(&mut self, id: LineId) -> Result<Line, Refusal> {
        let index = self.lines.iter().position(|line| line.id == id).ok_or(Refusal::NoSuchLine)?;
        Ok(self.lines.remove(index))
    }

    /// Notes the lot that a person read on the packs of a line.
    ///
    /// # Errors
    /// The [`Refusal`] of that lot, [`Refusal::LotWasRead`], [`Refusal::NoSuchLine`].
    pub fn choose_lot(&mut self, id: LineId, lot: Lot, world: &World<'_>) -> Result<(), Refusal> {
        let line = self.line_mut(id)?;
        if line.lot.as_ref().is_some_and(|known| known.provenance == Provenance::Scanned) {
            return Err(Refusal::LotWasRead);
        }
        let product = world.catalogue.get(&line.product).ok_or(Refusal::UnknownProduct)?;
        line.expiry = world.may_be_sold(product, Some(&lot), None)?;
        line.lot = Some(KnownLot { lot, provenance: Provenance::Chosen });
        Ok(())
    }

    /// What all lines come to.
    ///
    /// # Errors
    /// [`Refusal::Money`] past 64 bits.
    pub fn total(&self) -> Result<Money, Refusal> {
        self.lines.iter().try_fold(Money::zero(self.currency), |sum, line| Ok(sum.add(line.amount()?)?))
    }

    /// The tax of all lines, one entry per rate, the highest rate first.
    ///
    /// # Errors
    /// [`Refusal::Money`] past 64 bits.
    pub fn taxes(&self) -> Result<Vec<TaxShare>, Refusal> {
        let mut rates: Vec<BasisPoints> = self.lines.iter().map(|line| line.tax).collect();
        rates.sort_unstable_by(|one, other| other.cmp(one));
        rates.dedup();
        rates
            .into_iter()
            .map(|rate| {
                let mut gross = Money::zero(self.currency);
                for line in self.lines.iter().filter(|line| line.tax == rate) {
                    gross = gross.add(line.amount()?)?;
                }
                Ok(TaxShare { rate, gross, tax: rate.tax_inside(gross) })
            })
            .collect()
    }
}

impl Line {
    /// `quantity × unit_price`.
    ///
    /// # Errors
    /// [`Refusal::Money`] past 64 bits.
    pub fn amount(&self) -> Result<Money, Refusal> {
        Ok(self.unit_price.times(self.quantity.0)?)
    }
}

impl World<'_> {
    /// Judges one pack of an article; gives its last day of use, as far as it is known.
    fn may_be_sold(
        &self,
        product: &Product,
        lot: Option<&Lot>,
        expiry_read: Option<Day>,
    ) -> Result<Option<Day>, Refusal> {
        if !product.supply.sold_at_counter() {
            return Err(Refusal::NotAtCounter { name: product.name.clone(), supply: product.supply });
        }
        if let Some(Recall { reference, reason, .. }) =
            self.catalogue.recall(&product.id, lot.map(|lot| &**lot))
        {
            let (reference, reason) = (reference.clone(), reason.clone());
            return Err(Refusal::Recalled {
                name: product.name.clone(),
                lot: lot.cloned(),
                reference,
                reason,
            });
        }
        let expiry_booked = lot.and_then(|lot| self.ledger.expiry(&product.id, lot));
        // Where code and book disagree the earlier day counts.
        let expiry = [expiry_read, expiry_booked].into_iter().flatten().min();
        if let Some(expiry) = expiry.filter(|expiry| *expiry < self.today) {
            return Err(Refusal::Expired { name: product.name.clone(), lot: lot.cloned(), expiry });
        }
        if lot.is_none() && self.holds_blocked(&product.id) {
            let choices = self.lot_choices(&product.id);
            return Err(Refusal::LotNeeded { name: product.name.clone(), choices });
        }
        Ok(expiry)
    }

    fn not_sold_before(&self, name: Box<str>, product: &ProductId, serial: &str) -> Result<(), Refusal> {
        match (self.sold)(product, serial) {
            Some(receipt) => Err(Refusal::SerialSold { name, serial: serial.into(), receipt }),
            None => Ok(()),
        }
    }

    /// Whether a pack of which nobody knows the lot may be one that must not be sold. A recalled lot counts even if the
    /// book has none of it, since the book may be wrong; an expired one counts while the book has packs of it.
    fn holds_blocked(&self, product: &ProductId) -> bool {
        let expired = |balance: &LotBalance| balance.on_hand > Quantity::ZERO && self.is_expired(balance);
        self.catalogue.has_recalled_lots(product) || self.ledger.lots(product).iter().any(expired)
    }

    fn is_expired(&self, balance: &LotBalance) -> bool {
        balance.expiry.is_some_and(|expiry| expiry < self.today)
    }

    fn is_usable(&self, product: &ProductId, balance: &LotBalance) -> bool {
        !self.is_expired(balance) && self.catalogue.recall(product, balance.lot.as_deref()).is_none()
    }

    /// The lots that a person may read on a pack, those that expire first first.
    pub fn lot_choices(&self, product: &ProductId) -> Vec<LotChoice> {
        let mut choices: Vec<_> = self
            .ledger
            .lots(product)
            .iter()
            .filter(|balance| balance.on_hand > Quantity::ZERO)
            .filter_map(|balance| {
                Some(LotChoice {
                    lot: balance.lot.clone()?,
                    expiry: balance.expiry,
                    on_hand: balance.on_hand,
                    blocked: !self.is_usable(product, balance),
                })
            })
            .collect();
        choices.sort_by(|one, other| (one.expiry, &one.lot).cmp(&(other.expiry, &other.lot)));
        choices
    }
}
