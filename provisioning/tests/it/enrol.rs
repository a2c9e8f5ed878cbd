//! `pestle-provision enrol`, from the claim to the folder.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use pestle_domain::enrolment::{Claim, Identity};
use pestle_domain::signature::{Hash, VerifyingKey};
use pestle_provisioning::{EnrolError, Enrolment, enrol, identity_folder};
use rcgen::KeyPair;
use tempfile::TempDir;

use crate::centre::{Centre, Mood};

async fn enrol_at(gateway: &str, claim: &Claim, data: &Path, replace: bool) -> Result<Identity, EnrolError> {
    let asked = Enrolment {
        gateway: gateway.to_owned(),
        claim: claim.to_string(),
        data_dir: data.to_owned(),
        replace,
        retry_after: vec![],
    };
    enrol(&asked, &Arc::new(rustls::crypto::aws_lc_rs::default_provider())).await
}

fn point(key: &KeyPair) -> VerifyingKey {
    VerifyingKey::from_point(key.public_key_raw()).unwrap()
}

/// A fresh box, tried once against a centre of that mood.
async fn try_once(moods: &[Mood]) -> (Centre, TempDir, Result<Identity, EnrolError>) {
    let centre = Centre::start(moods, |_| {}).await;
    let data = tempfile::tempdir().unwrap();
    let outcome = enrol_at(&format!("https://{}", centre.address), &centre.claim, data.path(), false).await;
    (centre, data, outcome)
}

fn is_untouched(data: &Path) -> bool {
    matches!(identity_folder::read(data), Err(identity_folder::FolderError::Nobody { .. }))
}

#[tokio::test]
async fn a_claim_code_makes_a_box_of_the_branch() {
    let (centre, data, outcome) = try_once(&[Mood::Good]).await;
    let identity = outcome.unwrap();
    assert_eq!(identity.device.as_str(), "north-box-1");
    assert_eq!(identity_folder::read(data.path()).unwrap(), identity);
    let folder = data.path().join("identity");
    for name in ["device.cert.pem", "web.cert.pem", "ca.pem"] {
        assert!(std::fs::read_to_string(folder.join(name)).unwrap().contains("BEGIN CERTIFICATE"), "{name}");
    }
    let mode = std::fs::metadata(folder.join("device.key.pem")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let request = &centre.requests()[0];
    assert_eq!(request.code, centre.claim.code());
    assert!(!request.csr_pem.contains("PRIVATE"), "the key never leaves the box");
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again_with_the_same_key() {
    let (centre, data, outcome) = try_once(&[Mood::LoseAnswer, Mood::Good]).await;
    assert!(matches!(outcome, Err(EnrolError::Unreachable { .. })), "{outcome:?}");
    assert!(is_untouched(data.path()));
    let gateway = format!("https://{}", centre.address);
    enrol_at(&gateway, &centre.claim, data.path(), false).await.unwrap();
    let keys = keys_of(&centre);
    assert_eq!(keys.len(), 2);
    assert_eq!(keys[0], keys[1]);
}

/// The public keys of the requests that the centre got, in order.
fn keys_of(centre: &Centre) -> Vec<Vec<u8>> {
    let requests = centre.requests().into_iter();
    let keys = requests.map(|request| {
        rcgen::CertificateSigningRequestParams::from_pem(&request.csr_pem).unwrap().public_key
    });
    keys.map(|key| rcgen::PublicKeyData::der_bytes(&key).to_vec()).collect()
}

#[tokio::test]
async fn a_key_that_the_centre_has_from_another_enrolment_gives_way_to_a_new_one() {
    let (centre, data, outcome) = try_once(&[Mood::KnownKey, Mood::Good]).await;
    let said = outcome.unwrap_err().to_string();
    assert!(said.contains("repeat the command"), "{said}");
    let gateway = format!("https://{}", centre.address);
    enrol_at(&gateway, &centre.claim, data.path(), false).await.unwrap();
    let keys = keys_of(&centre);
    assert_ne!(keys[0], keys[1]);
}

#[tokio::test]
async fn an_enrolment_whose_last_step_was_cut_off_is_finished_without_asking_again() {
    let (centre, data, outcome) = try_once(&[Mood::Good]).await;
    let who = outcome.unwrap();
    std::fs::rename(data.path().join("identity"), data.path().join("identity.pending")).unwrap();
    let gateway = format!("https://{}", centre.address);
    assert_eq!(enrol_at(&gateway, &centre.claim, data.path(), false).await.unwrap(), who);
    assert_eq!(centre.requests().len(), 1, "the centre was asked again");
}

#[tokio::test]
async fn a_box_that_is_somebody_is_replaced_only_when_told() {
    let (centre, data, outcome) = try_once(&[Mood::Good]).await;
    outcome.unwrap();
    let gateway = format!("https://{}", centre.address);
    let refused = enrol_at(&gateway, &centre.claim, data.path(), false).await.unwrap_err();
    assert!(refused.to_string().contains("--replace"), "{refused}");
    assert_eq!(centre.requests().len(), 1, "the centre was not asked");
    enrol_at(&gateway, &centre.claim, data.path(), true).await.unwrap();
    // The old key names the new one.
    let asked = centre.requests().pop().unwrap();
    let proof = asked.replaces.unwrap();
    let old = std::fs::read_to_string(data.path().join("identity.replaced-1/device.key.pem")).unwrap();
    let old = point(&KeyPair::from_pem(&old).unwrap());
    let new = std::fs::read_to_string(data.path().join("identity/device.key.pem")).unwrap();
    let new = point(&KeyPair::from_pem(&new).unwrap());
    assert_eq!(proof.key, old.id());
    assert_eq!(proof.verify(&old, &new), Ok(()));
    assert!(data.path().join("identity.replaced-1/device.key.pem").exists());
}

#[tokio::test]
async fn a_used_code_says_whom_to_ask() {
    let (_centre, data, outcome) = try_once(&[Mood::Used]).await;
    let said = outcome.unwrap_err().to_string();
    assert!(said.contains("This claim code was used. Ask the head office for a new code"), "{said}");
    assert!(is_untouched(data.path()));
}

#[tokio::test]
async fn certificates_that_do_not_hold_change_nothing_on_the_box() {
    for mood in [Mood::OtherKey, Mood::OtherAuthority] {
        let (_centre, data, outcome) = try_once(&[mood]).await;
        assert!(matches!(outcome, Err(EnrolError::Answer(_))), "{mood:?}: {outcome:?}");
        assert!(is_untouched(data.path()));
    }
}

#[tokio::test]
async fn a_server_that_the_claim_does_not_name_never_sees_the_code() {
    let centre = Centre::start(&[Mood::Good], |_| {}).await;
    let data = tempfile::tempdir().unwrap();
    let claim = Claim::new([7; 8], &Hash::of(b"another authority"));
    let gateway = format!("https://{}", centre.address);
    let said = enrol_at(&gateway, &claim, data.path(), false).await.unwrap_err().to_string();
    assert!(said.contains("is not the centre that the claim code names"), "{said}");
    assert!(centre.requests().is_empty());
}

#[tokio::test]
async fn a_clock_that_is_far_off_is_named() {
    let centre = Centre::start(&[Mood::Good], |params| {
        params.not_before = rcgen::date_time_ymd(1999, 1, 1);
        params.not_after = rcgen::date_time_ymd(2000, 1, 1);
    })
    .await;
    let data = tempfile::tempdir().unwrap();
    let gateway = format!("https://{}", centre.address);
    let said = enrol_at(&gateway, &centre.claim, data.path(), false).await.unwrap_err().to_string();
    assert!(said.contains("Set the clock"), "{said}");
}

#[tokio::test]
async fn a_certificate_for_another_name_says_which_was_asked_for() {
    let centre = Centre::start(&[Mood::Good], |params| params.subject_alt_names.clear()).await;
    let data = tempfile::tempdir().unwrap();
    let gateway = format!("https://{}", centre.address);
    let said = enrol_at(&gateway, &centre.claim, data.path(), false).await.unwrap_err().to_string();
    assert!(said.contains("not for 127.0.0.1"), "{said}");
}

#[tokio::test]
async fn nobody_at_the_address_says_to_check_the_cable() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let nobody = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
    let data = tempfile::tempdir().unwrap();
    let claim = Claim::new([7; 8], &Hash::of(b"any"));
    let said =
        enrol_at(&format!("https://{nobody}"), &claim, data.path(), false).await.unwrap_err().to_string();
    assert!(said.contains("Check the cable"), "{said}");
}
