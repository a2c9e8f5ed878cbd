//! Signing in and out.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use pestle_domain::staff::Role;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    principal::{COOKIE, Principal},
    rules, store,
    token::{Claims, LIFE},
};
use crate::{
    app::App,
    http::{
        envelope::Envelope,
        error::{ApiError, ErrorBody},
        extract::Body,
        peer::Peer,
    },
};

/// The module's routes.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(login)).routes(routes!(logout)).routes(routes!(me))
}

/// Who wants to sign in.
#[derive(Deserialize, ToSchema)]
pub struct LoginRequest {
    /// As it was given out.
    pub login: String,
    /// The password.
    pub password: String,
}

impl std::fmt::Debug for LoginRequest {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("LoginRequest")
    }
}

/// Who is signed in.
#[derive(Debug, Serialize, ToSchema)]
pub struct Account {
    /// The user.
    #[schema(value_type = String, format = "uuid")]
    pub user_id: Uuid,
    /// Of which chain.
    pub tenant_id: String,
    /// As pages greet them.
    pub name: String,
    /// One of assistant, technician, pharmacist, manager, field_tech, central_it, admin.
    pub role: &'static str,
    /// The sign-in's end, seconds since 1970.
    pub expires_at: i64,
}

/// A successful sign-in.
#[derive(Debug, Serialize, ToSchema)]
pub struct Session {
    /// For `Authorization: Bearer`; the console's cookie holds the same.
    pub token: String,
    /// Who.
    pub account: Account,
}

impl From<&Claims> for Account {
    fn from(claims: &Claims) -> Self {
        Self {
            user_id: claims.sub,
            tenant_id: claims.tenant.to_string(),
            name: claims.name.clone(),
            role: claims.role.as_str(),
            expires_at: claims.exp,
        }
    }
}

/// Signs in. A token lasts an hour.
#[utoipa::path(post, path = "/api/v1/auth/login", tag = "identity", request_body = LoginRequest, responses(
    (status = 200, body = Envelope<Session>, description = "Signed in; the cookie for the console is set as well"),
    (status = 401, body = ErrorBody, description = "Login or password is wrong"),
    (status = 429, body = ErrorBody, description = "Too many tries"),
))]
async fn login(
    State(app): State<Arc<App>>,
    peer: Peer,
    Body(request): Body<LoginRequest>,
) -> Result<Response, ApiError> {
    let (token, claims) = sign_in(&app, &peer, &request.login, request.password).await?;
    let cookie = cookie(&token)?;
    let account = Account::from(&claims);
    Ok(([(header::SET_COOKIE, cookie)], Envelope::saying(Session { token, account }, "signed in"))
        .into_response())
}

/// Checks login and password and makes a token; what the page of the console calls too.
///
/// # Errors
/// RATE_LIMITED, AUTHENTICATION or UNAVAILABLE.
pub async fn sign_in(
    app: &App,
    peer: &Peer,
    login: &str,
    password: String,
) -> Result<(String, Claims), ApiError> {
    let wrong = || ApiError::authentication("login or password is wrong: type both again");
    let login = rules::login(login).map_err(|_| wrong())?;
    if password.len() > 4 * rules::PASSWORD_LENGTH_MAX {
        return Err(wrong());
    }
    let identity = &app.identity;
    let now_ms = app.monotonic_ms();
    identity.per_address.take(peer.address.ip(), now_ms).map_err(ApiError::rate_limited)?;
    identity.per_login.take(login.clone(), now_ms).map_err(ApiError::rate_limited)?;
    let mut tx = app.db.system().begin().await?;
    let user = store::by_login(&mut tx, &login).await?;
    tx.commit().await?;
    let verifier = user.as_ref().map(|user| user.verifier.clone());
    let fits = identity
        .hasher
        .verify(password, verifier)
        .await
        .map_err(|error| ApiError::internal("sign-in", &error))?;
    let Some(user) = user.filter(|_| fits) else {
        tracing::warn!(address = %peer.address.ip(), "a sign-in was refused");
        return Err(wrong());
    };
    identity.per_login.clear(&login);
    tracing::info!(user = %user.id, role = user.role.as_str(), "signed in");
    issue(app, user.id, &user.tenant, user.role, &user.name)
}

/// A fresh token for somebody whose token is half over; `None` while it is young. The console renews with it.
///
/// # Errors
/// INTERNAL.
pub fn renew(app: &App, principal: &Principal) -> Result<Option<String>, ApiError> {
    let left = principal.until - app.now().unix_timestamp();
    if left > LIFE.as_secs().cast_signed() / 2 {
        return Ok(None);
    }
    issue(app, principal.user, &principal.tenant, principal.role, &principal.name)
        .map(|(token, _)| Some(token))
}

fn issue(
    app: &App,
    user: Uuid,
    tenant: &pestle_domain::ids::TenantId,
    role: Role,
    name: &str,
) -> Result<(String, Claims), ApiError> {
    let now: OffsetDateTime = app.now();
    app.identity
        .tokens
        .issue(user, tenant, role, name, now)
        .map_err(|error| ApiError::internal("token", &error))
}

/// Signs out.
#[utoipa::path(post, path = "/api/v1/auth/logout", tag = "identity", responses(
    (status = 200, body = Envelope<bool>, description = "Signed out; the token is of no use any more"),
    (status = 401, body = ErrorBody, description = "Nobody was signed in"),
))]
async fn logout(State(app): State<Arc<App>>, principal: Principal) -> Result<Response, ApiError> {
    app.identity.tokens.end(principal.token_id).await;
    Ok(([(header::SET_COOKIE, no_cookie())], Envelope::saying(true, "signed out")).into_response())
}

/// Says who is signed in.
#[utoipa::path(get, path = "/api/v1/auth/me", tag = "identity", responses(
    (status = 200, body = Envelope<Account>),
    (status = 401, body = ErrorBody, description = "Nobody is signed in"),
))]
async fn me(principal: Principal) -> Envelope<Account> {
    Envelope::new(Account {
        user_id: principal.user,
        tenant_id: principal.tenant.to_string(),
        role: principal.role.as_str(),
        expires_at: principal.until,
        name: principal.name,
    })
}

/// `Set-Cookie` with a token. Strict: another site's links and forms never carry it.
///
/// # Errors
/// INTERNAL, never in practice: a token is ASCII.
pub fn cookie(token: &str) -> Result<HeaderValue, ApiError> {
    let text =
        format!("{COOKIE}={token}; Path=/; Max-Age={}; Secure; HttpOnly; SameSite=Strict", LIFE.as_secs());
    HeaderValue::from_str(&text).map_err(|error| ApiError::internal("cookie", &error))
}

/// `Set-Cookie` that takes it away.
pub fn no_cookie() -> HeaderValue {
    HeaderValue::from_static("__Host-pestle=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Strict")
}
