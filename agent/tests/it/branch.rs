//! A branch for tests: real journals in a throwaway folder, a real counter, its pages, no devices.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's helpers fail as the test does"
)]

use std::{collections::BTreeMap, sync::Arc};

use argon2::{Argon2, PasswordHasher as _};
use axum::{
    Router,
    body::Body,
    http::{Request, StatusCode, header},
};
use http_body_util::BodyExt as _;
use pestle_agent::{
    centre::Centre,
    clock::Clock,
    config::Config,
    counter::{
        handle::{Counter, CounterParts},
        keep::Keep,
        settings::CounterSettings,
        shop::Shop,
    },
    devices::{changes::to_come, kept::DeviceFiles, page_scanners::PageScanners},
    journal::{Journal, Limits, Settings},
    personal::{Persons, PersonsParts},
    web::{guard::Gate, routes::router},
};
use pestle_domain::{
    catalogue::{Product, Storage, Supply},
    gs1::Gtin,
    journal::{Lane, Stream},
    money::{BasisPoints, Currency, Money},
    snapshot::{BranchProfile, Snapshot},
    staff::{Member, Role},
    units::UnixMillis,
};
use serde_json::{Value, json};
use tokio::{sync::watch, task::JoinSet};
use tower::ServiceExt as _;
use uuid::Uuid;

/// What the browser calls the box.
pub(crate) const HOST: &str = "localhost:8080";

/// Anna's PIN, who manages the branch, and Tess's, a field technician.
pub(crate) const PIN: &str = "2468";

/// The article that tests sell: 4.99, no stock.
pub(crate) fn gtin() -> Gtin {
    Gtin::with_check_digit(b"0952000000001").unwrap()
}

pub(crate) struct Branch {
    pub(crate) counter: Counter,
    pub(crate) router: Router,
    pub(crate) ledger: Journal,
    pub(crate) telemetry: Journal,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) clock: Arc<Clock>,
    /// By till, as a browser keeps them.
    cookies: BTreeMap<String, String>,
    devices: JoinSet<()>,
}

/// Two tills and no devices.
const BARE: &str = "[[till]]\nid = \"till-1\"\nname = \"Till 1\"\n[[till]]\nid = \"till-2\"\n";

impl Branch {
    /// A new branch.
    pub(crate) async fn new() -> Self {
        Self::open(tempfile::tempdir().unwrap(), BARE).await
    }

    /// The branch of a folder, as after a restart, with the tills and devices of a configuration.
    pub(crate) async fn open(folder: tempfile::TempDir, config: &str) -> Self {
        Self::open_with(folder, config, Limits::default()).await
    }

    /// The same with a journal of other limits.
    pub(crate) async fn open_with(folder: tempfile::TempDir, config: &str, limits: Limits) -> Self {
        let config = Config::from_parts("the test", config, []).unwrap();
        let clock = Arc::new(Clock::open(folder.path()).unwrap());
        let journal = |lane: Lane| {
            let stream = Stream {
                tenant: "acme".parse().unwrap(),
                branch: "north".parse().unwrap(),
                term: 1,
                device: "box-1".parse().unwrap(),
                lane,
                epoch: 1,
            };
            let folder = folder.path().join(lane.as_str());
            let (settings, stamp) = (Settings { folder, stream, limits }, clock.stamp());
            tokio::task::spawn_blocking(move || Journal::open(settings, &stamp).unwrap().0)
        };
        let (ledger, telemetry) =
            (journal(Lane::Ledger).await.unwrap(), journal(Lane::Telemetry).await.unwrap());
        // The sender may go: the snapshot stays.
        let (_, shop) = watch::channel(Some(Arc::new(Shop::open(snapshot()))));
        let settings = CounterSettings::from_config(&config, ledger.stream().epoch);
        let (printers, orders) = pestle_agent::spool::task::queues(settings.printers());
        let parts = CounterParts {
            settings,
            ledger: ledger.clone(),
            telemetry: telemetry.clone(),
            keep: Keep::new(folder.path().join("counter")).unwrap(),
            clock: clock.clone(),
            shop,
            persons: persons(folder.path(), 1),
            printers,
        };
        let counter = Counter::start(parts).await.unwrap();
        let (devices, desk) = pestle_agent::devices::start(&config, orders, &counter, &clock);
        let scanners = PageScanners::open(DeviceFiles::of(folder.path()));
        let gate = Gate::plain("127.0.0.1:8080".parse().unwrap());
        let (opened, desk_to_come) = to_come();
        opened.send_replace(Some(desk));
        let router = router(counter.clone(), desk_to_come, scanners, gate);
        Self { counter, router, ledger, telemetry, folder, clock, cookies: BTreeMap::new(), devices }
    }

    /// Ends it as a shutdown does, and starts it again.
    pub(crate) async fn restart(self) -> Self {
        self.counter.stop().await;
        self.end().await
    }

    /// Ends it as a power cut does, in the middle of whatever it does, and starts it again. What is on its way to the
    /// disk in the kernel still gets there, as it does when a process is killed.
    pub(crate) async fn die(self) -> Self {
        self.counter.pull_the_plug();
        self.end().await
    }

    async fn end(self) -> Self {
        Self::open(self.close().await, BARE).await
    }

    /// Ends it as a shutdown does, and starts it again with a journal of other limits.
    pub(crate) async fn restart_with(self, limits: Limits) -> Self {
        self.counter.stop().await;
        Self::open_with(self.close().await, BARE, limits).await
    }

    /// Ends it as a shutdown does, and starts it again with tills and devices of a configuration.
    pub(crate) async fn restart_as(self, config: &str) -> Self {
        self.counter.stop().await;
        Self::open(self.close().await, config).await
    }

    pub(crate) async fn close(self) -> tempfile::TempDir {
        let Self { counter, router, ledger, telemetry, folder, devices, .. } = self;
        drop((counter, router, devices));
        ledger.close().await;
        telemetry.close().await;
        folder
    }

    /// A request of this test's browser, which keeps a cookie for each till.
    pub(crate) fn browse(&self, method: &str, path: &str) -> http::request::Builder {
        let request = Request::builder().method(method).uri(path).header(header::HOST, HOST);
        let till = path.split('/').nth(2).unwrap_or_default();
        match self.cookies.get(till) {
            Some(cookie) => request.header(header::COOKIE, cookie),
            None => request,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> (StatusCode, String) {
        let request = self.browse("GET", path).body(Body::empty()).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(bytes.to_vec()).unwrap())
    }

    pub(crate) async fn state(&self, till: &str) -> Value {
        let (status, text) = self.get(&format!("/till/{till}/state")).await;
        assert_eq!(status, StatusCode::OK);
        serde_json::from_str(&text).unwrap()
    }

    /// Sends an action as the browser of this test does: it keeps its cookie.
    pub(crate) async fn post(&mut self, till: &str, action: &str, body: Value) -> (StatusCode, Value) {
        let request = self
            .browse("POST", &format!("/till/{till}/{action}"))
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ORIGIN, format!("http://{HOST}"));
        let response =
            self.router.clone().oneshot(request.body(Body::from(body.to_string())).unwrap()).await.unwrap();
        if let Some(cookie) = response.headers().get(header::SET_COOKIE) {
            let pair = cookie.to_str().unwrap().split(';').next().unwrap();
            self.cookies.insert(till.to_owned(), pair.to_owned());
        }
        let status = response.status();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&bytes).unwrap())
    }

    /// What the counter has counted, as it would be scraped.
    pub(crate) fn metrics(&self) -> String {
        let mut registry = prometheus_client::registry::Registry::with_prefix("test");
        self.counter.counters().register(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        text
    }

    /// [`Branch::post`] that must go well.
    pub(crate) async fn done(&mut self, till: &str, action: &str, body: Value) -> Value {
        let (status, answer) = self.post(till, action, body).await;
        assert_eq!(status, StatusCode::OK, "{action}: {answer}");
        assert_eq!(answer["success"], true);
        answer
    }

    /// Signs Anna in and opens the till.
    pub(crate) async fn open_till(&mut self, till: &str) {
        self.done(till, "sign-in", json!({"staff": "anna", "pin": PIN})).await;
        self.done(till, "open", json!({"act": Uuid::now_v7(), "float": "100.00"})).await;
    }

    /// A payment of what lies at the till, as its page would send it.
    pub(crate) async fn payment(&self, till: &str, tendered: &str) -> Value {
        let basket = self.state(till).await["basket"].clone();
        json!({"act": basket["act"], "total": basket["total"], "tendered": tendered})
    }

    pub(crate) async fn scan(&mut self, till: &str) {
        self.done(till, "scan", json!({"code": gtin().short()})).await;
    }
}

/// The keys of a folder, whose centre would be at that port of this machine.
pub(crate) fn persons(folder: &std::path::Path, port: u16) -> Persons {
    // Another test may have installed it.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let tls = rustls::ClientConfig::builder().with_root_certificates(rustls::RootCertStore::empty());
    let tls = Arc::new(tls.with_no_client_auth());
    let centre = Centre { host: "127.0.0.1".into(), port, tls };
    let folder = folder.join("personal");
    Persons::open(PersonsParts { folder, tenant: "acme".parse().unwrap(), centre }).unwrap()
}

pub(crate) fn snapshot() -> Snapshot {
    // Weaker than what the centre makes, so that tests do not wait for it; the verifier says so itself.
    let cheap = argon2::Params::new(8, 1, 1, None).unwrap();
    let hasher = Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, cheap);
    let verifier = hasher.hash_password_with_salt(PIN.as_bytes(), b"saltsaltsaltsalt").unwrap().to_string();
    Snapshot {
        form: 1,
        tenant: "acme".parse().unwrap(),
        branch: "north".parse().unwrap(),
        version: 1,
        made_at: UnixMillis(0),
        profile: BranchProfile {
            name: "North <Street>".into(),
            address: vec![],
            tax_number: "".into(),
            currency: Currency::GBP,
            time_zone: "Europe/London".into(),
            cut_over_minutes: 0,
            receipt_header: vec![],
            receipt_footer: vec![],
        },
        products: vec![Product {
            id: "ibuprofen-200".parse().unwrap(),
            gtins: vec![gtin()],
            name: "Ibuprofen 200 mg <24>".into(),
            price: Money::new(499, Currency::GBP),
            tax: BasisPoints(2_000),
            supply: Supply::General,
            storage: Storage::Ambient,
        }],
        recalls: vec![],
        orders: None,
        staff: [("anna", "Anna", Role::Manager), ("tess", "Tess", Role::FieldTech)]
            .map(|(id, name, role)| Member {
                id: id.parse().unwrap(),
                name: name.into(),
                role,
                pin_verifier: verifier.as_str().into(),
                valid_until: None,
            })
            .into(),
    }
}

impl Branch {
    /// A payment as the page's handler makes it, for tests that send several at once.
    pub(crate) fn request(&self, till: &str, body: Value) -> pestle_agent::counter::command::Request {
        let command =
            pestle_agent::web::actions::command("pay", body.to_string().as_bytes(), Some(Currency::GBP));
        let cookie = self.cookies.get(till).and_then(|cookie| cookie.split_once('='));
        let station = cookie.map(|(_, station)| station).unwrap_or_default();
        pestle_agent::counter::command::Request {
            till: till.parse().unwrap(),
            station: pestle_agent::counter::command::StationId(station.into()),
            command: command.unwrap(),
        }
    }
}
