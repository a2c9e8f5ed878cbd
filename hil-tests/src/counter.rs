//! A till's page as a browser speaks to it: the same addresses, cookie and answers, without the pixels.

mod told;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use pestle_domain::ids::ActId;
use pestle_domain::money::Money;
use reqwest::header::{COOKIE, ORIGIN, SET_COOKIE};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::waiting::until;
use crate::world::{Branch, Person, SCANNER, WorldError};
use told::HealthReport;
pub use told::{
    Basket, Closing, Device, LedgerHead, Line, Link, Print, Reading, Receipt, Refusal, Sale, Session, Till,
};

/// A page that takes longer is broken for the person in front of it.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// A scan is on the page within milliseconds; the machine may be busy with a whole build.
const SHOWN_WITHIN: Duration = Duration::from_secs(20);

/// Why the counter did not do it.
#[derive(Debug, thiserror::Error)]
pub enum CounterError {
    /// The counter said no, in its own words.
    #[error("the counter says: {message} ({code})")]
    Refused {
        /// `CONFLICT`, `AUTHENTICATION` …
        code: String,
        /// In words.
        message: String,
    },
    /// Nobody answers, as after a power cut.
    #[error("the counter does not answer")]
    Gone(#[source] reqwest::Error),
    /// It answers, but not what a till answers.
    #[error("the counter answered {status} with {body:?}")]
    Strange {
        /// HTTP status.
        status: StatusCode,
        /// The beginning of the body.
        body: String,
    },
}

/// A browser at one till.
#[derive(Debug)]
pub struct Counter {
    client: reqwest::Client,
    base: String,
    till: String,
    cookie: Mutex<Option<String>>,
    /// The basket that the page showed last: a payment says what it came to.
    seen: Mutex<Option<(ActId, Money)>>,
}

impl Counter {
    /// A browser that has not opened the page yet.
    ///
    /// # Errors
    /// When the branch has no address, or its authority cannot be read.
    pub fn open(branch: &Branch) -> Result<Self, WorldError> {
        Self::at(branch.counter(), &branch.authority()?)
    }

    /// The same at an address, such as another program's; `authority` is the box's certificate authority in PEM.
    ///
    /// # Errors
    /// When the authority cannot be read.
    pub fn at(base: String, authority: &[u8]) -> Result<Self, WorldError> {
        let said = |what: String| WorldError::Said { name: format!("counter {base}"), what };
        let authority = reqwest::Certificate::from_pem(authority).map_err(|error| said(error.to_string()))?;
        let client = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([authority])
            .timeout(ANSWER_WITHIN)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| said(error.to_string()))?;
        Ok(Self { client, base, till: "till-1".to_owned(), cookie: Mutex::new(None), seen: Mutex::new(None) })
    }

    /// The same browser at another till.
    #[must_use]
    pub fn at_till(self, till: &str) -> Self {
        Self { till: till.to_owned(), ..self }
    }

    /// Goes on at another address with the same cookie: the agent came back on another port.
    pub fn moved_to(&mut self, base: String) {
        self.base = base;
    }

    /// What the page shows now.
    ///
    /// # Errors
    /// [`CounterError`].
    pub async fn look(&self) -> Result<Till, CounterError> {
        let till: Till = self.call(Method::GET, "state", None).await?;
        if let Some(basket) = &till.basket {
            let seen = Some((basket.act, basket.total));
            *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = seen;
        }
        Ok(till)
    }

    /// Waits until the page shows what `is` wants.
    ///
    /// # Errors
    /// [`crate::waiting::Overdue`] with the last look.
    pub async fn shows(
        &self,
        what: &str,
        is: impl Fn(&Till) -> bool,
    ) -> Result<Till, crate::waiting::Overdue> {
        until(what, SHOWN_WITHIN, || async {
            match self.look().await {
                Ok(till) if is(&till) => Ok(till),
                Ok(till) => Err(format!("{till:?}")),
                Err(error) => Err(error.to_string()),
            }
        })
        .await
    }

    /// Signs in.
    ///
    /// # Errors
    /// [`CounterError`].
    pub async fn sign_in(&self, person: &Person) -> Result<Value, CounterError> {
        self.tell("sign-in", json!({ "staff": person.id, "pin": person.pin })).await
    }

    /// Waits until the box hears the branch's scanner: it sells before its devices are open, and what is scanned while one is being
    /// opened is refused as cut off.
    ///
    /// # Errors
    /// [`crate::waiting::Overdue`] with the last look.
    pub async fn hears_the_scanner(&self) -> Result<Till, crate::waiting::Overdue> {
        let open = |till: &Till| till.devices.iter().any(|one| one.name == SCANNER && one.detail.is_none());
        self.shows("the scanner", open).await
    }

    /// Opens the till with that much money in it.
    ///
    /// # Errors
    /// [`CounterError`].
    pub async fn open_till(&self, act: ActId, float: &str) -> Result<Value, CounterError> {
        self.tell("open", json!({ "act": act, "float": float, "date_confirmed": true })).await
    }

    /// Counts and closes the till.
    ///
    /// # Errors
    /// [`CounterError`].
    pub async fn close_till(&self, act: ActId, counted: &str) -> Result<Value, CounterError> {
        self.tell("close", json!({ "act": act, "counted": counted })).await
    }

    /// Takes the money for the basket `act`.
    ///
    /// # Errors
    /// [`CounterError`]; after [`CounterError::Gone`] nobody knows yet whether it counted, and the same call asks.
    pub async fn pay(&self, act: ActId, tendered: &str) -> Result<Value, CounterError> {
        let seen = *self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let total = seen.filter(|(of, _)| *of == act).map(|(_, total)| total);
        self.tell("pay", json!({ "act": act, "total": total, "tendered": tendered })).await
    }

    /// The same as it was sent before, by a page that has not heard the answer.
    ///
    /// # Errors
    /// As [`Counter::pay`].
    pub async fn pay_again(&self, act: ActId, total: Money, tendered: &str) -> Result<Value, CounterError> {
        self.tell("pay", json!({ "act": act, "total": total, "tendered": tendered })).await
    }

    /// Types a code, or holds it under a scanner that types.
    ///
    /// # Errors
    /// [`CounterError`].
    pub async fn scan(&self, code: &str) -> Result<Value, CounterError> {
        self.tell("scan", json!({ "code": code })).await
    }

    /// Registers a patient.
    ///
    /// # Errors
    /// [`CounterError`].
    pub async fn register_patient(&self, act: ActId, details: &Value) -> Result<Value, CounterError> {
        self.tell("patient", json!({ "act": act, "details": details })).await
    }

    /// Sets a line's packs.
    ///
    /// # Errors
    /// [`CounterError`].
    pub async fn set_quantity(&self, line: u32, quantity: i64) -> Result<Value, CounterError> {
        self.tell("quantity", json!({ "line": line, "quantity": quantity })).await
    }

    /// Takes a line off.
    ///
    /// # Errors
    /// [`CounterError`].
    pub async fn void(&self, line: u32) -> Result<Value, CounterError> {
        self.tell("void", json!({ "line": line })).await
    }

    /// Puts refusals and questions aside.
    ///
    /// # Errors
    /// [`CounterError`].
    pub async fn dismiss(&self) -> Result<Value, CounterError> {
        self.tell("dismiss", json!({})).await
    }

    /// Answers the question about a print: `came_out`, `print_copy` or `give_up`.
    ///
    /// # Errors
    /// [`CounterError`].
    pub async fn answer_print(&self, job: u64, word: &str) -> Result<Value, CounterError> {
        self.tell("print", json!({ "jobs": [job], "word": word })).await
    }

    /// Does something at the page for devices, such as `learn`.
    ///
    /// # Errors
    /// [`CounterError`].
    pub async fn act_on_devices(&self, action: &str, body: Value) -> Result<Value, CounterError> {
        self.tell(&format!("devices/{action}"), body).await
    }

    /// The page for devices, as HTML.
    ///
    /// # Errors
    /// [`CounterError`].
    pub async fn devices_page(&self) -> Result<String, CounterError> {
        let url = format!("{}/till/{}/devices", self.base, self.till);
        let cookie = self.cookie.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let request = self.client.get(url).header(COOKIE, cookie.unwrap_or_default());
        let answer = request.send().await.map_err(CounterError::Gone)?;
        let status = answer.status();
        let body = answer.text().await.map_err(CounterError::Gone)?;
        if status.is_success() { Ok(body) } else { Err(CounterError::Strange { status, body }) }
    }

    /// How far the box's ledger is, as it tells its operators.
    ///
    /// # Errors
    /// [`CounterError`].
    pub async fn ledger_head(&self) -> Result<LedgerHead, CounterError> {
        let answer = self.client.get(format!("{}/health", self.base)).send().await;
        let answer = answer.map_err(CounterError::Gone)?;
        let status = answer.status();
        let body = answer.text().await.map_err(CounterError::Gone)?;
        let report: HealthReport = read_answer(status, &body)?;
        let ledger = report.journal.iter().find(|lane| lane.lane == "ledger");
        let ledger = ledger.ok_or(CounterError::Strange { status, body })?;
        Ok(LedgerHead { epoch: ledger.epoch, seq: ledger.head })
    }

    /// What the box says of its health, as it says it.
    ///
    /// # Errors
    /// [`CounterError`].
    pub async fn health(&self) -> Result<Value, CounterError> {
        let answer = self.client.get(format!("{}/health", self.base)).send().await;
        let body = answer.map_err(CounterError::Gone)?.text().await.map_err(CounterError::Gone)?;
        let strange = |_| CounterError::Strange { status: StatusCode::OK, body: body.clone() };
        serde_json::from_str(&body).map_err(strange)
    }

    /// The page's event stream: everything first, then each piece as it changes, for at most `life`.
    ///
    /// # Errors
    /// [`CounterError`].
    pub async fn events(&self, life: Duration) -> Result<reqwest::Response, CounterError> {
        let url = format!("{}/till/{}/events", self.base, self.till);
        let mut request = self.client.get(url).timeout(life);
        // A browser sees what its station may: only who signed in here sees the basket.
        let cookie = self.cookie.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(cookie) = cookie {
            request = request.header(COOKIE, cookie);
        }
        let answer = request.send().await.map_err(CounterError::Gone)?;
        let status = answer.status();
        if status.is_success() {
            Ok(answer)
        } else {
            Err(CounterError::Strange { status, body: String::new() })
        }
    }

    async fn tell(&self, action: &str, body: Value) -> Result<Value, CounterError> {
        self.call(Method::POST, action, Some(body)).await
    }

    async fn call<T: serde::de::DeserializeOwned>(
        &self,
        method: Method,
        action: &str,
        body: Option<Value>,
    ) -> Result<T, CounterError> {
        let url = format!("{}/till/{}/{action}", self.base, self.till);
        let mut request = self.client.request(method, url).header(ORIGIN, &self.base);
        let cookie = self.cookie.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(cookie) = cookie {
            request = request.header(COOKIE, cookie);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response =
            request.header("accept", "application/json").send().await.map_err(CounterError::Gone)?;
        let set = response.headers().get(SET_COOKIE).and_then(|value| value.to_str().ok());
        if let Some(pair) = set.and_then(|value| value.split(';').next()) {
            *self.cookie.lock().unwrap_or_else(PoisonError::into_inner) = Some(pair.to_owned());
        }
        let status = response.status();
        let body = response.text().await.map_err(CounterError::Gone)?;
        read_answer(status, &body)
    }
}

/// Pure: what status and body mean. `data` is what was asked for; a state comes bare.
fn read_answer<T: serde::de::DeserializeOwned>(status: StatusCode, body: &str) -> Result<T, CounterError> {
    let strange = || CounterError::Strange { status, body: body.chars().take(400).collect() };
    let value: Value = serde_json::from_str(body).map_err(|_| strange())?;
    if !status.is_success() {
        let word = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        return match (word("error"), word("message")) {
            (Some(code), Some(message)) => Err(CounterError::Refused { code, message }),
            _ => Err(strange()),
        };
    }
    let is_envelope = value.get("success").is_some();
    let data = if is_envelope { value.get("data").cloned().unwrap_or(Value::Null) } else { value };
    serde_json::from_value(data).map_err(|_| strange())
}
