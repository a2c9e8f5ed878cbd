//! Who this box is: its key, certificates and whom it reports to, as `pestle-provision` wrote them into
//! `<data_dir>/identity/`.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use pestle_domain::{
    enrolment::Identity,
    signature::{KeyId, SigningKey, VerifyingKey},
};
use rustls::{ClientConfig, RootCertStore, ServerConfig, time_provider::TimeProvider};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject as _};

/// Why the box cannot say who it is.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// It was never enrolled.
    #[error(
        "this box is not enrolled: {folder} is not there. Ask the centre for a claim code and run \
         `pestle-provision enrol` with it"
    )]
    NotEnrolled {
        /// Where it was looked for.
        folder: PathBuf,
    },
    /// A file is missing or cannot be read.
    #[error(
        "cannot read {path}: put the box's identity back, or enrol it anew with `pestle-provision enrol --replace`"
    )]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file holds something else than it should.
    #[error("{path} is not usable ({what}): enrol the box anew with `pestle-provision enrol --replace`")]
    Unusable {
        /// Which.
        path: PathBuf,
        /// In what way.
        what: String,
    },
}

/// The box's identity, read and checked.
#[derive(Debug)]
pub struct DeviceIdentity {
    /// Who it is and whom it reports to.
    pub identity: Identity,
    /// Signs heads.
    pub signing: SigningKey,
    folder: PathBuf,
    key: PrivatePkcs8KeyDer<'static>,
    device: Vec<CertificateDer<'static>>,
    web: Vec<CertificateDer<'static>>,
    authority: Vec<CertificateDer<'static>>,
}

impl DeviceIdentity {
    /// Reads `<data_dir>/identity/`.
    ///
    /// # Errors
    /// [`IdentityError::NotEnrolled`] before the first enrolment, and what is wrong with which file.
    pub fn load(data_dir: &Path) -> Result<Self, IdentityError> {
        let folder = data_dir.join("identity");
        if !folder.exists() {
            return Err(IdentityError::NotEnrolled { folder });
        }
        let path = folder.join("identity.json");
        let identity: Identity = serde_json::from_slice(&read(&path)?)
            .map_err(|error| IdentityError::Unusable { path, what: error.to_string() })?;
        let path = folder.join("device.key.pem");
        let unusable = |what: String| IdentityError::Unusable { path: path.clone(), what };
        let key =
            PrivatePkcs8KeyDer::from_pem_slice(&read(&path)?).map_err(|error| unusable(error.to_string()))?;
        let signing =
            SigningKey::from_pkcs8(key.secret_pkcs8_der()).map_err(|error| unusable(error.to_string()))?;
        let device = certificates(&folder.join("device.cert.pem"))?;
        let web = certificates(&folder.join("web.cert.pem"))?;
        let authority = certificates(&folder.join("ca.pem"))?;
        Ok(Self { identity, signing, folder, key, device, web, authority })
    }

    /// The centre's key of that name, if the centre has one.
    pub fn centre_key(&self, id: &KeyId) -> Option<&VerifyingKey> {
        self.identity.centre_keys.iter().find(|key| key.id() == *id)
    }

    /// TLS towards the centre: only its authority counts, our certificate is shown, and validity is judged at the time
    /// that `clock` gives. No protocol is offered by ALPN.
    ///
    /// # Errors
    /// [`IdentityError::Unusable`] when key and certificate do not fit.
    pub fn client_tls(&self, clock: Arc<dyn TimeProvider>) -> Result<ClientConfig, IdentityError> {
        let mut roots = RootCertStore::empty();
        for certificate in &self.authority {
            roots.add(certificate.clone()).map_err(|error| self.unusable("ca.pem", &error))?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        ClientConfig::builder_with_details(provider, clock)
            .with_safe_default_protocol_versions()
            .map_err(|error| self.unusable("ca.pem", &error))?
            .with_root_certificates(roots)
            .with_client_auth_cert(self.device.clone(), self.private_key())
            .map_err(|error| self.unusable("device.cert.pem", &error))
    }

    /// The certificate that the box's own pages show; it says under which names they are reached.
    pub fn web_certificate(&self) -> Option<&CertificateDer<'static>> {
        self.web.first()
    }

    /// TLS of the box's own pages.
    ///
    /// # Errors
    /// [`IdentityError::Unusable`] when key and certificate do not fit.
    pub fn server_tls(&self, clock: Arc<dyn TimeProvider>) -> Result<ServerConfig, IdentityError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_details(provider, clock)
            .with_safe_default_protocol_versions()
            .map_err(|error| self.unusable("web.cert.pem", &error))?
            .with_no_client_auth()
            .with_single_cert(self.web.clone(), self.private_key())
            .map_err(|error| self.unusable("web.cert.pem", &error))?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }

    fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(self.key.clone_key())
    }

    fn unusable(&self, file: &str, error: &rustls::Error) -> IdentityError {
        IdentityError::Unusable { path: self.folder.join(file), what: error.to_string() }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, IdentityError> {
    fs::read(path).map_err(|source| IdentityError::Unreadable { path: path.to_owned(), source })
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    let unusable = |what: String| IdentityError::Unusable { path: path.to_owned(), what };
    let found = CertificateDer::pem_slice_iter(&read(path)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| unusable(error.to_string()))?;
    if found.is_empty() { Err(unusable("it holds no certificate".to_owned())) } else { Ok(found) }
}
