//! What becomes of people who are signed in when they are disabled, demoted or get a new password.

use std::time::Duration;

use pestle_domain::staff::Role;
use pestle_gateway::{
    identity::{password, store},
    testing::{self, TestGateway},
};
use reqwest::{Response, header, redirect::Policy};
use serde_json::Value;
use time::OffsetDateTime;
use tokio::time::timeout;

use super::client::{PASSWORD, login, seed, tenant, trusting, url};

/// Longer than a page stays as it is.
const PATIENCE: Duration = Duration::from_secs(60);

/// A page of the console, with the token in the cookie.
async fn console(gateway: &TestGateway, path: &str, token: &str) -> Response {
    let client = trusting(gateway).redirect(Policy::none()).build().unwrap();
    let cookie = format!("__Host-pestle={token}");
    client.get(url(gateway, path)).header(header::COOKIE, cookie).send().await.unwrap()
}

async fn token_of(gateway: &TestGateway, role: Role) -> String {
    let (status, body) = login(gateway, role.as_str(), PASSWORD).await;
    assert_eq!(status, 200, "{body}");
    body["data"]["token"].as_str().unwrap().to_owned()
}

fn leads_to_the_door(answer: &Response) -> bool {
    answer.headers().get(header::LOCATION).is_some_and(|to| to == "/console/sign-in")
}

/// Reads an event stream until the centre ends it.
async fn ends(mut stream: Response) {
    let all = async { while stream.chunk().await.unwrap().is_some() {} };
    timeout(PATIENCE, all).await.expect("the stream ends");
}

#[tokio::test]
async fn somebody_who_is_disabled_is_out_of_the_console_at_once() {
    let gateway = testing::gateway().await;
    seed(&gateway, Role::Manager).await;
    let token = token_of(&gateway, Role::Manager).await;
    assert_eq!(console(&gateway, "/console", &token).await.status(), 200);
    let stream = console(&gateway, "/console/events", &token).await;
    assert_eq!(stream.status(), 200);
    let mut tx = gateway.running.app.db.tenant(&tenant()).begin().await.unwrap();
    assert!(store::disable(&mut tx, "manager", OffsetDateTime::now_utc()).await.unwrap());
    tx.commit().await.unwrap();
    assert!(leads_to_the_door(&console(&gateway, "/console", &token).await));
    assert_eq!(login(&gateway, "manager", PASSWORD).await.0, 401);
    ends(stream).await;
}

#[tokio::test]
async fn a_stream_ends_with_the_sign_in_that_opened_it() {
    let gateway = testing::gateway().await;
    seed(&gateway, Role::Manager).await;
    let token = token_of(&gateway, Role::Manager).await;
    let stream = console(&gateway, "/console/events", &token).await;
    let client = trusting(&gateway).build().unwrap();
    let out = client.post(url(&gateway, "/api/v1/auth/logout")).bearer_auth(&token).send().await.unwrap();
    assert_eq!(out.status(), 200);
    ends(stream).await;
}

#[tokio::test]
async fn a_new_password_and_signing_out_everywhere_end_what_was_given_before() {
    let gateway = testing::gateway().await;
    seed(&gateway, Role::Manager).await;
    let stolen = token_of(&gateway, Role::Manager).await;
    let verifier = password::hash(PASSWORD).unwrap();
    let mut tx = gateway.running.app.db.tenant(&tenant()).begin().await.unwrap();
    let now = OffsetDateTime::now_utc();
    store::put(&mut tx, &tenant(), "manager", "Max", Role::Manager, (&verifier, now)).await.unwrap();
    tx.commit().await.unwrap();
    assert!(leads_to_the_door(&console(&gateway, "/console", &stolen).await));

    let (here, elsewhere) =
        (token_of(&gateway, Role::Manager).await, token_of(&gateway, Role::Manager).await);
    assert_eq!(console(&gateway, "/console", &elsewhere).await.status(), 200);
    let client = trusting(&gateway).build().unwrap();
    let everywhere = client.post(url(&gateway, "/api/v1/auth/logout-everywhere")).bearer_auth(&here);
    assert_eq!(everywhere.send().await.unwrap().status(), 200);
    assert!(leads_to_the_door(&console(&gateway, "/console", &elsewhere).await));
    let again = token_of(&gateway, Role::Manager).await;
    assert_eq!(console(&gateway, "/console", &again).await.status(), 200);
}

#[tokio::test]
async fn a_token_is_renewed_with_the_role_that_its_holder_has_now() {
    let gateway = testing::gateway().await;
    seed(&gateway, Role::Manager).await;
    let young = token_of(&gateway, Role::Manager).await;
    assert!(!console(&gateway, "/console", &young).await.headers().contains_key(header::SET_COOKIE));
    let mut tx = gateway.running.app.db.tenant(&tenant()).begin().await.unwrap();
    sqlx::query("UPDATE identity.user_account SET role = 'assistant'").execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    let answer = console(&gateway, "/console", &young).await;
    let cookie = answer.headers()[header::SET_COOKIE].to_str().unwrap().to_owned();
    let fresh = cookie.split(['=', ';']).nth(1).unwrap();
    let client = trusting(&gateway).build().unwrap();
    let me = client.get(url(&gateway, "/api/v1/auth/me")).bearer_auth(fresh).send().await.unwrap();
    let me: Value = me.json().await.unwrap();
    assert_eq!(me["data"]["role"], "assistant", "{me}");
}
