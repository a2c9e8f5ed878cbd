//! The centre's own certificate authority and its signing keys.
//!
//! In reading order: [`identity`] is the name inside a certificate; [`profile`] says what each kind of certificate
//! holds; [`request`] takes the public key, and nothing else, from a box's signing request; [`signer`] keeps the key
//! that signs acknowledgements and snapshots, [`keyring`] those that wrap patients' keys. [`Authority`] opens all of it at start.
//!
//! Everything lives in `<data_dir>/authority/`, private keys readable by their owner alone, each file flushed before
//! it counts. Losing that folder means enrolling every box again: it belongs into every backup. Keys are made in an
//! empty folder alone. One that lacks a part was restored in part, and is refused: new keys in it would lock every box
//! out, or make acknowledgements that nobody believes.

pub mod identity;
pub mod keyring;
pub mod profile;
pub mod request;
pub mod signer;

use std::{
    fs, io,
    net::IpAddr,
    path::{Path, PathBuf},
};

use pestle_domain::signature::{Hash, SignatureError, VerifyingKey};
use rcgen::{Issuer, KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use time::OffsetDateTime;

use crate::files::{self, FileError};
use identity::PeerIdentity;
use keyring::KeyRing;
use signer::Signer;

/// Server and gateway certificates are made anew at a start that finds fewer days left.
const RENEW_BELOW_DAYS: i64 = 90;
/// The folder of signing keys.
const SIGNING: &str = "signing";
/// The folder of keys that wrap patients' keys.
const PERSONAL: &str = "personal";
/// Stands in the folder while its keys are made for the first time.
const UNFINISHED: &str = "unfinished";

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
    /// A part of it is missing.
    #[error(
        "the authority in {} is incomplete, it has no {missing}: restore the whole folder from a backup. Only if there is \
         none, move the folder away and start again: every box must then be enrolled anew",
        folder.display()
    )]
    Incomplete {
        /// The authority's folder.
        folder: PathBuf,
        /// What is not there.
        missing: &'static str,
    },
    /// The parts are of two authorities.
    #[error(
        "ca.key and ca.pem in {} do not belong together: restore both from the same backup",
        .0.display()
    )]
    Mismatch(PathBuf),
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
    keyring: KeyRing,
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
    /// [`AuthorityError`]. What is there in part, or cannot be read, is never replaced.
    pub fn open(data_dir: &Path, now: OffsetDateTime) -> Result<Self, AuthorityError> {
        let folder = data_dir.join("authority");
        files::make_folder(&folder, 0o755)?;
        if is_fresh(&folder)? {
            make(&folder, now)?;
        }
        let incomplete = |missing| AuthorityError::Incomplete { folder: folder.clone(), missing };
        let (key_file, ca_file) = (folder.join("ca.key"), folder.join("ca.pem"));
        let key = read_key(&key_file)?.ok_or_else(|| incomplete("ca.key"))?;
        let ca_pem = read(&ca_file)?.ok_or_else(|| incomplete("ca.pem"))?;
        let ca_der = CertificateDer::from_pem_slice(ca_pem.as_bytes())
            .map_err(|_| AuthorityError::BadFile(ca_file.clone()))?;
        let (_, certificate) =
            x509_parser::parse_x509_certificate(&ca_der).map_err(|_| AuthorityError::BadFile(ca_file))?;
        if certificate.public_key().raw != key.subject_public_key_info() {
            return Err(AuthorityError::Mismatch(folder));
        }
        let issuer = Issuer::from_ca_cert_der(&ca_der, key)
            .map_err(AuthorityError::certificate("the authority's certificate"))?;
        let signer =
            Signer::open(&folder.join(SIGNING))?.ok_or_else(|| incomplete("signing key (signing/1.p8)"))?;
        // Made where there is none: an authority from before there were patients has no such folder.
        let keyring = KeyRing::open(&folder.join(PERSONAL))?;
        Ok(Self { folder, ca_pem, ca_der, issuer, signer, keyring })
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

    /// The public keys with which the authority under `data_dir` ever signed, for commands beside a running gateway.
    ///
    /// # Errors
    /// [`AuthorityError`] when no gateway has started there yet.
    pub fn signing_keys_under(data_dir: &Path) -> Result<Vec<VerifyingKey>, AuthorityError> {
        let folder = data_dir.join("authority");
        let missing = "signing key (signing/1.p8)";
        let signer =
            Signer::open(&folder.join(SIGNING))?.ok_or(AuthorityError::Incomplete { folder, missing })?;
        Ok(signer.all().to_vec())
    }

    /// The key for sign-in tokens; it signs nothing else.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub fn token_key(&self) -> Result<KeyPair, AuthorityError> {
        replaceable_key(&self.folder.join("token.key"))
    }

    /// Signs acknowledgements and snapshots.
    pub fn signer(&self) -> &Signer {
        &self.signer
    }

    /// Wraps patients' keys.
    pub fn keyring(&self) -> &KeyRing {
        &self.keyring
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
        let key = replaceable_key(&key_file)?;
        if !is_current(&chain_file, params, &key, now) {
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

/// Whether nothing was ever made here, or its making was cut off before anybody could use it.
fn is_fresh(folder: &Path) -> Result<bool, AuthorityError> {
    if folder.join(UNFINISHED).try_exists().map_err(FileError::at("look at", folder))? {
        return Ok(true);
    }
    let mut entries = fs::read_dir(folder).map_err(FileError::at("read", folder))?;
    Ok(entries.next().is_none())
}

/// Makes certificate and keys. A mark stands in the folder until all of it is on the disk.
fn make(folder: &Path, now: OffsetDateTime) -> Result<(), AuthorityError> {
    let mark = folder.join(UNFINISHED);
    files::write_atomically(&mark, b"", files::PUBLIC)?;
    let key = new_key(&folder.join("ca.key"))?;
    let certificate = profile::root(now)
        .self_signed(&key)
        .map_err(AuthorityError::certificate("the authority's certificate"))?;
    files::write_atomically(&folder.join("ca.pem"), certificate.pem().as_bytes(), files::PUBLIC)?;
    Signer::make(&folder.join(SIGNING))?;
    KeyRing::open(&folder.join(PERSONAL))?;
    fs::remove_file(&mark).map_err(FileError::at("remove", &mark))?;
    files::sync_folder(folder)?;
    tracing::info!(folder = %folder.display(), "made the authority: put this folder into every backup");
    Ok(())
}

/// A file's text; `None` when there is no such file.
fn read(file: &Path) -> Result<Option<String>, AuthorityError> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            Err(AuthorityError::BadFile(file.to_owned()))
        }
        Err(error) => Err(FileError::at("read", file)(error).into()),
    }
}

/// A P-256 key; `None` when there is no such file.
fn read_key(file: &Path) -> Result<Option<KeyPair>, AuthorityError> {
    let Some(pem) = read(file)? else { return Ok(None) };
    KeyPair::from_pem(&pem).map(Some).map_err(|_| AuthorityError::BadFile(file.to_owned()))
}

fn new_key(file: &Path) -> Result<KeyPair, AuthorityError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)
        .map_err(AuthorityError::certificate("a private key"))?;
    files::write_atomically(file, key.serialize_pem().as_bytes(), files::SECRET)?;
    Ok(key)
}

/// A key whose loss harms nobody, made when it is not there: a certificate for a new one is made beside it, and people
/// whose tokens were signed with the old one sign in again.
fn replaceable_key(file: &Path) -> Result<KeyPair, AuthorityError> {
    match read_key(file)? {
        Some(key) => Ok(key),
        None => new_key(file),
    }
}

/// Whether the certificate in `file` is for `key`, lasts long enough and names what `params` name.
fn is_current(file: &Path, params: &rcgen::CertificateParams, key: &KeyPair, now: OffsetDateTime) -> bool {
    let Ok(leaf) = CertificateDer::from_pem_file(file) else { return false };
    let Ok((_, certificate)) = x509_parser::parse_x509_certificate(&leaf) else { return false };
    let days_left = (certificate.validity().not_after.timestamp() - now.unix_timestamp()) / 86_400;
    days_left >= RENEW_BELOW_DAYS
        && names_of(&certificate) == profile::names_of(params)
        && certificate.public_key().raw == key.subject_public_key_info()
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
    fn an_authority_that_was_restored_in_part_is_refused_and_left_as_it_is() {
        for lost in ["ca.key", "ca.pem", "signing"] {
            let folder = tempfile::tempdir().unwrap();
            Authority::open(folder.path(), NOW).unwrap();
            let path = folder.path().join("authority").join(lost);
            if path.is_dir() {
                fs::remove_dir_all(&path).unwrap()
            } else {
                fs::remove_file(&path).unwrap()
            }
            let said = Authority::open(folder.path(), NOW).unwrap_err().to_string();
            assert!(said.contains(lost) && said.contains("backup"), "{said}");
            assert!(!path.exists(), "{lost} was made anew");
        }
    }

    #[test]
    fn a_key_of_another_authority_is_refused() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        Authority::open(one.path(), NOW).unwrap();
        Authority::open(other.path(), NOW).unwrap();
        fs::copy(other.path().join("authority/ca.key"), one.path().join("authority/ca.key")).unwrap();
        let said = Authority::open(one.path(), NOW).unwrap_err().to_string();
        assert!(said.contains("do not belong together"), "{said}");
    }

    #[test]
    fn a_first_start_that_was_cut_off_begins_again() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("authority")).unwrap();
        for name in [UNFINISHED, "ca.key"] {
            fs::write(folder.path().join("authority").join(name), "").unwrap();
        }
        let made = Authority::open(folder.path(), NOW).unwrap();
        assert_eq!(Authority::open(folder.path(), NOW).unwrap().fingerprint(), made.fingerprint());
        assert!(!folder.path().join("authority").join(UNFINISHED).exists());
    }

    #[test]
    fn a_lost_server_key_is_replaced_with_its_certificate() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::open(folder.path(), NOW).unwrap();
        let first = authority.server(&[], NOW).unwrap();
        fs::remove_file(&first.key_file).unwrap();
        assert_ne!(authority.server(&[], NOW).unwrap().chain, first.chain);
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
