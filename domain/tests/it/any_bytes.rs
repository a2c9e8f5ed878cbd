//! Nothing that comes from outside can stop a box or the centre: any bytes give a value or an error.

use pestle_domain::{
    appeal::{Appeal, Ruling},
    fact::{Envelope, Fact},
    order::Order,
    wire::{
        batch::Batch,
        facts::Page,
        message::{Answer, Heads, Nudge, Status},
        orders::Orders,
    },
};
use proptest::prelude::*;

use crate::{golden_orders, samples};

fn read_all(bytes: &[u8]) {
    if let Ok(batch) = Batch::parse(bytes) {
        let _ = batch.verify(samples::key().public());
        let _ = batch.envelopes();
    }
    let _ = Envelope::parse(bytes).map(|envelope| envelope.body().is_ok());
    let _ = Fact::from_line(bytes);
    let _ = Order::from_line(bytes);
    let _ = Orders::parse(bytes).map(|orders| orders.verify(samples::key().public()).is_ok());
    let _ = Page::parse(bytes).map(|page| page.verify(samples::key().public()).is_ok());
    let _ = serde_json::from_slice::<Appeal>(bytes);
    let _ = serde_json::from_slice::<Ruling>(bytes);
    let _ = serde_json::from_slice::<Answer>(bytes);
    let _ = serde_json::from_slice::<Heads>(bytes);
    let _ = serde_json::from_slice::<Status>(bytes);
    let _ = serde_json::from_slice::<Nudge>(bytes);
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        read_all(&bytes);
    }

    #[test]
    fn a_good_line_with_some_bytes_changed_never_panics(
        index in any::<prop::sample::Index>(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let facts = samples::facts().into_iter().map(|fact| fact.to_line().unwrap());
        let mut lines: Vec<_> =
            facts.chain(golden_orders::all().into_iter().map(|order| order.to_line().unwrap())).collect();
        let mut line = lines.swap_remove(index.index(lines.len()));
        for (at, byte) in changes {
            let at = at.index(line.len());
            line[at] = byte;
        }
        read_all(&line);
    }

    #[test]
    fn a_fact_that_is_read_is_written_back_alike(index in any::<prop::sample::Index>(), seconds in any::<u32>()) {
        let facts = samples::facts();
        let mut fact = facts[index.index(facts.len())].clone();
        fact.at.wall_ms = pestle_domain::units::UnixMillis(i64::from(seconds) * 1000);
        let line = fact.to_line().unwrap();
        prop_assert_eq!(Fact::from_line(&line).unwrap(), Some(fact));
    }
}
