//! Bugs that are planted on purpose, one at a time: a simulation that does not find them proves nothing.
//!
//! None of them stands in the product. Each is put in where a simulated shell asks the product's own rule, and changes the
//! answer, or does the steps in the wrong order: so no switch and no feature has to be built into what is shipped.

/// A planted bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Bug {
    /// The gateway answers `committed`, and the commit fails after that.
    AckBeforeCommit,
    /// The box does not compare an acknowledgement with its own chain.
    AckNotCompared,
    /// An acknowledgement from before the centre's restore counts like one from after it.
    EarlyLifeAck,
    /// A person is told before the disk has it.
    ToldBeforeSync,
    /// A store that lost its tail goes on in the same epoch.
    EpochReused,
    /// After a restart the last sale is not in the books from which receipts are numbered.
    ReceiptReused,
    /// The centre applies a batch behind a gap.
    GapApplied,
    /// What the centre has of a batch is skipped, and one fact more.
    SkipOffByOne,
    /// Heads are moved in another transaction than that of the facts.
    HeadWithoutFacts,
    /// Each fact is a transaction of its own.
    ActTorn,
    /// A second gateway folds what the first has booked.
    StockTwice,
    /// A box does not send again what a restored centre lacks.
    RestoreIgnored,
    /// A box lets go of what the centre has not acknowledged.
    PrunedUnacknowledged,
    /// A box does not know after a restart what it has recorded: who asks again has it twice.
    RepeatForgotten,
    /// A box that is sent orders once more does not know that it has carried them out.
    OrderRepeated,
    /// What a box has of a run of orders is skipped, and one order more.
    OrderSkipped,
    /// An order is told as carried out, and what it changes is not in the act.
    OrderWithoutEffect,
}

impl Bug {
    /// All.
    pub const ALL: [Self; 17] = [
        Self::AckBeforeCommit,
        Self::AckNotCompared,
        Self::EarlyLifeAck,
        Self::ToldBeforeSync,
        Self::EpochReused,
        Self::ReceiptReused,
        Self::GapApplied,
        Self::SkipOffByOne,
        Self::HeadWithoutFacts,
        Self::ActTorn,
        Self::StockTwice,
        Self::RestoreIgnored,
        Self::PrunedUnacknowledged,
        Self::RepeatForgotten,
        Self::OrderRepeated,
        Self::OrderSkipped,
        Self::OrderWithoutEffect,
    ];
}

impl std::str::FromStr for Bug {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let named = |bug: &Self| format!("{bug:?}").eq_ignore_ascii_case(text);
        Self::ALL.into_iter().find(named).ok_or_else(|| {
            let all: Vec<String> = Self::ALL.iter().map(|bug| format!("{bug:?}")).collect();
            format!("{text} is none of {}", all.join(", "))
        })
    }
}
