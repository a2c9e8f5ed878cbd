//! The name inside a certificate: a URI in the subject alternative names that says of what kind its holder is.

use std::{fmt, str::FromStr};

use pestle_domain::ids::{BranchId, DeviceId, TenantId};

/// Common name of the gateway's certificate, and so its user name at the broker.
pub const GATEWAY_NAME: &str = "gateway";

/// Who holds a certificate of ours.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PeerIdentity {
    /// A branch's box.
    Device {
        /// Of which chain.
        tenant: TenantId,
        /// Of which pharmacy.
        branch: BranchId,
        /// The box.
        device: DeviceId,
    },
    /// A gateway.
    Gateway,
}

impl PeerIdentity {
    /// The certificate's common name.
    pub fn common_name(&self) -> &str {
        match self {
            Self::Device { device, .. } => device.as_str(),
            Self::Gateway => GATEWAY_NAME,
        }
    }

    /// From a certificate in DER. `None` for one that carries no name of ours, or two.
    pub fn of_certificate(der: &[u8]) -> Option<Self> {
        use x509_parser::extensions::GeneralName;
        let (_, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
        let names = certificate.subject_alternative_name().ok()??;
        let mut ours = names.value.general_names.iter().filter_map(|name| match name {
            GeneralName::URI(uri) => uri.parse().ok(),
            _ => None,
        });
        let identity = ours.next()?;
        ours.next().is_none().then_some(identity)
    }
}

impl fmt::Display for PeerIdentity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device { tenant, branch, device } => {
                write!(formatter, "urn:pestle:device:{tenant}:{branch}:{device}")
            }
            Self::Gateway => write!(formatter, "urn:pestle:gateway:{GATEWAY_NAME}"),
        }
    }
}

/// The URI is none of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no identity of ours")]
pub struct NoIdentity;

impl FromStr for PeerIdentity {
    type Err = NoIdentity;
    fn from_str(uri: &str) -> Result<Self, NoIdentity> {
        let rest = uri.strip_prefix("urn:pestle:").ok_or(NoIdentity)?;
        let fields: Vec<&str> = rest.split(':').collect();
        match fields.as_slice() {
            ["device", tenant, branch, device] => Ok(Self::Device {
                tenant: tenant.parse().map_err(|_| NoIdentity)?,
                branch: branch.parse().map_err(|_| NoIdentity)?,
                device: device.parse().map_err(|_| NoIdentity)?,
            }),
            ["gateway", name] if *name == GATEWAY_NAME => Ok(Self::Gateway),
            _ => Err(NoIdentity),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_read_as_it_is_written() {
        let device = PeerIdentity::Device {
            tenant: "demo".parse().unwrap(),
            branch: "north".parse().unwrap(),
            device: "north-1".parse().unwrap(),
        };
        for identity in [device, PeerIdentity::Gateway] {
            assert_eq!(identity.to_string().parse(), Ok(identity));
        }
        for bad in [
            "",
            "urn:pestle:device:demo:north",
            "urn:pestle:device:demo:north:a:b",
            "urn:pestle:gateway:x",
            "urn:x",
        ] {
            assert_eq!(bad.parse::<PeerIdentity>(), Err(NoIdentity), "{bad}");
        }
    }
}
