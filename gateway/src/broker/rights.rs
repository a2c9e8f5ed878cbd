//! Who may do what at the broker. Pure.
//!
//! The user is the common name of the certificate, which our authority alone gives out: `gateway`, or a device's name.

use std::str::FromStr as _;

use pestle_domain::{
    ids::DeviceId,
    wire::topic::{Channel, Publisher, ROOT, Topic, device_publishes, device_subscribes},
};

use crate::authority::identity::GATEWAY_NAME;

/// Who connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum User {
    /// A gateway.
    Gateway,
    /// A box.
    Device(DeviceId),
}

impl User {
    /// From the certificate's common name.
    pub fn of(common_name: &str) -> Option<Self> {
        if common_name == GATEWAY_NAME {
            return Some(Self::Gateway);
        }
        common_name.parse().ok().map(Self::Device)
    }

    /// Whether this user may use this client id: its own name, or that followed by `:` and anything. Otherwise one box
    /// could throw another off the broker by connecting under its id (MQTT 5, 3.1.4-3). No name has a colon.
    pub fn may_be(&self, client_id: &str) -> bool {
        let name = match self {
            Self::Gateway => GATEWAY_NAME,
            Self::Device(device) => device.as_str(),
        };
        client_id.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
    }

    /// Whether this user may publish there.
    pub fn may_publish(&self, topic: &str) -> bool {
        match self {
            Self::Gateway => is_ours(topic) && !topic.contains(['+', '#']),
            Self::Device(device) => Topic::from_str(topic)
                .is_ok_and(|topic| topic.device == *device && topic.channel.publisher() == Publisher::Device),
        }
    }

    /// Whether what this user publishes there may be retained: a birth or death, and either shadow. Anything else that
    /// stays would only be a way to fill the broker.
    pub fn may_retain(&self, topic: &str) -> bool {
        let channel = Topic::from_str(topic).map(|topic| topic.channel);
        match self {
            Self::Gateway => matches!(channel, Ok(Channel::ShadowDesired)),
            Self::Device(_) => matches!(channel, Ok(Channel::Status | Channel::ShadowReported)),
        }
    }

    /// Whether this user may subscribe to that filter. A device's are compared as text: a wildcard is no topic of
    /// the table, so none passes.
    pub fn may_subscribe(&self, filter: &str) -> bool {
        match self {
            Self::Gateway => is_ours(filter),
            Self::Device(device) => device_subscribes(device.as_str()).iter().any(|own| own == filter),
        }
    }
}

fn is_ours(topic: &str) -> bool {
    topic.strip_prefix(ROOT).is_some_and(|rest| rest.starts_with('/'))
}

/// The same rights as an ACL file of Mosquitto (mosquitto.conf(5), `acl_file`). Mosquitto has no rule on client ids:
/// [`super::mosquitto`] makes them the certificate's name where boxes connect.
pub fn mosquitto_acl() -> String {
    let mut lines = vec![format!("user {GATEWAY_NAME}"), format!("topic readwrite {ROOT}/#"), String::new()];
    lines.extend(device_publishes("%u").map(|topic| format!("pattern write {topic}")));
    lines.extend(device_subscribes("%u").map(|topic| format!("pattern read {topic}")));
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn north() -> User {
        User::of("north-1").unwrap()
    }

    #[test]
    fn a_device_publishes_and_subscribes_its_own_list_and_nothing_else() {
        for topic in device_publishes("north-1") {
            let topic = topic.replace('+', "j-1");
            assert!(north().may_publish(&topic), "{topic}");
            assert!(!north().may_subscribe(&topic), "{topic}");
        }
        for topic in device_subscribes("north-1") {
            assert!(north().may_subscribe(&topic), "{topic}");
            assert!(!north().may_publish(&topic), "{topic}");
        }
        for other in device_publishes("south-1") {
            assert!(!north().may_publish(&other.replace('+', "j-1")), "{other}");
        }
        for wide in ["pestle/v1/d/north-1/#", "pestle/v1/d/+/down/ack", "#", "+/+/+/+/+/+", "$SYS/#", ""] {
            assert!(!north().may_subscribe(wide), "{wide}");
            assert!(!north().may_publish(wide), "{wide}");
        }
    }

    #[test]
    fn only_births_and_shadows_may_stay() {
        let gateway = User::of("gateway").unwrap();
        for topic in device_publishes("north-1") {
            let topic = topic.replace('+', "j-1");
            let stays = topic.ends_with("/status") && !topic.contains("jobs") || topic.ends_with("/reported");
            assert_eq!(north().may_retain(&topic), stays, "{topic}");
            assert!(!gateway.may_retain(&topic), "{topic}");
        }
        assert!(gateway.may_retain("pestle/v1/d/north-1/shadow/desired"));
        assert!(!gateway.may_retain("pestle/v1/d/north-1/down/ack"));
        assert!(!north().may_retain("elsewhere"));
    }

    #[test]
    fn a_device_cannot_pose_as_another_client() {
        assert!(north().may_be("north-1"));
        assert!(north().may_be("north-1:relay"));
        assert!(!north().may_be("north-12"));
        assert!(!north().may_be("south-1"));
        assert!(!north().may_be("gateway"));
        assert!(!User::of("north").unwrap().may_be("north-1"));
    }

    #[test]
    fn a_gateway_does_all_of_ours_and_nothing_else() {
        let gateway = User::of("gateway").unwrap();
        assert!(gateway.may_publish("pestle/v1/d/north-1/down/ack"));
        assert!(gateway.may_subscribe("pestle/v1/d/+/up/ledger"));
        assert!(!gateway.may_subscribe("#"));
        assert!(!gateway.may_publish("pestle/v10/x"));
        assert!(!gateway.may_publish("pestle/v1/d/#"));
    }

    #[test]
    fn mosquitto_gets_the_same_list() {
        let acl = mosquitto_acl();
        assert!(acl.contains("pattern write pestle/v1/d/%u/up/ledger\n"));
        assert!(acl.contains("pattern read pestle/v1/d/%u/down/ack\n"));
        assert!(!acl.contains("readwrite pestle/v1/d"));
    }
}
