//! What is asked about patients' keys, over the one HTTPS exchange of this box ([`crate::centre`]).

use http::StatusCode;
use pestle_domain::{
    ids::PersonId,
    personal::{
        PersonKey,
        custody::{Custody, DEPOSIT_PATH, Deposit, Held, LEASES_PATH, Leases, Lent, PERSONS_MAX, lease_path},
    },
};
use serde::{Serialize, de::DeserializeOwned};

use crate::centre::{Centre, ExchangeError};

/// Largest answer: 200 words of 100 bytes, far below this.
const ANSWER_BYTES_MAX: usize = 128 * 1024;
/// What is asked about, in errors.
const ABOUT: &str = "patients' keys";

/// Why the centre gave no answer that can be used.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// It does not lend that key to this branch.
    #[error("the centre does not lend this key")]
    NotLent,
    /// No answer, or none that can be used.
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
}

impl Centre {
    /// Deposits keys; a word for each of the first [`PERSONS_MAX`].
    ///
    /// # Errors
    /// [`AskError`]; then nobody knows, and they are deposited again.
    pub async fn deposit(&self, keys: &[PersonKey]) -> Result<Vec<Custody>, AskError> {
        let keys = keys.iter().take(PERSONS_MAX).cloned().collect();
        self.ask_keys(DEPOSIT_PATH, &Deposit { keys }).await
    }

    /// Asks how leases stand; a word for each of the first [`PERSONS_MAX`].
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn ask(&self, held: &[Held]) -> Result<Vec<Custody>, AskError> {
        let held = held.iter().take(PERSONS_MAX).copied().collect();
        self.ask_keys(LEASES_PATH, &Leases { held }).await
    }

    /// Fetches the key of a person.
    ///
    /// # Errors
    /// [`AskError::NotLent`] where this branch may not have it or nobody may; [`AskError`].
    pub async fn fetch(&self, person: PersonId) -> Result<Lent, AskError> {
        let lent: Lent = match self.ask_keys(&lease_path(person), &serde_json::json!({})).await {
            Err(AskError::Exchange(ExchangeError::Status { status: StatusCode::NOT_FOUND, .. })) => {
                return Err(AskError::NotLent);
            }
            other => other?,
        };
        if lent.key.person == person { Ok(lent) } else { Err(ExchangeError::Unreadable(ABOUT).into()) }
    }

    async fn ask_keys<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, AskError> {
        Ok(self.post(ABOUT, path, body, ANSWER_BYTES_MAX).await?)
    }
}
