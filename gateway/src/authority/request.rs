//! A box's signing request (PKCS #10, RFC 2986). Of what it asks for, nothing is granted: a request may claim to be an
//! authority, another box, or valid for ever. Its public key is taken, once its signature proves that the box holds
//! the private one.

use pestle_domain::signature::VerifyingKey;
use rcgen::{CertificateSigningRequestParams, PKCS_ECDSA_P256_SHA256, PublicKey, PublicKeyData as _};

/// Longest request that is read, in bytes of PEM; one with a P-256 key has about 500.
pub const REQUEST_BYTES_MAX: usize = 8 * 1024;

/// What is wrong with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Too long, no PEM, or no PKCS #10.
    #[error("the signing request cannot be read: send a PKCS #10 request in PEM")]
    Unreadable,
    /// Not signed by the key that it carries.
    #[error("the signing request is not signed by its own key")]
    NotItsKey,
    /// Another kind of key.
    #[error("the signing request carries another key than ECDSA P-256")]
    NotP256,
}

/// The public key of a request.
#[derive(Debug)]
pub struct RequestedKey {
    key: PublicKey,
    point: VerifyingKey,
}

impl RequestedKey {
    /// To make certificates for.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// To verify with.
    pub fn point(&self) -> &VerifyingKey {
        &self.point
    }

    /// Takes the key from a request and leaves everything else.
    ///
    /// # Errors
    /// [`RequestError`].
    pub fn of(csr_pem: &str) -> Result<Self, RequestError> {
        if csr_pem.len() > REQUEST_BYTES_MAX {
            return Err(RequestError::Unreadable);
        }
        let request = CertificateSigningRequestParams::from_pem(csr_pem).map_err(|error| match error {
            rcgen::Error::InvalidCertificationRequestSignature => RequestError::NotItsKey,
            _ => RequestError::Unreadable,
        })?;
        let key = request.public_key;
        if key.algorithm() != &PKCS_ECDSA_P256_SHA256 {
            return Err(RequestError::NotP256);
        }
        let point = VerifyingKey::from_point(key.der_bytes()).map_err(|_| RequestError::NotP256)?;
        Ok(Self { key, point })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, IsCa, KeyPair, PKCS_ECDSA_P384_SHA384};

    fn request(key: &KeyPair, is_ca: IsCa) -> String {
        let mut params = CertificateParams::new(vec!["somebody.else".to_owned()]).unwrap();
        params.is_ca = is_ca;
        params.serialize_request(key).unwrap().pem().unwrap()
    }

    #[test]
    fn the_key_is_taken_and_nothing_else() {
        let key = KeyPair::generate().unwrap();
        let taken = RequestedKey::of(&request(&key, IsCa::NoCa)).unwrap();
        assert_eq!(taken.point().point().as_slice(), key.public_key_raw());
    }

    #[test]
    fn a_request_of_another_key_or_kind_is_refused() {
        let other = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
        assert_eq!(RequestedKey::of(&request(&other, IsCa::NoCa)).unwrap_err(), RequestError::NotP256);
        assert_eq!(RequestedKey::of("nonsense").unwrap_err(), RequestError::Unreadable);
        assert_eq!(
            RequestedKey::of(&"x".repeat(REQUEST_BYTES_MAX + 1)).unwrap_err(),
            RequestError::Unreadable
        );
    }

    #[test]
    fn a_changed_request_is_refused() {
        let pem = request(&KeyPair::generate().unwrap(), IsCa::NoCa);
        let lines: Vec<&str> = pem.lines().collect();
        // One letter of the base64 in the middle: the key or the name changes, the signature does not.
        let middle = lines.len() / 2;
        let changed: Vec<String> = lines
            .iter()
            .enumerate()
            .map(|(index, line)| {
                if index != middle {
                    return (*line).to_owned();
                }
                let flipped = if line.starts_with('A') { "B" } else { "A" };
                format!("{flipped}{}", &line[1..])
            })
            .collect();
        assert!(RequestedKey::of(&changed.join("\n")).is_err());
    }
}
