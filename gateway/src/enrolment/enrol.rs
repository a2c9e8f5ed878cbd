//! Issuing claims, and giving a box its identity for one.

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use pestle_domain::{
    enrolment::{Claim, EnrolRequest, EnrolResponse, Identity, Succession},
    ids::{BranchId, DeviceId, TenantId},
    signature::Hash,
};
use time::OffsetDateTime;

use super::{
    rules::{self, Verdict},
    store::{self, Answer, NewClaim},
};
use crate::{
    app::App,
    authority::{AuthorityError, identity::PeerIdentity, profile, request::RequestedKey},
    db::{Db, DbError, Tx},
    fleet::store::{self as fleet, NewDevice},
    http::error::ApiError,
    ingest,
};

/// Why a claim cannot be issued.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// No such branch.
    #[error("there is no branch \"{0}\": add it first")]
    NoBranch(BranchId),
    /// Not 1 hour to 30 days.
    #[error("a claim lasts 1 to {} hours", rules::LIFE_MAX_HOURS)]
    Life,
    /// The system gave no random numbers.
    #[error("the system gave no random numbers for a code")]
    NoRandom,
    /// The database.
    #[error(transparent)]
    Database(#[from] DbError),
}

/// Issues a claim for a new box of `branch`. The result is told once and stored nowhere.
///
/// # Errors
/// [`IssueError`].
pub async fn issue(
    db: &Db,
    authority: &Hash,
    (tenant, branch): (&TenantId, &BranchId),
    (by, hours): (&str, u32),
    now: OffsetDateTime,
) -> Result<(Claim, OffsetDateTime), IssueError> {
    let expires_at = rules::expiry(now, hours).ok_or(IssueError::Life)?;
    let mut random = [0u8; 8];
    SystemRandom::new().fill(&mut random).map_err(|_| IssueError::NoRandom)?;
    let claim = Claim::new(random, authority);
    let mut tx = db.tenant(tenant).begin().await?;
    if crate::tenancy::store::branch(&mut tx, branch).await?.is_none() {
        return Err(IssueError::NoBranch(branch.clone()));
    }
    let code = Hash::of(claim.code().as_bytes());
    store::add(&mut tx, &NewClaim { tenant, branch, code, by, at: now, expires_at }).await?;
    tx.commit().await.map_err(DbError::from)?;
    Ok((claim, expires_at))
}

/// Makes the box that shows a claim code its branch's, or repeats what it was answered.
///
/// # Errors
/// What the box is told.
pub async fn enrol(app: &App, request: &EnrolRequest) -> Result<EnrolResponse, ApiError> {
    let key = RequestedKey::of(&request.csr_pem).map_err(|error| ApiError::validation(error.to_string()))?;
    let code = Hash::of(rules::normalise(&request.code).as_bytes());
    let mut tx = app.db.system().begin().await?;
    let tenant = store::tenant_of(&mut tx, &code).await?;
    tx.commit().await?;
    let Some(tenant) = tenant else { return Err(refused(rules::Refusal::Unknown)) };
    let mut tx = app.db.tenant(&tenant).begin().await?;
    let now = app.now();
    let claim = store::lock(&mut tx, &code).await?.ok_or_else(|| refused(rules::Refusal::Unknown))?;
    let key_id = key.point().id().0;
    let answer = match rules::judge(Some(&claim.state), &key_id, now) {
        Verdict::Refuse(refusal) => return Err(refused(refusal)),
        Verdict::Repeat => claim.answer.ok_or_else(|| {
            ApiError::conflict("this claim was used, and its answer is lost: ask for a new one")
        })?,
        Verdict::Enrol => {
            let answer = admit(app, &mut tx, (&tenant, &claim.branch), &key, request, now).await?;
            store::mark_used(&mut tx, claim.id, &key_id, &answer, now).await?;
            answer
        }
    };
    tx.commit().await?;
    tracing::info!(device = %answer.device, branch = %claim.branch, term = answer.term, "a box was enrolled");
    Ok(EnrolResponse {
        identity: Identity {
            tenant,
            branch: claim.branch,
            device: answer.device,
            term: answer.term,
            https: app.public_https(),
            mqtt: app.public_mqtt(),
            centre_keys: app.authority.signer().all().to_vec(),
            first_epoch: answer.first_epoch,
            earlier: answer.earlier,
        },
        certificate_pem: answer.certificate_pem,
        web_certificate_pem: answer.web_certificate_pem,
        ca_pem: app.authority.ca_pem().to_owned(),
    })
}

/// Gives the box a term, a name and its certificates.
async fn admit(
    app: &App,
    tx: &mut Tx,
    (tenant, branch): (&TenantId, &BranchId),
    key: &RequestedKey,
    request: &EnrolRequest,
    now: OffsetDateTime,
) -> Result<Answer, ApiError> {
    let term = fleet::next_term(tx, branch).await?;
    let salt = Hash::of(key.point().point()).short();
    for device in rules::device_names(branch, term, &salt) {
        let new = NewDevice {
            tenant,
            branch,
            device: &device,
            term,
            key: key.point(),
            hardware: &request.hardware,
            at: now,
        };
        // A taken name is told apart from a key that another claim was used with: the answer to that one was lost.
        let added = fleet::add(tx, &new).await.map_err(|error| {
            if error.is_duplicate() { refused(rules::Refusal::KnownKey) } else { error.into() }
        });
        if !added? {
            continue;
        }
        let identity =
            PeerIdentity::Device { tenant: tenant.clone(), branch: branch.clone(), device: device.clone() };
        let certificates = || -> Result<(String, String), AuthorityError> {
            let bad = |source| AuthorityError::Certificate { what: "a device's certificate", source };
            let client = profile::client(&identity, now).map_err(bad)?;
            let pages = profile::box_pages(&device, now).map_err(bad)?;
            Ok((app.authority.issue(&client, key.key())?, app.authority.issue(&pages, key.key())?))
        };
        let (certificate_pem, web_certificate_pem) =
            certificates().map_err(|error| ApiError::internal("certificate", &error))?;
        let earlier = inherit(tx, (tenant, &device), key, request.replaces.as_ref()).await?;
        let first_epoch = ingest::store::give_epoch(tx, tenant, branch, 0)
            .await?
            .ok_or_else(|| DbError::bad_row("epoch", "no number is left"))?;
        return Ok(Answer { device, term, certificate_pem, web_certificate_pem, first_epoch, earlier });
    }
    Err(ApiError::conflict("no free name was found for this box: try again"))
}

/// Notes whose records the box may deliver beside its own. A box that was another chain's, or nobody's here, inherits
/// nothing: its answer says so.
async fn inherit(
    tx: &mut Tx,
    (tenant, device): (&TenantId, &DeviceId),
    key: &RequestedKey,
    replaces: Option<&Succession>,
) -> Result<Vec<DeviceId>, ApiError> {
    let Some(succession) = replaces else { return Ok(Vec::new()) };
    let Some(old) = fleet::key(tx, &succession.device, &succession.key).await? else {
        tracing::warn!(%device, earlier = %succession.device, "a box was another one before that is not known here");
        return Ok(Vec::new());
    };
    succession.verify(&old, key.point()).map_err(|_| {
        ApiError::validation(format!(
            "the proof that this box was {} does not hold: is its identity folder whole?",
            succession.device
        ))
    })?;
    Ok(fleet::succeed(tx, tenant, device, &succession.device).await?)
}

fn refused(refusal: rules::Refusal) -> ApiError {
    let details = serde_json::json!({ "reason": refusal.as_str() });
    let error = match refusal {
        rules::Refusal::Unknown => ApiError::authentication(refusal.to_string()),
        _ => ApiError::conflict(refusal.to_string()),
    };
    tracing::warn!(reason = refusal.as_str(), "an enrolment was refused");
    error.with_details(details)
}
