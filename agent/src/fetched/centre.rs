//! Asking the centre for a page of facts.

use std::time::Duration;

use http::StatusCode;
use pestle_domain::wire::facts::{Asked, FACTS_PATH, PAGE_BYTES_MAX};

use crate::centre::{Centre, Exchange, ExchangeError};

/// A page of half a megabyte takes 17 s over 256 kbit/s; its header comes to it.
const EXCHANGE: Exchange = Exchange {
    about: "earlier facts",
    answer_bytes_max: PAGE_BYTES_MAX + 64 * 1024,
    whole_max: Duration::from_secs(60),
};

/// Asks for a page; `None` where the centre has nothing of that life of the store.
///
/// # Errors
/// [`ExchangeError`].
pub async fn ask(centre: &Centre, asked: &Asked) -> Result<Option<Vec<u8>>, ExchangeError> {
    match centre.post_for_bytes(EXCHANGE, FACTS_PATH, asked).await {
        Ok(page) => Ok(Some(page.to_vec())),
        Err(ExchangeError::Status { status: StatusCode::NOT_FOUND, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
