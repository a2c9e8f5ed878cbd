//! A box and a person, as tests need them.

use pestle_domain::{
    enrolment::{Claim, EnrolRequest, EnrolResponse, Hardware},
    ids::{BranchId, TenantId},
    staff::Role,
};
use pestle_gateway::{
    enrolment::enrol, identity, tenancy::rules::RawProfile, tenancy::store as tenancy, testing::TestGateway,
};
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};
use time::OffsetDateTime;

pub(crate) const PASSWORD: &str = "mortar-and-pestle";

pub(crate) fn tenant() -> TenantId {
    "demo".parse().unwrap()
}

pub(crate) fn branch() -> BranchId {
    "north".parse().unwrap()
}

pub(crate) fn profile() -> RawProfile {
    RawProfile {
        name: "North Street".into(),
        currency: "EUR".into(),
        time_zone: "Europe/Berlin".into(),
        ..RawProfile::default()
    }
}

/// A tenant with one branch and one user of that role, whose login is the role's name.
pub(crate) async fn seed(gateway: &TestGateway, role: Role) {
    let db = &gateway.running.app.db;
    let mut tx = db.tenant(&tenant()).begin().await.unwrap();
    tenancy::add_tenant(&mut tx, &tenant(), "Demo").await.unwrap();
    let profile = pestle_gateway::tenancy::rules::profile(profile()).unwrap();
    tenancy::add_branch(&mut tx, &tenant(), &tenancy::Branch { id: branch(), profile }).await.unwrap();
    let verifier = identity::password::hash(PASSWORD).unwrap();
    let now = OffsetDateTime::now_utc();
    identity::store::put(&mut tx, &tenant(), role.as_str(), "Somebody", role, (&verifier, now))
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

/// A claim for the branch, issued that many hours ago for one hour.
pub(crate) async fn claim(gateway: &TestGateway, hours_ago: i64) -> Claim {
    let app = &gateway.running.app;
    let at = OffsetDateTime::now_utc() - time::Duration::hours(hours_ago);
    let issued =
        enrol::issue(&app.db, &app.authority.fingerprint(), (&tenant(), &branch()), ("test", 1), at).await;
    issued.unwrap().0
}

/// Trusts the gateway's authority.
pub(crate) fn trusting(gateway: &TestGateway) -> reqwest::ClientBuilder {
    let ca = reqwest::Certificate::from_pem(gateway.running.app.authority.ca_pem().as_bytes()).unwrap();
    reqwest::Client::builder().no_proxy().tls_certs_only([ca])
}

pub(crate) fn url(gateway: &TestGateway, path: &str) -> String {
    format!("https://{}{path}", gateway.running.app.https)
}

/// A key and a request for it; `change` may make the request ask for too much.
pub(crate) fn request(
    code: &str,
    key: &KeyPair,
    change: impl FnOnce(&mut CertificateParams),
) -> EnrolRequest {
    let mut params = CertificateParams::new(vec![]).unwrap();
    change(&mut params);
    EnrolRequest {
        code: code.into(),
        csr_pem: params.serialize_request(key).unwrap().pem().unwrap(),
        hardware: Hardware { hostname: "box".into(), ..Hardware::default() },
        replaces: None,
    }
}

/// Sends an enrolment: the status and the body.
pub(crate) async fn enrol(gateway: &TestGateway, request: &EnrolRequest) -> (u16, Value) {
    let client = trusting(gateway).build().unwrap();
    let answer = client.post(url(gateway, "/api/v1/enrol")).json(request).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

/// An enrolled box.
pub(crate) struct Enrolled {
    pub(crate) key: KeyPair,
    pub(crate) response: EnrolResponse,
}

pub(crate) async fn enrolled(gateway: &TestGateway) -> Enrolled {
    let claim = claim(gateway, 0).await;
    let key = KeyPair::generate().unwrap();
    let (status, body) = enrol(gateway, &request(claim.code(), &key, |_| {})).await;
    assert_eq!(status, 200, "{body}");
    Enrolled { response: serde_json::from_value(body["data"].clone()).unwrap(), key }
}

impl Enrolled {
    /// An HTTPS client with the box's certificate.
    pub(crate) fn https(&self, gateway: &TestGateway) -> reqwest::Client {
        let pem = format!("{}{}", self.key.serialize_pem(), self.response.certificate_pem);
        let identity = reqwest::Identity::from_pem(pem.as_bytes()).unwrap();
        trusting(gateway).identity(identity).build().unwrap()
    }
}

/// Signs in: the status, and the token or the whole error.
pub(crate) async fn login(gateway: &TestGateway, login: &str, password: &str) -> (u16, Value) {
    let client = trusting(gateway).build().unwrap();
    let answer = client
        .post(url(gateway, "/api/v1/auth/login"))
        .json(&json!({ "login": login, "password": password }))
        .send()
        .await
        .unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

/// A signed-in client of that role, and its token.
pub(crate) async fn signed_in(gateway: &TestGateway, role: Role) -> (reqwest::Client, String) {
    seed(gateway, role).await;
    let (status, body) = login(gateway, role.as_str(), PASSWORD).await;
    assert_eq!(status, 200, "{body}");
    (trusting(gateway).build().unwrap(), body["data"]["token"].as_str().unwrap().to_owned())
}
