//! Answers to "how many has this branch of that article", kept as the bytes that are sent.
//!
//! An entry is forgotten right after the commit that changes it. A reader that asked the database before such a
//! commit must not put its old answer back after it: [`StockCache::epoch`] tells.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::http::HeaderValue;
use bytes::Bytes;
use pestle_domain::{
    ids::{BranchId, ProductId, TenantId},
    signature::Hash,
};

/// What a chain of a thousand branches asks for in a minute, at some 300 bytes each.
const ENTRIES_MAX: u64 = 200_000;
/// How long an answer is believed when another gateway process may have committed a change, or the catalogue a name.
const LIFE: Duration = Duration::from_secs(5);

/// An answer, ready to be sent.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The envelope as JSON.
    pub body: Bytes,
    /// Strong: the first 16 hexadecimal digits of its SHA-256.
    pub etag: HeaderValue,
}

impl Answer {
    /// From the bytes of the body.
    pub fn new(body: Bytes) -> Self {
        let text = format!("\"{}\"", &Hash::of(&body).to_string()[..16]);
        // Hexadecimal digits and quotes are always a header's value.
        let etag = HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("\"\""));
        Self { body, etag }
    }
}

/// See the module.
#[derive(Debug, Clone)]
pub struct StockCache {
    entries: moka::future::Cache<Box<str>, Arc<Answer>>,
    epoch: Arc<AtomicU64>,
}

impl Default for StockCache {
    fn default() -> Self {
        let entries = moka::future::Cache::builder().max_capacity(ENTRIES_MAX).time_to_live(LIFE).build();
        Self { entries, epoch: Arc::default() }
    }
}

fn key(tenant: &str, branch: &str, product: &str) -> Box<str> {
    // Slugs hold no slash.
    let mut key = String::with_capacity(tenant.len() + branch.len() + product.len() + 2);
    for part in [tenant, "/", branch, "/", product] {
        key.push_str(part);
    }
    key.into_boxed_str()
}

impl StockCache {
    /// What is kept.
    pub async fn get(
        &self,
        tenant: &TenantId,
        branch: &BranchId,
        product: &ProductId,
    ) -> Option<Arc<Answer>> {
        self.entries.get(&key(tenant.as_str(), branch.as_str(), product.as_str())).await
    }

    /// To be asked before reading the database, and given to [`StockCache::keep`].
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::SeqCst)
    }

    /// Keeps an answer, unless something was forgotten since `epoch`.
    pub async fn keep(
        &self,
        epoch: u64,
        (tenant, branch, product): (&TenantId, &BranchId, &ProductId),
        answer: Arc<Answer>,
    ) {
        let key = key(tenant.as_str(), branch.as_str(), product.as_str());
        self.entries.insert(key.clone(), answer).await;
        // Looked at after the insertion: a change before is seen here, one after forgets the entry by itself.
        if self.epoch() != epoch {
            self.entries.invalidate(&key).await;
        }
    }

    /// Forgets what a commit has changed, by branch and article; called right after it.
    pub async fn forget(&self, tenant: &TenantId, changed: &BTreeSet<(String, String)>) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
        for (branch, product) in changed {
            self.entries.invalidate(&key(tenant.as_str(), branch, product)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_answer_read_before_a_change_is_not_kept_after_it() {
        let cache = StockCache::default();
        let ids: (TenantId, BranchId, ProductId) =
            ("acme".parse().unwrap(), "north".parse().unwrap(), "p-1".parse().unwrap());
        let answer = || Arc::new(Answer::new(Bytes::from_static(b"{}")));
        let epoch = cache.epoch();
        cache.keep(epoch, (&ids.0, &ids.1, &ids.2), answer()).await;
        assert!(cache.get(&ids.0, &ids.1, &ids.2).await.is_some());

        let epoch = cache.epoch();
        cache.forget(&ids.0, &BTreeSet::from([("north".to_owned(), "p-1".to_owned())])).await;
        assert!(cache.get(&ids.0, &ids.1, &ids.2).await.is_none());
        cache.keep(epoch, (&ids.0, &ids.1, &ids.2), answer()).await;
        assert!(cache.get(&ids.0, &ids.1, &ids.2).await.is_none());
    }
}
