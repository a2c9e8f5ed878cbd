//! Hashing passwords and PINs: argon2id with the library's defaults (19 MiB, two passes: OWASP's recommendation).

use std::{fmt, sync::Arc};

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

/// Why a hash could not be made.
#[derive(Debug, thiserror::Error)]
#[error("the password could not be hashed: {0}")]
pub struct HashError(String);

/// Hashes on threads of their own, a few at a time.
#[derive(Clone)]
pub struct Hasher(Arc<Semaphore>);

impl Default for Hasher {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Hasher")
    }
}

impl Hasher {
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
        let place = self.0.clone().acquire_owned().await.map_err(|error| HashError(error.to_string()))?;
        tokio::task::spawn_blocking(move || {
            let result = work();
            drop(place);
            result
        })
        .await
        .map_err(|error| HashError(error.to_string()))
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
        .map_err(|error| HashError(error.to_string()))
}

/// Whether `secret` fits `verifier`. A verifier that cannot be read fits nothing.
pub fn verify(secret: &str, verifier: &str) -> bool {
    PasswordHash::new(verifier)
        .is_ok_and(|verifier| Argon2::default().verify_password(secret.as_bytes(), &verifier).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

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
