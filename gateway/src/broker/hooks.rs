//! Asks [`super::rights`] on every connection, publication and subscription of the built-in broker, and counts what is
//! refused and what is lost.

use std::{sync::LazyLock, time::Instant};

use async_trait::async_trait;
use rmqtt::{
    codec::v5::SubscribeAckReason,
    hook::{Handler, HookResult, Parameter, ReturnType, Type},
    types::{AuthResult, ConnectInfo, LastWill, PublishAclResult, Reason, SubscribeAclResult},
};

use super::{BrokerMetrics, Revoked, rights::User};

/// The hook points at which we decide or count.
pub(super) const POINTS: [Type; 4] = [
    Type::ClientAuthenticate,
    Type::ClientSubscribeCheckAcl,
    Type::MessagePublishCheckAcl,
    Type::MessageDropped,
];

/// Decides, at each of [`POINTS`].
#[derive(Debug, Clone)]
pub(super) struct Gatekeeper {
    pub(super) revoked: Revoked,
    pub(super) metrics: BrokerMetrics,
}

/// A clock that never goes back, in milliseconds since it was first asked.
fn now_ms() -> u64 {
    static FIRST: LazyLock<Instant> = LazyLock::new(Instant::now);
    u64::try_from(FIRST.elapsed().as_millis()).unwrap_or(u64::MAX)
}

#[async_trait]
#[allow(elided_lifetimes_in_paths, reason = "the trait's method is written so; async_trait needs the same")]
impl Handler for Gatekeeper {
    async fn hook(&self, parameter: &Parameter, so_far: Option<HookResult>) -> ReturnType {
        let decided = match parameter {
            Parameter::ClientAuthenticate(connect) => HookResult::AuthResult(match self.refusal(connect) {
                None => AuthResult::Allow(false, None),
                Some(reason) => {
                    let id = connect.id();
                    if let Some(times) = self.metrics.refuse("connection", now_ms()) {
                        tracing::warn!(client = %id.client_id, address = ?id.remote_addr, reason, times, "the broker refused a connection");
                    }
                    AuthResult::NotAuthorized
                }
            }),
            Parameter::ClientSubscribeCheckAcl(session, subscribe) => {
                let user = session.id.username.as_ref().and_then(|name| User::of(name));
                let allowed = user.is_some_and(|user| user.may_subscribe(&subscribe.topic_filter));
                HookResult::SubscribeAclResult(if allowed {
                    SubscribeAclResult::new_success(subscribe.opts.qos(), None)
                } else {
                    if let Some(times) = self.metrics.refuse("subscription", now_ms()) {
                        tracing::warn!(client = %session.id.client_id, filter = %subscribe.topic_filter, times, "the broker refused a subscription");
                    }
                    SubscribeAclResult::new_failure(SubscribeAckReason::NotAuthorized)
                })
            }
            Parameter::MessagePublishCheckAcl(session, publish) => {
                let user = session.id.username.as_ref().and_then(|name| User::of(name));
                let refused = match user {
                    Some(user) if !user.may_publish(&publish.topic) => Some("publication"),
                    Some(user) if publish.retain && !user.may_retain(&publish.topic) => Some("retained"),
                    Some(_) => None,
                    None => Some("publication"),
                };
                HookResult::PublishAclResult(match refused {
                    None => PublishAclResult::allow(),
                    Some(kind) => {
                        if let Some(times) = self.metrics.refuse(kind, now_ms()) {
                            tracing::warn!(client = %session.id.client_id, topic = %publish.topic, kind, times, "the broker refused a publication");
                        }
                        // A box that publishes elsewhere is broken or hostile: it is thrown off.
                        PublishAclResult::rejected(true, None)
                    }
                })
            }
            Parameter::MessageDropped(to, _, publish, reason) => {
                let label = label(reason);
                if let Some(times) = self.metrics.drop_one(label, now_ms()) {
                    let client = to.as_ref().map(|to| to.client_id.to_string());
                    tracing::warn!(client, topic = %publish.topic, reason = label, times, "the broker gave messages up");
                }
                return (true, so_far);
            }
            _ => return (true, so_far),
        };
        (false, Some(decided))
    }
}

impl Gatekeeper {
    /// Why this connection is refused.
    fn refusal(&self, connect: &ConnectInfo) -> Option<&'static str> {
        let Some(user) = connect.username().and_then(|name| User::of(name)) else {
            return Some("its certificate has no name of ours");
        };
        if !user.may_be(&connect.id().client_id) {
            return Some("its client id belongs to somebody else");
        }
        if let User::Device(device) = &user
            && self.revoked.has(device)
        {
            return Some("this box was revoked");
        }
        // The broker publishes a will without asking again.
        let (topic, retain) = match connect.last_will()? {
            LastWill::V3(will) => (will.topic.to_string(), will.retain),
            LastWill::V5(will) => (will.topic.to_string(), will.retain),
        };
        if !user.may_publish(&topic) {
            return Some("its will is for a topic that it may not publish");
        }
        (retain && !user.may_retain(&topic)).then_some("its will would be retained where nothing may be")
    }
}

fn label(reason: &Reason) -> &'static str {
    match reason {
        Reason::MessageQueueFull => "queue_full",
        Reason::InflightWindowFull => "window_full",
        Reason::MessageExpiration => "expired",
        Reason::PublishResult(_) | Reason::SubscribeRefused | Reason::DelayedPublishRefused => "refused",
        Reason::ConnectDisconnect(_)
        | Reason::ConnectReadWriteTimeout
        | Reason::ConnectReadWriteError
        | Reason::ConnectRemoteClose
        | Reason::ConnectKeepaliveTimeout
        | Reason::ConnectKicked(_)
        | Reason::SessionExpiration => "connection",
        _ => "other",
    }
}
