//! Sign-in, the page, and the stream that keeps it live.

use std::{convert::Infallible, sync::Arc, time::Duration};

use askama::Template;
use axum::{
    Form,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{
        Html, IntoResponse, Redirect, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures::stream::{self, Stream};
use pestle_domain::{causes::with_causes, signature::Hash};
use serde::Deserialize;
use tokio::{
    sync::broadcast::error::RecvError,
    time::{Instant, sleep_until, timeout_at},
};

use super::{
    CONTENT_POLICY,
    parts::{self, Asked, Parts, PartsError},
};
use crate::{
    app::App,
    http::{
        error::{ApiError, ErrorCode},
        extract::Params,
        peer::Peer,
    },
    identity::{Principal, api as identity},
    ingest::live::Changed,
};

/// Shortest time between two looks at the database for one viewer: under load a page moves twice a second.
const PACE: Duration = Duration::from_millis(500);
/// Longest time between two looks: ages on the page grow, and another gateway may have committed.
const LOOK_AT_LEAST: Duration = Duration::from_secs(10);

/// What a viewer looks for, in the query.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Question {
    q: String,
    branch: String,
}

impl From<Question> for Asked {
    fn from(question: Question) -> Self {
        Self { search: question.q.chars().take(80).collect(), branch: question.branch }
    }
}

struct BranchOption {
    id: String,
    name: String,
}

#[derive(Template)]
#[template(path = "console/page.html")]
struct Page {
    tenant: String,
    user: String,
    query: String,
    chosen: String,
    branches: Vec<BranchOption>,
    summary: String,
    devices: String,
    sales: String,
    tills: String,
    stock: String,
    orders: String,
    alarms: String,
    appeals: String,
}

#[derive(Template)]
#[template(path = "console/sign_in.html")]
struct Door {
    login: String,
    message: String,
}

/// What became of a person's decision, on a page of its own.
#[derive(Template)]
#[template(path = "console/decided.html")]
pub(super) struct Decided {
    pub tone: &'static str,
    pub title: &'static str,
    pub message: String,
    /// What they type next, if anything.
    pub step: Option<String>,
    /// The console's heading where the question stands.
    pub back: &'static str,
}

pub(super) fn html(status: StatusCode, page: &impl Template) -> Response {
    let text = match page.render() {
        Ok(text) => text,
        Err(error) => return ApiError::internal("console", &error).into_response(),
    };
    let headers = [
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_POLICY)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    (status, headers, Html(text)).into_response()
}

impl From<PartsError> for ApiError {
    fn from(error: PartsError) -> Self {
        match error {
            PartsError::Db(error) => error.into(),
            render @ PartsError::Render(_) => Self::internal("console", &render),
        }
    }
}

/// The page, or the way to the sign-in.
///
/// # Errors
/// UNAVAILABLE or INTERNAL.
pub async fn page(
    State(app): State<Arc<App>>,
    principal: Option<Principal>,
    Params(question): Params<Question>,
) -> Result<Response, ApiError> {
    let Some(principal) = principal else { return Ok(Redirect::to("/console/sign-in").into_response()) };
    let renewed = match identity::renew(&app, &principal).await {
        Err(over) if over.code == ErrorCode::Authentication => {
            let away = ([(header::SET_COOKIE, identity::no_cookie())], Redirect::to("/console/sign-in"));
            return Ok(away.into_response());
        }
        renewed => renewed?,
    };
    let asked = Asked::from(question);
    let mut parts = parts::read(&app, &principal, &asked).await?;
    let branches = std::mem::take(&mut parts.branches);
    let page = Page {
        tenant: principal.tenant.to_string(),
        user: format!("{} · {}", principal.name, principal.role.as_str().replace('_', " ")),
        query: asked.search,
        chosen: asked.branch,
        branches: branches.into_iter().map(|(id, name)| BranchOption { id, name }).collect(),
        summary: parts.take("summary"),
        devices: parts.take("devices"),
        sales: parts.take("sales"),
        tills: parts.take("tills"),
        stock: parts.take("stock"),
        orders: parts.take("orders"),
        alarms: parts.take("alarms"),
        appeals: parts.take("appeals"),
    };
    let mut response = html(StatusCode::OK, &page);
    if let Some(token) = renewed {
        response.headers_mut().insert(header::SET_COOKIE, identity::cookie(&token)?);
    }
    Ok(response)
}

/// The sign-in form.
pub async fn door() -> Response {
    html(StatusCode::OK, &Door { login: String::new(), message: String::new() })
}

/// What the form sends.
#[derive(Deserialize)]
#[allow(missing_debug_implementations, reason = "it holds a password")]
pub struct Credentials {
    login: String,
    password: String,
}

/// Signs in: to the page with a cookie, or back to the form with what is wrong.
///
/// # Errors
/// INTERNAL; what a person can mend is said on the form.
pub async fn sign_in(
    State(app): State<Arc<App>>,
    peer: Peer,
    Form(form): Form<Credentials>,
) -> Result<Response, ApiError> {
    match identity::sign_in(&app, &peer, &form.login, form.password).await {
        Ok((token, _)) => {
            let cookie = identity::cookie(&token)?;
            Ok(([(header::SET_COOKIE, cookie)], Redirect::to("/console")).into_response())
        }
        Err(error)
            if matches!(
                error.code,
                ErrorCode::Authentication | ErrorCode::RateLimited | ErrorCode::Unavailable
            ) =>
        {
            let message = error.message.into_owned();
            let mut response = html(StatusCode::OK, &Door { login: form.login, message });
            *response.status_mut() = error.code.status();
            Ok(response)
        }
        Err(error) => Err(error),
    }
}

/// Signs out.
pub async fn sign_out(State(app): State<Arc<App>>, principal: Option<Principal>) -> Response {
    if let Some(principal) = principal {
        app.identity.tokens.end(principal.token_id).await;
    }
    ([(header::SET_COOKIE, identity::no_cookie())], Redirect::to("/console/sign-in")).into_response()
}

/// The parts of the page, each again whenever it reads differently. Ends with the sign-in, and with the gateway.
pub async fn events(
    State(app): State<Arc<App>>,
    principal: Principal,
    Params(question): Params<Question>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let watcher = Watcher {
        changes: app.live.watch(),
        principal,
        asked: question.into(),
        sent: Vec::new(),
        ready: Vec::new(),
        next_look: Instant::now(),
        app,
    };
    Sse::new(stream::unfold(watcher, Watcher::next)).keep_alive(KeepAlive::default())
}

/// One viewer.
struct Watcher {
    app: Arc<App>,
    changes: tokio::sync::broadcast::Receiver<Arc<Changed>>,
    principal: Principal,
    asked: Asked,
    /// What stands on the page: id and hash of each part.
    sent: Vec<(&'static str, Hash)>,
    ready: Vec<Event>,
    next_look: Instant,
}

impl Watcher {
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        loop {
            if let Some(event) = self.ready.pop() {
                return Some((Ok(event), self));
            }
            let stop = self.app.stop.clone();
            tokio::select! {
                () = self.wait() => {}
                () = stop.cancelled() => return None,
            }
            match identity::standing(&self.app, &self.principal).await {
                Err(over) if over.code == ErrorCode::Authentication => return None,
                // What else is wrong shows below.
                _ => {}
            }
            match parts::read(&self.app, &self.principal, &self.asked).await {
                Ok(parts) => self.compare(parts),
                Err(error) => {
                    tracing::warn!(error = %with_causes(&error), "the console's stream could not look: it looks again");
                    self.ready.push(Event::default().comment("the database is away"));
                }
            }
            self.next_look = Instant::now() + PACE;
        }
    }

    /// Until something of this tenant has changed, or for as long as a page may stay as it is; never faster than the pace.
    async fn wait(&mut self) {
        if self.sent.is_empty() {
            return;
        }
        let latest = Instant::now() + LOOK_AT_LEAST;
        loop {
            match timeout_at(latest, self.changes.recv()).await {
                Ok(Ok(changed)) if changed.tenant != self.principal.tenant => {}
                Ok(Ok(_) | Err(RecvError::Lagged(_))) | Err(_) => break,
                Ok(Err(RecvError::Closed)) => {
                    sleep_until(latest).await;
                    break;
                }
            }
        }
        sleep_until(self.next_look).await;
        // What came in the meantime is in what is read now.
        self.changes = self.changes.resubscribe();
    }

    fn compare(&mut self, parts: Parts) {
        for (id, html) in parts.all {
            let hash = Hash::of(html.as_bytes());
            match self.sent.iter_mut().find(|(name, _)| *name == id) {
                Some((_, sent)) if *sent == hash => continue,
                Some((_, sent)) => *sent = hash,
                None => self.sent.push((id, hash)),
            }
            // An event's data must not hold a carriage return.
            self.ready.push(Event::default().event(id).data(html.replace('\r', "")));
        }
    }
}
