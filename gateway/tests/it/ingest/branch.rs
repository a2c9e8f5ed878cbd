//! A box as ingest sees it: it writes acts, chains and signs them, and makes batches of any run of its facts.

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use pestle_domain::{
    fact::{
        Act, Actor, AdjustReason, ClockQuality, EpochOpened, FactBody, LotIn, LotMove, Provenance,
        ReceiptNumber, SaleCompleted, SaleLine, Stamp, StockAdjusted, StockOpened, StockSold, TaxShare,
        Tender, TillOpened, TillReceived,
    },
    ids::{ActId, BatchId, DeviceId, FactId, SessionId, StoreId},
    journal::{Carried, Head, Lane, Parent, Stream},
    money::{BasisPoints, Currency, Money},
    signature::SigningKey,
    units::{Quantity, UnixMillis},
    wire::{
        WIRE_VERSION,
        batch::{self, Header},
    },
};
use uuid::Uuid;

pub(crate) struct Branch {
    pub(crate) stream: Stream,
    pub(crate) key: SigningKey,
    pub(crate) lines: Vec<Vec<u8>>,
    pub(crate) session: SessionId,
    document: Vec<u8>,
    pub(crate) store: StoreId,
    receipts: u64,
}

pub(crate) fn signing_key() -> SigningKey {
    SigningKey::from_pkcs8(&new_document()).unwrap()
}

fn new_document() -> Vec<u8> {
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
    document.unwrap().as_ref().to_vec()
}

pub(crate) fn stamp() -> Stamp {
    Stamp {
        boot: "boot".into(),
        mono_ms: 1,
        wall_ms: UnixMillis(1_795_250_000_000),
        clock: ClockQuality::Free,
        business_date: "2026-11-21".parse().unwrap(),
    }
}

impl Branch {
    pub(crate) fn new(branch: &str, device: &str) -> Self {
        let stream = Stream {
            tenant: "acme".parse().unwrap(),
            branch: branch.parse().unwrap(),
            term: 1,
            device: device.parse().unwrap(),
            lane: Lane::Ledger,
            epoch: 1,
        };
        let session = SessionId(Uuid::now_v7());
        let document = new_document();
        let key = SigningKey::from_pkcs8(&document).unwrap();
        let store = StoreId(Uuid::now_v7());
        Self { stream, key, lines: Vec::new(), session, document, store, receipts: 0 }
    }

    /// The next life of its store, which says that this one ended at `seq`, with one sale.
    pub(crate) fn next_epoch(&self, seq: u64) -> Self {
        let epoch = self.stream.epoch;
        let mut next = Self::new(self.stream.branch.as_str(), self.stream.device.as_str());
        next.stream = Stream { epoch: epoch + 1, ..self.stream.clone() };
        next.key = SigningKey::from_pkcs8(&self.document).unwrap();
        next.document = self.document.clone();
        let parent = Parent { epoch, head: self.head(seq), store: self.store };
        next.write(vec![EpochOpened { store: next.store, parent: Some(parent), carried: vec![] }.into()]);
        next.sell("p-1", 1);
        next
    }

    /// Another store of the same box that has its first `seq` facts: an old copy that was put back, or a clone.
    pub(crate) fn copy_up_to(&self, seq: u64) -> Self {
        let mut copy = Self::new(self.stream.branch.as_str(), self.stream.device.as_str());
        copy.stream = self.stream.clone();
        copy.key = SigningKey::from_pkcs8(&self.document).unwrap();
        copy.document = self.document.clone();
        (copy.store, copy.session, copy.receipts) = (self.store, self.session, self.receipts + 100);
        copy.lines = self.lines[..usize::try_from(seq).unwrap()].to_vec();
        copy
    }

    /// Everything of this store once more in a new epoch, as a box carries it over.
    pub(crate) fn carried_over(&self, epoch: u32) -> Self {
        let mut next = self.copy_up_to(0);
        (next.receipts, next.store) = (self.receipts, StoreId(Uuid::now_v7()));
        next.stream.epoch = epoch;
        let before = self.stream.epoch;
        let parent = Parent { epoch: before, head: self.head(self.last()), store: self.store };
        let carried = vec![Carried { epoch: before, first: 1, last: self.last() }];
        next.write(vec![EpochOpened { store: next.store, parent: Some(parent), carried }.into()]);
        next.lines.extend(self.lines[1..].iter().cloned());
        next
    }

    /// Its box has that key (PKCS #8).
    pub(crate) fn sign_with(&mut self, document: Vec<u8>) {
        self.key = SigningKey::from_pkcs8(&document).unwrap();
        self.document = document;
    }

    pub(crate) fn device(&self) -> DeviceId {
        self.stream.device.clone()
    }

    /// Writes one act; returns the number of its last fact.
    pub(crate) fn write(&mut self, bodies: Vec<FactBody>) -> u64 {
        self.write_as(ActId(Uuid::now_v7()), bodies)
    }

    /// Writes one act under an id that a page gave it.
    pub(crate) fn write_as(&mut self, id: ActId, bodies: Vec<FactBody>) -> u64 {
        let actor = Actor::Staff("anna".parse().unwrap());
        let act = Act::new(id, &actor, &stamp(), bodies, || FactId(Uuid::now_v7()));
        self.lines.extend(act.facts.iter().map(|fact| fact.to_line().unwrap()));
        self.last()
    }

    pub(crate) fn last(&self) -> u64 {
        self.lines.len() as u64
    }

    pub(crate) fn open(&mut self, packs: i64) -> u64 {
        self.write(vec![EpochOpened { store: self.store, parent: None, carried: vec![] }.into()]);
        let line = |product: &str| LotIn {
            product: product.parse().unwrap(),
            lot: Some("A1".into()),
            expiry: Some("2028-01-31".parse().unwrap()),
            quantity: Quantity(packs),
        };
        self.write(vec![StockOpened { lines: vec![line("p-1"), line("p-2")] }.into()]);
        let float = Money::new(10_000, Currency::GBP);
        self.write(vec![TillOpened { till: "till-1".parse().unwrap(), session: self.session, float }.into()])
    }

    /// A sale of `packs` of a product at 2.50: three facts.
    pub(crate) fn sell(&mut self, product: &str, packs: i64) -> u64 {
        self.sell_as(ActId(Uuid::now_v7()), product, packs)
    }

    /// [`Branch::sell`] under an id that a page gave it.
    pub(crate) fn sell_as(&mut self, act: ActId, product: &str, packs: i64) -> u64 {
        self.receipts += 1;
        let (till, session): (pestle_domain::ids::TillId, _) = ("till-1".parse().unwrap(), self.session);
        let receipt = ReceiptNumber { till: till.clone(), epoch: self.stream.epoch, number: self.receipts };
        let pence = |minor| Money::new(minor, Currency::GBP);
        let (product, total): (pestle_domain::ids::ProductId, _) =
            (product.parse().unwrap(), pence(250 * packs));
        let line = SaleLine {
            product: product.clone(),
            gtin: "9521234543213".parse().unwrap(),
            name: "Paracetamol 500 mg tablets, 16".into(),
            quantity: Quantity(packs),
            unit_price: pence(250),
            amount: total,
            tax: BasisPoints(2_000),
        };
        let taxes = vec![TaxShare { rate: line.tax, gross: total, tax: line.tax.tax_inside(total) }];
        let moved = LotMove {
            product,
            lot: Some("A1".into()),
            provenance: Provenance::Scanned,
            quantity: Quantity(packs),
            serials: vec![format!("S{}", self.receipts).into()],
        };
        let sale = vec![
            SaleCompleted {
                till: till.clone(),
                session,
                receipt: receipt.clone(),
                lines: vec![line],
                total,
                taxes,
                tender: Tender::Cash,
                tendered: total,
                change: pence(0),
            }
            .into(),
            TillReceived { till, session, tender: Tender::Cash, amount: total, receipt: receipt.clone() }
                .into(),
            StockSold { receipt, moves: vec![moved] }.into(),
        ];
        self.write_as(act, sale)
    }

    pub(crate) fn adjust(&mut self, delta: i64) -> u64 {
        self.write(vec![
            StockAdjusted {
                product: "p-1".parse().unwrap(),
                lot: Some("A1".into()),
                delta: Quantity(delta),
                reason: AdjustReason::Correction,
                count_wanted: false,
                note: "".into(),
            }
            .into(),
        ])
    }

    pub(crate) fn head(&self, seq: u64) -> Head {
        let lines = self.lines[..usize::try_from(seq).unwrap()].iter().map(Vec::as_slice);
        Head::EMPTY.after_all(&self.stream, lines)
    }

    pub(crate) fn header(&self, first: u64, last: u64) -> Header {
        self.header_between(self.head(first - 1), self.head(last))
    }

    fn header_between(&self, before: Head, after: Head) -> Header {
        Header {
            v: WIRE_VERSION,
            batch: BatchId(Uuid::now_v7()),
            stream: self.stream.clone(),
            first: before.seq + 1,
            count: after.seq - before.seq,
            previous: before.hash,
            hash: after.hash,
            key: self.key.id().clone(),
            signature: self.key.sign(&after.statement(&self.stream), &SystemRandom::new()).unwrap(),
        }
    }

    pub(crate) fn with_header(&self, header: &Header) -> Vec<u8> {
        let from = usize::try_from(header.first - 1).unwrap();
        let to = from + usize::try_from(header.count).unwrap();
        batch::build(header, self.lines[from..to].iter().map(Vec::as_slice)).unwrap()
    }

    /// The facts `first` to `last` as a batch.
    pub(crate) fn batch(&self, first: u64, last: u64) -> (DeviceId, Vec<u8>) {
        (self.device(), self.with_header(&self.header(first, last)))
    }
}
