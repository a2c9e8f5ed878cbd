//! What the journal's tests have in common.

use pestle_domain::{
    fact::{Act, Actor, ClockQuality, DeviceAttached, Stamp},
    ids::{ActId, FactId},
    journal::{Lane, Stream},
    units::UnixMillis,
};

/// Of a box in the north.
pub fn stream() -> Stream {
    Stream {
        tenant: "acme".parse().unwrap(),
        branch: "north".parse().unwrap(),
        term: 1,
        device: "box-1".parse().unwrap(),
        lane: Lane::Ledger,
        epoch: 1,
    }
}

/// A moment.
pub fn stamp() -> Stamp {
    Stamp {
        boot: "boot".into(),
        mono_ms: 1,
        wall_ms: UnixMillis(1_790_000_000_000),
        clock: ClockQuality::Free,
        business_date: "2026-11-21".parse().unwrap(),
    }
}

/// An act of `facts` small facts, named by `number`.
pub fn act(number: u128, facts: usize) -> Act {
    let body = || DeviceAttached { name: format!("scanner-{number}").into(), class: "scanner".into() }.into();
    let bodies = std::iter::repeat_with(body).take(facts).collect();
    let mut next = number << 16;
    Act::new(ActId(uuid::Uuid::from_u128(number)), &Actor::Machine, &stamp(), bodies, || {
        next += 1;
        FactId(uuid::Uuid::from_u128(next))
    })
}
