//! What an order means in this branch: the facts of its act. Pure.

use pestle_domain::{
    causes::with_causes,
    fact::{AdjustReason, FactBody, OrderApplied, OrderRefused, StockAdjusted},
    ids::{ActId, OrderId},
    order::{OrderBody, OrderEnvelope, OrderHead, OrderHow, StockAdjust},
    units::Quantity,
};

use uuid::Uuid;

use super::book::OrderBook;

/// The reason of an order that this version cannot read, or does not know.
pub const NOT_UNDERSTOOD: &str = "not_understood";
/// The reason of an order that asks for what cannot be.
pub const BAD_DATA: &str = "bad_data";
/// The reason of an order so old that it may have been carried out, and nobody remembers.
pub const TOO_OLD: &str = "too_old";

/// Under which act ids of orders are derived (RFC 9562, version 5); drawn once.
const ACTS: Uuid = Uuid::from_u128(0x4c1d_77a6_90e2_4b38_8d54_3fd0_6a2b_e917);

/// The act that carries an order out: to the centre the same one, whenever it is done.
pub fn act_of(order: OrderId) -> ActId {
    ActId(Uuid::new_v5(&ACTS, order.0.as_bytes()))
}

/// What no shelf holds: the centre would not book it either.
const PACKS_MAX: i64 = 1_000_000_000;

/// The facts of the order in place `at`, whose bytes are `line`: what became of it first, then what it changed.
/// `agent` is this program's version.
pub fn decide(book: &OrderBook, at: OrderHead, line: &str, agent: &str) -> Vec<FactBody> {
    let refuse = |order: Option<OrderId>, kind: &str, reason: &str, detail: String| {
        let refused = OrderRefused {
            at,
            order,
            kind: kind.into(),
            reason: reason.into(),
            detail: detail.into(),
            agent: agent.into(),
            line: line.into(),
        };
        vec![refused.into()]
    };
    let envelope = match OrderEnvelope::parse(line.as_bytes()) {
        Ok(envelope) => envelope,
        Err(error) => return refuse(None, "", NOT_UNDERSTOOD, with_causes(&error)),
    };
    let (order, kind) = (envelope.id, &*envelope.kind);
    let applied = |how| OrderApplied { at, order, kind: kind.into(), how, line: line.into() };
    if book.knows(order) {
        return vec![applied(OrderHow::Known).into()];
    }
    if book.may_have_forgotten(envelope.issued_at) {
        let detail = "it is older than what this box remembers one by one: it may have been done".to_owned();
        return refuse(Some(order), kind, TOO_OLD, detail);
    }
    match effects(&envelope) {
        Ok(effects) => {
            let mut bodies = vec![applied(OrderHow::InTurn).into()];
            bodies.extend(effects);
            bodies
        }
        Err((reason, detail)) => refuse(Some(order), kind, reason, detail),
    }
}

/// The acts of refused orders that this version carries out after all. `agent` is its version: those that it refused itself
/// are not tried again.
pub fn retry(book: &OrderBook, agent: &str) -> Vec<Vec<FactBody>> {
    let waiting = book
        .refused()
        .filter(|(id, refused)| &*refused.agent != agent && &*refused.reason != TOO_OLD && !book.knows(*id));
    waiting
        .filter_map(|(order, refused)| {
            let envelope = OrderEnvelope::parse(refused.line.as_bytes()).ok()?;
            let effects = effects(&envelope).ok()?;
            let kind = (*envelope.kind).into();
            let applied = OrderApplied {
                at: refused.at,
                order,
                kind,
                how: OrderHow::Retried,
                line: refused.line.clone(),
            };
            let mut bodies = vec![FactBody::from(applied)];
            bodies.extend(effects);
            Some(bodies)
        })
        .collect()
}

/// What an order changes beside the recalls, which are read from its line; or why it cannot be carried out.
fn effects(envelope: &OrderEnvelope<'_>) -> Result<Vec<FactBody>, (&'static str, String)> {
    match envelope.body() {
        Ok(Some(OrderBody::StockAdjust(adjust))) => adjusted(adjust).map(|body| vec![body]),
        Ok(Some(
            OrderBody::RecallIssued(_)
            | OrderBody::RecallLifted(_)
            | OrderBody::CatalogueChanged(_)
            | OrderBody::StaffChanged(_),
        )) => Ok(Vec::new()),
        Ok(None) => Err((
            NOT_UNDERSTOOD,
            format!("this agent does not know orders of the kind {}, version {}", envelope.kind, envelope.v),
        )),
        Err(error) => Err((BAD_DATA, with_causes(&error))),
    }
}

fn adjusted(adjust: StockAdjust) -> Result<FactBody, (&'static str, String)> {
    let StockAdjust { product, lot, delta, reason } = adjust;
    if delta == Quantity::ZERO || delta.0.unsigned_abs() > PACKS_MAX.unsigned_abs() {
        return Err((BAD_DATA, format!("{delta} packs cannot be booked")));
    }
    let adjusted = StockAdjusted {
        product,
        lot,
        delta,
        reason: AdjustReason::Correction,
        count_wanted: false,
        note: reason,
    };
    Ok(adjusted.into())
}
