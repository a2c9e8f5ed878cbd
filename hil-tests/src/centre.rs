//! The centre's REST interface, as another system would use it.

use anyhow::{Context, bail};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::check::expected::Stock;
use crate::world::{ADMIN, World};

/// Lines asked for at once.
const PAGE_SIZE: u32 = 200;

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
        let client = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([reqwest::Certificate::from_pem(&authority)?])
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

    /// Packs by article, over all lots.
    ///
    /// # Errors
    /// When the gateway does not answer, or not as it should.
    pub async fn stock(&self, branch: &str) -> anyhow::Result<Stock> {
        let lines: Vec<Value> = self.all("stock", &[("branch", branch)]).await?;
        let mut stock = Stock::new();
        for line in &lines {
            let id = line["product"].as_str().context("a stock line without article")?;
            *stock.entry(id.to_owned()).or_default() +=
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

    /// What all tills of a branch took from sales, in cents.
    ///
    /// # Errors
    /// When the gateway does not answer, or not as it should.
    pub async fn takings_cents(&self, branch: &str) -> anyhow::Result<i64> {
        let sessions: Vec<Value> = self.all(&format!("branches/{branch}/tills"), &[]).await?;
        let taken = sessions.iter().map(|session| {
            let cents =
                |name: &str| session[name].as_i64().with_context(|| format!("a session without {name}"));
            Ok(cents("expected_minor")? - cents("float_minor")?)
        });
        taken.sum()
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
