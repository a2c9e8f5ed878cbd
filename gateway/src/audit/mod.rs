//! Audit: is a branch's history at the centre what the branch recorded? Checked offline, from the bytes alone.
//!
//! Every fact's chain value is computed anew from the bytes that are stored, up to the head, and the head must be one that a
//! key of the box signed. Who has taken over a broker cannot sign that. Who can write the database cannot either, but can
//! put another key in the place of the box's: so each sentence names the key, to be compared with the one that the box
//! says it has; and can turn a history back to an earlier head that the box signed: that shows beside a file that the box
//! exported ([`file`]), where record is compared with record, and the first that differs is named.
//!
//! [`rules`] judges, [`store`] is the SQL.

pub mod file;
pub mod rules;
pub mod store;

use std::io::BufRead;

use pestle_domain::{
    ids::{BranchId, TenantId},
    journal::{Acknowledgement, Head},
    signature::VerifyingKey,
    wire::batch::Batch,
};

use crate::{
    db::{Db, DbError, Tx},
    ingest::{directory::Directory, rules::describe},
};
use file::{BadExport, Export};
use rules::{Boxes, Judged, Walk};
use store::Audited;

/// Facts that are read at a time.
const STEP_FACTS: u64 = 5_000;

/// Why nothing could be checked.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The database.
    #[error(transparent)]
    Db(#[from] DbError),
    /// The file.
    #[error(transparent)]
    Export(#[from] BadExport),
    /// Of another branch.
    #[error("the export is of {found}, and {wanted} was to be checked")]
    OtherBranch {
        /// Chain and branch of the file.
        found: String,
        /// Chain and branch that were named.
        wanted: String,
    },
}

/// What was found, in sentences.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// What holds.
    pub holds: Vec<String>,
    /// What nobody vouches for: it may hold, and nothing here shows it.
    pub unproved: Vec<String>,
    /// What does not; of each stream the first record that differs.
    pub differs: Vec<String>,
}

impl From<sqlx::Error> for AuditError {
    fn from(error: sqlx::Error) -> Self {
        DbError::from(error).into()
    }
}

impl Report {
    fn take(&mut self, judged: Result<String, String>) {
        self.note(judged.map_or_else(Judged::Differs, Judged::Holds));
    }

    fn note(&mut self, judged: Judged) {
        match judged {
            Judged::Holds(sentence) => self.holds.push(sentence),
            Judged::Unproved(sentence) => self.unproved.push(sentence),
            Judged::Differs(sentence) => self.differs.push(sentence),
        }
    }

    /// With what another one found.
    pub fn extend(&mut self, other: Self) {
        self.holds.extend(other.holds);
        self.unproved.extend(other.unproved);
        self.differs.extend(other.differs);
    }
}

/// Checks every stream of `branch`, all in one moment of the database.
///
/// # Errors
/// [`AuditError::Db`].
pub async fn verify(db: &Db, tenant: &TenantId, branch: &BranchId) -> Result<Report, AuditError> {
    let mut tx = db.tenant(tenant).begin_one_moment().await?;
    let streams = store::streams(&mut tx, tenant, branch).await?;
    let boxes = boxes(db, &mut tx, &streams).await?;
    let mut report = Report::default();
    for audited in &streams {
        let walked = walk(&mut tx, audited).await?;
        report.note(walked.map_or_else(Judged::Differs, |()| rules::vouched(audited, &boxes)));
    }
    tx.commit().await?;
    if streams.is_empty() {
        report.unproved.push(format!("{tenant}/{branch}: the centre has no facts of this branch"));
    }
    Ok(report)
}

/// Compares what a box of `branch` exported with what the centre has. `centre` are all keys that the centre ever signed with.
///
/// # Errors
/// [`AuditError`].
pub async fn compare(
    db: &Db,
    tenant: &TenantId,
    branch: &BranchId,
    centre: &[VerifyingKey],
    input: impl BufRead,
) -> Result<Report, AuditError> {
    let mut export = Export::open(input)?;
    let preface = export.preface();
    if (&preface.tenant, &preface.branch) != (tenant, branch) {
        return Err(AuditError::OtherBranch {
            found: format!("{}/{}", preface.tenant, preface.branch),
            wanted: format!("{tenant}/{branch}"),
        });
    }
    let mut tx = db.tenant(tenant).begin_one_moment().await?;
    let streams = store::streams(&mut tx, tenant, branch).await?;
    let boxes = boxes(db, &mut tx, &streams).await?;
    let mut report = Report::default();
    for ack in &export.preface().acknowledgements.clone() {
        report.take(acknowledged(&mut tx, &streams, centre, ack).await?);
    }
    let mut compared = rules::Compared::default();
    while let Some(message) = export.next_message()? {
        let batch = match rules::read(&boxes, &message) {
            Ok(batch) => batch,
            Err(why) => {
                report.differs.push(why);
                continue;
            }
        };
        if compared.has_parted(&batch.header.stream) {
            continue;
        }
        let gap = compared.reach(&batch.header.stream, batch.header.first, batch.header.after().seq);
        report.unproved.extend(gap);
        let audited = streams.iter().find(|audited| audited.stream == batch.header.stream);
        match audited {
            Some(audited) => {
                let judged = compare_batch(&mut tx, audited, &batch, &mut compared).await?;
                report.differs.extend(judged.err());
            }
            None => compared.wait(&batch.header.stream, batch.header.first, batch.header.after().seq),
        }
    }
    tx.commit().await?;
    if compared.is_empty() && report.differs.is_empty() {
        report.unproved.push(format!("{tenant}/{branch}: the export holds no facts"));
    }
    report.holds.extend(compared.sentences());
    Ok(report)
}

async fn boxes(db: &Db, tx: &mut Tx, streams: &[Audited]) -> Result<Boxes, DbError> {
    let directory = Directory::new(db.clone());
    let mut boxes = Boxes::default();
    for device in store::writers(tx, streams).await? {
        boxes.extend(directory.look_up(&device).await?);
    }
    Ok(boxes)
}

/// Computes a stream's chain anew.
async fn walk(tx: &mut Tx, audited: &Audited) -> Result<Result<(), String>, DbError> {
    let mut walk = Walk::new(audited);
    while walk.reached() < audited.head.seq {
        let records = store::records(tx, audited, walk.reached(), STEP_FACTS).await?;
        if records.is_empty() {
            break;
        }
        if let Err(why) = records.iter().try_for_each(|record| walk.take(record)) {
            return Ok(Err(why));
        }
    }
    Ok(walk.end())
}

/// Whether an acknowledgement that a box kept is ours, and still true.
async fn acknowledged(
    tx: &mut Tx,
    streams: &[Audited],
    centre: &[VerifyingKey],
    ack: &Acknowledgement,
) -> Result<Result<String, String>, DbError> {
    if let Err(why) = rules::signed_by_centre(centre, ack) {
        return Ok(Err(why));
    }
    let audited = streams.iter().find(|audited| audited.stream == ack.stream);
    let value = match audited {
        Some(audited) => store::chain_value(tx, audited, ack.head.seq).await?,
        None => None,
    };
    let head = audited.map_or(Head::EMPTY, |audited| audited.head);
    Ok(rules::kept_word(ack, head, value))
}

async fn compare_batch(
    tx: &mut Tx,
    audited: &Audited,
    batch: &Batch<'_>,
    compared: &mut rules::Compared,
) -> Result<Result<(), String>, DbError> {
    let header = &batch.header;
    let (first, last) = (header.first, header.after().seq);
    if first > audited.head.seq {
        compared.wait(&header.stream, first, last);
        return Ok(Ok(()));
    }
    let before = store::chain_value(tx, audited, first - 1).await?;
    let records = store::records(tx, audited, first - 1, header.count).await?;
    let judged = rules::same(batch, before, &records, audited.head);
    match &judged {
        Ok(same) => {
            compared.same(&header.stream, *same);
            if last > audited.head.seq {
                compared.wait(&header.stream, audited.head.seq + 1, last);
            }
        }
        Err(why) => {
            compared.part(&header.stream);
            tracing::warn!(
                stream = describe(&header.stream),
                why,
                "the branch and the centre have different records"
            );
        }
    }
    Ok(judged.map(drop))
}
