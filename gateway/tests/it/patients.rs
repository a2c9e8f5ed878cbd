//! Patients at the centre: what is read by whom, and that nothing is left of whom was erased (invariant I11).

use aws_lc_rs::rand::SystemRandom;
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use pestle_domain::{
    fact::{Act, Actor, FactBody, PatientAmended, PatientRegistered, Stamp},
    ids::{ActId, FactId, PersonId},
    personal::{
        PatientDetails, PersonKey, Sealed, SecretKey,
        custody::{DEPOSIT_PATH, LEASES_PATH, lease_path},
        draw_nonce,
    },
    staff::Role,
    units::UnixMillis,
};
use pestle_gateway::{
    audit,
    patients::{erasures, rules::LEASE, store},
    run,
    testing::{self, TestGateway},
};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    ingest::{
        branch::{Branch, stamp},
        centre::{Centre, committed},
        whole::Wired,
    },
    platform::{
        client::{Enrolled, branch, enrolled, tenant, trusting, url},
        roles::tokens,
    },
};

const NAME: &str = "Zebedee Quillfeather";
const PHONE: &str = "020 7946 0123";

/// A centre with people of three roles and one box.
struct Scene {
    gateway: TestGateway,
    tokens: Vec<(Role, String)>,
    enrolled: Enrolled,
    client: reqwest::Client,
    device: reqwest::Client,
}

fn details(name: &str) -> PatientDetails {
    PatientDetails {
        name: name.into(),
        birth_date: Some("1961-04-12".parse().unwrap()),
        phone: Some(PHONE.into()),
        address: None,
    }
}

fn new_key() -> PersonKey {
    PersonKey::first(PersonId(Uuid::now_v7()), &SystemRandom::new()).unwrap()
}

fn sealed(key: &PersonKey, name: &str, chain: &str) -> Sealed {
    let nonce = draw_nonce(&SystemRandom::new()).unwrap();
    details(name).seal(key, &chain.parse().unwrap(), nonce).unwrap()
}

fn registered_for(key: &PersonKey, name: &str, chain: &str) -> FactBody {
    PatientRegistered { details: sealed(key, name, chain) }.into()
}

fn amended_for(key: &PersonKey, name: &str, chain: &str) -> FactBody {
    PatientAmended { details: sealed(key, name, chain) }.into()
}

fn registered(key: &PersonKey, name: &str) -> FactBody {
    registered_for(key, name, tenant().as_str())
}

fn amended(key: &PersonKey, name: &str) -> FactBody {
    amended_for(key, name, tenant().as_str())
}

impl Scene {
    async fn new() -> Self {
        let gateway = testing::gateway().await;
        let roles = [Role::Assistant, Role::Technician, Role::Pharmacist, Role::Manager];
        let tokens = tokens(&gateway, &roles).await;
        let enrolled = enrolled(&gateway).await;
        let (client, device) = (trusting(&gateway).build().unwrap(), enrolled.https(&gateway));
        Self { gateway, tokens, enrolled, client, device }
    }

    /// With a patient whom the box has registered, and whose key it has not deposited: the last fact is the registration.
    async fn with_patient() -> (Self, Wired, PersonKey, u64) {
        let (scene, key) = (Box::pin(Self::new()).await, new_key());
        let mut wired = Box::pin(Wired::new(&scene.gateway, &scene.enrolled)).await;
        let last = wired.branch.write(vec![registered(&key, NAME)]);
        committed(&wired.send(1, last).await);
        (scene, wired, key, last)
    }

    fn token(&self, role: Role) -> &str {
        &self.tokens.iter().find(|(of, _)| *of == role).unwrap().1
    }

    async fn get(&self, role: Role, path: &str) -> (u16, Value) {
        let request = self.client.get(url(&self.gateway, path)).bearer_auth(self.token(role));
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    async fn patient(&self, role: Role, person: PersonId) -> (u16, Value) {
        self.get(role, &format!("/api/v1/patients/{person}")).await
    }

    async fn erase(&self, role: Role, person: PersonId, body: &Value) -> (u16, Value) {
        let path = url(&self.gateway, &format!("/api/v1/patients/{person}/erase"));
        let answer = self.client.post(path).bearer_auth(self.token(role)).json(body).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// As the box.
    async fn say(&self, path: &str, body: &Value) -> (u16, Value) {
        let answer = self.device.post(url(&self.gateway, path)).json(body).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    async fn deposit(&self, key: &PersonKey) -> Value {
        let (status, said) = self.say(DEPOSIT_PATH, &json!({ "keys": [key] })).await;
        assert_eq!((status, &said[0]["person"]), (200, &json!(key.person)), "{said}");
        said[0].clone()
    }

    /// Every row of every table, as text; bytes as hexadecimal.
    async fn everything(&self) -> String {
        let mut root = PgConnection::connect_with(&self.gateway.database.root()).await.unwrap();
        let tables: Vec<String> = sqlx::query_scalar(
            "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
             WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1",
        )
        .fetch_all(&mut root)
        .await
        .unwrap();
        assert!(tables.len() > 20, "{tables:?}");
        let mut all = String::new();
        for table in tables {
            let query = format!("SELECT t::text FROM {table} t");
            let rows: Vec<String> =
                sqlx::query_scalar(AssertSqlSafe(query)).fetch_all(&mut root).await.unwrap();
            all.push_str(&rows.join("\n"));
        }
        all
    }

    async fn as_owner(&self, statement: &str) {
        let mut root = PgConnection::connect_with(&self.gateway.database.root()).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(&mut root).await.unwrap();
    }

    async fn count(&self, table: &'static str) -> i64 {
        let mut tx = self.gateway.running.app.db.tenant(&tenant()).begin().await.unwrap();
        let query = AssertSqlSafe(format!("SELECT count(*) FROM patients.{table}"));
        sqlx::query_scalar(query).fetch_one(&mut *tx).await.unwrap()
    }
}

/// How bytes may stand in what was read: as they are, as hexadecimal (of the text, or of its JSON's base64).
fn forms(bytes: &[u8]) -> Vec<String> {
    let base64 = BASE64.encode(bytes);
    let mut forms = vec![hex::encode(bytes), hex::encode(&base64), base64];
    forms.extend(String::from_utf8(bytes.to_vec()));
    forms
}

fn contains(all: &str, bytes: &[u8]) -> bool {
    forms(bytes).iter().any(|form| all.contains(form.as_str()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_patient_is_read_by_those_who_work_with_patients_and_each_look_is_noted() {
    let (scene, mut wired, key, last) = Scene::with_patient().await;

    let (status, said) = scene.patient(Role::Pharmacist, key.person).await;
    assert_eq!(status, 409, "the key has not come: {said}");
    assert_eq!(scene.deposit(&key).await["state"], "leased");
    let (status, said) = scene.patient(Role::Pharmacist, key.person).await;
    assert_eq!((status, &said["data"]["name"], &said["data"]["phone"]), (200, &json!(NAME), &json!(PHONE)));
    assert_eq!(said["data"]["branch"], branch().as_str());

    let later = wired.branch.write(vec![amended(&key, "Zebedee Q. Quillfeather")]);
    committed(&wired.send(last + 1, later).await);
    let (_, said) = scene.patient(Role::Technician, key.person).await;
    assert_eq!(said["data"]["name"], "Zebedee Q. Quillfeather");

    for role in [Role::Assistant, Role::Manager] {
        assert_eq!(scene.patient(role, key.person).await.0, 403, "{}", role.as_str());
    }
    assert_eq!(scene.patient(Role::Pharmacist, PersonId(Uuid::now_v7())).await.0, 404);
    let path = format!("/api/v1/patients/{}/accesses", key.person);
    assert_eq!(scene.get(Role::Pharmacist, &path).await.0, 403);
    let (_, looks) = scene.get(Role::Manager, &path).await;
    let looks: Vec<_> =
        looks["data"].as_array().unwrap().iter().map(|one| (&one["role"], &one["what"])).collect();
    // Refusals are none: nobody saw anything.
    assert_eq!(looks, [(&json!("technician"), &json!("read")), (&json!("pharmacist"), &json!("read"))]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_readable_is_left_of_an_erased_patient_and_every_chain_still_holds() {
    let (scene, mut wired, key, last) = Scene::with_patient().await;
    scene.deposit(&key).await;
    assert_eq!(scene.patient(Role::Pharmacist, key.person).await.0, 200);

    let before = scene.everything().await;
    assert!(contains(&before, b"North Street"), "the search finds what is there");
    let FactBody::PatientRegistered(fact) = registered_in(&wired) else { panic!() };
    assert!(contains(&before, BASE64.encode(fact.details.parts().1).as_bytes()), "the sealed text is there");
    for secret in [NAME.as_bytes(), PHONE.as_bytes(), key.secret.as_bytes()] {
        assert!(!contains(&before, secret), "readable before the erasure");
    }
    let wrapped = wrapped_keys(&before, &scene).await;
    assert_eq!(wrapped.len(), 1);

    for (role, body, expected) in [
        (Role::Pharmacist, json!({ "why": "asked" }), 403),
        (Role::Manager, json!({}), 422),
        (Role::Manager, json!({ "why": "other" }), 422),
        (Role::Manager, json!({ "why": "asked", "reference": "Zebedee Quillfeather" }), 422),
        (Role::Manager, json!({ "why": "asked", "reference": "GDPR-2026/17" }), 200),
        // The same again is no second erasure.
        (Role::Manager, json!({ "why": "mistake" }), 200),
    ] {
        let (status, said) = scene.erase(role, key.person, &body).await;
        assert_eq!(status, expected, "{body}: {said}");
    }
    assert_eq!(scene.erase(Role::Manager, PersonId(Uuid::now_v7()), &json!({ "why": "asked" })).await.0, 404);

    let (status, said) = scene.patient(Role::Pharmacist, key.person).await;
    assert_eq!((status, said["details"]["erased_at"].is_string()), (404, true), "{said}");
    let after = scene.everything().await;
    for secret in [NAME.as_bytes(), PHONE.as_bytes(), key.secret.as_bytes(), &wrapped[0]] {
        assert!(!contains(&after, secret), "left after the erasure");
    }
    assert_eq!(
        (scene.count("person_key").await, scene.count("lease").await, scene.count("erasure").await),
        (0, 0, 1)
    );

    // Nobody brings the key back.
    assert_eq!(scene.deposit(&key).await["state"], "erased");
    let held = json!({ "held": [{ "person": key.person, "used": true }] });
    assert_eq!(scene.say(LEASES_PATH, &held).await.1[0]["state"], "erased");
    assert_eq!(scene.say(&lease_path(key.person), &json!({})).await.0, 404);
    assert_eq!(scene.count("person_key").await, 0);

    // What a branch that has not heard of it yet records is taken and booked.
    let late = wired.branch.write(vec![amended(&key, NAME)]);
    wired.branch.sell("p-1", 1);
    let sold = wired.branch.last();
    committed(&wired.send(last + 1, sold).await);
    let mut tx = scene.gateway.running.app.db.tenant(&tenant()).begin().await.unwrap();
    let (unfolded, seq): (i64, i64) = sqlx::query_as(
        "SELECT (SELECT count(*) FROM ingest.fact WHERE NOT folded), (SELECT seq FROM patients.patient)",
    )
    .fetch_one(&mut *tx)
    .await
    .unwrap();
    assert_eq!((unfolded, u64::try_from(seq).unwrap()), (0, late));
    assert_eq!(scene.patient(Role::Pharmacist, key.person).await.0, 404);
    let report = audit::verify(&scene.gateway.running.app.db, &tenant(), &branch()).await.unwrap();
    assert_eq!((report.holds.len(), report.differs.len()), (1, 0), "{report:?}");
    assert!(report.holds[0].contains(&format!("facts 1 to {sold} are whole")), "{report:?}");
}

fn registered_in(wired: &Wired) -> FactBody {
    let line = &wired.branch.lines[0];
    pestle_domain::fact::Fact::from_line(line).unwrap().unwrap().body
}

/// The wrapped keys as the database has them; each is found by the search.
async fn wrapped_keys(all: &str, scene: &Scene) -> Vec<Vec<u8>> {
    let mut tx = scene.gateway.running.app.db.tenant(&tenant()).begin().await.unwrap();
    let keys: Vec<Vec<u8>> =
        sqlx::query_scalar("SELECT wrapped FROM patients.person_key").fetch_all(&mut *tx).await.unwrap();
    assert!(keys.iter().all(|key| contains(all, key)));
    keys
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erasure_survives_a_restore_of_an_old_copy_of_the_database() {
    let (scene, _wired, key, _) = Scene::with_patient().await;
    scene.deposit(&key).await;
    // The old copy.
    scene.as_owner("CREATE SCHEMA copy; CREATE TABLE copy.keys AS TABLE patients.person_key; CREATE TABLE copy.leases AS TABLE patients.lease").await;
    assert_eq!(scene.erase(Role::Manager, key.person, &json!({ "why": "asked" })).await.0, 200);
    let restore = "DELETE FROM patients.erasure; INSERT INTO patients.person_key SELECT * FROM copy.keys;
                   INSERT INTO patients.lease SELECT * FROM copy.leases; SELECT ingest.raise_incarnation()";

    // While the gateway runs, whose task looks so from time to time.
    let app = &scene.gateway.running.app;
    let seen = erasures::look(app, None).await.unwrap();
    scene.as_owner(restore).await;
    assert_eq!(
        (scene.count("person_key").await, scene.count("erasure").await),
        (1, 0),
        "the copy has them again"
    );
    // And yet nobody reads them, or is lent their key, before the task has looked.
    let (status, said) = scene.patient(Role::Pharmacist, key.person).await;
    assert_eq!((status, said["details"]["erased_at"].is_string()), (404, true), "{said}");
    assert_eq!(scene.say(&lease_path(key.person), &json!({})).await.0, 404);
    assert_eq!(scene.deposit(&key).await["state"], "erased");
    let held = json!({ "held": [{ "person": key.person, "used": true }] });
    assert_eq!(scene.say(LEASES_PATH, &held).await.1[0]["state"], "erased");
    erasures::look(app, Some(seen)).await.unwrap();
    assert_eq!(scene.patient(Role::Pharmacist, key.person).await.0, 404);
    assert_eq!((scene.count("person_key").await, scene.count("erasure").await), (0, 1));

    // While it is stopped: before the first request is answered.
    scene.as_owner(restore).await;
    assert_eq!(scene.count("person_key").await, 1);
    let Scene { gateway, client, tokens, .. } = scene;
    let TestGateway { running, mut database, folder } = gateway;
    running.stop().await;
    let config = testing::config(&database, folder.path());
    database.db = again(&config);
    let gateway = TestGateway { running: run::start(config).await.unwrap(), database, folder };
    let token = &tokens.iter().find(|(role, _)| *role == Role::Pharmacist).unwrap().1;
    let path = url(&gateway, &format!("/api/v1/patients/{}", key.person));
    let answer = client.get(path).bearer_auth(token).send().await.unwrap();
    let (status, said): (_, Value) = (answer.status().as_u16(), answer.json().await.unwrap());
    assert_eq!((status, said["details"]["erased_at"].is_string()), (404, true), "{said}");
    let metrics = client.get(url(&gateway, "/metrics")).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("patients_erased_again_total 1"), "{metrics}");
}

/// A pool of its own: the stopped gateway closed the one that it shared with the test.
fn again(config: &pestle_gateway::config::Config) -> pestle_gateway::db::Db {
    let pestle_gateway::config::DatabaseChoice::Dsn { serve, .. } = &config.database else { panic!() };
    pestle_gateway::db::Db::new(pestle_gateway::db::parse_dsn(serve).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deposit_that_meets_an_erasure_leaves_no_key_behind() {
    let scene = Scene::new().await;
    let mut wired = Wired::new(&scene.gateway, &scene.enrolled).await;
    let keys: Vec<PersonKey> = (0..12).map(|_| new_key()).collect();
    let mut last = 0;
    for key in &keys {
        last = wired.branch.write(vec![registered(key, NAME)]);
    }
    committed(&wired.send(1, last).await);
    for key in &keys {
        let body = json!({ "why": "asked" });
        let (erased, said) = tokio::join!(scene.erase(Role::Manager, key.person, &body), scene.deposit(key));
        assert_eq!(erased.0, 200, "{erased:?} {said}");
    }
    assert_eq!((scene.count("person_key").await, scene.count("erasure").await), (0, 12));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_has_an_end_is_renewed_while_it_is_used_and_is_for_the_branch_that_has_it() {
    let scene = Scene::new().await;
    let (ours, theirs) = (new_key(), new_key());
    let leased = scene.deposit(&ours).await;
    let until = |said: &Value| said["until"].as_i64().unwrap();
    let expected = (OffsetDateTime::now_utc() + LEASE).unix_timestamp() * 1_000;
    assert!((expected - until(&leased)).abs() < 60_000, "{leased}");
    // The same again is no second deposit, and another key under this name is none at all.
    assert_eq!(scene.deposit(&ours).await["state"], "leased");
    let other = PersonKey { secret: SecretKey::from_bytes(&[7; 32]), ..ours.clone() };
    assert_eq!(scene.deposit(&other).await["state"], "contradicts");
    assert_eq!(scene.count("person_key").await, 1);

    scene.as_owner("UPDATE patients.lease SET until = now() + interval '1 day'").await;
    let ask = async |used: bool| {
        let held = json!({ "held": [{ "person": ours.person, "used": used }, { "person": theirs.person, "used": true }] });
        scene.say(LEASES_PATH, &held).await.1
    };
    let unused = ask(false).await;
    assert!(until(&unused[0]) < expected - 86_400_000, "{unused}");
    assert_eq!(unused[1]["state"], "unknown");
    ask(true).await;
    assert!(until(&ask(false).await[0]) >= until(&leased), "renewed in the database too");

    // What was dropped is lent again; what was never lent to this branch is not.
    let (status, lent) = scene.say(&lease_path(ours.person), &json!({})).await;
    assert_eq!((status, &lent["key"]), (200, &json!(ours)));
    scene.as_owner("UPDATE patients.lease SET branch_id = 'south'").await;
    assert_eq!(scene.say(&lease_path(ours.person), &json!({})).await.0, 404);
    assert_eq!(ask(true).await[0]["state"], "unknown");
    let second = PersonKey { generation: 2, ..ours.clone() };
    assert_eq!(scene.deposit(&second).await["state"], "contradicts", "a known person of another branch");

    let many: Vec<Value> = (0..201).map(|_| json!({ "person": Uuid::now_v7(), "used": false })).collect();
    assert_eq!(scene.say(LEASES_PATH, &json!({ "held": many })).await.0, 422);
    let stranger =
        scene.client.post(url(&scene.gateway, LEASES_PATH)).json(&json!({ "held": [] })).send().await;
    assert_eq!(stranger.unwrap().status(), 401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_cannot_be_opened_keeps_no_other_waiting_and_is_told_to_whoever_runs_the_centre() {
    let scene = Scene::new().await;
    let keys: Vec<PersonKey> = (0..3).map(|_| new_key()).collect();
    for key in &keys[..2] {
        scene.deposit(key).await;
    }
    let health = async || -> Value {
        scene.client.get(url(&scene.gateway, "/health")).send().await.unwrap().json().await.unwrap()
    };
    assert_eq!(health().await["warnings"], json!([]));
    // Another gateway wrapped it, under a key that was not copied to this one.
    let other = "UPDATE patients.person_key SET kek = 'k-elsewhere' WHERE person_id = ";
    scene.as_owner(&format!("{other}'{}'", keys[0].person)).await;
    let (status, said) = scene.say(DEPOSIT_PATH, &json!({ "keys": keys })).await;
    let answered: Vec<_> =
        said.as_array().unwrap().iter().map(|one| (&one["person"], &one["state"])).collect();
    let leased = json!("leased");
    assert_eq!(
        (status, answered),
        (200, vec![(&json!(keys[1].person), &leased), (&json!(keys[2].person), &leased)])
    );
    let seen = health().await;
    assert_eq!(seen["ready"], true, "sales are taken");
    let warning = seen["warnings"][0]["message"].as_str().unwrap();
    assert!(warning.contains("k-elsewhere") && warning.contains("authority/personal"), "{seen}");
    let metrics =
        scene.client.get(url(&scene.gateway, "/metrics")).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("patients_keys_closed_total 1"), "{metrics}");
    // A damaged row is no other case.
    scene
        .as_owner(&format!(
            "UPDATE patients.person_key SET wrapped = '\\x00' WHERE person_id = '{}'",
            keys[1].person
        ))
        .await;
    let (_, said) = scene.say(DEPOSIT_PATH, &json!({ "keys": keys })).await;
    assert_eq!((said.as_array().unwrap().len(), &said[0]["person"]), (1, &json!(keys[2].person)));
}

/// A fact of a clock that is that many hours wrong.
fn at_hours(branch: &mut Branch, hours: i64, body: FactBody) {
    let now = OffsetDateTime::now_utc().unix_timestamp() * 1_000;
    let at = Stamp { wall_ms: UnixMillis(now + hours * 3_600_000), ..stamp() };
    let act = Act::new(ActId(Uuid::now_v7()), &Actor::Machine, &at, vec![body], || FactId(Uuid::now_v7()));
    branch.lines.push(act.facts[0].to_line().unwrap());
}

#[tokio::test]
async fn within_a_stream_the_last_fact_of_a_patient_counts_whatever_the_clock_said_and_clocks_decide_between_streams()
 {
    let key = new_key();
    // The clock of north was a day ahead for its first word and was set right; south spoke an hour ago.
    for south_ago in [1, 3] {
        let mut found = Vec::new();
        // Drained together, apart, and with the other branch between.
        for steps in
            [["n1", "n2", "s1"], ["n12", "s1", ""], ["s1", "n12", ""], ["n1", "s1", "n2"], ["s1", "n1", "n2"]]
        {
            let centre = Centre::new().await;
            let (mut north, mut south) = (Branch::new("north", "north-1"), Branch::new("south", "south-1"));
            centre.enrol(&north).await;
            centre.enrol(&south).await;
            at_hours(&mut north, 24, registered_for(&key, "One", "acme"));
            at_hours(&mut north, -2, amended_for(&key, "Two", "acme"));
            at_hours(&mut south, -south_ago, amended_for(&key, "Three", "acme"));
            for step in steps.into_iter().filter(|step| !step.is_empty()) {
                let batch = match step {
                    "n1" => north.batch(1, 1),
                    "n2" => north.batch(2, 2),
                    "n12" => north.batch(1, 2),
                    _ => south.batch(1, 1),
                };
                committed(&centre.one(batch).await);
            }
            let acme = "acme".parse().unwrap();
            let mut tx = centre.db.tenant(&acme).begin().await.unwrap();
            let patient = store::patient(&mut tx, key.person).await.unwrap().unwrap();
            let name = PatientDetails::open(&patient.details, &key, &acme).unwrap().name;
            found.push((name, patient.branch));
        }
        let expected = if south_ago == 1 { "Three" } else { "Two" };
        let expected = (expected.into(), Some("north".to_owned()));
        assert!(found.iter().all(|one| *one == expected), "{south_ago}: {found:?}");
    }
}
