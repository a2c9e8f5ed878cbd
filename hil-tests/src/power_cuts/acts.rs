//! Acts that can be made again from their number, so that what is found is compared byte for byte. Pure but for random
//! numbers in the centre's key.

use std::sync::LazyLock;

use aws_lc_rs::{
    error::Unspecified,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use pestle_agent::journal::NewAct;
use pestle_domain::{
    fact::{Act, Actor, ClockQuality, DeviceAttached, Stamp},
    ids::{ActId, FactId},
    journal::{Acknowledgement, Head, Lane, Stream},
    signature::SigningKey,
    units::UnixMillis,
};
use uuid::Uuid;

use crate::seeded::Seeded;

/// Our acts' numbers are below; the journal's own acts have random ids.
const NUMBERS: u128 = 1 << 40;

/// How large acts are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// Like a sale.
    Small,
    /// Of many chunks.
    Large,
}

/// What the act of that number is: the same each time.
pub fn act(number: u32, size: Size) -> NewAct {
    let mut seeded = Seeded::of(u64::from(number), 0xAC7);
    let facts = 1 + seeded.index(5);
    let attachment = match size {
        Size::Small => seeded.index(400),
        Size::Large => seeded.index(140_000),
    };
    let name = |fact: usize| format!("scanner {number}/{fact}");
    let bodies =
        (0..facts).map(|fact| DeviceAttached { name: name(fact).into(), class: "scanner".into() }.into());
    let number = u128::from(number);
    let mut next = number << 16;
    let act = Act::new(ActId(Uuid::from_u128(number)), &Actor::Machine, &stamp(), bodies.collect(), || {
        next += 1;
        FactId(Uuid::from_u128(next))
    });
    // Bytes that repeat nowhere: a sector in the wrong place is seen.
    let mut bytes: Vec<u8> =
        (0..attachment.div_ceil(8)).flat_map(|_| seeded.next_u64().to_be_bytes()).collect();
    bytes.truncate(attachment);
    NewAct { act, attachment: bytes }
}

/// The number of one of our acts.
pub fn number(act: ActId) -> Option<u32> {
    let number = act.0.as_u128();
    if number < NUMBERS { u32::try_from(number).ok() } else { None }
}

/// Whose journal it is.
#[allow(clippy::expect_used, reason = "these names are good, as every test of this folder shows")]
pub fn stream() -> Stream {
    Stream {
        tenant: "acme".parse().expect("a good name"),
        branch: "north".parse().expect("a good name"),
        term: 1,
        device: "box-1".parse().expect("a good name"),
        lane: Lane::Ledger,
        epoch: 0,
    }
}

/// A moment.
#[allow(clippy::expect_used, reason = "as above")]
pub fn stamp() -> Stamp {
    Stamp {
        boot: "boot".into(),
        mono_ms: 1,
        wall_ms: UnixMillis(1_790_000_000_000),
        clock: ClockQuality::Free,
        business_date: "2026-11-21".parse().expect("a good date"),
    }
}

/// The centre's word that it has everything up to `head`.
///
/// # Errors
/// The machine has no random numbers.
pub fn acknowledgement(stream: &Stream, head: Head) -> Result<Acknowledgement, Unspecified> {
    static KEY: LazyLock<Option<SigningKey>> = LazyLock::new(|| {
        let document =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).ok()?;
        SigningKey::from_pkcs8(document.as_ref()).ok()
    });
    let key = KEY.as_ref().ok_or(Unspecified)?;
    Acknowledgement::sign(1, stream.clone(), head, key, &SystemRandom::new()).map_err(|_| Unspecified)
}
