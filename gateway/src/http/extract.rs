//! Extractors whose errors have our shape and say which field is wrong.

use axum::{
    Json,
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Path, Query, Request, rejection::JsonRejection},
    http::request::Parts,
};
use serde::de::DeserializeOwned;

use super::error::ApiError;

/// A JSON body.
#[derive(Debug)]
pub struct Body<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = ApiError;
    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let request = Request::from_parts(parts.clone(), body);
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(|bad| ApiError::validation(format!("the body cannot be used: {}", bad.body_text())))?;
        if has_escaped_nul(&bytes) {
            return Err(ApiError::validation(
                "the body has the character NUL (\\u0000) in a text: leave it out",
            ));
        }
        match Json::from_request(Request::from_parts(parts, bytes.into()), state).await {
            Ok(Json(value)) => Ok(Self(value)),
            Err(JsonRejection::MissingJsonContentType(_)) => {
                Err(ApiError::validation("send JSON with the header content-type: application/json"))
            }
            Err(other) => {
                Err(ApiError::validation(format!("the body cannot be used: {}", other.body_text())))
            }
        }
    }
}

/// Whether a JSON text has NUL in a string: no text of the database can hold one.
fn has_escaped_nul(json: &[u8]) -> bool {
    let mut rest = json;
    while let Some(at) = rest.iter().position(|byte| *byte == b'\\') {
        if rest[at..].starts_with(b"\\u0000") {
            return true;
        }
        // Of two backslashes the second escapes nothing.
        rest = rest.get(at + 2..).unwrap_or_default();
    }
    false
}

/// The query string.
#[derive(Debug)]
pub struct Params<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        if parts.uri.query().is_some_and(|query| query.contains("%00")) {
            return Err(ApiError::validation("the query has the character NUL (%00) in it: leave it out"));
        }
        match Query::from_request_parts(parts, state).await {
            Ok(Query(value)) => Ok(Self(value)),
            Err(bad) => Err(ApiError::validation(format!("the query cannot be used: {}", bad.body_text()))),
        }
    }
}

/// A part of the path, parsed. What does not parse names nothing: 404.
#[derive(Debug)]
pub struct Named<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Named<T> {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(value)) => Ok(Self(value)),
            Err(bad) => {
                Err(ApiError::not_found(format!("there is nothing of that name: {}", bad.body_text())))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_escaped_nul_is_seen_and_a_backslash_before_u0000_is_none() {
        for (json, expected) in [
            (r#"{"a":"x\u0000"}"#, true),
            (r#"{"a":"\\\u0000"}"#, true),
            (r#"{"a":"\\u0000"}"#, false),
            (r#"{"a":"\u00001"}"#, true),
            (r#"{"a":"\n\u0001 u0000"}"#, false),
            ("\\", false),
        ] {
            assert_eq!(has_escaped_nul(json.as_bytes()), expected, "{json}");
        }
    }
}
