//! How a box becomes a branch's.

use pestle_domain::staff::Role;
use pestle_gateway::{authority::identity::PeerIdentity, testing};
use rcgen::{BasicConstraints, IsCa, KeyPair, PKCS_ECDSA_P384_SHA384};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use serde_json::json;

use super::client::{branch, claim, enrol, enrolled, request, seed, signed_in, tenant, url};

#[tokio::test]
async fn a_box_gets_its_identity_for_a_claim_and_the_claim_names_the_authority() {
    let gateway = testing::gateway().await;
    seed(&gateway, Role::Admin).await;
    let claim = claim(&gateway, 0).await;
    let key = KeyPair::generate().unwrap();
    // As people type it.
    let code = claim.code().to_lowercase();
    let (status, body) = enrol(&gateway, &request(&code, &key, |_| {})).await;
    assert_eq!(status, 200, "{body}");
    let data = &body["data"];
    assert_eq!(
        (data["identity"]["device"].as_str(), data["identity"]["term"].as_u64()),
        (Some("north-1"), Some(1))
    );
    assert_eq!(data["identity"]["mqtt"], gateway.running.app.broker.address());
    let ca = CertificateDer::from_pem_slice(data["ca_pem"].as_str().unwrap().as_bytes()).unwrap();
    assert!(claim.names(&pestle_domain::signature::Hash::of(&ca)));
    let leaf = CertificateDer::from_pem_slice(data["certificate_pem"].as_str().unwrap().as_bytes()).unwrap();
    let expected =
        PeerIdentity::Device { tenant: tenant(), branch: branch(), device: "north-1".parse().unwrap() };
    assert_eq!(PeerIdentity::of_certificate(&leaf), Some(expected));
}

#[tokio::test]
async fn a_request_that_asks_to_be_an_authority_gets_a_plain_certificate() {
    let gateway = testing::gateway().await;
    seed(&gateway, Role::Admin).await;
    let claim = claim(&gateway, 0).await;
    let key = KeyPair::generate().unwrap();
    let greedy = request(claim.code(), &key, |params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "gateway");
    });
    let (status, body) = enrol(&gateway, &greedy).await;
    assert_eq!(status, 200, "{body}");
    for which in ["certificate_pem", "web_certificate_pem"] {
        let leaf = CertificateDer::from_pem_slice(body["data"][which].as_str().unwrap().as_bytes()).unwrap();
        let (_, leaf) = x509_parser::parse_x509_certificate(&leaf).unwrap();
        assert!(!leaf.is_ca(), "{which}");
        assert!(!leaf.subject().to_string().contains("gateway"), "{which}");
    }
}

#[tokio::test]
async fn a_lost_answer_is_given_again_to_the_same_key_and_to_no_other() {
    let gateway = testing::gateway().await;
    seed(&gateway, Role::Admin).await;
    let claim = claim(&gateway, 0).await;
    let (key, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let (_, first) = enrol(&gateway, &request(claim.code(), &key, |_| {})).await;
    let (status, again) = enrol(&gateway, &request(claim.code(), &key, |_| {})).await;
    assert_eq!((status, &again["data"]), (200, &first["data"]));
    let (status, refused) = enrol(&gateway, &request(claim.code(), &other, |_| {})).await;
    assert_eq!((status, refused["details"]["reason"].as_str()), (409, Some("used_code")), "{refused}");
}

#[tokio::test]
async fn a_key_that_was_admitted_before_is_said_so_and_uses_no_code_up() {
    let gateway = testing::gateway().await;
    seed(&gateway, Role::Admin).await;
    let (first, second) = (claim(&gateway, 0).await, claim(&gateway, 0).await);
    let (key, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    assert_eq!(enrol(&gateway, &request(first.code(), &key, |_| {})).await.0, 200);
    // The answer was lost, and the technician came back with a new code.
    let (status, body) = enrol(&gateway, &request(second.code(), &key, |_| {})).await;
    assert_eq!((status, body["details"]["reason"].as_str()), (409, Some("known_key")), "{body}");
    let (status, body) = enrol(&gateway, &request(second.code(), &other, |_| {})).await;
    assert_eq!((status, body["data"]["identity"]["term"].as_u64()), (200, Some(2)), "{body}");
}

#[tokio::test]
async fn wrong_and_expired_codes_and_keys_are_told_apart() {
    let gateway = testing::gateway().await;
    seed(&gateway, Role::Admin).await;
    let key = KeyPair::generate().unwrap();
    let (status, unknown) = enrol(&gateway, &request("0000-0000-0000", &key, |_| {})).await;
    assert_eq!((status, unknown["details"]["reason"].as_str()), (401, Some("unknown_code")), "{unknown}");
    let expired = claim(&gateway, 2).await;
    let (status, expired) = enrol(&gateway, &request(expired.code(), &key, |_| {})).await;
    assert_eq!((status, expired["details"]["reason"].as_str()), (409, Some("expired_code")), "{expired}");
    let p384 = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
    let open = claim(&gateway, 0).await;
    let (status, kind) = enrol(&gateway, &request(open.code(), &p384, |_| {})).await;
    assert_eq!((status, kind["error"].as_str()), (422, Some("VALIDATION")), "{kind}");
    // The refusals above used nothing up.
    assert_eq!(enrol(&gateway, &request(open.code(), &key, |_| {})).await.0, 200);
}

#[tokio::test]
async fn the_second_box_of_a_branch_gets_the_next_term() {
    let gateway = testing::gateway().await;
    seed(&gateway, Role::Admin).await;
    let (first, second) = (enrolled(&gateway).await, enrolled(&gateway).await);
    assert_eq!((first.response.identity.term, second.response.identity.term), (1, 2));
    assert_ne!(first.response.identity.device, second.response.identity.device);
}

#[tokio::test]
async fn codes_cannot_be_guessed_at_speed() {
    let gateway = testing::gateway().await;
    seed(&gateway, Role::Admin).await;
    let key = KeyPair::generate().unwrap();
    let mut last = 0;
    for number in 0..12 {
        last = enrol(&gateway, &request(&format!("0000-0000-{number:04}"), &key, |_| {})).await.0;
    }
    assert_eq!(last, 429);
}

#[tokio::test]
async fn a_claim_is_issued_over_rest_by_those_who_may() {
    let gateway = testing::gateway().await;
    let (client, token) = signed_in(&gateway, Role::CentralIt).await;
    let issue = |branch: &'static str| {
        client
            .post(url(&gateway, "/api/v1/enrolment/claims"))
            .bearer_auth(&token)
            .json(&json!({ "branch_id": branch }))
            .send()
    };
    let answer = issue("north").await.unwrap();
    assert_eq!(answer.status(), 201);
    let body: serde_json::Value = answer.json().await.unwrap();
    assert!(body["data"]["claim"].as_str().unwrap().parse::<pestle_domain::enrolment::Claim>().is_ok());
    assert_eq!(issue("nowhere").await.unwrap().status(), 404);
}
