//! Signing in and out.

use std::{sync::Arc, time::Duration};

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
    password::HashError,
    principal::{COOKIE, Principal},
    rules, store,
    token::{self, BadToken, Claims, LIFE},
};
use crate::{
    app::App,
    http::{
        envelope::Envelope,
        error::{ApiError, ErrorBody},
        extract::Body,
        peer::Peer,
    },
    limits,
};

/// The module's routes.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(login))
        .routes(routes!(logout))
        .routes(routes!(logout_everywhere))
        .routes(routes!(me))
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
    (status = 503, body = ErrorBody, description = "Too many people at once, or the database is away"),
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
    let there = (login.clone(), limits::network(peer.address.ip()));
    identity.per_network.take(there.1, now_ms).map_err(ApiError::rate_limited)?;
    identity.per_login_there.take(there.clone(), now_ms).map_err(ApiError::rate_limited)?;
    identity.per_login.take(login.clone(), now_ms).map_err(ApiError::rate_limited)?;
    let mut tx = app.db.system().begin().await?;
    let user = store::by_login(&mut tx, &login).await?;
    tx.commit().await?;
    let verifier = user.as_ref().map(|user| user.verifier.clone());
    let fits = identity.hasher.verify(password, verifier).await.map_err(|error| match error {
        HashError::Busy => ApiError::unavailable(
            "many people are signing in just now: try again in a few seconds",
            Duration::from_secs(5),
        ),
        failed @ HashError::Failed(_) => ApiError::internal("sign-in", &failed),
    })?;
    let Some(user) = user.filter(|_| fits) else {
        tracing::warn!(address = %peer.address.ip(), "a sign-in was refused");
        return Err(wrong());
    };
    identity.per_login_there.clear(&there);
    tracing::info!(user = %user.id, role = user.role.as_str(), "signed in");
    issue(app, user.id, &user.tenant, user.role, &user.name)
}

/// A fresh token for somebody whose token is half over, as they stand now; `None` while it is young and says what is
/// so. The console renews with it.
///
/// # Errors
/// AUTHENTICATION when they are disabled, or have a new password, or signed out everywhere; UNAVAILABLE; INTERNAL.
pub async fn renew(app: &App, principal: &Principal) -> Result<Option<String>, ApiError> {
    let now = standing(app, principal).await?;
    let left = principal.until - app.now().unix_timestamp();
    if left > LIFE.as_secs().cast_signed() / 2 && now.role == principal.role && now.name == principal.name {
        return Ok(None);
    }
    issue(app, principal.user, &principal.tenant, now.role, &now.name).map(|(token, _)| Some(token))
}

/// How somebody stands now, by the database.
///
/// # Errors
/// AUTHENTICATION when their token counts no longer, though it is not over yet; UNAVAILABLE.
pub async fn standing(app: &App, principal: &Principal) -> Result<store::Standing, ApiError> {
    let over = || ApiError::authentication(BadToken::Over.to_string());
    if app.identity.tokens.is_ended(principal.token_id) || principal.until <= app.now().unix_timestamp() {
        return Err(over());
    }
    let mut tx = app.db.tenant(&principal.tenant).begin().await?;
    let standing = store::standing(&mut tx, principal.user).await?;
    tx.commit().await?;
    let made_at_ms = token::made_at_ms(principal.token_id);
    standing.filter(|standing| rules::still_stands(made_at_ms, standing.valid_from)).ok_or_else(over)
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

/// Signs out everywhere: no sign-in of this user from before is renewed. One elsewhere ends within the hour at the
/// latest, the console's at once.
#[utoipa::path(post, path = "/api/v1/auth/logout-everywhere", tag = "identity", responses(
    (status = 200, body = Envelope<bool>, description = "Signed out everywhere"),
    (status = 401, body = ErrorBody, description = "Nobody was signed in"),
))]
async fn logout_everywhere(State(app): State<Arc<App>>, principal: Principal) -> Result<Response, ApiError> {
    let mut tx = app.db.tenant(&principal.tenant).begin().await?;
    store::end_all(&mut tx, principal.user, app.now()).await?;
    tx.commit().await?;
    app.identity.tokens.end(principal.token_id).await;
    tracing::info!(user = %principal.user, "signed out everywhere");
    Ok(([(header::SET_COOKIE, no_cookie())], Envelope::saying(true, "signed out everywhere")).into_response())
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
