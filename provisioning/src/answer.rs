//! Is what the centre answered fit to become this box's identity? Pure: the time comes in as an argument.

use std::sync::Arc;

use pestle_domain::enrolment::{Claim, EnrolResponse, Identity};
use pestle_domain::signature::Hash;
use rcgen::{KeyPair, PublicKeyData};
use rustls::RootCertStore;
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::CryptoProvider;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, UnixTime};
use x509_parser::prelude::{FromDer, X509Certificate};

/// An answer that passed [`verify`].
#[derive(Debug, Clone)]
pub struct Verified {
    /// Who the box is.
    pub identity: Identity,
    /// Client certificate, PEM, leaf first.
    pub certificate_pem: String,
    /// Server certificate, PEM, leaf first.
    pub web_certificate_pem: String,
    /// The centre's authority, PEM.
    pub ca_pem: String,
}

/// What is wrong with an answer. None of them is the technician's mistake.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// Not a certificate at all.
    #[error("the centre's answer has no readable {what}: {why}")]
    Unreadable {
        /// Which part.
        what: &'static str,
        /// What the parser said.
        why: String,
    },
    /// Another authority than the claim names.
    #[error("the centre answered with another certificate authority than the one that the claim code names")]
    Authority,
    /// A certificate for somebody else's key.
    #[error("the centre's {what} is for another key than this box's")]
    Key {
        /// Which certificate.
        what: &'static str,
    },
    /// A certificate that the authority does not vouch for.
    #[error("the centre's {what} is not good under its own certificate authority: {why}")]
    Chain {
        /// Which certificate.
        what: &'static str,
        /// What the verifier said.
        why: rustls::Error,
    },
}

/// Checks that both certificates are for `key`, that the authority which `claim` names signed them, and that they are
/// valid at `now`.
///
/// # Errors
/// The first check that failed.
pub fn verify(
    answer: EnrolResponse,
    key: &KeyPair,
    claim: &Claim,
    now: UnixTime,
    provider: &Arc<CryptoProvider>,
) -> Result<Verified, AnswerError> {
    let authority = chain(&answer.ca_pem, "certificate authority")?.remove(0);
    if !claim.names(&Hash::of(&authority)) {
        return Err(AnswerError::Authority);
    }
    let mut roots = RootCertStore::empty();
    roots.add(authority).map_err(|why| AnswerError::Chain { what: "certificate authority", why })?;

    let what = "device certificate";
    let device = chain(&answer.certificate_pem, what)?;
    for_key(&device[0], key, what)?;
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots.clone()), provider.clone())
        .build()
        .map_err(|error| AnswerError::Unreadable { what: "certificate authority", why: error.to_string() })?
        .verify_client_cert(&device[0], &device[1..], now)
        .map_err(|why| AnswerError::Chain { what, why })?;

    let what = "web certificate";
    let web = chain(&answer.web_certificate_pem, what)?;
    for_key(&web[0], key, what)?;
    rustls::server::ParsedCertificate::try_from(&web[0])
        .and_then(|leaf| {
            let algorithms = provider.signature_verification_algorithms.all;
            verify_server_cert_signed_by_trust_anchor(&leaf, &roots, &web[1..], now, algorithms)
        })
        .map_err(|why| AnswerError::Chain { what, why })?;

    Ok(Verified {
        identity: answer.identity,
        certificate_pem: answer.certificate_pem,
        web_certificate_pem: answer.web_certificate_pem,
        ca_pem: answer.ca_pem,
    })
}

/// The certificates of a PEM text, at least one.
pub(crate) fn chain(pem: &str, what: &'static str) -> Result<Vec<CertificateDer<'static>>, AnswerError> {
    let unreadable = |why: String| AnswerError::Unreadable { what, why };
    let all = CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| unreadable(error.to_string()))?;
    if all.is_empty() { Err(unreadable("it is empty".to_owned())) } else { Ok(all) }
}

fn for_key(certificate: &CertificateDer<'_>, key: &KeyPair, what: &'static str) -> Result<(), AnswerError> {
    let (_, parsed) = X509Certificate::from_der(certificate)
        .map_err(|error| AnswerError::Unreadable { what, why: error.to_string() })?;
    if parsed.public_key().raw == key.subject_public_key_info() {
        Ok(())
    } else {
        Err(AnswerError::Key { what })
    }
}
