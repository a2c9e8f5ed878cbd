//! What stored facts do to stock, sales, tills and patients: in the transaction that stores them, or in a later one of a version
//! that understands them.

use std::collections::{BTreeSet, HashSet};

use pestle_domain::{fact::FactBody, ids::TenantId, journal::Stream};
use uuid::Uuid;

use super::{
    alerts::{self, Alert},
    box_words::{self, BoxWords},
    live::Changed,
    rules::VerifiedFact,
    store,
};
use crate::{
    db::{DbError, Tx},
    inventory::{self, rules::Booked, rules::Place},
    orders::{self, book::Outcomes},
    patients::{self, rules::Patients},
    sales::{self, rules::Circumstance, rules::Takings},
};

/// A fact in its place, to be folded.
#[derive(Debug, Clone, Copy)]
pub struct Effect<'a> {
    /// Where it comes from.
    pub origin: &'a Stream,
    /// The event store's number of the stream.
    pub stream: i64,
    /// Its number in the stream.
    pub seq: u64,
    /// The fact.
    pub fact: &'a VerifiedFact,
}

/// Folds those of `facts` that this version understands. Each must be folded once: the caller holds the lock of its
/// stream's row, and notes it in the same transaction.
///
/// # Errors
/// [`DbError`]; nothing of the transaction may be kept then.
pub(super) async fn fold(tx: &mut Tx, tenant: &TenantId, facts: &[Effect<'_>]) -> Result<Changed, DbError> {
    let bodies: Vec<(&Effect<'_>, &FactBody)> =
        facts.iter().filter_map(|effect| Some((effect, effect.fact.body()?))).collect();
    let moved: HashSet<(&str, Uuid)> = bodies
        .iter()
        .filter_map(|(effect, body)| {
            Some((effect.origin.branch.as_str(), sales::rules::session_moved(body)?))
        })
        .collect();
    let closed = sales::store::closed_sessions(tx, &moved).await?;
    let (mut booked, mut takings, mut patients) =
        (Booked::default(), Takings::new(closed), Patients::default());
    let (mut outcomes, mut urgent) = (Outcomes::default(), Vec::new());
    let mut words = BoxWords::default();
    for (effect, body) in bodies {
        let place = Place {
            branch: effect.origin.branch.as_str(),
            stream: effect.stream,
            seq: i64::try_from(effect.seq).unwrap_or(i64::MAX),
        };
        booked.add(place, body);
        outcomes.add(effect.origin.branch.as_str(), body);
        if let Some(message) = alerts::words(body) {
            urgent.push(Alert {
                fact: effect.fact.id.0,
                branch: effect.origin.branch.as_str(),
                device: effect.origin.device.as_str(),
                kind: body.kind(),
                message,
            });
        }
        words.add(effect.origin, effect.seq, effect.fact, body);
        patients.add(place, effect.fact.wall.0, body);
        let circumstance = Circumstance {
            place,
            device: effect.origin.device.as_str(),
            fact: effect.fact.id.0,
            act: effect.fact.act.0,
            actor: &effect.fact.actor,
            wall_ms: effect.fact.wall.0,
            day: effect.fact.day.0,
        };
        takings.add(circumstance, body);
        if let (FactBody::EpochOpened(opened), 1) = (body, effect.seq) {
            store::note_store(tx, effect.stream, opened).await?;
        }
    }
    inventory::store::book(tx, tenant, &booked).await?;
    sales::store::book(tx, tenant, &takings).await?;
    orders::store::book(tx, tenant, &outcomes).await?;
    alerts::note(tx, tenant, &urgent, false).await?;
    box_words::book(tx, tenant, &words).await?;
    patients::store::book(tx, tenant, &patients).await?;
    let stock: BTreeSet<(String, String)> =
        booked.changes.keys().map(|line| (line.branch.to_owned(), line.product.to_owned())).collect();
    Ok(Changed {
        stock,
        sales: takings.sales.len(),
        tills: !takings.sessions.is_empty(),
        alarms: !outcomes.is_empty() || !urgent.is_empty() || !words.is_empty(),
        ..Changed::nothing(tenant.clone())
    })
}
