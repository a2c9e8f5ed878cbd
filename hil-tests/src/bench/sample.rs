//! Typical sales as the counter records them: one act of about 2 KiB each.

use pestle_domain::{
    fact::{
        Act, Actor, ClockQuality, DrawerCause, DrawerOpened, FactBody, LotIn, LotMove, Provenance,
        ReceiptNumber, SaleCompleted, SaleLine, Stamp, StockOpened, StockSold, TaxShare, Tender, TillOpened,
        TillReceived,
    },
    gs1::Gtin,
    ids::{ActId, BranchId, DeviceId, FactId, ProductId, SessionId, TenantId, TillId},
    journal::{Lane, Stream},
    money::{BasisPoints, Currency, Money},
    units::{Day, Quantity, UnixMillis},
};
use uuid::Uuid;

/// Facts of one sale.
pub const FACTS_PER_SALE: u64 = 4;
/// Articles that sales are spread over.
pub const PRODUCTS: u64 = 200;
/// The lot of every article.
const LOT: &str = "LOT24A";
/// Packs of each article at the opening: more than are ever sold, so that no sale goes below zero.
const OPENING_PACKS: i64 = 10_000_000;
/// When the samples begin: 2026-11-19, in milliseconds since 1970 UTC.
const BEGUN_MS: i64 = 1_795_046_400_000;
/// Acts of one run at most: each has a millisecond of its own.
const ACTS_PER_RUN: u64 = 1_000_000;

/// A text that is known to be a good name.
#[allow(clippy::expect_used, reason = "the literals of this file, all checked by the first run")]
fn named<T: std::str::FromStr>(text: &str) -> T {
    text.parse().ok().expect("a literal of this file")
}

/// The chain that exists for measuring alone.
pub fn tenant() -> TenantId {
    named("bench")
}

/// Its one pharmacy.
pub fn branch() -> BranchId {
    named("north")
}

/// The box of a run.
pub fn device(run: u64) -> DeviceId {
    named(&format!("bench-box-{run}"))
}

/// One of the articles that are sold.
pub fn product(number: u64) -> ProductId {
    named(&format!("bench-{:03}", number % PRODUCTS))
}

/// The ledger of a run's box. Boxes of one branch have rising terms.
pub fn stream(run: u64) -> Stream {
    let term = u32::try_from(run + 1).unwrap_or(u32::MAX);
    Stream { tenant: tenant(), branch: branch(), term, device: device(run), lane: Lane::Ledger, epoch: 1 }
}

/// When an act was done.
pub fn stamp(index: u64) -> Stamp {
    let after = i64::try_from(index).unwrap_or_default();
    Stamp {
        boot: "0d6f1e2a-8a5e-4b4e-9f4e-3a1f6b0f2c11".into(),
        mono_ms: 86_400_123 + index,
        wall_ms: UnixMillis(BEGUN_MS + after),
        clock: ClockQuality::Synchronised,
        business_date: named::<Day>("2026-11-19"),
    }
}

/// What one box sells in one run. No id occurs in two runs.
#[derive(Debug, Clone, Copy)]
pub struct Sales {
    run: u64,
}

impl Sales {
    /// Of that run.
    pub fn of(run: u64) -> Self {
        Self { run }
    }

    fn session(self) -> SessionId {
        SessionId(self.id(0, 0xfff))
    }

    /// Before the first sale: the till is opened and the shelves are full.
    pub fn opening(self) -> Act {
        let full = |number| LotIn {
            product: product(number),
            lot: Some(LOT.into()),
            expiry: Some(named::<Day>("2029-11-30")),
            quantity: Quantity(OPENING_PACKS),
        };
        let bodies = vec![
            TillOpened { till: till(), session: self.session(), float: cents(10_000) }.into(),
            StockOpened { lines: (0..PRODUCTS).map(full).collect() }.into(),
        ];
        self.act(0, bodies)
    }

    /// A sale of two lines, paid in cash; `number` counts from 1.
    pub fn sale(self, number: u64) -> Act {
        let receipt = ReceiptNumber { till: till(), epoch: 1, number: self.run * ACTS_PER_RUN + number };
        let line = |offset: u64, price| SaleLine {
            product: product(number + offset),
            gtin: named::<Gtin>("09521234543213"),
            name: "Paracetamol 500 mg tablets, pack of 16".into(),
            quantity: Quantity(1),
            unit_price: cents(price),
            amount: cents(price),
            tax: BasisPoints(2000),
        };
        let moved = |offset: u64| LotMove {
            product: product(number + offset),
            lot: Some(LOT.into()),
            provenance: Provenance::Scanned,
            quantity: Quantity(1),
            serials: vec![format!("S{:03}{number:09}", self.run).into()],
        };
        let session = self.session();
        let bodies = vec![
            SaleCompleted {
                till: till(),
                session,
                receipt: receipt.clone(),
                lines: vec![line(0, 249), line(1, 499)],
                total: cents(748),
                taxes: vec![TaxShare { rate: BasisPoints(2000), gross: cents(748), tax: cents(125) }],
                tender: Tender::Cash,
                tendered: cents(1000),
                change: cents(252),
            }
            .into(),
            TillReceived {
                till: till(),
                session,
                tender: Tender::Cash,
                amount: cents(748),
                receipt: receipt.clone(),
            }
            .into(),
            StockSold { receipt, moves: vec![moved(0), moved(1)] }.into(),
            DrawerOpened { till: till(), cause: DrawerCause::Sale }.into(),
        ];
        self.act(number, bodies)
    }

    fn act(self, index: u64, bodies: Vec<FactBody>) -> Act {
        let mut parts = 0;
        Act::new(ActId(self.id(index, 0)), &Actor::Staff(named("anna")), &stamp(index), bodies, || {
            parts += 1;
            FactId(self.id(index, parts))
        })
    }

    /// As UUIDv7 (RFC 9562, 5.7) gives them: rising with the clock, scattered behind it.
    fn id(self, index: u64, part: u16) -> Uuid {
        let at = u64::try_from(BEGUN_MS).unwrap_or_default() + self.run * ACTS_PER_RUN + index;
        // Multiplying by an odd number scatters and never makes two the same (2^64 divided by the golden ratio).
        let scattered = at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 2;
        Uuid::from_u128(
            (u128::from(at) << 80)
                | (7 << 76)
                | (u128::from(part & 0xfff) << 64)
                | (2 << 62)
                | u128::from(scattered),
        )
    }
}

fn till() -> TillId {
    named("till-1")
}

fn cents(minor: i64) -> Money {
    Money::new(minor, Currency::EUR)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_sample_sale_has_about_two_kib_and_four_facts() {
        let sale = Sales::of(0).sale(1);
        let bytes: usize = sale.facts.iter().map(|fact| fact.to_line().unwrap().len()).sum();
        assert!((1_700..2_600).contains(&bytes), "{bytes}");
        assert_eq!(sale.facts.len() as u64, FACTS_PER_SALE);
    }

    #[test]
    fn no_two_facts_of_any_run_have_the_same_id() {
        let acts = (0..3).flat_map(|run| (1..2_000).map(move |number| Sales::of(run).sale(number)));
        let ids: Vec<_> = acts.flat_map(|act| act.facts).map(|fact| fact.id.0).collect();
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len());
        assert!(ids.is_sorted_by_key(|id| id.as_u128() >> 64));
        assert!(ids.iter().all(|id| id.get_version_num() == 7));
    }
}
