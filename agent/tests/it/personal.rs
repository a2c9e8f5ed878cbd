//! Patients' keys in the branch: on the disk before the fact, at the centre as soon as it can be reached, gone when their
//! person was erased (invariant I11).

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fs,
    path::Path,
    sync::{Arc, Mutex},
    time::{SystemTime, UNIX_EPOCH},
};

use axum::{
    Json, Router,
    extract::{Path as Named, State},
    http::StatusCode,
    response::{IntoResponse as _, Response},
    routing::post,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use pestle_agent::{
    clock::Clock,
    personal::{
        Persons, PersonsParts, SealError, Whose,
        task::{PersonsTask, RoundError},
    },
};
use pestle_domain::{
    fact::FactBody,
    ids::PersonId,
    personal::{
        PatientDetails, PersonKey,
        custody::{Custody, CustodyState, DEPOSIT_PATH, Deposit, LEASES_PATH, Leases, Lent},
    },
    units::UnixMillis,
};
use serde_json::json;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use uuid::Uuid;

use crate::branch::{Branch, PIN};

const NAME: &str = "Zebedee Quillfeather";

fn details(name: &str) -> PatientDetails {
    PatientDetails { name: name.into(), birth_date: None, phone: None, address: None }
}

/// A centre that keeps keys as the real one does, and that a test can tell to fail.
#[derive(Default)]
struct Kept {
    keys: BTreeMap<PersonId, PersonKey>,
    erased: BTreeSet<PersonId>,
    until: i64,
    used: Vec<PersonId>,
    /// Answered first, one each.
    failures: VecDeque<StatusCode>,
    requests: usize,
}

type Shared = Arc<Mutex<Kept>>;

struct Centre {
    port: u16,
    kept: Shared,
    certificate: rustls_pki_types::CertificateDer<'static>,
}

fn in_days(days: i64) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    i64::try_from(now).unwrap() + days * 86_400_000
}

fn begin(kept: &Shared) -> Result<std::sync::MutexGuard<'_, Kept>, StatusCode> {
    let mut kept = kept.lock().unwrap();
    kept.requests += 1;
    match kept.failures.pop_front() {
        Some(status) => Err(status),
        None => Ok(kept),
    }
}

async fn deposit(State(kept): State<Shared>, Json(Deposit { keys }): Json<Deposit>) -> Response {
    let mut kept = match begin(&kept) {
        Ok(kept) => kept,
        Err(failure) => return failure.into_response(),
    };
    let until = UnixMillis(kept.until);
    let answers: Vec<Custody> = keys
        .into_iter()
        .map(|key| {
            let person = key.person;
            let state = match kept.keys.get(&person) {
                _ if kept.erased.contains(&person) => CustodyState::Erased,
                Some(other) if *other != key => CustodyState::Contradicts,
                _ => {
                    kept.keys.insert(person, key);
                    CustodyState::Leased { until }
                }
            };
            Custody { person, state }
        })
        .collect();
    Json(answers).into_response()
}

async fn leases(State(kept): State<Shared>, Json(Leases { held }): Json<Leases>) -> Response {
    let mut kept = match begin(&kept) {
        Ok(kept) => kept,
        Err(failure) => return failure.into_response(),
    };
    let until = UnixMillis(kept.until);
    let state = |kept: &Kept, person: PersonId| match () {
        () if kept.erased.contains(&person) => CustodyState::Erased,
        () if kept.keys.contains_key(&person) => CustodyState::Leased { until },
        () => CustodyState::Unknown,
    };
    let answers: Vec<Custody> =
        held.iter().map(|one| Custody { person: one.person, state: state(&kept, one.person) }).collect();
    kept.used.extend(held.iter().filter(|one| one.used).map(|one| one.person));
    Json(answers).into_response()
}

async fn lease(State(kept): State<Shared>, Named(person): Named<PersonId>) -> Response {
    let kept = kept.lock().unwrap();
    match kept.keys.get(&person).filter(|_| !kept.erased.contains(&person)) {
        Some(key) => Json(Lent { key: key.clone(), until: UnixMillis(kept.until) }).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

impl Centre {
    async fn start() -> Self {
        // Another test may have installed it.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate =
            rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().self_signed(&key).unwrap();
        let certificate = certificate.der().clone();
        let secret = rustls_pki_types::PrivatePkcs8KeyDer::from(key.serialize_der());
        let tls = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], secret.into())
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let kept = Shared::new(Mutex::new(Kept { until: in_days(35), ..Kept::default() }));
        let router = Router::new()
            .route(DEPOSIT_PATH, post(deposit))
            .route(LEASES_PATH, post(leases))
            .route("/api/v1/device/persons/{person}/lease", post(lease))
            .with_state(kept.clone());
        tokio::spawn(async move {
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                let (acceptor, router) = (acceptor.clone(), router.clone());
                tokio::spawn(async move {
                    let Ok(tls) = acceptor.accept(tcp).await else { return };
                    let service = TowerToHyperService::new(router);
                    let builder = auto::Builder::new(TokioExecutor::new());
                    // The box may hang up.
                    let _gone = builder.serve_connection(TokioIo::new(tls), service).await;
                });
            }
        });
        Self { port, kept, certificate }
    }

    /// The keys of a folder, as an agent opens them at its start.
    fn open(&self, folder: &Path) -> (Persons, PersonsTask) {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let tls = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let centre =
            pestle_agent::centre::Centre { host: "127.0.0.1".into(), port: self.port, tls: Arc::new(tls) };
        let parts = PersonsParts { folder: folder.join("personal"), tenant: "acme".parse().unwrap(), centre };
        let persons = Persons::open(parts).unwrap();
        let clock = Arc::new(Clock::open(folder).unwrap());
        (persons.clone(), PersonsTask::new(persons, clock))
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap()
    }
}

async fn register(persons: &Persons) -> PersonId {
    let person = PersonId(Uuid::now_v7());
    persons.seal(Whose::New(person), details(NAME)).await.unwrap();
    person
}

/// Waiting, leased, refused.
fn stands(persons: &Persons) -> (usize, usize, usize) {
    let state = persons.state().borrow().clone();
    (state.waiting, state.leased, state.refused)
}

fn files(folder: &Path) -> usize {
    fs::read_dir(folder.join("personal")).unwrap().count()
}

/// All bytes of all files below a folder.
fn everything(folder: &Path, found: &mut Vec<u8>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            everything(&path, found);
        } else {
            found.extend(fs::read(&path).unwrap());
        }
    }
}

fn contains(all: &[u8], part: &[u8]) -> bool {
    all.windows(part.len()).any(|bytes| bytes == part)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patient_is_registered_with_the_centre_away_and_only_their_key_reads_what_was_recorded() {
    let mut branch = Branch::new().await;
    branch.open_till("till-1").await;
    let act = Uuid::now_v7();
    let typed = json!({ "act": act, "details": { "name": NAME, "phone": "020 7946 0123", "birth_date": "1961-04-12" } });
    let answer = branch.done("till-1", "patient", typed.clone()).await;
    let person: PersonId = serde_json::from_value(answer["data"]["person"].clone()).unwrap();
    assert!(!answer.to_string().contains("Zebedee"), "{answer}");
    assert_eq!(branch.done("till-1", "patient", typed.clone()).await["data"], answer["data"]);
    assert!(!branch.state("till-1").await.to_string().contains("Zebedee"));

    let mut branch = branch.restart().await;
    branch.done("till-1", "sign-in", json!({ "staff": "anna", "pin": PIN })).await;
    assert_eq!(branch.done("till-1", "patient", typed).await["data"], answer["data"]);
    let file = branch.folder.path().join(format!("personal/{person}.json"));
    let kept: pestle_agent::personal::kept::Kept =
        pestle_agent::durable_file::read_json(&file).unwrap().unwrap();
    let folder = branch.folder.path().to_owned();
    let facts = recorded(&branch).await;
    let sealed: Vec<_> = facts.iter().filter_map(FactBody::personal).collect();
    assert_eq!(sealed.len(), 1, "the same act is one patient");
    let opened = PatientDetails::open(sealed[0], &kept.key, &"acme".parse().unwrap()).unwrap();
    assert_eq!((&*opened.name, opened.phone.as_deref()), (NAME, Some("020 7946 0123")));

    // Nothing readable is in the folder, and in the journal no key either.
    let (mut all, mut journal) = (Vec::new(), Vec::new());
    everything(&folder, &mut all);
    everything(&folder.join("ledger"), &mut journal);
    assert!(contains(&journal, b"patient.registered"), "the search finds what is there");
    // The whole number: four digits of it alone also stand in some random identifier now and then.
    assert!(!contains(&all, b"Zebedee") && !contains(&all, b"020 7946 0123"));
    let secret = serde_json::to_string(&kept.key.secret).unwrap();
    let secret = secret.trim_matches('"');
    assert!(contains(&all, secret.as_bytes()), "the key's own file has it");
    assert!(!contains(&journal, secret.as_bytes()) && !contains(&journal, kept.key.secret.as_bytes()));
}

/// What the ledger has.
async fn recorded(branch: &Branch) -> Vec<FactBody> {
    let ledger = branch.ledger.clone();
    let read = tokio::task::spawn_blocking(move || {
        let mut facts = Vec::new();
        pestle_agent::commands::show::show(&ledger, &mut facts).unwrap();
        facts
    });
    let text = String::from_utf8(read.await.unwrap()).unwrap();
    text.lines()
        .filter_map(|line| line.find('{').map(|at| &line[at..]))
        .filter_map(|line| pestle_domain::fact::Fact::from_line(line.as_bytes()).ok().flatten())
        .map(|fact| fact.body)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_key_on_the_disk_no_patient_is_recorded() {
    let mut branch = Branch::new().await;
    branch.open_till("till-1").await;
    let folder = branch.folder.path().join("personal");
    fs::remove_dir(&folder).unwrap();
    fs::write(&folder, "no folder any more").unwrap();
    let typed = json!({ "act": Uuid::now_v7(), "details": { "name": NAME } });
    let (status, answer) = branch.post("till-1", "patient", typed.clone()).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{answer}");
    assert!(answer["message"].as_str().unwrap().contains("does not take the patient's key"), "{answer}");
    assert!(recorded(&branch).await.iter().all(|body| body.personal().is_none()));
    fs::remove_file(&folder).unwrap();
    fs::create_dir(&folder).unwrap();
    branch.done("till-1", "patient", typed).await;
    assert_eq!(recorded(&branch).await.iter().filter(|body| body.personal().is_some()).count(), 1);
    for bad in [
        json!({ "name": "" }),
        json!({ "name": NAME, "shoe_size": 9 }),
        json!({ "name": NAME, "birth_date": "1961" }),
    ] {
        let typed = json!({ "act": Uuid::now_v7(), "details": bad });
        assert_eq!(branch.post("till-1", "patient", typed).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_waits_over_failures_and_restarts_until_the_centre_has_it_and_is_deposited_once() {
    let (centre, folder) = (Centre::start().await, tempfile::tempdir().unwrap());
    let (persons, task) = centre.open(folder.path());
    let person = register(&persons).await;
    centre.kept().failures = [StatusCode::SERVICE_UNAVAILABLE, StatusCode::INTERNAL_SERVER_ERROR].into();
    for _ in 0..2 {
        assert!(matches!(task.round(true).await, Err(RoundError::Ask(_))));
        assert_eq!(stands(&persons), (1, 0, 0));
    }
    assert_eq!(persons.state().borrow().waits().unwrap(), "1 of patients' keys wait for the centre");
    drop((persons, task));

    let (persons, task) = centre.open(folder.path());
    assert_eq!(stands(&persons), (1, 0, 0), "as before the restart");
    task.round(true).await.unwrap();
    assert_eq!((stands(&persons), persons.state().borrow().deposited), ((0, 1, 0), 1));
    assert_eq!(centre.kept().keys.keys().copied().collect::<Vec<_>>(), [person]);
    let requests = centre.kept().requests;
    task.round(false).await.unwrap();
    assert_eq!(centre.kept().requests, requests, "what is done is not done again");
    assert_eq!(stands(&centre.open(folder.path()).0), (0, 1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_dropped_when_its_person_was_erased_whether_it_was_lent_or_still_waits() {
    let (centre, folder) = (Centre::start().await, tempfile::tempdir().unwrap());
    let (persons, task) = centre.open(folder.path());
    let lent = register(&persons).await;
    task.round(true).await.unwrap();
    let waiting = register(&persons).await;
    centre.kept().erased = [lent, waiting].into();
    task.round(true).await.unwrap();
    assert_eq!((stands(&persons), persons.state().borrow().erased, files(folder.path())), ((0, 0, 0), 2, 0));
    let refused = persons.seal(Whose::Known(lent), details(NAME)).await.unwrap_err();
    assert!(matches!(refused, SealError::NotLent), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_whose_lease_is_over_is_dropped_and_fetched_again_when_it_is_needed() {
    let (centre, folder) = (Centre::start().await, tempfile::tempdir().unwrap());
    centre.kept().until = in_days(-1);
    let (persons, task) = centre.open(folder.path());
    let person = register(&persons).await;
    task.round(false).await.unwrap();
    assert_eq!((stands(&persons), files(folder.path())), ((0, 1, 0), 1));
    let key = centre.kept().keys[&person].clone();
    task.round(true).await.unwrap();
    assert_eq!((stands(&persons), persons.state().borrow().ended, files(folder.path())), ((0, 0, 0), 1, 0));

    centre.kept().until = in_days(35);
    let sealed = persons.seal(Whose::Known(person), details("Zebedee Q.")).await.unwrap();
    assert_eq!(&*PatientDetails::open(&sealed, &key, &"acme".parse().unwrap()).unwrap().name, "Zebedee Q.");
    assert_eq!((stands(&persons), files(folder.path())), ((0, 1, 0), 1));
    // What is used is said so, once.
    persons.seal(Whose::Known(person), details(NAME)).await.unwrap();
    for _ in 0..2 {
        task.round(true).await.unwrap();
    }
    assert_eq!(centre.kept().used, [person]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_centre_that_was_restored_from_before_a_deposit_gets_the_key_again() {
    let (centre, folder) = (Centre::start().await, tempfile::tempdir().unwrap());
    let (persons, task) = centre.open(folder.path());
    let person = register(&persons).await;
    task.round(true).await.unwrap();
    let lost = centre.kept().keys.remove(&person).unwrap();
    task.round(true).await.unwrap();
    assert_eq!(stands(&persons), (1, 0, 0));
    task.round(false).await.unwrap();
    assert_eq!((stands(&persons), centre.kept().keys.get(&person)), ((0, 1, 0), Some(&lost)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_centre_gets_a_key_again_even_if_its_lease_is_over_meanwhile() {
    let (centre, folder) = (Centre::start().await, tempfile::tempdir().unwrap());
    centre.kept().until = in_days(-1);
    let (persons, task) = centre.open(folder.path());
    let person = register(&persons).await;
    task.round(false).await.unwrap();
    let lost = centre.kept().keys.remove(&person).unwrap();
    task.round(true).await.unwrap();
    centre.kept().until = in_days(35);
    task.round(false).await.unwrap();
    assert_eq!((stands(&persons), centre.kept().keys.get(&person)), ((0, 1, 0), Some(&lost)));
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_centre_away_a_lease_that_is_over_ends_all_the_same() {
    let (centre, folder) = (Centre::start().await, tempfile::tempdir().unwrap());
    centre.kept().until = in_days(-1);
    let (persons, task) = centre.open(folder.path());
    register(&persons).await;
    task.round(false).await.unwrap();
    centre.kept().failures = [StatusCode::SERVICE_UNAVAILABLE].into();
    task.round(true).await.unwrap_err();
    assert_eq!((stands(&persons), files(folder.path())), ((0, 0, 0), 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_is_heard_of_although_another_key_cannot_be_deposited() {
    let (centre, folder) = (Centre::start().await, tempfile::tempdir().unwrap());
    let (persons, task) = centre.open(folder.path());
    let lent = register(&persons).await;
    task.round(true).await.unwrap();
    register(&persons).await;
    centre.kept().erased = [lent].into();
    centre.kept().failures = [StatusCode::INTERNAL_SERVER_ERROR].into();
    assert!(matches!(task.round(true).await, Err(RoundError::Ask(_))));
    assert_eq!((stands(&persons), files(folder.path())), ((1, 0, 0), 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_key_comes_back_from_the_centre_and_goes_when_its_person_was_erased() {
    for is_erased in [false, true] {
        let (centre, folder) = (Centre::start().await, tempfile::tempdir().unwrap());
        let (persons, task) = centre.open(folder.path());
        let person = register(&persons).await;
        task.round(true).await.unwrap();
        drop((persons, task));
        let path = folder.path().join(format!("personal/{person}.json"));
        let mut bytes = fs::read(&path).unwrap();
        bytes[30] ^= 1;
        fs::write(&path, bytes).unwrap();

        let (persons, task) = centre.open(folder.path());
        assert_eq!((stands(&persons), persons.state().borrow().damaged), ((0, 0, 0), 1));
        if is_erased {
            centre.kept().erased = [person].into();
        }
        task.round(true).await.unwrap();
        let (leased, left) = if is_erased { (0, 0) } else { (1, 1) };
        assert_eq!((stands(&persons), files(folder.path())), ((0, leased, 0), left));
        assert_eq!(persons.state().borrow().damaged, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_beside_which_the_centre_has_another_is_kept_and_needs_a_person() {
    let (centre, folder) = (Centre::start().await, tempfile::tempdir().unwrap());
    let (persons, task) = centre.open(folder.path());
    let person = register(&persons).await;
    let other = PersonKey::first(person, &aws_lc_rs::rand::SystemRandom::new()).unwrap();
    centre.kept().keys.insert(person, other);
    task.round(true).await.unwrap();
    assert_eq!((stands(&persons), files(folder.path())), ((0, 0, 1), 1));
    assert!(persons.state().borrow().concern().unwrap().contains("Call support"));
    assert_eq!(stands(&centre.open(folder.path()).0), (1, 0, 0), "tried again at the next start");
}
