//! Topics: `pestle/v1/d/{device}/…`. Which end publishes what is part of the topic, and is what the broker enforces.

use std::{fmt, str::FromStr};

use crate::{ids::DeviceId, journal::Lane};

/// The root of all topics of this version.
pub const ROOT: &str = "pestle/v1";
/// The share under which gateways take turns at what devices publish.
pub const GATEWAY_SHARE: &str = "gateways";

/// A topic of one device.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Topic {
    /// Whose.
    pub device: DeviceId,
    /// Which of its topics.
    pub channel: Channel,
}

/// What a topic carries.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Channel {
    /// Batches of facts of one lane.
    Facts(Lane),
    /// Early copies of urgent facts.
    Alert,
    /// Where the branch stands.
    Heads,
    /// Committed up to; or why not.
    Ack,
    /// The centre's numbered log for the branch.
    Orders,
    /// "Ask me."
    Nudge,
    /// Birth and death (retained, will).
    Status,
    /// What the centre wants configured (retained).
    ShadowDesired,
    /// What is configured (retained).
    ShadowReported,
    /// The next job.
    JobsNext,
    /// How one job goes.
    JobStatus(JobId),
}

/// A job's name: 1 to 64 characters of letters, digits and `-`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct JobId(Box<str>);

impl FromStr for JobId {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let good = (1..=64).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if good { Ok(Self(text.into())) } else { Err(()) }
    }
}

/// Which end publishes on a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Publisher {
    /// The device.
    Device,
    /// The centre.
    Gateway,
}

impl Channel {
    /// Who publishes there. The other end subscribes.
    pub fn publisher(&self) -> Publisher {
        match self {
            Self::Facts(_)
            | Self::Alert
            | Self::Heads
            | Self::Status
            | Self::ShadowReported
            | Self::JobStatus(_) => Publisher::Device,
            Self::Ack | Self::Orders | Self::Nudge | Self::ShadowDesired | Self::JobsNext => {
                Publisher::Gateway
            }
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "up/ledger" => Self::Facts(Lane::Ledger),
            "up/telemetry" => Self::Facts(Lane::Telemetry),
            "up/alert" => Self::Alert,
            "up/heads" => Self::Heads,
            "down/ack" => Self::Ack,
            "down/orders" => Self::Orders,
            "down/nudge" => Self::Nudge,
            "status" => Self::Status,
            "shadow/desired" => Self::ShadowDesired,
            "shadow/reported" => Self::ShadowReported,
            "jobs/next" => Self::JobsNext,
            other => Self::JobStatus(other.strip_prefix("jobs/")?.strip_suffix("/status")?.parse().ok()?),
        })
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Facts(lane) => write!(formatter, "up/{}", lane.as_str()),
            Self::Alert => formatter.write_str("up/alert"),
            Self::Heads => formatter.write_str("up/heads"),
            Self::Ack => formatter.write_str("down/ack"),
            Self::Orders => formatter.write_str("down/orders"),
            Self::Nudge => formatter.write_str("down/nudge"),
            Self::Status => formatter.write_str("status"),
            Self::ShadowDesired => formatter.write_str("shadow/desired"),
            Self::ShadowReported => formatter.write_str("shadow/reported"),
            Self::JobsNext => formatter.write_str("jobs/next"),
            Self::JobStatus(job) => write!(formatter, "jobs/{}/status", job.0),
        }
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{ROOT}/d/{}/{}", self.device, self.channel)
    }
}

/// The text is none of our topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no topic of this version")]
pub struct NoTopic;

impl FromStr for Topic {
    type Err = NoTopic;
    fn from_str(text: &str) -> Result<Self, NoTopic> {
        let rest = text.strip_prefix(ROOT).and_then(|rest| rest.strip_prefix("/d/")).ok_or(NoTopic)?;
        let (device, channel) = rest.split_once('/').ok_or(NoTopic)?;
        Ok(Self {
            device: device.parse().map_err(|_| NoTopic)?,
            channel: Channel::parse(channel).ok_or(NoTopic)?,
        })
    }
}

/// What one device may publish, as topic filters; `device` may be a broker's placeholder such as `%u`.
pub fn device_publishes(device: &str) -> [String; 7] {
    ["up/ledger", "up/telemetry", "up/alert", "up/heads", "status", "shadow/reported", "jobs/+/status"]
        .map(|channel| format!("{ROOT}/d/{device}/{channel}"))
}

/// What one device may subscribe to, as topic filters.
pub fn device_subscribes(device: &str) -> [String; 5] {
    ["down/ack", "down/orders", "down/nudge", "shadow/desired", "jobs/next"]
        .map(|channel| format!("{ROOT}/d/{device}/{channel}"))
}

/// What gateways subscribe to together, each message going to one of them.
pub fn gateway_subscribes() -> [String; 5] {
    ["up/ledger", "up/telemetry", "up/alert", "up/heads", "status"]
        .map(|channel| format!("$share/{GATEWAY_SHARE}/{ROOT}/d/+/{channel}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn channels() -> Vec<Channel> {
        vec![
            Channel::Facts(Lane::Ledger),
            Channel::Facts(Lane::Telemetry),
            Channel::Alert,
            Channel::Heads,
            Channel::Ack,
            Channel::Orders,
            Channel::Nudge,
            Channel::Status,
            Channel::ShadowDesired,
            Channel::ShadowReported,
            Channel::JobsNext,
            Channel::JobStatus("j-1".parse().unwrap()),
        ]
    }

    #[test]
    fn every_topic_is_read_as_it_is_written() {
        for channel in channels() {
            let topic = Topic { device: "box-1".parse().unwrap(), channel };
            assert_eq!(topic.to_string().parse(), Ok(topic));
        }
    }

    #[test]
    fn what_a_device_may_do_is_exactly_what_the_topics_say() {
        for channel in channels() {
            let text = format!(
                "{ROOT}/d/box-1/{}",
                if let Channel::JobStatus(_) = channel {
                    "jobs/+/status".into()
                } else {
                    channel.to_string()
                }
            );
            let device = channel.publisher() == Publisher::Device;
            assert_eq!(device_publishes("box-1").contains(&text), device, "{text}");
            assert_eq!(device_subscribes("box-1").contains(&text), !device, "{text}");
        }
    }

    #[test]
    fn every_topic_is_in_the_published_contract() {
        let contract = include_str!("../../../docs/asyncapi.yaml");
        for channel in channels() {
            let channel = match channel {
                Channel::JobStatus(_) => "jobs/{job}/status".to_owned(),
                other => other.to_string(),
            };
            let address = format!("address: {ROOT}/d/{{device}}/{channel}\n");
            assert!(contract.contains(&address), "docs/asyncapi.yaml lacks {address}");
        }
    }

    #[test]
    fn what_is_no_topic_of_ours_is_refused() {
        for bad in [
            "",
            "pestle/v1/d/box-1",
            "pestle/v2/d/box-1/status",
            "pestle/v1/d/Box/status",
            "pestle/v1/d/a/up/#",
            "pestle/v1/d/a/jobs//status",
            "pestle/v1/d/a/jobs/x/y/status",
        ] {
            assert_eq!(bad.parse::<Topic>(), Err(NoTopic), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,80}") {
            let _ = text.parse::<Topic>();
        }
    }
}
