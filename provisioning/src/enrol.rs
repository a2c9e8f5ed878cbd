//! `pestle-provision enrol`: from a claim code on paper to an identity on the disk.
//!
//! 1. The key is made on this box and written before anything is sent (`identity_folder`).
//! 2. The server is believed only under the authority that the claim names (`first_contact`).
//! 3. The code and a signing request go up; the answer is checked (`answer`) and installed by one rename.
//!
//! A box that loses power or the answer in between repeats the command: same key, same code, same answer. A key with
//! which it cannot come to an end any more (the centre says which) is given up, and the next attempt makes another.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pestle_domain::enrolment::{Claim, ClaimError, EnrolRequest, EnrolResponse, Hardware, Identity};
use rcgen::{CertificateParams, KeyPair};
use reqwest::StatusCode;
use rustls::crypto::CryptoProvider;
use rustls_pki_types::UnixTime;
use serde::Deserialize;

use crate::answer::{self, AnswerError};
use crate::first_contact::{Mistrust, NamedByClaim};
use crate::{
    identity_folder::{self, FolderError},
    succession,
};

/// Waits before the second and further attempts, as the design has it for everything that may pass by itself.
pub const RETRY_AFTER: [Duration; 3] =
    [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4)];

/// One attempt's limit. The centre answers in milliseconds; a line by satellite and a busy centre fit in.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// An answer is a few kilobytes of PEM; a gateway that sends more is none.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// What the technician gives.
#[derive(Debug, Clone)]
pub struct Enrolment {
    /// The centre's address, `https://host:port`.
    pub gateway: String,
    /// The claim code as typed.
    pub claim: String,
    /// Where the box keeps its state.
    pub data_dir: PathBuf,
    /// Whether an identity that is there gives way.
    pub replace: bool,
    /// Waits before further attempts; empty for one attempt only.
    pub retry_after: Vec<Duration>,
}

/// Why a box was not enrolled, and what to do next.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// A typing error in the claim.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// The address is none.
    #[error(
        "\"{given}\" is no address of a centre: write https://host:port, as it is printed with the claim code"
    )]
    Address {
        /// What was typed.
        given: String,
    },
    /// The box's own disk or identity is in the way.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// Nobody answers.
    #[error(
        "cannot reach the centre at {gateway} ({why}). Check the cable and the address, then repeat the command"
    )]
    Unreachable {
        /// Where.
        gateway: String,
        /// What the network said.
        why: String,
    },
    /// Somebody answers who is not the centre.
    #[error(transparent)]
    Mistrust(#[from] Mistrust),
    /// The centre does not know the code, or no longer.
    #[error("the centre refused this claim code: {why}. Ask the head office for a new code")]
    Refused {
        /// The centre's own words.
        why: String,
    },
    /// The centre has this key from an enrolment whose answer was lost for good.
    #[error(
        "the centre knows this box's key from an earlier enrolment that was not finished. That key was given up: repeat the \
         command with the same claim code, and the box makes another"
    )]
    KnownKey,
    /// The centre wants us to wait.
    #[error("the centre asks to wait: {why}. Repeat the command in a few minutes")]
    Later {
        /// The centre's own words.
        why: String,
    },
    /// The centre said something that is no answer.
    #[error(
        "the centre at {gateway} gave an answer that this tool does not understand ({why}). Is the tool of the same version?"
    )]
    Strange {
        /// Where.
        gateway: String,
        /// What was wrong.
        why: String,
    },
    /// The certificates do not hold.
    #[error("{0}. Nothing was changed on this box; report this to the head office")]
    Answer(#[from] AnswerError),
    /// The box cannot make what it needs.
    #[error("cannot prepare the request: {0}")]
    Prepare(String),
}

/// Enrols this box, and says who it is now.
///
/// # Errors
/// Each says what to do next. Until it succeeds the box is who it was before.
pub async fn enrol(asked: &Enrolment, provider: &Arc<CryptoProvider>) -> Result<Identity, EnrolError> {
    let claim: Claim = asked.claim.parse()?;
    let address = address(&asked.gateway)?;
    if let Some(who) = identity_folder::settle(&asked.data_dir)? {
        // The last attempt had its answer and lost the power while installing it.
        return Ok(who);
    }
    if !asked.replace {
        identity_folder::must_be_free(&asked.data_dir)?;
    }
    let key = identity_folder::pending_key(&asked.data_dir)?;
    let request = EnrolRequest {
        code: claim.code().to_owned(),
        csr_pem: signing_request(&key)?,
        hardware: hardware(),
        replaces: succession::prove(&asked.data_dir, &key),
    };

    let server = NamedByClaim::new(claim.clone(), provider.clone());
    let tls = server.tls().map_err(|error| EnrolError::Prepare(error.to_string()))?;
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .https_only(true)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(ANSWER_WITHIN)
        .build()
        .map_err(|error| EnrolError::Prepare(error.to_string()))?;

    let mut waits = asked.retry_after.iter();
    let response = loop {
        match ask(&client, &address, &request, &server).await {
            Err(Refusal { error: EnrolError::Unreachable { .. } | EnrolError::Later { .. }, .. })
                if waits.len() > 0 =>
            {
                tokio::time::sleep(waits.next().copied().unwrap_or_default()).await;
            }
            Err(Refusal { error, key_is_spent }) => {
                if key_is_spent {
                    identity_folder::drop_pending(&asked.data_dir)?;
                }
                return Err(error);
            }
            Ok(response) => break response,
        }
    };
    let verified = answer::verify(response, &key, &claim, UnixTime::now(), provider)?;
    identity_folder::install(&asked.data_dir, &verified)?;
    Ok(verified.identity)
}

/// No answer, and whether this box's key can still get one.
#[derive(Debug)]
struct Refusal {
    error: EnrolError,
    key_is_spent: bool,
}

impl From<EnrolError> for Refusal {
    fn from(error: EnrolError) -> Self {
        Self { error, key_is_spent: false }
    }
}

async fn ask(
    client: &reqwest::Client,
    address: &str,
    request: &EnrolRequest,
    server: &NamedByClaim,
) -> Result<EnrolResponse, Refusal> {
    let unreachable = |error: reqwest::Error| match server.mistrust() {
        Some(mistrust) => EnrolError::Mistrust(mistrust),
        None => EnrolError::Unreachable { gateway: address.to_owned(), why: innermost(&error) },
    };
    let mut response =
        client.post(format!("{address}/api/v1/enrol")).json(request).send().await.map_err(unreachable)?;
    let status = response.status();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        body.extend_from_slice(&chunk);
        if body.len() > ANSWER_BYTES_MAX {
            return Err(strange(address, format!("more than {ANSWER_BYTES_MAX} bytes")).into());
        }
    }
    read_answer(address, status, &body)
}

/// The API's envelope, as far as this tool reads it.
#[derive(Deserialize)]
struct Envelope {
    data: Option<EnrolResponse>,
    message: Option<String>,
    details: Option<Details>,
}

#[derive(Deserialize)]
struct Details {
    #[serde(default)]
    reason: String,
}

/// Refusals (`details.reason`) after which this box's key is of no use: the centre has it for another enrolment, or it
/// was not the key that this claim was used with, and no claim will ever admit it.
const SPENT: [&str; 3] = ["known_key", "used_code", "revoked_box"];

/// Pure: what status and body mean.
fn read_answer(address: &str, status: StatusCode, body: &[u8]) -> Result<EnrolResponse, Refusal> {
    let envelope: Envelope = match serde_json::from_slice(body) {
        Ok(envelope) => envelope,
        Err(error) => return Err(strange(address, format!("{status}, {error}")).into()),
    };
    let reason = envelope.details.map(|details| details.reason).unwrap_or_default();
    let why = envelope.message.unwrap_or_else(|| status.to_string());
    let why = why.trim_end_matches('.').to_owned();
    match (status, envelope.data) {
        (status, Some(data)) if status.is_success() => Ok(data),
        (StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE, _) => {
            Err(EnrolError::Later { why }.into())
        }
        (status, _) if status.is_client_error() => {
            let key_is_spent = SPENT.contains(&reason.as_str());
            let error =
                if reason == "known_key" { EnrolError::KnownKey } else { EnrolError::Refused { why } };
            Err(Refusal { error, key_is_spent })
        }
        _ => Err(strange(address, why).into()),
    }
}

fn strange(address: &str, why: String) -> EnrolError {
    EnrolError::Strange { gateway: address.to_owned(), why }
}

/// `https://host:port` without anything after it.
fn address(given: &str) -> Result<String, EnrolError> {
    let bad = || EnrolError::Address { given: given.to_owned() };
    let url = reqwest::Url::parse(given.trim()).map_err(|_| bad())?;
    let host = url.host_str().ok_or_else(bad)?;
    if url.scheme() != "https" || !matches!(url.path(), "" | "/") || url.query().is_some() {
        return Err(bad());
    }
    Ok(match url.port() {
        Some(port) => format!("https://{host}:{port}"),
        None => format!("https://{host}"),
    })
}

/// The centre takes the public key and nothing else; the name is for people who look at the request.
fn signing_request(key: &KeyPair) -> Result<String, EnrolError> {
    let prepare = |error: rcgen::Error| EnrolError::Prepare(error.to_string());
    let mut params = CertificateParams::default();
    params.distinguished_name.push(rcgen::DnType::CommonName, "new box");
    params.serialize_request(key).and_then(|request| request.pem()).map_err(prepare)
}

fn hardware() -> Hardware {
    let line =
        |path: &str| std::fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default();
    Hardware {
        hostname: line("/etc/hostname"),
        machine_id: line("/etc/machine-id"),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

/// The last cause in the chain, which is the one that names the fault.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_as_it_is_printed_and_nothing_else() {
        for (given, meant) in [
            ("https://centre.example:8443", "https://centre.example:8443"),
            (" https://127.0.0.1:9/ ", "https://127.0.0.1:9"),
            ("https://[::1]:8443", "https://[::1]:8443"),
        ] {
            assert_eq!(address(given).unwrap(), meant);
        }
        for given in ["centre.example:8443", "http://centre.example", "https://", "https://a/b", ""] {
            assert!(address(given).is_err(), "{given:?} is no address");
        }
    }

    #[test]
    fn each_refusal_of_the_centre_says_what_to_do() {
        let check = |status: u16, body: &str, wanted: &str| {
            let status = StatusCode::from_u16(status).unwrap();
            let error = read_answer("https://centre", status, body.as_bytes()).unwrap_err().error.to_string();
            assert!(error.contains(wanted), "{error}");
        };
        let used = r#"{"success":false,"error":"CONFLICT","message":"This code was used on 3 May.","status_code":409}"#;
        check(409, used, "This code was used on 3 May. Ask the head office for a new code");
        check(401, r#"{"success":false,"message":"unknown code"}"#, "Ask the head office");
        let known = r#"{"success":false,"message":"known","details":{"reason":"known_key"}}"#;
        check(409, known, "repeat the command with the same claim code");
        check(429, r#"{"success":false,"message":"too many tries"}"#, "Repeat the command in a few minutes");
        check(502, "<html>", "does not understand");
        check(200, r#"{"success":true}"#, "does not understand");
    }
}
