//! Hashing passwords and PINs: argon2id with the library's defaults (19 MiB, two passes: OWASP's recommendation).

use std::{fmt, sync::Arc, time::Duration};

use argon2::{
    Argon2,
    password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash},
};
use tokio::sync::Semaphore;

/// Hashes at once. Each takes 19 MiB and a core.
const AT_ONCE: usize = 2;

/// A verifier that nobody's password fits: checked when a login does not exist, so that the answer takes as long.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Passwords that may wait their turn: a queue of a second or two. Beyond it, somebody floods us.
const WAITING_MAX: usize = 64;
/// How long one waits its turn at most.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// Why a hash could not be made.
#[derive(Debug, thiserror::Error)]
pub enum HashError {
    /// Too many at once. Trying again later helps.
    #[error("too many passwords are being checked just now")]
    Busy,
    /// It failed.
    #[error("the password could not be hashed: {0}")]
    Failed(String),
}

/// Hashes on threads of their own, a few at a time; the others wait, up to a bound.
#[derive(Clone)]
pub struct Hasher {
    working: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    wait_max: Duration,
}

impl Default for Hasher {
    fn default() -> Self {
        Self::new(WAITING_MAX, WAIT_MAX)
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Hasher")
    }
}

impl Hasher {
    fn new(waiting_max: usize, wait_max: Duration) -> Self {
        let semaphore = |places| Arc::new(Semaphore::new(places));
        Self { working: semaphore(AT_ONCE), waiting: semaphore(waiting_max), wait_max }
    }

    /// A verifier (PHC string) with a random salt.
    ///
    /// # Errors
    /// [`HashError`].
    pub async fn hash(&self, secret: String) -> Result<String, HashError> {
        self.run(move || hash(&secret)).await?
    }

    /// Whether `secret` fits `verifier`; `None` stands for a login that does not exist.
    ///
    /// # Errors
    /// [`HashError`].
    pub async fn verify(&self, secret: String, verifier: Option<String>) -> Result<bool, HashError> {
        self.run(move || {
            let known = verifier.is_some();
            verify(&secret, verifier.as_deref().unwrap_or(NOBODY)) && known
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, HashError> {
        let place = {
            let _turn = self.waiting.try_acquire().map_err(|_| HashError::Busy)?;
            let place = tokio::time::timeout(self.wait_max, self.working.clone().acquire_owned()).await;
            place.map_err(|_| HashError::Busy)?.map_err(|error| HashError::Failed(error.to_string()))?
        };
        tokio::task::spawn_blocking(move || {
            let result = work();
            drop(place);
            result
        })
        .await
        .map_err(|error| HashError::Failed(error.to_string()))
    }
}

/// A verifier (PHC string) with a random salt. Takes some 30 ms.
///
/// # Errors
/// [`HashError`].
pub fn hash(secret: &str) -> Result<String, HashError> {
    Argon2::default()
        .hash_password(secret.as_bytes())
        .map(|hash| hash.to_string())
        .map_err(|error| HashError::Failed(error.to_string()))
}

/// Whether `secret` fits `verifier`. A verifier that cannot be read fits nothing.
pub fn verify(secret: &str, verifier: &str) -> bool {
    PasswordHash::new(verifier)
        .is_ok_and(|verifier| Argon2::default().verify_password(secret.as_bytes(), &verifier).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_flood_of_passwords_is_turned_away_instead_of_queued_for_ever() {
        let verify = |hasher: &Hasher| {
            let hasher = hasher.clone();
            async move { hasher.verify("x".into(), None).await }
        };
        let hasher = Hasher::new(1, Duration::from_millis(20));
        let threads = hasher.working.clone().acquire_many_owned(2).await.unwrap();
        assert!(matches!(verify(&hasher).await, Err(HashError::Busy)), "nobody waits longer than that");
        let hasher = Hasher { wait_max: Duration::from_secs(600), ..hasher };
        let waits = tokio::spawn(verify(&hasher));
        while hasher.waiting.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert!(matches!(verify(&hasher).await, Err(HashError::Busy)), "the queue is full");
        drop(threads);
        assert!(matches!(waits.await.unwrap(), Ok(false)));
    }

    #[test]
    fn a_password_fits_its_own_verifier_and_no_other() {
        let verifier = hash("mortar-and-pestle").unwrap();
        assert!(verifier.starts_with("$argon2id$"));
        assert!(verify("mortar-and-pestle", &verifier));
        assert!(!verify("mortar-and-pestl", &verifier));
        assert!(!verify("", NOBODY));
        assert!(PasswordHash::new(NOBODY).is_ok());
    }
}
