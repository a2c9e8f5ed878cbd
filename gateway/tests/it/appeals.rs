//! A box asks what it is, a person decides, the box is told.

use std::collections::BTreeSet;

use pestle_domain::{
    appeal::{Appeal, BoxPlace, Contested},
    ids::{AppealId, StoreId},
    journal::{Head, Lane, Stream},
    signature::Hash,
    staff::Role,
    units::UnixMillis,
};
use pestle_gateway::{
    appeals::store,
    db::Tx,
    ingest::store::give_epoch,
    testing::{self, TestGateway},
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::platform::client::{Enrolled, PASSWORD, enrolled, login, seed, trusting, url};

fn appeal(enrolled: &Enrolled, id: u128) -> Appeal {
    let identity = &enrolled.response.identity;
    let stream = Stream {
        tenant: identity.tenant.clone(),
        branch: identity.branch.clone(),
        term: identity.term,
        device: identity.device.clone(),
        lane: Lane::Ledger,
        epoch: 1,
    };
    let head = Head { seq: 9, hash: Hash::of(b"nine") };
    let contested = Contested {
        stream,
        head,
        store: StoreId(Uuid::nil()),
        first_at: UnixMillis(1),
        last_at: UnixMillis(2),
        waiting: 4,
        values: vec![head],
        torn: None,
    };
    let place = BoxPlace {
        host: "till-box".into(),
        address: "192.0.2.7".into(),
        pages: "127.0.0.1:8080".into(),
        machine: "m".into(),
        data_dir: "/var/lib/pestle".into(),
        running_since: UnixMillis(0),
    };
    let appeal = AppealId(Uuid::from_u128(id));
    Appeal { appeal, place, highest_epoch: 41, contested: vec![contested] }
}

async fn ask(gateway: &TestGateway, enrolled: &Enrolled, appeal: &Appeal) -> (u16, Value) {
    let asked = enrolled.https(gateway).post(url(gateway, "/api/v1/device/appeals")).json(appeal);
    let answer = asked.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

async fn token(gateway: &TestGateway, role: Role) -> String {
    let (status, body) = login(gateway, role.as_str(), PASSWORD).await;
    assert_eq!(status, 200, "{body}");
    body["data"]["token"].as_str().unwrap().to_owned()
}

async fn rule(gateway: &TestGateway, token: &str, appeal: &Appeal, choice: &str) -> (u16, Value) {
    let path = format!("/api/v1/appeals/{}/ruling", appeal.appeal);
    let asked = trusting(gateway).build().unwrap().post(url(gateway, &path)).bearer_auth(token);
    let answer = asked.json(&json!({ "choice": choice })).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_box_waits_for_a_person_and_two_decisions_never_give_the_same_number() {
    let gateway = testing::gateway().await;
    seed(&gateway, Role::CentralIt).await;
    let north = enrolled(&gateway).await;
    let (first, second) = (appeal(&north, 1), appeal(&north, 2));
    for one in [&first, &second] {
        assert_eq!(ask(&gateway, &north, one).await, (200, json!({ "ruling": "waiting" })));
    }
    let token = token(&gateway, Role::CentralIt).await;
    let list = trusting(&gateway).build().unwrap().get(url(&gateway, "/api/v1/appeals")).bearer_auth(&token);
    let listed: Value = list.send().await.unwrap().json().await.unwrap();
    let shown = &listed["data"][0];
    assert_eq!(
        (&shown["host"], &shown["waiting"], &shown["asks"]),
        (&json!("till-box"), &json!(4), &json!(true))
    );
    assert!(shown["differences"][0].as_str().unwrap().contains("ledger, epoch 1"), "{shown}");

    let (one, two) =
        tokio::join!(rule(&gateway, &token, &first, "go_on"), rule(&gateway, &token, &second, "go_on"));
    let epoch = |(status, body): &(u16, Value)| {
        assert_eq!(*status, 200, "{body}");
        body["data"]["appeal"]["epoch"].as_u64().unwrap()
    };
    let (one, two) = (epoch(&one), epoch(&two));
    assert!(one != two && one.min(two) == 42, "above what the box has used: {one}, {two}");
    assert_eq!(ask(&gateway, &north, &first).await, (200, json!({ "ruling": "go_on", "epoch": one })));
    // A decision stands, and the number is nobody else's, whether the box ever uses it or not.
    let (status, body) = rule(&gateway, &token, &first, "own_name").await;
    assert_eq!(status, 409, "{body}");
    assert!(body["message"].as_str().unwrap().contains("Somebody has decided"), "{body}");
    assert_eq!(u64::from(enrolled(&gateway).await.response.identity.first_epoch), one.max(two) + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_that_no_box_can_have_come_to_is_told_and_uses_up_none_of_the_branch_s() {
    let gateway = testing::gateway().await;
    seed(&gateway, Role::CentralIt).await;
    let north = enrolled(&gateway).await;
    let (mut absurd, usual) = (appeal(&north, 1), appeal(&north, 2));
    absurd.highest_epoch = u32::MAX - 1;
    for one in [&absurd, &usual] {
        assert_eq!(ask(&gateway, &north, one).await, (200, json!({ "ruling": "waiting" })));
    }
    let token = token(&gateway, Role::CentralIt).await;
    let (status, body) = rule(&gateway, &token, &absurd, "go_on").await;
    assert_eq!(status, 409, "{body}");
    assert!(body["message"].as_str().unwrap().contains("come to epoch 4294967294"), "{body}");
    assert_eq!(rule(&gateway, &token, &usual, "go_on").await.1["data"]["appeal"]["epoch"], 42);
    assert_eq!(enrolled(&gateway).await.response.identity.first_epoch, 43);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_boxes_of_a_branch_that_appeal_at_once_both_get_a_number() {
    let gateway = testing::gateway().await;
    seed(&gateway, Role::CentralIt).await;
    let north = enrolled(&gateway).await;
    let identity = &north.response.identity;
    let (tenant, branch, device) = (&identity.tenant, &identity.branch, &identity.device);
    let db = gateway.running.app.db.tenant(tenant);
    let mut both = [db.begin().await.unwrap(), db.begin().await.unwrap()];
    for (number, tx) in (1..).zip(&mut both) {
        store::keep(tx, (tenant, branch, device), &appeal(&north, number), "192.0.2.7").await.unwrap();
    }
    let give = async |mut tx: Tx| {
        let given = give_epoch(&mut tx, tenant, branch, 41).await.unwrap();
        tx.commit().await.unwrap();
        given
    };
    let [one, other] = both;
    let (one, other) = tokio::join!(give(one), give(other));
    assert_eq!([one, other].into_iter().collect::<BTreeSet<_>>(), [Some(42), Some(43)].into());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_box_is_told_so_and_a_technician_gets_the_exact_step_with_a_claim_that_works() {
    let gateway = testing::gateway().await;
    seed(&gateway, Role::CentralIt).await;
    let north = enrolled(&gateway).await;
    let asked = appeal(&north, 1);
    ask(&gateway, &north, &asked).await;
    let token = token(&gateway, Role::CentralIt).await;
    let (status, body) = rule(&gateway, &token, &asked, "own_name").await;
    assert_eq!(status, 200, "{body}");
    let step = body["data"]["step"].as_str().unwrap();
    let gateway_url = url(&gateway, "");
    assert!(step.starts_with("pestle-provision enrol --replace --gateway https://"), "{step} {gateway_url}");
    assert!(step.contains("--data-dir /var/lib/pestle --code "), "{step}");
    let code: pestle_domain::enrolment::Claim = step.rsplit(' ').next().unwrap().parse().unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let request = crate::platform::client::request(code.code(), &key, |_| {});
    assert_eq!(crate::platform::client::enrol(&gateway, &request).await.0, 200);
    let told = json!({ "ruling": "own_name", "branch": "north", "device": north.response.identity.device });
    assert_eq!(ask(&gateway, &north, &asked).await, (200, told));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_decides_who_may_not_and_no_box_asks_about_another_one_s_records() {
    let gateway = testing::gateway().await;
    seed(&gateway, Role::Manager).await;
    let (north, other) = (enrolled(&gateway).await, enrolled(&gateway).await);
    let asked = appeal(&north, 1);
    assert_eq!(ask(&gateway, &other, &asked).await.0, 422);
    assert_eq!(ask(&gateway, &north, &asked).await.0, 200);
    let token = token(&gateway, Role::Manager).await;
    assert_eq!(rule(&gateway, &token, &asked, "go_on").await.0, 403);
    let client = trusting(&gateway).build().unwrap();
    let without = client.post(url(&gateway, "/api/v1/device/appeals")).json(&asked).send().await.unwrap();
    assert_eq!(without.status(), 401);
    // Another box under the same id: neither hears what is decided on the other.
    let mut stolen = appeal(&other, 1);
    stolen.place.host = "another".into();
    assert_eq!(ask(&gateway, &other, &stolen).await.0, 409);
    let list = client.get(url(&gateway, "/api/v1/appeals")).bearer_auth(&token).send().await.unwrap();
    assert_eq!(list.status(), 403);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_console_shows_who_asks_and_takes_the_decision_by_its_form() {
    let gateway = testing::gateway().await;
    seed(&gateway, Role::CentralIt).await;
    let north = enrolled(&gateway).await;
    let asked = appeal(&north, 1);
    ask(&gateway, &north, &asked).await;
    let token = token(&gateway, Role::CentralIt).await;
    let cookie = format!("__Host-pestle={token}");
    let client = trusting(&gateway).redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let page = || async {
        let page = client.get(url(&gateway, "/console")).header("cookie", &cookie).send().await.unwrap();
        page.text().await.unwrap()
    };
    let shown = page().await;
    assert!(shown.contains("till-box at 192.0.2.7") && shown.contains("This is a second box"), "{shown}");
    let action = format!("/console/appeals/{}", asked.appeal);
    let post = |choice: &'static str| {
        let form = client.post(url(&gateway, &action)).header("cookie", &cookie);
        form.header("content-type", "application/x-www-form-urlencoded")
            .body(format!("choice={choice}"))
            .send()
    };
    let bad = post("both").await.unwrap();
    assert_eq!((bad.status().as_u16(), bad.text().await.unwrap().contains("Not decided")), (422, true));
    let good = post("go_on").await.unwrap();
    assert_eq!(good.status(), 303);
    let again = post("own_name").await.unwrap();
    assert_eq!(again.status(), 409);
    assert!(again.text().await.unwrap().contains("Somebody has decided"));
    let shown = page().await;
    assert!(shown.contains("Somebody decided that it goes on, in epoch 42"), "{shown}");
}
