//! Asks [`super::rights`] on every connection, publication and subscription of the built-in broker.

use async_trait::async_trait;
use rmqtt::{
    codec::v5::SubscribeAckReason,
    hook::{Handler, HookResult, Parameter, ReturnType, Type},
    types::{AuthResult, ConnectInfo, LastWill, PublishAclResult, SubscribeAclResult},
};

use super::{Revoked, rights::User};

/// The hook points at which we decide.
pub(super) const DECIDED: [Type; 3] =
    [Type::ClientAuthenticate, Type::ClientSubscribeCheckAcl, Type::MessagePublishCheckAcl];

/// Decides, at each of [`DECIDED`].
#[derive(Debug, Clone)]
pub(super) struct Gatekeeper {
    pub(super) revoked: Revoked,
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
                    tracing::warn!(client = %id.client_id, address = ?id.remote_addr, reason, "the broker refused a connection");
                    AuthResult::NotAuthorized
                }
            }),
            Parameter::ClientSubscribeCheckAcl(session, subscribe) => {
                let user = session.id.username.as_ref().and_then(|name| User::of(name));
                let allowed = user.is_some_and(|user| user.may_subscribe(&subscribe.topic_filter));
                HookResult::SubscribeAclResult(if allowed {
                    SubscribeAclResult::new_success(subscribe.opts.qos(), None)
                } else {
                    tracing::warn!(client = %session.id.client_id, filter = %subscribe.topic_filter, "the broker refused a subscription");
                    SubscribeAclResult::new_failure(SubscribeAckReason::NotAuthorized)
                })
            }
            Parameter::MessagePublishCheckAcl(session, publish) => {
                let user = session.id.username.as_ref().and_then(|name| User::of(name));
                let allowed = user.is_some_and(|user| user.may_publish(&publish.topic));
                HookResult::PublishAclResult(if allowed {
                    PublishAclResult::allow()
                } else {
                    tracing::warn!(client = %session.id.client_id, topic = %publish.topic, "the broker refused a publication");
                    // A box that publishes elsewhere is broken or hostile: it is thrown off.
                    PublishAclResult::rejected(true, None)
                })
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
        let will = connect.last_will().map(|will| match will {
            LastWill::V3(will) => will.topic.to_string(),
            LastWill::V5(will) => will.topic.to_string(),
        });
        match will {
            Some(topic) if !user.may_publish(&topic) => {
                Some("its will is for a topic that it may not publish")
            }
            _ => None,
        }
    }
}
