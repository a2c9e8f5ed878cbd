//! A fork, and how a person resolves it: two stores wrote under one name, so that the centre can join but one of them. The box
//! whose records are refused *appeals*; a person at the centre *rules* which of two things it is. A box asks in the same way where
//! some of what the centre lacks cannot be read any more: what lies behind that cannot join either, until all is recorded once more.

use serde::{Deserialize, Serialize};

use crate::{
    ids::{AppealId, BranchId, DeviceId, StoreId},
    journal::{Head, Stream},
    units::UnixMillis,
};

/// Where a box posts its [`Appeal`]; the answer is a [`Ruling`].
pub const APPEAL_PATH: &str = "/api/v1/device/appeals";
/// Most streams in one appeal: two lanes of more lives than any box will have.
pub const CONTESTED_MAX: usize = 32;
/// Most chain values of one stream: at doubling distances they reach back over any history.
pub const VALUES_MAX: usize = 64;

/// What a box says of itself while the centre refuses what it recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Appeal {
    /// Of this running process: two copies of one disk have two.
    pub appeal: AppealId,
    /// What helps a person to tell two boxes apart.
    pub place: BoxPlace,
    /// The highest epoch that this box ever opened.
    pub highest_epoch: u32,
    /// The streams that the centre refuses, or that are torn.
    pub contested: Vec<Contested>,
}

/// Where a box stands, as far as it can know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoxPlace {
    /// As the network knows it.
    pub host: Box<str>,
    /// Its own address on the way to the centre.
    pub address: Box<str>,
    /// Where its pages are.
    pub pages: Box<str>,
    /// `/etc/machine-id`, if there is one. A copy of a whole disk has the same.
    pub machine: Box<str>,
    /// Where it keeps its data.
    pub data_dir: Box<str>,
    /// Since when this process runs, by the box's clock.
    pub running_since: UnixMillis,
}

/// A stream that the centre refuses, or that is torn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contested {
    /// Which.
    #[serde(flatten)]
    pub stream: Stream,
    /// Where this box stands in it.
    #[serde(flatten)]
    pub head: Head,
    /// This box's store.
    pub store: StoreId,
    /// When the first of its facts that are still here was recorded, by the box's clock.
    pub first_at: UnixMillis,
    /// And the last.
    pub last_at: UnixMillis,
    /// Facts that the centre has not acknowledged.
    pub waiting: u64,
    /// Chain values of this store, the last first: the centre learns from them how far both are the same.
    pub values: Vec<Head>,
    /// Where it is torn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub torn: Option<Torn>,
}

/// Facts that the centre lacks and their box cannot read any more: what lies behind them cannot join.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Torn {
    /// The first of them.
    pub from: u64,
    /// The last.
    pub to: u64,
}

/// What a person decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ruling", rename_all = "snake_case")]
pub enum Ruling {
    /// Nothing yet: ask again.
    Waiting,
    /// This is the branch's box: it goes on in this epoch, which nobody has used, and carries over what it has.
    GoOn {
        /// The number of the new life.
        epoch: u32,
    },
    /// This is a second box: it gets a name of its own, by a technician's hand.
    OwnName {
        /// The branch for which it is enrolled.
        branch: BranchId,
        /// Whose name it has now.
        device: DeviceId,
    },
}

/// How far two histories of one stream are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parting {
    /// Up to here they certainly are.
    pub same_to: u64,
    /// From here on they certainly differ, or one of them has ended; `None` where nothing shows it.
    pub differs_at: Option<u64>,
}

/// Compares chain values of one side with those of the other; `other` tells the other's at a number, if it has that.
/// Since each value covers all before it, two points bound the place at which they part.
pub fn parting(values: &[Head], other: impl Fn(u64) -> Option<Head>) -> Parting {
    let judged = values.iter().filter_map(|own| Some((own.seq, other(own.seq)?.hash == own.hash)));
    let (mut same_to, mut differs_at) = (0, None);
    for (seq, same) in judged {
        if same {
            same_to = same_to.max(seq);
        } else {
            differs_at = Some(differs_at.map_or(seq, |known: u64| known.min(seq)));
        }
    }
    Parting { same_to, differs_at }
}

/// The numbers at which a store with facts `first` to `last` tells its chain values: the last, and back from it at doubling
/// distances.
pub fn tell_at(first: u64, last: u64) -> Vec<u64> {
    let mut told = vec![last];
    let mut back = 1u64;
    while told.len() < VALUES_MAX
        && let Some(seq) = last.checked_sub(back).filter(|seq| *seq >= first.max(1))
    {
        told.push(seq);
        back = back.saturating_mul(2);
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::Hash;

    fn value(seq: u64, history: &str) -> Head {
        Head { seq, hash: Hash::of(format!("{history} {seq}").as_bytes()) }
    }

    #[test]
    fn two_histories_part_between_the_last_value_that_is_the_same_and_the_first_that_differs() {
        let other = |seq: u64| match seq {
            0..=40 => Some(value(seq, "common")),
            41..=90 => Some(value(seq, "theirs")),
            _ => None,
        };
        let own: Vec<Head> = tell_at(1, 100)
            .into_iter()
            .map(|seq| value(seq, if seq <= 40 { "common" } else { "ours" }))
            .collect();
        assert_eq!(own.iter().map(|head| head.seq).collect::<Vec<_>>(), [100, 99, 98, 96, 92, 84, 68, 36]);
        assert_eq!(parting(&own, other), Parting { same_to: 36, differs_at: Some(68) });
        assert_eq!(parting(&own[..2], other), Parting { same_to: 0, differs_at: None }, "it has not so much");
    }

    #[test]
    fn values_are_told_back_to_the_first_fact_that_is_there_and_no_further() {
        assert_eq!(tell_at(1, 1), [1]);
        assert_eq!(tell_at(98, 100), [100, 99, 98]);
        assert!(tell_at(1, u64::MAX).len() <= VALUES_MAX);
    }

    #[test]
    fn a_ruling_is_written_as_it_is_read() {
        for (ruling, json) in [
            (Ruling::Waiting, r#"{"ruling":"waiting"}"#),
            (Ruling::GoOn { epoch: 7 }, r#"{"ruling":"go_on","epoch":7}"#),
        ] {
            assert_eq!(serde_json::to_string(&ruling).unwrap(), json);
            assert_eq!(serde_json::from_str::<Ruling>(json).unwrap(), ruling);
        }
    }
}
