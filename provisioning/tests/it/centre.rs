//! A centre of a few lines: its own authority, TLS, and one answer per connection.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use pestle_domain::enrolment::{Claim, EnrolRequest, EnrolResponse, Identity};
use pestle_domain::signature::Hash;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// What the centre does with the next request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    /// Answers as it should.
    Good,
    /// Takes the request, then hangs up without a word.
    LoseAnswer,
    /// Says that the code was used.
    Used,
    /// Says that it has this key from another enrolment.
    KnownKey,
    /// Certifies a key of its own instead of the box's.
    OtherKey,
    /// Sends another authority's certificate along.
    OtherAuthority,
}

pub(crate) struct Centre {
    pub(crate) address: SocketAddr,
    pub(crate) claim: Claim,
    requests: Arc<Mutex<Vec<EnrolRequest>>>,
}

struct Authority {
    params: CertificateParams,
    key: KeyPair,
    pem: String,
    der: CertificateDer<'static>,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let certificate = params.self_signed(&key).unwrap();
        Self { params, key, pem: certificate.pem(), der: certificate.der().clone() }
    }

    fn sign(
        &self,
        mut params: CertificateParams,
        purpose: ExtendedKeyUsagePurpose,
        key: &impl rcgen::PublicKeyData,
    ) -> (String, CertificateDer<'static>) {
        params.extended_key_usages = vec![purpose];
        let issuer = Issuer::from_params(&self.params, &self.key);
        let certificate = params.signed_by(key, &issuer).unwrap();
        (certificate.pem(), certificate.der().clone())
    }
}

impl Centre {
    /// A centre whose certificate is for 127.0.0.1, changed as `adjust` says; moods are used up from the first.
    pub(crate) async fn start(moods: &[Mood], adjust: impl FnOnce(&mut CertificateParams)) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let authority = Authority::new();
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        adjust(&mut params);
        let (_, leaf) = authority.sign(params, ExtendedKeyUsagePurpose::ServerAuth, &key);
        let tls = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(
                vec![leaf, authority.der.clone()],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let claim = Claim::new([7; 8], &Hash::of(&authority.der));
        let mut moods = moods.to_vec();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = requests.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let Some(request) = read_request(&mut stream).await else { continue };
                // The last mood stays.
                let mood = if moods.len() > 1 { moods.remove(0) } else { moods[0] };
                let answer = answer(mood, &request, &authority);
                seen.lock().unwrap().push(request);
                if let Some(answer) = answer {
                    let _ = stream.write_all(answer.as_bytes()).await;
                }
                let _ = stream.shutdown().await;
            }
        });
        Self { address, claim, requests }
    }

    pub(crate) fn requests(&self) -> Vec<EnrolRequest> {
        self.requests.lock().unwrap().clone()
    }
}

async fn read_request(stream: &mut TlsStream<TcpStream>) -> Option<EnrolRequest> {
    let mut bytes = Vec::new();
    loop {
        let mut chunk = [0; 4096];
        let count = stream.read(&mut chunk).await.ok()?;
        bytes.extend_from_slice(&chunk[..count]);
        let head = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        if let Some(head) = head
            && let Ok(request) = serde_json::from_slice(&bytes[head + 4..])
        {
            return Some(request);
        }
        if count == 0 {
            return None;
        }
    }
}

fn answer(mood: Mood, request: &EnrolRequest, authority: &Authority) -> Option<String> {
    let (status, body) = match mood {
        Mood::LoseAnswer => return None,
        Mood::Used => (
            "409 Conflict",
            r#"{"success":false,"error":"CONFLICT","message":"This claim code was used.","status_code":409}"#
                .to_owned(),
        ),
        Mood::KnownKey => (
            "409 Conflict",
            r#"{"success":false,"error":"CONFLICT","message":"known","status_code":409,"details":{"reason":"known_key"}}"#
                .to_owned(),
        ),
        Mood::Good | Mood::OtherKey | Mood::OtherAuthority => {
            let data = serde_json::to_value(identity(mood, request, authority)).unwrap();
            ("200 OK", serde_json::json!({ "success": true, "data": data, "message": "" }).to_string())
        }
    };
    let length = body.len();
    Some(format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    ))
}

fn identity(mood: Mood, request: &EnrolRequest, authority: &Authority) -> EnrolResponse {
    let csr = CertificateSigningRequestParams::from_pem(&request.csr_pem).unwrap();
    let other = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let sign = |names: Vec<String>, purpose| {
        let params = CertificateParams::new(names).unwrap();
        let (pem, _) = match mood {
            Mood::OtherKey => authority.sign(params, purpose, &other),
            _ => authority.sign(params, purpose, &csr.public_key),
        };
        pem
    };
    EnrolResponse {
        identity: Identity {
            tenant: "demo".parse().unwrap(),
            branch: "north".parse().unwrap(),
            device: "north-box-1".parse().unwrap(),
            term: 1,
            https: "https://127.0.0.1:1".to_owned(),
            mqtt: "127.0.0.1:2".to_owned(),
            centre_keys: vec![],
            first_epoch: 1,
            earlier: vec![],
        },
        certificate_pem: sign(vec![], ExtendedKeyUsagePurpose::ClientAuth),
        web_certificate_pem: sign(vec!["north.local".to_owned()], ExtendedKeyUsagePurpose::ServerAuth),
        ca_pem: if mood == Mood::OtherAuthority { Authority::new().pem } else { authority.pem.clone() },
    }
}
