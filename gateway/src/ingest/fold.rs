//! What stored facts do to stock, sales, tills and patients: in the transaction that stores them, or in a later one of a version
//! that understands them.

use std::collections::{BTreeSet, HashMap, HashSet};

use pestle_domain::{fact::FactBody, ids::TenantId, journal::Stream};
use uuid::Uuid;

use super::{
    alerts::{self, Alert, End},
    box_words::{self, BoxWords},
    live::Changed,
    quarantine::{self, Quarantined},
    repeats::{self, FactPlace, Repeat, Repeats},
    rules::{self, REPEATED, VerifiedFact},
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
    let repeats = tell_repeats(tx, tenant, facts).await?;
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
    let (mut outcomes, mut told, mut ends) = (Outcomes::default(), Vec::new(), Vec::new());
    let mut words = BoxWords::default();
    for (effect, body) in bodies {
        let place = Place {
            branch: effect.origin.branch.as_str(),
            stream: effect.stream,
            seq: i64::try_from(effect.seq).unwrap_or(i64::MAX),
        };
        let counts = !repeats.leaves_out(effect);
        if counts {
            booked.add(place, body);
        }
        outcomes.add(effect.origin.branch.as_str(), body);
        told.extend(Alert::of(effect.origin, effect.fact));
        ends.extend(End::of(effect));
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
        if counts {
            takings.add(circumstance, body);
        }
        if let (FactBody::EpochOpened(opened), 1) = (body, effect.seq) {
            store::note_store(tx, effect.stream, opened).await?;
        }
    }
    inventory::store::book(tx, tenant, &booked).await?;
    sales::store::book(tx, tenant, &takings).await?;
    orders::store::book(tx, tenant, &outcomes).await?;
    alerts::note(tx, tenant, &told, false).await?;
    alerts::end(tx, tenant, &ends).await?;
    box_words::book(tx, tenant, &words).await?;
    patients::store::book(tx, tenant, &patients).await?;
    let stock: BTreeSet<(String, String)> =
        booked.changes.keys().map(|line| (line.branch.to_owned(), line.product.to_owned())).collect();
    Ok(Changed {
        stock,
        sales: takings.sales.len(),
        tills: !takings.sessions.is_empty(),
        alarms: !outcomes.is_empty()
            || !told.is_empty()
            || !ends.is_empty()
            || !words.is_empty()
            || repeats.iter().next().is_some(),
        ..Changed::nothing(tenant.clone())
    })
}

/// Tells which acts counted before, notes them, and shows them to a person.
async fn tell_repeats<'a>(
    tx: &mut Tx,
    tenant: &TenantId,
    facts: &[Effect<'a>],
) -> Result<Repeats<'a>, DbError> {
    let asked = repeats::asked(facts);
    let rows = store::counted(tx, &asked).await?;
    let mut counted: HashMap<(&str, Uuid), Vec<FactPlace>> = HashMap::new();
    for (branch, act, place) in &rows {
        counted.entry((branch.as_str(), *act)).or_default().push(*place);
    }
    let repeats = Repeats::tell(facts, &counted);
    for repeat in repeats.iter() {
        store::note_repeat(tx, tenant, repeat).await?;
        show_repeat(tx, tenant, repeat).await?;
    }
    Ok(repeats)
}

async fn show_repeat(tx: &mut Tx, tenant: &TenantId, repeat: &Repeat<'_>) -> Result<(), DbError> {
    let counted = store::fact_at(tx, repeat.counted).await?;
    let counted = counted.and_then(|(line, hash)| rules::read_line(&line, hash));
    let message = repeat.message(counted.as_ref().and_then(VerifiedFact::body));
    let origin = repeat.effect.origin;
    let doubt = Quarantined {
        device: &origin.device,
        channel: origin.lane.as_str(),
        batch: None,
        reason: REPEATED,
        message: &message,
        identity: repeat.identity(),
        // They are in the event store, in their place.
        bytes: b"",
    };
    quarantine::keep(tx, tenant, &doubt).await?;
    Ok(())
}
