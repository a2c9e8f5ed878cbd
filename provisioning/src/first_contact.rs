//! First contact: is the machine that answers the centre that the claim code means?
//!
//! A new box knows no certificate authority. The claim code that the technician types names one by its hash, so the box
//! looks for that authority in the chain which the server shows, and believes this server only if the chain, the name
//! and the dates are good under it. This happens in the TLS handshake: nothing secret has been said by then.

use std::sync::{Arc, Mutex, PoisonError};

use pestle_domain::enrolment::Claim;
use pestle_domain::signature::Hash;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

/// Why a server was not believed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Mistrust {
    /// It shows another authority, or none.
    #[error(
        "the server that answers is not the centre that the claim code names. Check the address; if it is right, the \
         claim code is from another centre, or somebody stands in between: ask for a new claim code"
    )]
    OtherAuthority,
    /// The dates do not fit this box's clock.
    #[error(
        "the centre's certificate is not valid at this box's time, {clock} UTC. Set the clock, then repeat the command"
    )]
    Clock {
        /// What the box believes the time to be.
        clock: String,
    },
    /// It is the right authority, but the certificate is for another name.
    #[error(
        "the centre's certificate is not for {asked}. Use the address that the claim code was printed with"
    )]
    Name {
        /// What was asked for.
        asked: String,
    },
    /// Anything else that is wrong with its certificate.
    #[error("the centre's certificate is not good: {0}")]
    Certificate(Error),
}

/// Believes servers under the authority that a claim names, and remembers why it did not.
#[derive(Debug)]
pub struct NamedByClaim {
    claim: Claim,
    provider: Arc<CryptoProvider>,
    mistrust: Mutex<Option<Mistrust>>,
}

impl NamedByClaim {
    /// A verifier for one enrolment.
    pub fn new(claim: Claim, provider: Arc<CryptoProvider>) -> Arc<Self> {
        Arc::new(Self { claim, provider, mistrust: Mutex::new(None) })
    }

    /// Why the last handshake failed, if it was for the server's certificate.
    pub fn mistrust(&self) -> Option<Mistrust> {
        self.mistrust.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// TLS settings that use this verifier.
    ///
    /// # Errors
    /// When the provider has no cipher suites for TLS 1.2 or 1.3.
    pub fn tls(self: &Arc<Self>) -> Result<ClientConfig, Error> {
        Ok(ClientConfig::builder_with_provider(self.provider.clone())
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(self.clone())
            .with_no_client_auth())
    }

    fn judge(
        &self,
        shown: &[&CertificateDer<'_>],
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), Mistrust> {
        let authority =
            shown.iter().find(|each| self.claim.names(&Hash::of(each))).ok_or(Mistrust::OtherAuthority)?;
        let mut roots = RootCertStore::empty();
        roots.add((*authority).clone().into_owned()).map_err(Mistrust::Certificate)?;
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), self.provider.clone())
            .build()
            .map_err(|error| Mistrust::Certificate(Error::General(error.to_string())))?
            .verify_server_cert(shown[0], intermediates, name, &[], now)
            .map(|_| ())
            .map_err(|error| in_words(error, name, now))
    }
}

/// What a person can do about a certificate that did not pass.
fn in_words(error: Error, name: &ServerName<'_>, now: UnixTime) -> Mistrust {
    use CertificateError::{
        Expired, ExpiredContext, NotValidForName, NotValidForNameContext, NotValidYet, NotValidYetContext,
    };
    match error {
        Error::InvalidCertificate(
            Expired | ExpiredContext { .. } | NotValidYet | NotValidYetContext { .. },
        ) => Mistrust::Clock { clock: clock(now) },
        Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. }) => {
            Mistrust::Name { asked: name.to_str().into_owned() }
        }
        other => Mistrust::Certificate(other),
    }
}

fn clock(now: UnixTime) -> String {
    let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    match time::OffsetDateTime::from_unix_timestamp(seconds) {
        Ok(time) => {
            format!("{} {:02}:{:02}", time.date(), time.hour(), time.minute())
        }
        Err(_) => format!("{seconds} seconds after 1970"),
    }
}

impl ServerCertVerifier for NamedByClaim {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let shown = std::iter::once(end_entity).chain(intermediates).collect::<Vec<_>>();
        let judgement = self.judge(&shown, intermediates, server_name, now);
        let mut kept = self.mistrust.lock().unwrap_or_else(PoisonError::into_inner);
        *kept = judgement.err();
        match kept.as_ref() {
            None => Ok(ServerCertVerified::assertion()),
            Some(mistrust) => Err(Error::General(mistrust.to_string())),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
