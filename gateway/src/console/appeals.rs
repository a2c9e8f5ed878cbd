//! Boxes that ask what they are, and the decision on them: rows into words, and the form.

use std::sync::Arc;

use askama::Template;
use axum::{
    Form,
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Redirect, Response},
};
use pestle_domain::ids::AppealId;
use serde::Deserialize;
use time::OffsetDateTime;

use super::{
    pages::{Decided, html},
    store::Branches,
    view,
};
use crate::{
    app::App,
    appeals::{
        api::{self, AppealView, MAY_RULE},
        rules::{self, Choice},
        store::AppealRow,
    },
    http::{error::ApiError, extract::Named},
    identity::Principal,
};

struct AppealCard {
    tone: &'static str,
    state: &'static str,
    at: String,
    title: String,
    place: String,
    differences: Vec<String>,
    done: String,
    /// Where a person may decide: the id, and what each choice does.
    form: Option<ChoiceForm>,
}

struct ChoiceForm {
    id: String,
    go_on: String,
    /// Where another box may be in question.
    own_name: Option<String>,
}

#[derive(Template)]
#[template(path = "console/appeals.html")]
pub(super) struct Appeals {
    cards: Vec<AppealCard>,
}

/// The part of the page that shows them.
pub(super) fn appeals(
    rows: &[(AppealRow, AppealView)],
    branches: &Branches,
    may_rule: bool,
    now: OffsetDateTime,
) -> Appeals {
    let card = |(row, seen): &(AppealRow, AppealView)| {
        let (tone, state) = state(row, seen);
        let form = row.choice.is_none().then(|| row.device_id.parse().ok()).flatten().filter(|_| may_rule);
        AppealCard {
            tone,
            state,
            at: view::ago(row.last_at, now),
            title: format!("{} · {}", branches.name(&row.branch_id), row.device_id),
            place: format!(
                "{} at {} (seen from {}), data in {}, running for {}",
                seen.host,
                seen.address,
                seen.seen_from,
                seen.data_dir,
                running(row, now)
            ),
            differences: seen.differences.clone(),
            done: done(row, may_rule),
            form: form.map(|device| ChoiceForm {
                id: seen.id.clone(),
                go_on: rules::consequence(Choice::GoOn, &device),
                own_name: (!rules::is_torn_alone(&row.said))
                    .then(|| rules::consequence(Choice::OwnName, &device)),
            }),
        }
    };
    Appeals { cards: rows.iter().map(card).collect() }
}

/// How many wait for a person.
pub(super) fn waiting(rows: &[(AppealRow, AppealView)]) -> i64 {
    let open = rows.iter().filter(|(row, _)| row.choice.is_none()).count();
    i64::try_from(open).unwrap_or(i64::MAX)
}

fn running(row: &AppealRow, now: OffsetDateTime) -> String {
    let millis = i128::from(row.said.place.running_since.0) * 1_000_000;
    let since = OffsetDateTime::from_unix_timestamp_nanos(millis).unwrap_or(now);
    view::ago(since, now).trim_end_matches(" ago").replace("now", "a moment")
}

fn state(row: &AppealRow, seen: &AppealView) -> (&'static str, &'static str) {
    match (row.choice.as_deref(), seen.carried_out, seen.asks) {
        (None, _, true) => (view::BAD, "Asks"),
        (None, _, false) => (view::WAIT, "Asked, silent since"),
        (Some("go_on"), true, _) => (view::GOOD, "Goes on"),
        (Some("go_on"), false, _) => (view::WAIT, "Decided, not done yet"),
        (Some(_), ..) => (view::WAIT, "Gets its own name"),
    }
}

fn done(row: &AppealRow, may_rule: bool) -> String {
    let by = row.by_name.as_deref().unwrap_or_default();
    match (row.choice.as_deref(), row.epoch) {
        (None, _) if may_rule => String::new(),
        (None, _) => "Central IT decides which box is the branch's".into(),
        (Some("go_on"), Some(epoch)) => format!("{by} decided that it goes on, in epoch {epoch}"),
        (Some(_), _) => format!(
            "{by} decided that it is a second box: {}",
            rules::step("<this centre>", &row.said.place.data_dir, None)
        ),
    }
}

/// What the form sends.
#[derive(Debug, Deserialize)]
pub struct Chosen {
    choice: String,
}

/// Takes a person's decision: back to the page, or, where a technician is to type something, to what that is.
///
/// # Errors
/// Who is not signed in, or a template.
pub async fn rule(
    State(app): State<Arc<App>>,
    who: Principal,
    Named(appeal): Named<AppealId>,
    Form(form): Form<Chosen>,
) -> Result<Response, ApiError> {
    let decided = match (who.require(MAY_RULE), form.choice.parse::<Choice>()) {
        (Err(error), _) => Err(error),
        (Ok(()), Err(())) => Err(ApiError::validation("there is no such choice")),
        (Ok(()), Ok(choice)) => api::decide(&app, &who, appeal, choice).await,
    };
    Ok(match decided {
        Ok(view) => match view.step {
            None => Redirect::to("/console#appeals-h").into_response(),
            Some(step) => {
                let message = "A technician types this at the box, with its agent stopped and as the agent's user (runuser -u pestle -- …), \
                               and starts the agent again. The claim code is shown once: write it down"
                    .to_owned();
                let step = Some(step);
                let page = Decided {
                    tone: view::WAIT,
                    title: "A name of its own",
                    message,
                    step,
                    back: "appeals-h",
                };
                html(StatusCode::OK, &page)
            }
        },
        Err(error) => {
            let status = error.code.status();
            let message = error.message.into_owned();
            html(
                status,
                &Decided { tone: view::BAD, title: "Not decided", message, step: None, back: "appeals-h" },
            )
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use pestle_domain::{
        appeal::{Appeal, BoxPlace},
        units::UnixMillis,
    };
    use sqlx::types::Json;

    fn row(choice: Option<&str>, carried: bool, asks: bool) -> (AppealRow, AppealView) {
        let place = BoxPlace {
            host: "till-box".into(),
            address: "192.0.2.7".into(),
            pages: "".into(),
            machine: "".into(),
            data_dir: "/var/lib/pestle".into(),
            running_since: UnixMillis(0),
        };
        let id = uuid::Uuid::nil();
        let said = Appeal { appeal: AppealId(id), place, highest_epoch: 1, contested: vec![] };
        let at = OffsetDateTime::UNIX_EPOCH;
        let row = AppealRow {
            appeal_id: id,
            device_id: "north-1".into(),
            branch_id: "north".into(),
            own_branch: "north".into(),
            said: Json(said),
            seen_from: "198.51.100.1".into(),
            first_at: at,
            last_at: at,
            choice: choice.map(str::to_owned),
            epoch: choice.filter(|choice| *choice == "go_on").map(|_| 7),
            by_name: choice.map(|_| "Ida".into()),
            ruled_at: None,
            carried,
        };
        let seen = AppealView {
            id: id.to_string(),
            device: "north-1".into(),
            branch: "north".into(),
            host: "till-box".into(),
            address: "192.0.2.7".into(),
            seen_from: "198.51.100.1".into(),
            pages: String::new(),
            data_dir: "/var/lib/pestle".into(),
            running_since: String::new(),
            first_at: String::new(),
            last_at: String::new(),
            asks,
            waiting: 0,
            differences: vec!["what differs".into()],
            ruling: None,
            epoch: None,
            by: None,
            ruled_at: None,
            carried_out: carried,
        };
        (row, seen)
    }

    #[test]
    fn whoever_may_decide_is_shown_both_choices_and_nobody_else_is() {
        let now = OffsetDateTime::UNIX_EPOCH + time::Duration::minutes(5);
        let rows = [row(None, false, true)];
        let shown = appeals(&rows, &Branches::default(), true, now);
        let text = shown.render().unwrap();
        for words in [
            "till-box at 192.0.2.7",
            "what differs",
            "go_on",
            "own_name",
            "Nothing counts twice",
            "running for 5 min",
        ] {
            assert!(text.contains(words), "{words} is missing in {text}");
        }
        let text = appeals(&rows, &Branches::default(), false, now).render().unwrap();
        assert!(!text.contains("<form") && text.contains("Central IT decides"), "{text}");
        assert_eq!(waiting(&rows), 1);
    }

    #[test]
    fn a_decision_says_by_whom_and_stays_yellow_until_the_box_has_done_it() {
        let now = OffsetDateTime::UNIX_EPOCH;
        let check = |choice, carried, tone, words: &str| {
            let rows = [row(Some(choice), carried, true)];
            let shown = appeals(&rows, &Branches::default(), true, now);
            assert_eq!(shown.cards[0].tone, tone);
            assert!(shown.cards[0].done.contains(words), "{}", shown.cards[0].done);
            assert!(shown.cards[0].form.is_none());
            assert_eq!(waiting(&rows), 0);
        };
        check("go_on", false, view::WAIT, "Ida decided that it goes on, in epoch 7");
        check("go_on", true, view::GOOD, "Ida");
        check("own_name", false, view::WAIT, "pestle-provision enrol --replace");
    }
}
