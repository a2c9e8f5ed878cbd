//! The centre's REST interface, as another system would use it.

use anyhow::{Context, bail};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::check::expected::Stock;
use crate::world::{ADMIN, World};

/// Lines asked for at once.
const PAGE_SIZE: u32 = 200;

/// A cash session as the centre has it. Amounts are in cents.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
pub struct Session {
    /// Which.
    pub id: String,
    /// `open`, `closed`, or `unknown`.
    pub state: String,
    /// Counted in at the start.
    pub float_minor: Option<i64>,
    /// Float and what moved since.
    pub expected_minor: Option<i64>,
    /// By the person who closed it.
    pub counted_minor: Option<i64>,
    /// Counted less expected.
    pub variance_minor: Option<i64>,
    /// What the branch itself expected at the closing.
    pub branch_expected_minor: Option<i64>,
    /// Sales.
    pub sales: u64,
}

/// Somebody who is signed in at the centre.
#[derive(Debug)]
pub struct Centre {
    client: reqwest::Client,
    base: String,
    token: String,
}

impl Centre {
    /// Signs in as the demo's administrator.
    ///
    /// # Errors
    /// When the gateway does not answer, or not as it should.
    pub async fn of(world: &World) -> anyhow::Result<Self> {
        let base = world.gateway.lock().await.url()?;
        let authority = world.branches.first().context("a world without branches")?.authority()?;
        Self::at(base, &authority).await
    }

    /// The same at an address, such as another program's; `authority` is the chain's certificate authority in PEM.
    ///
    /// # Errors
    /// When the gateway does not answer, or not as it should.
    pub async fn at(base: String, authority: &[u8]) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([reqwest::Certificate::from_pem(authority)?])
            .timeout(std::time::Duration::from_secs(20))
            .build()?;
        let answer = client
            .post(format!("{base}/api/v1/auth/login"))
            .json(&json!({ "login": ADMIN.0, "password": ADMIN.1 }))
            .send()
            .await?;
        let status = answer.status();
        let body: Value = answer.json().await.context("the answer to the login is no JSON")?;
        let token = body.pointer("/data/token").and_then(Value::as_str);
        let token = token.with_context(|| format!("login: {status} {body}"))?.to_owned();
        Ok(Self { client, base, token })
    }

    /// Branches whose box is online.
    ///
    /// # Errors
    /// When the gateway does not answer, or not as it should.
    pub async fn online_branches(&self) -> anyhow::Result<Vec<String>> {
        let devices: Vec<Value> = self.all("devices", &[]).await?;
        let online = devices.iter().filter(|device| device["online"] == true);
        Ok(online.filter_map(|device| device["branch_id"].as_str()).map(str::to_owned).collect())
    }

    /// Packs by article and lot.
    ///
    /// # Errors
    /// When the gateway does not answer, or not as it should.
    pub async fn stock(&self, branch: &str) -> anyhow::Result<Stock> {
        let lines: Vec<Value> = self.all("stock", &[("branch", branch)]).await?;
        let mut stock = Stock::new();
        for line in &lines {
            let id = line["product"].as_str().context("a stock line without article")?;
            let lot = line["lot"].as_str().unwrap_or_default();
            *stock.entry((id.to_owned(), lot.to_owned())).or_default() +=
                line["quantity"].as_i64().context("a stock line without quantity")?;
        }
        Ok(stock)
    }

    /// Receipt numbers with what each came to, in cents.
    ///
    /// # Errors
    /// When the gateway does not answer, or not as it should.
    pub async fn sales(&self, branch: &str) -> anyhow::Result<Vec<(String, i64)>> {
        let sales: Vec<Value> = self.all("sales", &[("branch", branch)]).await?;
        sales
            .iter()
            .map(|sale| {
                let receipt = sale["receipt"].as_str().context("a sale without receipt")?;
                Ok((receipt.to_owned(), sale["total_minor"].as_i64().context("a sale without total")?))
            })
            .collect()
    }

    /// The cash sessions of a branch: open ones first, then the latest.
    ///
    /// # Errors
    /// When the gateway does not answer, or not as it should.
    pub async fn sessions(&self, branch: &str) -> anyhow::Result<Vec<Session>> {
        self.all(&format!("branches/{branch}/tills"), &[]).await
    }

    /// Has an order written; the same again is the same order.
    ///
    /// # Errors
    /// When the gateway does not answer, or refuses it.
    pub async fn order(&self, kind: &str, body: &Value) -> anyhow::Result<()> {
        let url = format!("{}/api/v1/orders/{kind}", self.base);
        let answer = self.client.post(url).bearer_auth(&self.token).json(body).send().await?;
        let status = answer.status();
        if !status.is_success() {
            bail!("{kind}: {status} {}", answer.text().await.unwrap_or_default());
        }
        Ok(())
    }

    /// What a branch has made of an order: `waiting`, `applied`, `refused` or `contained`.
    ///
    /// # Errors
    /// When the gateway does not answer, or does not know the order in that branch.
    pub async fn order_state(&self, order: uuid::Uuid, branch: &str) -> anyhow::Result<String> {
        let url = format!("{}/api/v1/orders/{order}", self.base);
        let body: Value = self.client.get(url).bearer_auth(&self.token).send().await?.json().await?;
        let branches = body.pointer("/data/branches").and_then(Value::as_array);
        let found = branches.into_iter().flatten().find(|one| one["branch"] == branch);
        let state =
            found.and_then(|one| one["state"].as_str()).with_context(|| format!("the order: {body}"))?;
        Ok(state.to_owned())
    }

    /// The boxes that asked what to do about a contradiction, the latest first.
    ///
    /// # Errors
    /// When the gateway does not answer, or not as it should.
    pub async fn appeals(&self) -> anyhow::Result<Vec<Value>> {
        self.all("appeals", &[]).await
    }

    /// Decides on a box that asks, `go_on` or `own_name`: what was decided, and what is to be done.
    ///
    /// # Errors
    /// When the gateway does not answer, or refuses it.
    pub async fn rule(&self, appeal: &str, choice: &str) -> anyhow::Result<Value> {
        let url = format!("{}/api/v1/appeals/{appeal}/ruling", self.base);
        let body = json!({ "choice": choice });
        let answer = self.client.post(url).bearer_auth(&self.token).json(&body).send().await?;
        let status = answer.status();
        let mut body: Value = answer.json().await.context("the answer to a ruling is no JSON")?;
        if !status.is_success() {
            bail!("the ruling: {status} {body}");
        }
        Ok(body["data"].take())
    }

    /// A patient: the status and the whole answer.
    ///
    /// # Errors
    /// When the gateway does not answer, or not as it should.
    pub async fn patient(&self, person: &str) -> anyhow::Result<(u16, Value)> {
        let url = format!("{}/api/v1/patients/{person}", self.base);
        let answer = self.client.get(url).bearer_auth(&self.token).send().await?;
        Ok((answer.status().as_u16(), answer.json().await.context("the answer about a patient is no JSON")?))
    }

    /// Erases a patient who asked for it: the status.
    ///
    /// # Errors
    /// When the gateway does not answer.
    pub async fn erase_patient(&self, person: &str) -> anyhow::Result<u16> {
        let url = format!("{}/api/v1/patients/{person}/erase", self.base);
        let answer =
            self.client.post(url).bearer_auth(&self.token).json(&json!({ "why": "asked" })).send().await?;
        Ok(answer.status().as_u16())
    }

    /// All pages of a list.
    async fn all<T: DeserializeOwned>(&self, what: &str, filter: &[(&str, &str)]) -> anyhow::Result<Vec<T>> {
        let mut found = Vec::new();
        for page in 1_u32.. {
            let mut url = reqwest::Url::parse(&format!("{}/api/v1/{what}", self.base))?;
            url.query_pairs_mut()
                .extend_pairs(filter)
                .append_pair("page", &page.to_string())
                .append_pair("page_size", &PAGE_SIZE.to_string());
            let answer = self.client.get(url).bearer_auth(&self.token).send().await?;
            let status = answer.status();
            let body: Value = answer.json().await.with_context(|| format!("{what}: {status}, no JSON"))?;
            if !status.is_success() {
                bail!("{what}: {status} {}", body["message"].as_str().unwrap_or_default());
            }
            let list: Vec<T> =
                serde_json::from_value(body["data"].clone()).with_context(|| what.to_owned())?;
            found.extend(list);
            if body.pointer("/meta/has_next") != Some(&Value::Bool(true)) {
                break;
            }
        }
        Ok(found)
    }
}
