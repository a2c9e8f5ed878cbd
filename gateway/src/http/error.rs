//! The shape of every error, and which status each code has.

use std::{borrow::Cow, time::Duration};

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use pestle_domain::causes::with_causes;
use serde::Serialize;
use utoipa::ToSchema;

use crate::db::DbError;

/// What kind of error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ErrorCode {
    /// The request says something that cannot be meant.
    Validation,
    /// Nobody signed in.
    Authentication,
    /// Signed in, but not allowed to.
    Authorization,
    /// It is not there.
    NotFound,
    /// It is there already.
    Duplicate,
    /// Not in this state.
    Conflict,
    /// Too often.
    RateLimited,
    /// Not now.
    Unavailable,
    /// A fault of ours.
    Internal,
}

impl ErrorCode {
    /// The HTTP status.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Validation => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Authentication => StatusCode::UNAUTHORIZED,
            Self::Authorization => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Duplicate | Self::Conflict => StatusCode::CONFLICT,
            Self::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// An error on its way out. The body is made by [`super::answer`], which knows the request's number.
#[derive(Debug, Clone)]
pub struct ApiError {
    /// What kind.
    pub code: ErrorCode,
    /// What happened and what to do next.
    pub message: Cow<'static, str>,
    /// For programs; `null` if there is nothing to add.
    pub details: serde_json::Value,
    /// When trying again makes sense.
    pub retry_after: Option<Duration>,
}

impl ApiError {
    /// An error of that kind.
    pub fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), details: serde_json::Value::Null, retry_after: None }
    }
    /// 422.
    pub fn validation(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::Validation, message)
    }
    /// 401.
    pub fn authentication(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::Authentication, message)
    }
    /// 403.
    pub fn authorization(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::Authorization, message)
    }
    /// 404.
    pub fn not_found(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::NotFound, message)
    }
    /// 409, it is there already.
    pub fn duplicate(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::Duplicate, message)
    }
    /// 409, not in this state.
    pub fn conflict(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::Conflict, message)
    }
    /// 429.
    pub fn rate_limited(wait: Duration) -> Self {
        let seconds = wait.as_secs().max(1);
        let mut error =
            Self::new(ErrorCode::RateLimited, format!("too many tries: wait {seconds} s and try again"));
        error.retry_after = Some(wait);
        error
    }
    /// 503, for something that passes by itself.
    pub fn unavailable(message: impl Into<Cow<'static, str>>, wait: Duration) -> Self {
        let mut error = Self::new(ErrorCode::Unavailable, message);
        error.retry_after = Some(wait);
        error
    }
    /// 500, for a fault of ours that was logged with `what`.
    pub fn internal(what: &str, error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(what, error = %with_causes(error), "a request failed");
        Self::new(
            ErrorCode::Internal,
            "something went wrong at the centre: try again, and if it stays report the request number",
        )
    }
    /// Adds something for programs.
    #[must_use]
    pub fn with_details(mut self, details: serde_json::Value) -> Self {
        self.details = details;
        self
    }
}

impl From<DbError> for ApiError {
    fn from(error: DbError) -> Self {
        if error.is_away() {
            tracing::warn!(error = %with_causes(&error), "the database is away");
            let message = "the centre's database cannot be reached just now: nothing was changed, try again in a few seconds";
            let mut away = Self::new(ErrorCode::Unavailable, message);
            away.retry_after = Some(Duration::from_secs(2));
            return away;
        }
        Self::internal("database", &error)
    }
}

impl From<sqlx::Error> for ApiError {
    fn from(error: sqlx::Error) -> Self {
        DbError::from(error).into()
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.code.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// The body of an error.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorBody {
    /// Always false.
    pub success: bool,
    /// What kind.
    pub error: ErrorCode,
    /// What happened and what to do next.
    pub message: String,
    /// As in the status line.
    pub status_code: u16,
    /// To find this request in the log.
    pub request_id: String,
    /// For programs.
    pub details: serde_json::Value,
}
