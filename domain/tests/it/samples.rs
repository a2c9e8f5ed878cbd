//! One of everything, always the same.

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use pestle_domain::{
    fact::*,
    ids::*,
    journal::{Head, Lane, Parent, Stream},
    money::{BasisPoints, Currency, Money},
    order::{OrderHead, OrderHow},
    personal::{PatientDetails, PersonKey, Sealed, SecretKey},
    signature::{Hash, SigningKey},
    units::{MilliCelsius, Quantity, UnixMillis},
};
use uuid::Uuid;

pub(crate) fn uuid(byte: u8) -> Uuid {
    Uuid::from_bytes([byte; 16])
}

pub(crate) fn till() -> TillId {
    "till-1".parse().unwrap()
}

pub(crate) fn product() -> ProductId {
    "paracetamol-500".parse().unwrap()
}

pub(crate) fn pence(minor: i64) -> Money {
    Money::new(minor, Currency::GBP)
}

pub(crate) fn receipt() -> ReceiptNumber {
    ReceiptNumber { till: till(), epoch: 1, number: 1042 }
}

pub(crate) fn stream() -> Stream {
    Stream {
        tenant: "acme".parse().unwrap(),
        branch: "north".parse().unwrap(),
        term: 1,
        device: "box-1".parse().unwrap(),
        lane: Lane::Ledger,
        epoch: 1,
    }
}

pub(crate) fn order_head() -> OrderHead {
    OrderHead { incarnation: 2, seq: 7, hash: Hash([8; 32]) }
}

pub(crate) fn stamp() -> Stamp {
    Stamp {
        boot: "b1".into(),
        mono_ms: 61_234,
        wall_ms: UnixMillis(1_795_000_000_000),
        clock: ClockQuality::Synchronised,
        business_date: "2026-11-21".parse().unwrap(),
    }
}

pub(crate) fn key() -> SigningKey {
    let document =
        EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
    SigningKey::from_pkcs8(document.as_ref()).unwrap()
}

pub(crate) fn person_key() -> PersonKey {
    PersonKey { person: PersonId(uuid(8)), generation: 1, secret: SecretKey::from_bytes(&[3; 32]) }
}

pub(crate) fn patient() -> PatientDetails {
    PatientDetails {
        name: "Ada Example".into(),
        birth_date: Some("1961-04-12".parse().unwrap()),
        phone: Some("020 7946 0000".into()),
        address: Some("1 Example Street".into()),
    }
}

/// The same details under two nonces, which each seal once.
fn sealed(nonce: u8) -> Sealed {
    patient().seal(&person_key(), &stream().tenant, [nonce; 12]).unwrap()
}

/// One fact of every kind, in the order of the kinds.
pub(crate) fn bodies() -> Vec<FactBody> {
    let session = SessionId(uuid(5));
    let lot_in = LotIn {
        product: product(),
        lot: Some("A12".into()),
        expiry: Some("2028-02-29".parse().unwrap()),
        quantity: Quantity(24),
    };
    let line = SaleLine {
        product: product(),
        gtin: "09521234543213".parse().unwrap(),
        name: "Paracetamol 500 mg tablets 16".into(),
        quantity: Quantity(2),
        unit_price: pence(120),
        amount: pence(240),
        tax: BasisPoints(2000),
    };
    let moved = LotMove {
        product: product(),
        lot: Some("A12".into()),
        provenance: Provenance::Scanned,
        quantity: Quantity(2),
        serials: vec!["S1".into()],
    };
    vec![
        EpochOpened {
            store: StoreId(uuid(6)),
            parent: Some(Parent {
                epoch: 1,
                head: Head { seq: 7, hash: Hash([9; 32]) },
                store: StoreId(uuid(7)),
            }),
            carried: vec![],
        }
        .into(),
        BoxStarted { version: "0.1.0".into(), found: None }.into(),
        StaffSignedIn { staff: "anna".parse().unwrap(), till: till() }.into(),
        StaffDenied { staff: "anna".parse().unwrap(), till: till(), reason: "pin".into() }.into(),
        TillOpened { till: till(), session, float: pence(10_000) }.into(),
        TillPaidIn { till: till(), session, amount: pence(500), reason: "change".into() }.into(),
        TillPaidOut { till: till(), session, amount: pence(300), reason: "stamps".into() }.into(),
        TillReceived { till: till(), session, tender: Tender::Cash, amount: pence(240), receipt: receipt() }
            .into(),
        TillClosed {
            till: till(),
            session,
            counted: pence(10_430),
            expected: pence(10_440),
            variance: pence(-10),
            sales: 1,
        }
        .into(),
        SaleCompleted {
            till: till(),
            session,
            receipt: receipt(),
            lines: vec![line],
            total: pence(240),
            taxes: vec![TaxShare { rate: BasisPoints(2000), gross: pence(240), tax: pence(40) }],
            tender: Tender::Cash,
            tendered: pence(500),
            change: pence(260),
        }
        .into(),
        DrawerOpened { till: till(), cause: DrawerCause::Sale }.into(),
        StockOpened { lines: vec![lot_in.clone()] }.into(),
        StockReceived { lines: vec![lot_in], reference: "DN-7".into() }.into(),
        StockSold { receipt: receipt(), moves: vec![moved] }.into(),
        StockAdjusted {
            product: product(),
            lot: None,
            delta: Quantity(1),
            reason: AdjustReason::FoundAtSale,
            count_wanted: true,
            note: "".into(),
        }
        .into(),
        StockCounted {
            product: product(),
            lot: Some("A12".into()),
            expected: Quantity(5),
            found: Quantity(4),
            difference: Quantity(-1),
        }
        .into(),
        PrintCompleted { document: ActId(uuid(2)), printer: "receipt".into() }.into(),
        PrintUnknown { document: ActId(uuid(2)), printer: "receipt".into(), reason: "it vanished".into() }
            .into(),
        PrintReprinted { document: ActId(uuid(2)), printer: "receipt".into() }.into(),
        DeviceAttached { name: "scanner-1".into(), class: "scanner".into() }.into(),
        DeviceLost { name: "scanner-1".into(), class: "scanner".into(), reason: "unplugged".into() }.into(),
        DeviceFault { name: "receipt".into(), class: "printer".into(), reason: "paper out".into() }.into(),
        ReadingSampled {
            sensor: "fridge-1".into(),
            sample: Sample::Temperature(MilliCelsius(4_200)),
            place: None,
        }
        .into(),
        BoxBooksIncomplete { epoch: 1, from: 1, to: 300_000 }.into(),
        BoxSpaceLow { level: "low".into(), free_mib: 512, days_left: Some(12) }.into(),
        BoxShed { facts: 90, from: UnixMillis(1_795_000_000_000), to: UnixMillis(1_795_005_400_000) }.into(),
        OrdersJoined { at: order_head() }.into(),
        OrderApplied {
            at: order_head(),
            order: OrderId(uuid(9)),
            kind: "catalogue.changed".into(),
            how: OrderHow::InTurn,
            line: r#"{"v":1}"#.into(),
        }
        .into(),
        OrderRefused {
            at: order_head(),
            order: None,
            kind: "".into(),
            reason: "not_understood".into(),
            detail: "the line is no order".into(),
            agent: "0.1.0".into(),
            line: "{}".into(),
        }
        .into(),
        PatientRegistered { details: sealed(1) }.into(),
        PatientAmended { details: sealed(2) }.into(),
        BoxFactsFetched { epoch: 1, from: 1, to: 4_000, hash: Hash([9; 32]) }.into(),
        InputChanged {
            input: "fridge-door".into(),
            kind: "door".into(),
            state: "unknown".into(),
            reason: Some("timeout".into()),
        }
        .into(),
        ProbeCalibrated {
            sensor: "fridge-1".into(),
            certificate: "K-1042".into(),
            date: "2026-03-01".parse().unwrap(),
            due: "2027-03-01".parse().unwrap(),
            correction: MilliCelsius(-250),
        }
        .into(),
        ReadingMissed {
            sensor: "fridge-1".into(),
            from: UnixMillis(1_795_000_000_000),
            to: UnixMillis(1_795_000_600_000),
            lasted_ms: 600_000,
            cause: "sensor_silent".into(),
            reason: Some("timeout".into()),
        }
        .into(),
        PlaceChanged {
            place: "vaccines".into(),
            trouble: "too_warm".into(),
            state: "began".into(),
            detail: "9.2 °C".into(),
        }
        .into(),
        PrintRequested {
            till: "till-1".parse().unwrap(),
            document: "shelf_label".into(),
            title: "Shelf label".into(),
        }
        .into(),
    ]
}

pub(crate) fn facts() -> Vec<Fact> {
    bodies()
        .into_iter()
        .enumerate()
        .map(|(index, body)| Fact {
            id: FactId(uuid(100 + u8::try_from(index).unwrap())),
            act: ActId(uuid(2)),
            part: Part(1, 1),
            actor: if index % 2 == 0 { Actor::Machine } else { Actor::Staff("anna".parse().unwrap()) },
            at: stamp(),
            body,
        })
        .collect()
}
