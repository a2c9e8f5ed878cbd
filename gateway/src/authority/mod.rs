//! The centre's own certificate authority and its signing keys.
//!
//! In reading order: [`identity`] is the name inside a certificate; [`profile`] says what each kind of certificate
//! holds; [`request`] takes the public key, and nothing else, from a box's signing request; [`signer`] keeps the key
//! that signs acknowledgements and snapshots. [`Authority`] opens all of it at start.
//!
//! Everything lives in `<data_dir>/authority/`, private keys readable by their owner alone, each file flushed before
//! it counts. Losing that folder means enrolling every box again: it belongs into every backup.

pub mod identity;
pub mod profile;
pub mod request;
pub mod signer;

use std::{
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
};

use pestle_domain::signature::{Hash, SignatureError};
use rcgen::{Issuer, KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use time::OffsetDateTime;

use crate::files::{self, FileError};
use identity::PeerIdentity;
use signer::Signer;

/// Server and gateway certificates are made anew at a start that finds fewer days left.
const RENEW_BELOW_DAYS: i64 = 90;

/// What went wrong with keys or certificates.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// A certificate or key cannot be made or read.
    #[error("{what} cannot be made or read")]
    Certificate {
        /// Which.
        what: &'static str,
        /// Why.
        #[source]
        source: rcgen::Error,
    },
    /// A PEM file does not hold what it should.
    #[error("{} does not hold what it should: restore the authority folder from a backup", .0.display())]
    BadFile(PathBuf),
    /// A signing key.
    #[error("the signing key cannot be used")]
    Signer(#[from] SignatureError),
    /// The system gave no random numbers.
    #[error("the system gave no random numbers for a key")]
    NoRandom,
}

impl AuthorityError {
    fn certificate(what: &'static str) -> impl FnOnce(rcgen::Error) -> Self {
        move |source| Self::Certificate { what, source }
    }
}

/// The open authority.
#[derive(Debug)]
pub struct Authority {
    folder: PathBuf,
    ca_pem: String,
    ca_der: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
    signer: Signer,
}

/// A certificate chain and its key, as files (the broker reads files) and in memory.
#[derive(Debug)]
pub struct Credentials {
    /// PEM, leaf first.
    pub chain_file: PathBuf,
    /// PEM.
    pub key_file: PathBuf,
    /// DER, leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    /// DER.
    pub key: PrivateKeyDer<'static>,
}

impl Authority {
    /// Opens the authority under `data_dir`, making it at the first start.
    ///
    /// # Errors
    /// [`AuthorityError`]. What is there but cannot be read is never replaced.
    pub fn open(data_dir: &Path, now: OffsetDateTime) -> Result<Self, AuthorityError> {
        let folder = data_dir.join("authority");
        files::make_folder(&folder, 0o755)?;
        let (key_file, ca_file) = (folder.join("ca.key"), folder.join("ca.pem"));
        let key = private_key(&key_file)?;
        if !ca_file.exists() {
            let certificate = profile::root(now)
                .self_signed(&key)
                .map_err(AuthorityError::certificate("the authority's certificate"))?;
            files::write_atomically(&ca_file, certificate.pem().as_bytes(), files::PUBLIC)?;
        }
        let ca_pem = fs::read_to_string(&ca_file).map_err(FileError::at("read", &ca_file))?;
        let ca_der = CertificateDer::from_pem_slice(ca_pem.as_bytes())
            .map_err(|_| AuthorityError::BadFile(ca_file))?;
        let issuer = Issuer::from_ca_cert_der(&ca_der, key)
            .map_err(AuthorityError::certificate("the authority's certificate"))?;
        let signer = Signer::open(&folder.join("signing"))?;
        Ok(Self { folder, ca_pem, ca_der, issuer, signer })
    }

    /// The authority's certificate, PEM.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// The authority's certificate, DER.
    pub fn ca_der(&self) -> &CertificateDer<'static> {
        &self.ca_der
    }

    /// The authority's certificate as a file.
    pub fn ca_file(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// SHA-256 of the authority's certificate: what a claim code names.
    pub fn fingerprint(&self) -> Hash {
        Hash::of(&self.ca_der)
    }

    /// The fingerprint of the authority under `data_dir`, for commands beside a running gateway. Nothing is made.
    ///
    /// # Errors
    /// [`AuthorityError`] when no gateway has started there yet.
    pub fn fingerprint_under(data_dir: &Path) -> Result<Hash, AuthorityError> {
        let file = data_dir.join("authority/ca.pem");
        let pem = fs::read(&file).map_err(FileError::at("read", &file))?;
        let der = CertificateDer::from_pem_slice(&pem).map_err(|_| AuthorityError::BadFile(file))?;
        Ok(Hash::of(&der))
    }

    /// The key for sign-in tokens; it signs nothing else.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub fn token_key(&self) -> Result<KeyPair, AuthorityError> {
        private_key(&self.folder.join("token.key"))
    }

    /// Signs acknowledgements and snapshots.
    pub fn signer(&self) -> &Signer {
        &self.signer
    }

    /// The certificate of our HTTPS and MQTT ports. `names` are host names or addresses; loopback is always in it.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub fn server(&self, names: &[String], now: OffsetDateTime) -> Result<Credentials, AuthorityError> {
        let mut all: Vec<String> = names.to_vec();
        for always in ["localhost", "127.0.0.1"] {
            if !all.iter().any(|name| name == always) {
                all.push(always.into());
            }
        }
        let params =
            profile::server(&all, now).map_err(AuthorityError::certificate("the server's certificate"))?;
        self.credentials("server", &params, now)
    }

    /// The gateway's own client certificate, for its link to the broker.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub fn gateway_client(&self, now: OffsetDateTime) -> Result<Credentials, AuthorityError> {
        let params = profile::client(&PeerIdentity::Gateway, now)
            .map_err(AuthorityError::certificate("the gateway's certificate"))?;
        self.credentials("gateway", &params, now)
    }

    /// Makes a certificate for somebody else's key; PEM, leaf first, followed by the authority's.
    ///
    /// # Errors
    /// [`AuthorityError::Certificate`].
    pub fn issue(
        &self,
        params: &rcgen::CertificateParams,
        key: &impl PublicKeyData,
    ) -> Result<String, AuthorityError> {
        let certificate = params
            .signed_by(key, &self.issuer)
            .map_err(AuthorityError::certificate("a device's certificate"))?;
        Ok(certificate.pem() + &self.ca_pem)
    }

    /// Reads `<name>.pem` and `<name>.key`, making the certificate anew when it is missing, soon over, or has other
    /// names than it should.
    fn credentials(
        &self,
        name: &str,
        params: &rcgen::CertificateParams,
        now: OffsetDateTime,
    ) -> Result<Credentials, AuthorityError> {
        let key_file = self.folder.join(format!("{name}.key"));
        let chain_file = self.folder.join(format!("{name}.pem"));
        let key = private_key(&key_file)?;
        if !is_current(&chain_file, params, now) {
            let pem = self.issue(params, &key)?;
            files::write_atomically(&chain_file, pem.as_bytes(), files::PUBLIC)?;
        }
        let bad = || AuthorityError::BadFile(chain_file.clone());
        let chain = CertificateDer::pem_file_iter(&chain_file)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|_| bad())?;
        let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(|_| bad())?;
        Ok(Credentials { chain_file, key_file, chain, key })
    }
}

/// Reads a P-256 key, making it if there is none.
fn private_key(file: &Path) -> Result<KeyPair, AuthorityError> {
    if !file.exists() {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)
            .map_err(AuthorityError::certificate("a private key"))?;
        files::write_atomically(file, key.serialize_pem().as_bytes(), files::SECRET)?;
        return Ok(key);
    }
    let pem = fs::read_to_string(file).map_err(FileError::at("read", file))?;
    KeyPair::from_pem(&pem).map_err(|_| AuthorityError::BadFile(file.to_owned()))
}

/// Whether the certificate in `file` lasts long enough and names what `params` name.
fn is_current(file: &Path, params: &rcgen::CertificateParams, now: OffsetDateTime) -> bool {
    let Ok(leaf) = CertificateDer::from_pem_file(file) else { return false };
    let Ok((_, certificate)) = x509_parser::parse_x509_certificate(&leaf) else { return false };
    let days_left = (certificate.validity().not_after.timestamp() - now.unix_timestamp()) / 86_400;
    days_left >= RENEW_BELOW_DAYS && names_of(&certificate) == profile::names_of(params)
}

fn names_of(certificate: &x509_parser::certificate::X509Certificate<'_>) -> Vec<String> {
    use x509_parser::extensions::GeneralName;
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return Vec::new() };
    let mut names: Vec<String> = extension
        .value
        .general_names
        .iter()
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            GeneralName::URI(uri) => Some((*uri).to_owned()),
            GeneralName::IPAddress(bytes) => match bytes.len() {
                4 => <[u8; 4]>::try_from(*bytes).ok().map(|octets| IpAddr::from(octets).to_string()),
                _ => <[u8; 16]>::try_from(*bytes).ok().map(|octets| IpAddr::from(octets).to_string()),
            },
            _ => None,
        })
        .collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;
    use time::{Duration, macros::datetime};

    const NOW: OffsetDateTime = datetime!(2026-11-21 12:00 UTC);

    #[test]
    fn the_authority_is_made_once_and_its_key_is_its_owner_s_alone() {
        let folder = tempfile::tempdir().unwrap();
        let first = Authority::open(folder.path(), NOW).unwrap();
        let again = Authority::open(folder.path(), NOW + Duration::days(400)).unwrap();
        assert_eq!(first.fingerprint(), again.fingerprint());
        assert_eq!(first.signer().current().id(), again.signer().current().id());
        let key = fs::metadata(folder.path().join("authority/ca.key")).unwrap();
        assert_eq!(key.permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_damaged_key_is_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        Authority::open(folder.path(), NOW).unwrap();
        let file = folder.path().join("authority/ca.key");
        fs::write(&file, "broken").unwrap();
        let said = Authority::open(folder.path(), NOW).unwrap_err().to_string();
        assert!(said.contains("restore"), "{said}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "broken");
    }

    #[test]
    fn the_server_s_certificate_is_renewed_for_new_names_and_before_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::open(folder.path(), NOW).unwrap();
        let names = ["centre.example".to_owned()];
        let first = authority.server(&names, NOW).unwrap();
        assert_eq!(authority.server(&names, NOW).unwrap().chain, first.chain);
        let other = authority.server(&["other.example".to_owned()], NOW).unwrap();
        assert_ne!(other.chain, first.chain);
        let later = authority.server(&["other.example".to_owned()], NOW + Duration::days(700)).unwrap();
        assert_ne!(later.chain, other.chain);
    }
}
