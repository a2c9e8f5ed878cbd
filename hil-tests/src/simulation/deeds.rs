//! What a person's deed is in facts, by the product's own rules, and what it must come to, in plain numbers beside them.

use pestle_agent::counter::books::Books;
use pestle_domain::{
    fact::{
        AdjustReason, FactBody, LotIn, ReadingSampled, ReceiptNumber, SaleCompleted, SaleLine, Sample,
        StockAdjusted, StockOpened, StockReceived, StockSold, TaxShare, Tender, TillReceived,
    },
    ids::{OrderId, ProductId, SessionId, TillId},
    money::{BasisPoints, Currency, Money},
    stock::Wanted,
    units::{MilliCelsius, Quantity},
};
use uuid::Uuid;

use super::schedule::Deed;

/// The articles of every branch.
pub const PRODUCTS: [&str; 3] = ["p-1", "p-2", "p-3"];
/// Price of one pack of any article, in pence.
const PRICE: i64 = 250;
const RATE: BasisPoints = BasisPoints(2_000);

/// What an act must come to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Effect {
    /// Article, lot (empty for none), packs.
    pub stock: Vec<(Box<str>, Box<str>, i64)>,
    /// Session and pence into the drawer.
    pub cash: Option<(SessionId, i64)>,
    /// What a sale came to, in pence.
    pub sold: Option<i64>,
    /// Its receipt.
    pub receipt: Option<ReceiptNumber>,
    /// The order of the centre that it judges.
    pub order: Option<OrderId>,
}

impl Effect {
    /// Whether neither stock nor cash changes.
    pub fn is_nothing(&self) -> bool {
        self.stock.is_empty() && self.cash.is_none() && self.sold.is_none() && self.receipt.is_none()
    }
}

/// An act to be recorded.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Its facts.
    pub bodies: Vec<FactBody>,
    /// What it must come to.
    pub effect: Effect,
}

impl Draft {
    fn of(bodies: Vec<FactBody>, effect: Effect) -> Self {
        Self { bodies, effect }
    }

    /// An act without an effect on stock or cash.
    pub fn plain(body: FactBody) -> Self {
        Self::of(vec![body], Effect::default())
    }
}

fn pence(minor: i64) -> Money {
    Money::new(minor, Currency::GBP)
}

fn product(index: usize) -> Option<ProductId> {
    PRODUCTS.get(index % PRODUCTS.len())?.parse().ok()
}

/// The name of a drawer.
pub fn till_name(till: usize) -> Option<TillId> {
    format!("till-{}", till + 1).parse().ok()
}

/// The branch's first stock: two lots of each article.
pub fn first_stock() -> Option<Draft> {
    let mut effect = Effect::default();
    let mut lines = Vec::new();
    for (index, name) in PRODUCTS.iter().enumerate() {
        for (lot, expiry, packs) in [("A", "2028-01-31", 12), ("B", "2029-06-30", 30)] {
            lines.push(LotIn {
                product: product(index)?,
                lot: Some(lot.into()),
                expiry: expiry.parse().ok(),
                quantity: Quantity(packs),
            });
            effect.stock.push(((*name).into(), lot.into(), packs));
        }
    }
    Some(Draft::of(vec![StockOpened { lines }.into()], effect))
}

/// The facts of a deed at a till whose branch has these books; a till that is closed is opened instead. `session` is used
/// for an opening. `None` where the product would not do it.
pub fn draft(deed: Deed, till: usize, books: &Books, epoch: u32, session: Uuid) -> Option<Draft> {
    let till = till_name(till)?;
    let state = books.till(&till).map(|book| book.till).unwrap_or_default();
    let open = state.session().ok().copied();
    match deed {
        Deed::Reading => {
            let sample = Sample::Temperature(MilliCelsius(4_200));
            Some(Draft::plain(ReadingSampled { sensor: "fridge".into(), sample, place: None }.into()))
        }
        Deed::Adjust { product: index, packs } => {
            let name = PRODUCTS.get(index % PRODUCTS.len())?;
            let body = StockAdjusted {
                product: product(index)?,
                lot: Some("A".into()),
                delta: Quantity(packs),
                reason: AdjustReason::Correction,
                count_wanted: false,
                note: "".into(),
            };
            let stock = vec![((*name).into(), "A".into(), packs)];
            Some(Draft::of(vec![body.into()], Effect { stock, ..Effect::default() }))
        }
        Deed::Receive { product: index, packs } => {
            let name = PRODUCTS.get(index % PRODUCTS.len())?;
            let line = LotIn {
                product: product(index)?,
                lot: Some("B".into()),
                expiry: "2029-06-30".parse().ok(),
                quantity: Quantity(packs),
            };
            let body = StockReceived { lines: vec![line], reference: "note".into() };
            let stock = vec![((*name).into(), "B".into(), packs)];
            Some(Draft::of(vec![body.into()], Effect { stock, ..Effect::default() }))
        }
        Deed::Sell { .. } | Deed::Cash { .. } | Deed::CloseTill if open.is_none() => {
            let opened = state.open(&till, SessionId(session), pence(5_000)).ok()?;
            Some(Draft::plain(opened.into()))
        }
        Deed::Cash { pence: minor } => {
            let session = open?.id;
            let body: FactBody = match minor {
                0 => return None,
                1.. => state.pay_in(&till, pence(minor), "change".into()).ok()?.into(),
                _ => state.pay_out(&till, pence(-minor), "safe".into()).ok()?.into(),
            };
            let cash = Some((session, minor));
            Some(Draft::of(vec![body], Effect { cash, ..Effect::default() }))
        }
        Deed::CloseTill => Some(Draft::plain(state.close(&till, open?.expected).ok()?.into())),
        Deed::Sell { product: first, packs, more } => {
            let receipt = ReceiptNumber {
                till: till.clone(),
                epoch,
                number: books.till(&till).map_or(1, |book| book.next_number(epoch)),
            };
            let wanted = [(first, packs), (first + 1, more)];
            sale(&till, open?.id, receipt, wanted.into_iter().filter(|(_, packs)| *packs > 0), books)
        }
    }
}

fn sale(
    till: &TillId,
    session: SessionId,
    receipt: ReceiptNumber,
    wanted: impl Iterator<Item = (usize, i64)>,
    books: &Books,
) -> Option<Draft> {
    let mut effect = Effect { receipt: Some(receipt.clone()), ..Effect::default() };
    let (mut lines, mut moves, mut finds) = (Vec::new(), Vec::new(), Vec::new());
    let mut total = 0;
    for (index, packs) in wanted {
        let product = product(index)?;
        let asked = Wanted { product: &product, lot: None, quantity: Quantity(packs), serials: &[] };
        let taken = books.ledger.take(&asked, |_| true);
        for find in &taken.finds {
            let lot = find.lot.clone().unwrap_or_default();
            effect.stock.push((product.as_str().into(), lot, find.delta.0));
        }
        for one in &taken.moves {
            let lot = one.lot.clone().unwrap_or_default();
            effect.stock.push((product.as_str().into(), lot, -one.quantity.0));
        }
        lines.push(SaleLine {
            product,
            gtin: "9521234543213".parse().ok()?,
            name: "Paracetamol 500 mg tablets, 16".into(),
            quantity: Quantity(packs),
            unit_price: pence(PRICE),
            amount: pence(PRICE * packs),
            tax: RATE,
        });
        total += PRICE * packs;
        moves.extend(taken.moves);
        finds.extend(taken.finds);
    }
    effect.cash = Some((session, total));
    effect.sold = Some(total);
    let gross = pence(total);
    let completed = SaleCompleted {
        till: till.clone(),
        session,
        receipt: receipt.clone(),
        lines,
        total: gross,
        taxes: vec![TaxShare { rate: RATE, gross, tax: RATE.tax_inside(gross) }],
        tender: Tender::Cash,
        tendered: gross,
        change: pence(0),
    };
    let received = TillReceived {
        till: till.clone(),
        session,
        tender: Tender::Cash,
        amount: gross,
        receipt: receipt.clone(),
    };
    let mut bodies: Vec<FactBody> = vec![completed.into(), received.into()];
    bodies.extend(finds.into_iter().map(FactBody::from));
    bodies.push(StockSold { receipt, moves }.into());
    Some(Draft::of(bodies, effect))
}
