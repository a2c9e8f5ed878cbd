//! What the counter counts since its start, for `/metrics`: each refusal, loss and failure at the till is one of these
//! (invariant I10).

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

use super::command::Why;

/// Something that is worth counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// A scanner sent what is no barcode.
    ScanRejected,
    /// The counter said no.
    Refused(Why),
    /// A print has ended.
    Print(PrintEnd),
    /// A drawer was told to open, and did not.
    DrawerNotOpened,
    /// A sign-in with a wrong name or PIN.
    WrongPin,
    /// A wrong sign-in that was not written down, because too many of them came.
    DenialNotRecorded,
    /// A sensor that was asked said no temperature.
    ReadingMissing,
    /// A device that comes and goes too often: this once was not written down.
    DeviceFactHeldBack,
    /// An open basket could not be kept.
    BasketNotKept,
    /// The stock book cannot be right.
    Doubt,
    /// A reading that was not recorded, because the disk has little room.
    ReadingShed,
    /// Somebody was told to wait for a slow disk.
    SlowCommit,
    /// An order of the centre was carried out.
    OrderApplied,
    /// An order of the centre was refused.
    OrderRefused,
    /// Orders came that do not join what was judged.
    OrdersUnjoined,
}

/// How a print ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrintEnd {
    /// On paper.
    Printed,
    /// On paper, as a copy.
    Copied,
    /// Nothing reached the printer; it goes by itself later.
    NotPrinted,
    /// Nobody knows; a person was asked.
    Unknown,
    /// The printer cannot say.
    CannotTell,
    /// A person gave it up.
    GivenUp,
    /// Given up because too many wait for the printer.
    LetGo,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

/// All counts. Clones count together.
#[derive(Debug, Clone, Default)]
pub struct CounterCounters {
    scans_rejected: Counter,
    refusals: Family<ReasonLabel, Counter>,
    prints: Family<OutcomeLabel, Counter>,
    drawers_not_opened: Counter,
    wrong_pins: Counter,
    denials_not_recorded: Counter,
    readings_missing: Counter,
    device_facts_held_back: Counter,
    baskets_not_kept: Counter,
    doubts: Counter,
    readings_shed: Counter,
    slow_commits: Counter,
    orders_applied: Counter,
    orders_refused: Counter,
    orders_unjoined: Counter,
}

impl CounterCounters {
    /// Counts one.
    pub fn count(&self, count: Count) {
        let counter = match count {
            Count::ScanRejected => &self.scans_rejected,
            Count::DrawerNotOpened => &self.drawers_not_opened,
            Count::WrongPin => &self.wrong_pins,
            Count::DenialNotRecorded => &self.denials_not_recorded,
            Count::ReadingMissing => &self.readings_missing,
            Count::DeviceFactHeldBack => &self.device_facts_held_back,
            Count::BasketNotKept => &self.baskets_not_kept,
            Count::Doubt => &self.doubts,
            Count::ReadingShed => &self.readings_shed,
            Count::SlowCommit => &self.slow_commits,
            Count::OrderApplied => &self.orders_applied,
            Count::OrderRefused => &self.orders_refused,
            Count::OrdersUnjoined => &self.orders_unjoined,
            Count::Refused(why) => {
                self.refusals.get_or_create(&ReasonLabel { reason: why.code().0 }).inc();
                return;
            }
            Count::Print(end) => {
                self.prints.get_or_create(&OutcomeLabel { outcome: end.as_str() }).inc();
                return;
            }
        };
        counter.inc();
    }

    /// Offers all of them to a scrape. The names get the registry's prefix, and `_total` behind.
    pub fn register(&self, registry: &mut Registry) {
        let mut one = |name: &str, help: &str, counter: &Counter| {
            registry.register(name, help, counter.clone());
        };
        one("scans_rejected", "Scans that were no barcode", &self.scans_rejected);
        one("drawers_not_opened", "Kicks after which a drawer did not open", &self.drawers_not_opened);
        one("wrong_pins", "Sign-ins with a wrong name or PIN", &self.wrong_pins);
        one(
            "denials_not_recorded",
            "Wrong sign-ins that came too often to be recorded",
            &self.denials_not_recorded,
        );
        one("readings_missing", "Readings without a temperature", &self.readings_missing);
        one(
            "device_facts_held_back",
            "Comings and goings of devices that were too many to be recorded",
            &self.device_facts_held_back,
        );
        one("baskets_not_kept", "Open baskets that the disk did not take", &self.baskets_not_kept);
        one("stock_doubts", "Facts after which the stock book cannot be right", &self.doubts);
        one("readings_shed", "Readings that were not recorded for want of room", &self.readings_shed);
        one("slow_commits", "Acts for which somebody was told to wait for the disk", &self.slow_commits);
        one("orders_applied", "Orders of the centre that were carried out", &self.orders_applied);
        one("orders_refused", "Orders of the centre that were refused", &self.orders_refused);
        one(
            "orders_unjoined",
            "Messages of orders that do not join what was carried out",
            &self.orders_unjoined,
        );
        registry.register("refusals", "What the counter refused, by reason", self.refusals.clone());
        registry.register("prints", "Print jobs by their end", self.prints.clone());
    }
}

impl PrintEnd {
    fn as_str(self) -> &'static str {
        match self {
            Self::Printed => "printed",
            Self::Copied => "copied",
            Self::NotPrinted => "not_printed",
            Self::Unknown => "unknown",
            Self::CannotTell => "cannot_tell",
            Self::GivenUp => "given_up",
            Self::LetGo => "let_go",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_scraped_as_counters() {
        let counters = CounterCounters::default();
        let mut registry = Registry::with_prefix("pestle_agent");
        counters.register(&mut registry);
        counters.count(Count::ScanRejected);
        counters.count(Count::Refused(Why::Conflict));
        counters.count(Count::Print(PrintEnd::NotPrinted));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "pestle_agent_scans_rejected_total 1",
            "pestle_agent_wrong_pins_total 0",
            "pestle_agent_refusals_total{reason=\"CONFLICT\"} 1",
            "pestle_agent_prints_total{outcome=\"not_printed\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
    }
}
