//! What the counter's page, the metrics and the health page see of the link.

use std::collections::BTreeMap;

use pestle_domain::{appeal::Torn, units::UnixMillis};
use serde::Serialize;

use super::lane::StreamKey;

/// What the link is doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Not connected; it tries again by itself.
    #[default]
    Offline,
    /// Connected, and sending what had waited.
    CatchUp,
    /// Connected, and everything is with the centre or on its way.
    Live,
    /// The box is shutting down and sends what it can.
    Draining,
}

impl Phase {
    /// As it is shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Offline => "offline",
            Self::CatchUp => "catch_up",
            Self::Live => "live",
            Self::Draining => "draining",
        }
    }
}

/// A stream that is torn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct TornStream {
    /// Which.
    #[serde(flatten)]
    pub stream: StreamKey,
    /// Where.
    #[serde(flatten)]
    pub torn: Torn,
}

/// The link at a moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct LinkState {
    /// What it is doing.
    pub state: Phase,
    /// Facts that the centre has not acknowledged.
    pub waiting: u64,
    /// When the centre last acknowledged something.
    pub last_ack_at: Option<UnixMillis>,
    /// Why it is not connected, or what the centre refuses; a sentence for people.
    pub detail: Option<String>,
    /// Streams of which the centre has another history than this store: a person has to decide.
    pub contradicted: Vec<StreamKey>,
    /// Streams with facts that the centre lacks and this box cannot read any more: a person has to decide here too.
    pub torn: Vec<TornStream>,
    /// Another box was lately at the broker under this box's name, or seems to have been.
    pub rival: bool,
}

impl LinkState {
    /// The streams about which a person at the centre has to decide, in order, and where they are torn. One that is contradicted
    /// as well may be another box's: that is what has to be decided then.
    pub fn to_decide(&self) -> BTreeMap<StreamKey, Option<Torn>> {
        let torn = self.torn.iter().map(|one| (one.stream, Some(one.torn)));
        torn.chain(self.contradicted.iter().map(|stream| (*stream, None))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pestle_domain::journal::Lane;

    #[test]
    fn a_stream_that_is_torn_and_another_box_s_too_asks_which_box_it_is() {
        let [first, second] = [1, 2].map(|epoch| StreamKey { lane: Lane::Ledger, epoch });
        let torn = Torn { from: 5, to: 6 };
        let state = LinkState {
            contradicted: vec![second],
            torn: [first, second].map(|stream| TornStream { stream, torn }).to_vec(),
            ..LinkState::default()
        };
        assert_eq!(state.to_decide(), BTreeMap::from([(first, Some(torn)), (second, None)]));
    }
}
