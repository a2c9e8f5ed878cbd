//! Waiting for a condition with a deadline: the one way in which anything here waits.

use std::future::Future;
use std::time::{Duration, Instant};

/// How often a condition is looked at. Short against what is waited for, long against what looking costs.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A condition that did not come true in time.
#[derive(Debug, thiserror::Error)]
#[error("waited {waited:?} for {what}; the last look said: {last}")]
pub struct Overdue {
    /// What was waited for.
    pub what: String,
    /// How long.
    pub waited: Duration,
    /// What the last look found instead.
    pub last: String,
}

/// Looks until `look` answers `Ok`, and hands that back.
///
/// # Errors
/// [`Overdue`] with the last `Err` when `within` has passed. The condition is looked at once at the least.
pub async fn until<T, Look, Looking>(what: &str, within: Duration, mut look: Look) -> Result<T, Overdue>
where
    Look: FnMut() -> Looking,
    Looking: Future<Output = Result<T, String>>,
{
    let begun = Instant::now();
    loop {
        match look().await {
            Ok(found) => return Ok(found),
            Err(last) if begun.elapsed() >= within => {
                return Err(Overdue { what: what.to_owned(), waited: begun.elapsed(), last });
            }
            Err(_) => tokio::time::sleep(LOOK_EVERY).await,
        }
    }
}
