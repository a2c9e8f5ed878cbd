//! What the pages look like. Each fragment is rendered from the view alone, so that a page can be pushed piece by
//! piece and is right again after any break.

use askama::Template;
use axum::{
    extract::{Extension, Path, State},
    http::StatusCode,
    response::{Html, IntoResponse, Redirect, Response},
};
use pestle_domain::{
    ids::TillId,
    money::{Currency, Money},
};
use serde_json::json;

use super::assets;
use crate::counter::{
    command::StationId,
    handle::Counter,
    live::{Notice, Tone},
    settings::TillSettings,
    view::{DeviceState, Phase, TillView, shown},
};

#[derive(Template)]
#[template(path = "index.html")]
struct IndexPage<'a> {
    branch: &'a str,
    tills: &'a [TillSettings],
    /// Behind a till's address.
    to: &'a str,
    version: &'a str,
}

#[derive(Template)]
#[template(path = "till.html")]
struct TillPage<'a> {
    view: &'a TillView,
    phase: &'a str,
    version: &'a str,
    typed_scans: bool,
    status: String,
    notice: String,
    lines: String,
    total: String,
    quick: String,
    prints: String,
}

#[derive(Template)]
#[template(path = "status.html")]
struct Status<'a> {
    view: &'a TillView,
    link_tone: &'a str,
    link_words: &'a str,
    link_detail: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "notice.html")]
struct Notices<'a> {
    view: &'a TillView,
    /// What was said last, unless it stands among the refusals.
    quiet: Option<&'a Notice>,
    tone: &'a str,
}

#[derive(Template)]
#[template(path = "lines.html")]
struct Lines<'a> {
    view: &'a TillView,
    phase: &'a str,
}

#[derive(Template)]
#[template(path = "total.html")]
struct Total<'a> {
    view: &'a TillView,
    phase: &'a str,
}

#[derive(Template)]
#[template(path = "quick.html")]
struct Quick<'a> {
    view: &'a TillView,
}

#[derive(Template)]
#[template(path = "prints.html")]
struct Prints<'a> {
    view: &'a TillView,
}

/// A piece of the page: the name of its event, which is the id of its place, and what belongs there.
pub type Fragment = (&'static str, String);

/// All pieces of a till's page, in the order in which they are pushed: what a scan changes first.
///
/// # Errors
/// A template failed, which none of ours can on any view.
pub fn fragments(view: &TillView) -> Result<Vec<Fragment>, askama::Error> {
    let phase = phase_name(view.phase);
    Ok(vec![
        ("lines", Lines { view, phase }.render()?),
        ("total", Total { view, phase }.render()?),
        ("notice", notices(view).render()?),
        ("quick", Quick { view }.render()?),
        ("phase", phase_event(view)),
        ("prints", Prints { view }.render()?),
        ("status", status(view).render()?),
    ])
}

/// What the page's script has to know, as JSON.
fn phase_event(view: &TillView) -> String {
    json!({
        "phase": view.phase,
        "act": view.basket.as_ref().map(|basket| basket.act),
        "total": view.basket.as_ref().map(|basket| basket.total),
        "session": view.session.is_some(),
        "date_doubted": view.date_doubted,
        "business_date": view.business_date,
        "may_close": view.signed_in.as_ref().is_some_and(|person| person.may_close),
        "may_open_drawer": view.signed_in.as_ref().is_some_and(|person| person.may_open_drawer),
        "may_move_cash": view.signed_in.as_ref().is_some_and(|person| person.may_move_cash),
        "notice": view.notice.as_ref().map(|notice| json!({"seq": notice.seq, "tone": notice.tone})),
    })
    .to_string()
}

fn status(view: &TillView) -> Status<'_> {
    let link_detail = view.link.detail.as_deref();
    let (link_tone, link_words) = match (view.link.state.as_str(), link_detail) {
        // It is connected, and what was sold does not count there.
        ("live" | "catch_up" | "draining", Some(_)) => {
            ("bad", "The centre refuses this box's records: call support")
        }
        ("live", None) => ("ok", "Centre: connected"),
        ("catch_up", None) => ("ok", "Centre: catching up"),
        ("draining", None) => ("warn", "Centre: closing"),
        // Offline is normal: it is said, and it is no error.
        _ => ("warn", "Centre: offline, go on selling"),
    };
    Status { view, link_tone, link_words, link_detail }
}

fn notices(view: &TillView) -> Notices<'_> {
    let quiet = view.notice.as_ref().filter(|notice| notice.tone != Tone::Refused && !notice.text.is_empty());
    let tone = match quiet.map(|notice| notice.tone) {
        Some(Tone::Good) => "good",
        _ => "info",
    };
    Notices { view, quiet, tone }
}

fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::NoCatalogue => "no_catalogue",
        Phase::SignIn => "sign_in",
        Phase::Closed => "closed",
        Phase::Ready => "ready",
        Phase::Selling => "selling",
        Phase::Paying => "paying",
        Phase::Change => "change",
    }
}

fn tone(state: &DeviceState) -> &'static str {
    match state {
        DeviceState::Ok => "ok",
        DeviceState::Trouble => "warn",
        DeviceState::Away => "bad",
    }
}

fn plain(money: &Money) -> String {
    money.plain()
}

fn zero(currency: &Currency) -> String {
    shown(&Money::zero(*currency))
}

fn till_page(view: &TillView, typed_scans: bool) -> Result<String, askama::Error> {
    let phase = phase_name(view.phase);
    TillPage {
        view,
        phase,
        version: assets::version(),
        typed_scans,
        status: status(view).render()?,
        notice: notices(view).render()?,
        lines: Lines { view, phase }.render()?,
        total: Total { view, phase }.render()?,
        quick: Quick { view }.render()?,
        prints: Prints { view }.render()?,
    }
    .render()
}

pub(super) fn page(rendered: Result<String, askama::Error>) -> Response {
    match rendered {
        Ok(text) => Html(text).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page cannot be rendered");
            (StatusCode::INTERNAL_SERVER_ERROR, "The page cannot be shown. Call support.").into_response()
        }
    }
}

/// `GET /`: the one till, or the choice.
pub async fn index(State(counter): State<Counter>) -> Response {
    match counter.tills() {
        [only] => Redirect::to(&format!("/till/{}", only.id)).into_response(),
        tills => choice(&counter, tills, ""),
    }
}

/// The choice of tills; `to` is what stands behind a till's address.
pub(super) fn choice(counter: &Counter, tills: &[TillSettings], to: &str) -> Response {
    let shop = counter.shop();
    let branch = shop.as_ref().map_or("This branch", |shop| &shop.profile.name);
    page(IndexPage { branch, tills, to, version: assets::version() }.render())
}

/// `GET /till/{till}`.
pub async fn till(
    State(counter): State<Counter>,
    Extension(station): Extension<StationId>,
    Path(till): Path<TillId>,
) -> Response {
    match counter.watch(&till) {
        Some(view) => {
            let view = view.borrow().seen_by(&station);
            let typed_scans = counter.tills().iter().any(|one| one.id == till && one.typed_scans);
            page(till_page(&view, typed_scans))
        }
        None => Redirect::to("/").into_response(),
    }
}
