//! Paying for a basket: the facts that it makes.

use super::{Basket, Line, Refusal, World};
use crate::{
    fact::{
        DrawerCause, DrawerOpened, FactBody, LotIn, LotMove, ReceiptNumber, SaleCompleted, SaleLine,
        StockAdjusted, StockOpened, StockSold, Tender, TillReceived,
    },
    ids::{ProductId, SessionId},
    money::Money,
    stock::{Ledger, LotBalance, Wanted},
};

/// Most change that is given, in whole units of the currency. No banknote is worth more than 10,000 of its unit (the
/// yen's); a barcode that was typed into the money field is far above.
pub const CHANGE_WHOLE_MAX: i64 = 10_000;

/// How a basket is paid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payment {
    /// Cash that was handed over.
    pub tendered: Money,
    /// The session that is open at the till.
    pub session: SessionId,
    /// The next number of the till.
    pub receipt: ReceiptNumber,
    /// The till has a drawer that opens with the sale.
    pub drawer: bool,
}

/// A basket that can be booked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// In this order: stock that was found, the sale, the money, the stock that left, the drawer where there is one.
    pub bodies: Vec<FactBody>,
    /// The sale among them.
    pub sale: SaleCompleted,
}

/// Decides what paying for `basket` books. Each line is judged again by the `world` of this moment.
///
/// # Errors
/// The [`Refusal`]; nothing is to be booked then.
pub fn settle(basket: &Basket, payment: &Payment, world: &World<'_>) -> Result<Settlement, Refusal> {
    if basket.lines.is_empty() {
        return Err(Refusal::Empty);
    }
    for line in &basket.lines {
        let product = world.catalogue.get(&line.product).ok_or(Refusal::UnknownProduct)?;
        world.may_be_sold(product, line.lot.as_ref().map(|known| &known.lot), line.expiry)?;
        for serial in &line.serials {
            world.not_sold_before(line.name.clone(), &line.product, serial)?;
        }
    }
    let total = basket.total()?;
    let change = payment.tendered.sub(total)?;
    if change.minor < 0 {
        return Err(Refusal::Short { missing: total.sub(payment.tendered)? });
    }
    if change.minor > CHANGE_WHOLE_MAX * 10i64.pow(basket.currency.decimals()) {
        return Err(Refusal::TooMuch { tendered: payment.tendered });
    }
    let (finds, moves) = take_stock(basket, world);
    let Payment { tendered, session, receipt, drawer } = payment.clone();
    let till = receipt.till.clone();
    let sale = SaleCompleted {
        till: till.clone(),
        session,
        receipt: receipt.clone(),
        lines: basket.lines.iter().map(sale_line).collect::<Result<_, _>>()?,
        total,
        taxes: basket.taxes()?,
        tender: Tender::Cash,
        tendered,
        change,
    };
    let received = TillReceived {
        till: till.clone(),
        session,
        tender: Tender::Cash,
        amount: total,
        receipt: receipt.clone(),
    };
    let mut bodies: Vec<FactBody> = finds.into_iter().map(FactBody::from).collect();
    bodies.push(sale.clone().into());
    bodies.push(received.into());
    bodies.push(StockSold { receipt, moves }.into());
    if drawer {
        bodies.push(DrawerOpened { till, cause: DrawerCause::Sale }.into());
    }
    Ok(Settlement { bodies, sale })
}

fn sale_line(line: &Line) -> Result<SaleLine, Refusal> {
    Ok(SaleLine {
        product: line.product.clone(),
        gtin: line.gtin,
        name: line.name.clone(),
        quantity: line.quantity,
        unit_price: line.unit_price,
        amount: line.amount()?,
        tax: line.tax,
    })
}

/// Lines whose lot is known take theirs first, so that no other line is booked from a pack that is in the hand.
fn take_stock(basket: &Basket, world: &World<'_>) -> (Vec<StockAdjusted>, Vec<LotMove>) {
    let mut book = world.book_of(basket);
    let (mut finds, mut moves) = (Vec::new(), Vec::new());
    let mut lines: Vec<&Line> = basket.lines.iter().collect();
    lines.sort_by_key(|line| line.lot.is_none());
    for line in lines {
        let wanted = Wanted {
            product: &line.product,
            lot: line.lot.as_ref().map(|known| (&known.lot, known.provenance)),
            quantity: line.quantity,
            serials: &line.serials,
        };
        let taken = book.take(&wanted, |balance| world.is_usable(&line.product, balance));
        for find in &taken.finds {
            let _known = book.apply(&find.clone().into());
        }
        for one in &taken.moves {
            let delta = LotIn {
                product: one.product.clone(),
                lot: one.lot.clone(),
                expiry: None,
                quantity: -one.quantity,
            };
            let _known = book.apply(&StockOpened { lines: vec![delta] }.into());
        }
        finds.extend(taken.finds);
        moves.extend(taken.moves);
    }
    (finds, moves)
}

impl World<'_> {
    /// The book of the basket's articles alone, with what is under way already booked.
    fn book_of(&self, basket: &Basket) -> Ledger {
        let mut products: Vec<&ProductId> = basket.lines.iter().map(|line| &line.product).collect();
        products.sort_unstable();
        products.dedup();
        let lot_in = |product: &ProductId, balance: &LotBalance| LotIn {
            product: product.clone(),
            lot: balance.lot.clone(),
            expiry: balance.expiry,
            quantity: balance.on_hand,
        };
        let lines = products
            .iter()
            .flat_map(|product| self.ledger.lots(product).iter().map(move |balance| lot_in(product, balance)))
            .collect();
        let mut book = Ledger::default();
        // What the book says below zero is no news here.
        let _known = book.apply(&StockOpened { lines }.into());
        for fact in self.under_way {
            let _known = book.apply(fact);
        }
        book
    }
}
