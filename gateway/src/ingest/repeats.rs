//! An act counts once. A page that got no answer sends its act again under the same id; a box that lost the first one meanwhile
//! records it once more, with other facts. The centre may have both: the one whose effects it wrote first counts, the other is
//! a *repeat*. Pure.
//!
//! Only what adds up is left out of a repeat ([`FactBody::adds_up`]): what it names, a session or a patient, later facts of the
//! branch speak of.

use std::collections::{BTreeMap, HashMap};

use pestle_domain::{fact::FactBody, signature::Hash};
use uuid::Uuid;

use super::{fold::Effect, rules};

/// An act of a branch.
pub type ActKey<'a> = (&'a str, Uuid);

/// A fact's place: the event store's number of its stream, and its number there.
pub type FactPlace = (i64, u64);

/// An act whose effects were written before, under other facts.
#[derive(Debug, Clone, Copy)]
pub struct Repeat<'a> {
    /// Its first fact that adds up.
    pub effect: Effect<'a>,
    /// The number of the act's first fact.
    pub first: u64,
    /// And of its last.
    pub last: u64,
    /// A fact of the act that counts.
    pub counted: FactPlace,
}

impl Repeat<'_> {
    fn has(&self, stream: i64, seq: u64) -> bool {
        self.effect.stream == stream && (self.first..=self.last).contains(&seq)
    }

    /// What makes it the same when it is told again.
    pub fn identity(&self) -> Hash {
        let place = format!("repeat {} {}", rules::describe(self.effect.origin), self.first);
        Hash::of(place.as_bytes())
    }

    /// For a person: which act counts and which does not. `counted` is what the one that counts says, if it can be read.
    pub fn message(&self, counted: Option<&FactBody>) -> String {
        let Self { effect, .. } = self;
        let named = |body: Option<&FactBody>| body.map_or_else(|| "an earlier record".to_owned(), name);
        format!(
            "the same act was recorded twice, since the box had lost it when it was asked again: {} counts, {} (fact {} of {}) does not. Act {}",
            named(counted),
            named(effect.fact.body()),
            effect.seq,
            rules::describe(effect.origin),
            effect.fact.act
        )
    }
}

/// What a person knows an act by.
fn name(body: &FactBody) -> String {
    match body {
        FactBody::SaleCompleted(sale) => {
            let receipt = &sale.receipt;
            format!("receipt {}/{}/{}", receipt.till, receipt.epoch, receipt.number)
        }
        other => other.kind().to_owned(),
    }
}

/// The repeats of one transaction.
#[derive(Debug, Default)]
pub struct Repeats<'a>(BTreeMap<FactPlace, Repeat<'a>>);

impl<'a> Repeats<'a> {
    /// Tells which acts among `effects` are repeats. `counted` are facts of the same acts, of the same branches, whose effects
    /// were written before, by other transactions; of two in this one the first counts.
    pub fn tell(effects: &[Effect<'a>], counted: &HashMap<ActKey<'_>, Vec<FactPlace>>) -> Self {
        let mut here: HashMap<ActKey<'a>, Repeat<'a>> = HashMap::new();
        let mut repeats = BTreeMap::new();
        for effect in effects.iter().filter(|effect| adds_up(effect)) {
            let key = key_of(effect);
            let (first, last) = span(effect);
            let own = Repeat { effect: *effect, first, last, counted: (effect.stream, effect.seq) };
            let before =
                counted.get(&key).into_iter().flatten().find(|(stream, seq)| !own.has(*stream, *seq));
            let counted = match (before, here.get(&key)) {
                (Some(before), _) => *before,
                (None, Some(earlier)) if !earlier.has(effect.stream, effect.seq) => earlier.counted,
                (None, Some(_)) => continue,
                (None, None) => {
                    here.insert(key, own);
                    continue;
                }
            };
            repeats.entry((effect.stream, first)).or_insert(Repeat { counted, ..own });
        }
        Self(repeats)
    }

    /// Whether a fact must not add up once more.
    pub fn leaves_out(&self, effect: &Effect<'_>) -> bool {
        !self.0.is_empty() && adds_up(effect) && self.0.contains_key(&(effect.stream, span(effect).0))
    }

    /// Each.
    pub fn iter(&self) -> impl Iterator<Item = &Repeat<'a>> {
        self.0.values()
    }
}

/// The acts of `effects` of which it has to be known whether they counted before.
pub fn asked<'a>(effects: &[Effect<'a>]) -> Vec<ActKey<'a>> {
    let mut keys: Vec<ActKey<'a>> = effects.iter().filter(|effect| adds_up(effect)).map(key_of).collect();
    // The facts of an act lie behind each other.
    keys.dedup();
    keys
}

fn adds_up(effect: &Effect<'_>) -> bool {
    effect.fact.body().is_some_and(FactBody::adds_up)
}

fn key_of<'a>(effect: &Effect<'a>) -> ActKey<'a> {
    (effect.origin.branch.as_str(), effect.fact.act.0)
}

/// The numbers of the first and the last fact of an effect's act.
fn span(effect: &Effect<'_>) -> (u64, u64) {
    let (index, count) = (u64::from(effect.fact.part.0), u64::from(effect.fact.part.1));
    let first = (effect.seq + 1).saturating_sub(index);
    (first, (first + count).saturating_sub(1))
}
