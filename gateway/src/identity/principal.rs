//! Who asks: the extractor that handlers take.

use std::sync::Arc;

use axum::{
    extract::FromRequestParts,
    http::{header, request::Parts},
};
use pestle_domain::{ids::TenantId, staff::Role};
use uuid::Uuid;

use super::token::Claims;
use crate::{app::App, http::error::ApiError};

/// The console's cookie. The prefix makes browsers insist on TLS, this host and the whole path (RFC 6265bis, 4.1.3.2).
pub const COOKIE: &str = "__Host-pestle";

/// Those who work at a counter: they look up stock and sales.
pub const AT_COUNTERS: &[Role] = &[Role::Assistant, Role::Technician, Role::Pharmacist, Role::Manager];
/// Those who look after boxes, and a branch's manager.
pub const AT_BOXES: &[Role] = &[Role::Manager, Role::FieldTech, Role::CentralIt];

/// Somebody who is signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The user.
    pub user: Uuid,
    /// Of which chain.
    pub tenant: TenantId,
    /// What they are.
    pub role: Role,
    /// As pages greet them.
    pub name: String,
    /// Names the token that they came with.
    pub token_id: Uuid,
    /// The token's end, seconds since 1970.
    pub until: i64,
}

impl Principal {
    /// Whether they may know what a drawer that is still open should hold: whoever counts it must not (blind count).
    pub fn may_know_expected(&self) -> bool {
        matches!(self.role, Role::Manager | Role::Admin)
    }

    /// Refuses everybody whose role is not in `roles`. An admin may do everything.
    ///
    /// # Errors
    /// AUTHORIZATION, naming the roles that may.
    pub fn require(&self, roles: &[Role]) -> Result<(), ApiError> {
        if self.role == Role::Admin || roles.contains(&self.role) {
            return Ok(());
        }
        let names: Vec<&str> = roles.iter().chain([&Role::Admin]).map(|role| role.as_str()).collect();
        Err(ApiError::authorization(format!(
            "your role ({}) may not do this: ask somebody who is {}",
            self.role.as_str(),
            names.join(" or ")
        )))
    }
}

impl From<Claims> for Principal {
    fn from(claims: Claims) -> Self {
        Self {
            user: claims.sub,
            tenant: claims.tenant,
            role: claims.role,
            name: claims.name,
            token_id: claims.jti,
            until: claims.exp,
        }
    }
}

impl FromRequestParts<Arc<App>> for Principal {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let token = token_of(parts).ok_or_else(|| ApiError::authentication("sign in first"))?;
        let claims =
            app.identity.tokens.read(token).map_err(|error| ApiError::authentication(error.to_string()))?;
        Ok(claims.into())
    }
}

/// For pages that also greet people who are not signed in: `Option<Principal>`.
impl axum::extract::OptionalFromRequestParts<Arc<App>> for Principal {
    type Rejection = std::convert::Infallible;
    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Option<Self>, Self::Rejection> {
        Ok(token_of(parts).and_then(|token| app.identity.tokens.read(token).ok()).map(Self::from))
    }
}

fn token_of(parts: &Parts) -> Option<&str> {
    let bearer = parts
        .headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim());
    bearer.or_else(|| {
        parts
            .headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|cookies| cookies.split(';'))
            .filter_map(|cookie| cookie.trim().split_once('='))
            .find_map(|(name, value)| (name == COOKIE).then_some(value))
    })
}
