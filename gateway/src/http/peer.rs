//! Who is at the other end of a connection.

use std::net::SocketAddr;

use axum::{extract::FromRequestParts, http::request::Parts};
use pestle_domain::ids::{BranchId, DeviceId, TenantId};

use super::error::ApiError;
use crate::authority::identity::PeerIdentity;

/// The other end of a connection; an extension of each of its requests.
#[derive(Debug, Clone)]
pub struct Peer {
    /// From where.
    pub address: SocketAddr,
    /// Whose certificate TLS has verified; `None` for browsers and for boxes that are not enrolled yet.
    pub identity: Option<PeerIdentity>,
}

impl<S: Send + Sync> FromRequestParts<S> for Peer {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let unknown = Peer { address: SocketAddr::from(([0, 0, 0, 0], 0)), identity: None };
        Ok(parts.extensions.get().cloned().unwrap_or(unknown))
    }
}

/// A box, by its certificate. Extracting it refuses everybody else. Whether it was revoked is asked by
/// [`crate::fleet`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DevicePeer {
    /// Of which chain.
    pub tenant: TenantId,
    /// Of which pharmacy.
    pub branch: BranchId,
    /// The box.
    pub device: DeviceId,
}

impl<S: Send + Sync> FromRequestParts<S> for DevicePeer {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Peer::from_request_parts(parts, state).await?.identity {
            Some(PeerIdentity::Device { tenant, branch, device }) => Ok(Self { tenant, branch, device }),
            _ => Err(ApiError::authentication(
                "this address is for enrolled boxes: connect with the device's certificate",
            )),
        }
    }
}
