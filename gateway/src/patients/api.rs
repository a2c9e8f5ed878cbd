//! REST of patients: who works with them reads one, a manager erases one and sees who looked.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse as _, Response},
};
use pestle_domain::{
    ids::PersonId,
    personal::{PatientDetails, PersonalError},
    staff::Role,
};
use serde::{Deserialize, Serialize};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    device,
    erasures::{self, Erasure},
    rules::{self, Why},
    store,
};
use crate::{
    app::App,
    authority::keyring::UnwrapError,
    db::Tx,
    http::{
        envelope::{Envelope, Page, PageRequest},
        error::{ApiError, ErrorBody},
        extract::{Body, Named, Params},
    },
    identity::{self, Principal},
    sales::api::moment,
};

/// Those who work with patients.
const READS: &[Role] = &[Role::Technician, Role::Pharmacist];
/// Those who answer for them.
const ANSWERS: &[Role] = &[Role::Manager];

/// The module's routes.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .merge(device::routes())
        .routes(routes!(read))
        .routes(routes!(erase))
        .routes(routes!(accesses))
}

/// A patient.
#[derive(Serialize, ToSchema)]
pub struct PatientView {
    /// The person.
    pub id: String,
    /// Where they were registered; null while that has not reached the centre.
    pub branch: Option<String>,
    /// As they call themselves.
    pub name: String,
    /// `1961-04-12`.
    pub birth_date: Option<String>,
    /// As they wrote it.
    pub phone: Option<String>,
    /// In one or several lines.
    pub address: Option<String>,
    /// When this was last set, by the branch's clock, RFC 3339.
    pub at: Option<String>,
}

impl std::fmt::Debug for PatientView {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("PatientView").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A patient, readable (technician, pharmacist, admin). Who looked is noted.
///
/// # Errors
/// AUTHENTICATION, AUTHORIZATION, NOT_FOUND, CONFLICT, UNAVAILABLE.
#[utoipa::path(get, path = "/api/v1/patients/{id}", tag = "patients",
    params(("id" = String, Path, description = "The person")),
    responses((status = 200, body = Envelope<PatientView>), (status = 401, body = ErrorBody),
              (status = 403, body = ErrorBody, description = "Another role does this"),
              (status = 404, body = ErrorBody, description = "No such patient, or they were erased: details.erased_at then says when"),
              (status = 409, body = ErrorBody, description = "Their key has not reached the centre yet, or cannot be opened")))]
pub async fn read(
    State(app): State<Arc<App>>,
    user: Principal,
    Named(person): Named<PersonId>,
) -> Result<Response, ApiError> {
    user.require(READS)?;
    standing(&app, &user).await?;
    let mut tx = app.db.tenant(&user.tenant).begin().await?;
    store::lock_person(&mut tx, &user.tenant, person).await?;
    refuse_erased(&app, &mut tx, &user, person).await?;
    let patient = store::patient(&mut tx, person).await?.ok_or_else(unknown)?;
    let stored = store::keys(&mut tx, person).await?;
    let stored = stored.iter().find(|stored| stored.generation == patient.details.generation);
    let stored = stored.ok_or_else(|| {
        ApiError::conflict(
            "this patient's key has not reached the centre yet: the branch that registered them keeps it and sends it when it can",
        )
    })?;
    let key = app.authority.keyring().unwrap(&user.tenant, person, stored.generation, &stored.wrapped);
    let key = key.map_err(|error| closed(&error))?;
    let details = PatientDetails::open(&patient.details, &key, &user.tenant)
        .map_err(|error| unreadable(person, &error))?;
    // Before anybody sees anything.
    store::note_access(&mut tx, &user.tenant, person, (user.user, user.role), "read", app.now()).await?;
    tx.commit().await?;
    let view = PatientView {
        id: person.to_string(),
        branch: patient.branch,
        name: details.name.into(),
        birth_date: details.birth_date.map(|day| day.to_string()),
        phone: details.phone.map(Into::into),
        address: details.address.map(Into::into),
        at: moment(patient.at_ms),
    };
    let no_store = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    Ok((no_store, Envelope::new(view)).into_response())
}

/// Whom to erase why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EraseRequest {
    /// Why.
    pub why: Why,
    /// Of the letter or the case: A-Z, a-z, 0-9, - and /. Needed with `other`.
    #[serde(default)]
    pub reference: String,
}

/// What stays of a person who was erased.
#[derive(Debug, Serialize, ToSchema)]
pub struct Erased {
    /// The person.
    pub id: String,
    /// Since when, RFC 3339.
    pub erased_at: Option<String>,
}

/// Erases a patient for ever (manager, admin): their key is destroyed, and what facts say of them is readable by nobody
/// any more, here, in the branches and in every copy of the chain. The same again is no second erasure.
///
/// # Errors
/// AUTHENTICATION, AUTHORIZATION, VALIDATION, NOT_FOUND, UNAVAILABLE.
#[utoipa::path(post, path = "/api/v1/patients/{id}/erase", tag = "patients", request_body = EraseRequest,
    params(("id" = String, Path, description = "The person")),
    responses((status = 200, body = Envelope<Erased>), (status = 401, body = ErrorBody),
              (status = 403, body = ErrorBody, description = "Another role does this"), (status = 404, body = ErrorBody),
              (status = 422, body = ErrorBody),
              (status = 503, body = ErrorBody, description = "Not done, or not noted everywhere yet: do it again")))]
pub async fn erase(
    State(app): State<Arc<App>>,
    user: Principal,
    Named(person): Named<PersonId>,
    Body(request): Body<EraseRequest>,
) -> Result<Envelope<Erased>, ApiError> {
    user.require(ANSWERS)?;
    standing(&app, &user).await?;
    let reference = rules::reference(request.why, &request.reference)
        .map_err(|error| ApiError::validation(error.to_string()))?;
    let mut erasure = Erasure {
        tenant: user.tenant.clone(),
        person,
        at: to_micros(app.now()),
        by: user.user,
        why: request.why,
        reference: reference.into(),
    };
    let mut tx = app.db.tenant(&user.tenant).begin().await?;
    store::lock_person(&mut tx, &user.tenant, person).await?;
    let before = store::erasure_of(&mut tx, &user.tenant, person).await?;
    let known = before.is_some()
        || store::patient(&mut tx, person).await?.is_some()
        || !store::keys(&mut tx, person).await?.is_empty();
    if !known {
        return Err(unknown());
    }
    if let Some(before) = before {
        erasure = before;
    } else {
        store::note_access(&mut tx, &user.tenant, person, (user.user, user.role), "erased", app.now())
            .await?;
    }
    store::erase(&mut tx, &erasure).await?;
    tx.commit().await?;
    // Told only once it would survive a restore of the database too.
    let (file, noted) = (app.erasures.clone(), erasure.clone());
    let noted = tokio::task::spawn_blocking(move || file.note(&noted)).await;
    let noted = noted.map_err(|error| ApiError::internal("erasure", &error))?;
    noted.map_err(|error| {
        let _logged = ApiError::internal("the file of erasures", &error);
        let said = "the key is destroyed, but the centre's disk does not take the note that keeps the erasure over a restore: do it again; tell the operator if it stays so";
        ApiError::unavailable(said, std::time::Duration::from_secs(10))
    })?;
    tracing::info!(%person, user = %user.user, why = erasure.why.as_str(), "a patient was erased");
    let erased = Erased { id: person.to_string(), erased_at: erasure.at.format(&Rfc3339).ok() };
    Ok(Envelope::saying(erased, "erased"))
}

/// Somebody who looked at a patient.
#[derive(Debug, Serialize, ToSchema)]
pub struct AccessView {
    /// The user.
    pub user_id: String,
    /// What they were then.
    pub role: String,
    /// `read` or `erased`.
    pub what: String,
    /// When, RFC 3339.
    pub at: Option<String>,
}

/// Who looked at a patient, the latest first (manager, admin).
///
/// # Errors
/// AUTHENTICATION, AUTHORIZATION, VALIDATION, UNAVAILABLE.
#[utoipa::path(get, path = "/api/v1/patients/{id}/accesses", tag = "patients",
    params(PageRequest, ("id" = String, Path, description = "The person")),
    responses((status = 200, body = Page<AccessView>), (status = 401, body = ErrorBody),
              (status = 403, body = ErrorBody, description = "Another role does this")))]
pub async fn accesses(
    State(app): State<Arc<App>>,
    user: Principal,
    Named(person): Named<PersonId>,
    Params(page): Params<PageRequest>,
) -> Result<Page<AccessView>, ApiError> {
    user.require(ANSWERS)?;
    let page = page.check()?;
    let mut tx = app.db.tenant(&user.tenant).begin().await?;
    let (rows, total) = store::accesses(&mut tx, person, page.limit(), page.offset()).await?;
    tx.commit().await?;
    let view = |access: store::Access| AccessView {
        user_id: access.user_id.to_string(),
        role: access.role,
        what: access.what,
        at: access.at.format(&Rfc3339).ok(),
    };
    Ok(Page::new(rows.into_iter().map(view).collect(), page, u64::try_from(total).unwrap_or_default()))
}

/// A token says what somebody was an hour ago. Here it is asked what they are.
async fn standing(app: &App, user: &Principal) -> Result<(), ApiError> {
    let now = identity::api::standing(app, user).await?;
    if now.role == user.role {
        return Ok(());
    }
    Err(ApiError::authorization("your role was changed: sign in again"))
}

fn unknown() -> ApiError {
    ApiError::not_found("no such patient has reached the centre: their branch may still have to send them")
}

async fn refuse_erased(app: &App, tx: &mut Tx, user: &Principal, person: PersonId) -> Result<(), ApiError> {
    let Some(at) = erasures::erased_at(app, tx, &user.tenant, person).await? else { return Ok(()) };
    let said = "this patient was erased: nobody can read what was known of them";
    Err(ApiError::not_found(said).with_details(serde_json::json!({ "erased_at": at.format(&Rfc3339).ok() })))
}

fn closed(error: &UnwrapError) -> ApiError {
    let _logged = ApiError::internal("a person's key", error);
    ApiError::conflict(error.to_string())
}

fn unreadable(person: PersonId, error: &PersonalError) -> ApiError {
    tracing::error!(%person, %error, "a patient's fields cannot be opened");
    ApiError::conflict(error.to_string())
}

/// As the database keeps it: the file and the table say the same.
fn to_micros(at: OffsetDateTime) -> OffsetDateTime {
    at.replace_nanosecond(at.nanosecond() / 1_000 * 1_000).unwrap_or(at)
}
