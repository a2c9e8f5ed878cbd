//! What happened in a branch: every kind of fact, its data, and the one line of JSON that it is kept as.
//!
//! A line is `{"v":1,"id":…,"act":…,"of":[1,4],"actor":…,"at":{…},"kind":"sale.completed","data":{…}}`. Kinds and
//! fields are append-only; golden files hold the bytes. A kind that this version does not know is *unfolded*, not
//! malformed: the envelope is read, the data kept, and a later version folds it.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    gs1::Gtin,
    ids::{ActId, FactId, OrderId, ProductId, SessionId, StaffId, StoreId, TillId},
    journal::{Lane, Parent},
    money::{BasisPoints, Money},
    order::{OrderHead, OrderHow},
    personal::Sealed,
    units::{Day, MilliCelsius, Quantity, UnixMillis},
};

/// The version of the envelope that this code writes.
pub const ENVELOPE_VERSION: u16 = 1;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// Unique for ever.
    pub id: FactId,
    /// The act that it is part of.
    pub act: ActId,
    /// Which part of how many of that act, from 1.
    pub part: Part,
    /// Who did it.
    pub actor: Actor,
    /// When.
    pub at: Stamp,
    /// What.
    pub body: FactBody,
}

/// Which fact of an act, from 1, of how many; `[1,4]` in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part(pub u16, pub u16);

/// Who did it: `box`, or `staff:anna` in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Actor {
    /// The box by itself.
    Machine,
    /// A person who is signed in.
    Staff(StaffId),
}

impl From<Actor> for String {
    fn from(actor: Actor) -> String {
        match actor {
            Actor::Machine => "box".into(),
            Actor::Staff(id) => format!("staff:{id}"),
        }
    }
}
impl TryFrom<String> for Actor {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        match text.strip_prefix("staff:") {
            Some(id) => id.parse().map(Self::Staff).map_err(|bad: crate::ids::BadSlug| bad.to_string()),
            None if text == "box" => Ok(Self::Machine),
            None => Err("an actor is \"box\" or \"staff:\" and an id".into()),
        }
    }
}

/// When, and how far that can be believed (invariant I7). Order comes from the position, never from here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Which start of the machine (the kernel's boot id, or one drawn at start).
    pub boot: Box<str>,
    /// Milliseconds since that start.
    pub mono_ms: u64,
    /// The wall clock.
    pub wall_ms: UnixMillis,
    /// What is known of the wall clock.
    pub clock: ClockQuality,
    /// The day of business that it belongs to, in the branch's time zone and with its cut-over.
    pub business_date: Day,
}

/// What is known of the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClockQuality {
    /// The kernel says that it follows a time source.
    Synchronised,
    /// It runs by itself, and nothing speaks against it.
    Free,
    /// It is before a time that has certainly passed.
    Doubted,
    /// A person confirmed the date when the till was opened.
    Confirmed,
}

/// Where a line's lot comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Provenance {
    /// Read from the pack by a scanner that is proved.
    Scanned,
    /// Picked by a person from the lots on hand.
    Chosen,
    /// Nobody said: the lot that expires first is booked.
    AssumedFefo,
    /// Nobody said, and the book has none.
    Unknown,
}

/// A lot as the maker wrote it: 1 to 20 characters (GS1 AI 10).
pub type Lot = Box<str>;

/// The receipt's number: no gap without its reason, no duplicate. `epoch` is that of the store that gave it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ReceiptNumber {
    /// Whose block.
    pub till: TillId,
    /// Of which life of the store.
    pub epoch: u32,
    /// Rises by one with each sale of this till in this epoch.
    pub number: u64,
}

impl std::fmt::Display for ReceiptNumber {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}/{}/{}", self.till, self.epoch, self.number)
    }
}

/// How something was paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tender {
    /// Notes and coins.
    Cash,
}

/// One line of a sale.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SaleLine {
    /// The article.
    pub product: ProductId,
    /// The pack's number as it was scanned or chosen.
    pub gtin: Gtin,
    /// As it was printed.
    pub name: Box<str>,
    /// Packs; above zero.
    pub quantity: Quantity,
    /// Of one pack, tax included.
    pub unit_price: Money,
    /// `quantity × unit_price`.
    pub amount: Money,
    /// The rate inside the amount.
    pub tax: BasisPoints,
}

/// The tax of all lines at one rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaxShare {
    /// The rate.
    pub rate: BasisPoints,
    /// Sum of the lines at this rate, tax included.
    pub gross: Money,
    /// The tax inside, by [`BasisPoints::tax_inside`].
    pub tax: Money,
}

/// Packs of one lot that left with a sale.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LotMove {
    /// The article.
    pub product: ProductId,
    /// The lot; `None` when nobody knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lot: Option<Lot>,
    /// Where the lot comes from.
    pub provenance: Provenance,
    /// Packs; above zero.
    pub quantity: Quantity,
    /// Serial numbers that were scanned (GS1 AI 21).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub serials: Vec<Box<str>>,
}

/// Packs of one lot that came in or were counted in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LotIn {
    /// The article.
    pub product: ProductId,
    /// The lot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lot: Option<Lot>,
    /// Last day of use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiry: Option<Day>,
    /// Packs; above zero.
    pub quantity: Quantity,
}

/// Why the book was set right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdjustReason {
    /// A pack in the hand that the book did not have: it was sold (invariant I5).
    FoundAtSale,
    /// By a person, with a note.
    Correction,
}

/// Why a drawer was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DrawerCause {
    /// To put money in for a sale.
    Sale,
    /// The till was opened or closed.
    Till,
    /// Without a sale.
    NoSale,
}

/// What a sensor said: a temperature, or why there is none (invariant I9).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sample {
    /// A temperature.
    Temperature(MilliCelsius),
    /// No number, and why: `timeout`, `crc`, `no_probe`, `gone` …
    Missing(Box<str>),
}

macro_rules! facts {
    ($($(#[$doc:meta])* $variant:ident = $kind:literal { $($(#[$fdoc:meta])* $field:ident : $type:ty,)* })*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
            pub struct $variant { $($(#[$fdoc])* pub $field: $type,)* }

            impl From<$variant> for FactBody {
                fn from(data: $variant) -> Self { Self::$variant(data) }
            }
        )*

        /// What happened, by kind.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum FactBody { $($(#[$doc])* $variant($variant),)* }

        impl FactBody {
            /// Every kind that this version knows.
            pub const KINDS: &[&str] = &[$($kind),*];

            /// The kind as it stands in the line.
            pub fn kind(&self) -> &'static str {
                match self { $(Self::$variant(_) => $kind,)* }
            }

            fn data_json(&self) -> Result<String, serde_json::Error> {
                match self { $(Self::$variant(data) => serde_json::to_string(data),)* }
            }

            /// Reads the data of a known kind; `None` for a kind that this version does not know.
            fn parse(kind: &str, data: &str) -> Option<Result<Self, serde_json::Error>> {
                match kind {
                    $($kind => Some(serde_json::from_str(data).map(Self::$variant)),)*
                    _ => None,
                }
            }
        }
    };
}

facts! {
    /// The first fact of a store: which store it is, and what it descends from.
    EpochOpened = "epoch.opened" {
        /// The new store.
        store: StoreId,
        /// The one before; `None` for a box's first.
        parent: Option<Parent>,
    }
    /// The agent started.
    BoxStarted = "box.started" {
        /// Its version.
        version: Box<str>,
        /// Facts that an unexpected end left behind were checked; what was found, if not all was well.
        found: Option<Box<str>>,
    }
    /// A person signed in at a till.
    StaffSignedIn = "staff.signed_in" {
        /// Who.
        staff: StaffId,
        /// Where.
        till: TillId,
    }
    /// A sign-in was refused.
    StaffDenied = "staff.denied" {
        /// Who it claimed to be.
        staff: StaffId,
        /// Where.
        till: TillId,
        /// Why: `pin`, `locked`, `left`.
        reason: Box<str>,
    }
    /// A cash session began.
    TillOpened = "till.opened" {
        /// Whose drawer.
        till: TillId,
        /// The new session.
        session: SessionId,
        /// Counted into the drawer.
        float: Money,
    }
    /// Money was put in without a sale.
    TillPaidIn = "till.paid_in" {
        /// Whose drawer.
        till: TillId,
        /// The session that it belongs to.
        session: SessionId,
        /// Above zero.
        amount: Money,
        /// Why.
        reason: Box<str>,
    }
    /// Money was taken out.
    TillPaidOut = "till.paid_out" {
        /// Whose drawer.
        till: TillId,
        /// The session that it belongs to.
        session: SessionId,
        /// Above zero.
        amount: Money,
        /// Why.
        reason: Box<str>,
    }
    /// Money of a sale stayed in the drawer.
    TillReceived = "till.received" {
        /// Whose drawer.
        till: TillId,
        /// The session that it belongs to.
        session: SessionId,
        /// How.
        tender: Tender,
        /// What stayed: tendered less change.
        amount: Money,
        /// For which receipt.
        receipt: ReceiptNumber,
    }
    /// A cash session ended with a blind count.
    TillClosed = "till.closed" {
        /// Whose drawer.
        till: TillId,
        /// The session.
        session: SessionId,
        /// By the person.
        counted: Money,
        /// By the book.
        expected: Money,
        /// `counted − expected`.
        variance: Money,
        /// Sales in the session.
        sales: u64,
    }
    /// A basket was paid.
    SaleCompleted = "sale.completed" {
        /// Where.
        till: TillId,
        /// In which session.
        session: SessionId,
        /// Its receipt.
        receipt: ReceiptNumber,
        /// At least one.
        lines: Vec<SaleLine>,
        /// Sum of the lines.
        total: Money,
        /// One entry per rate.
        taxes: Vec<TaxShare>,
        /// How it was paid.
        tender: Tender,
        /// What was given.
        tendered: Money,
        /// What was handed back.
        change: Money,
    }
    /// A drawer was told to open.
    DrawerOpened = "drawer.opened" {
        /// Whose.
        till: TillId,
        /// Why.
        cause: DrawerCause,
    }
    /// The branch's first stock.
    StockOpened = "stock.opened" {
        /// By lot.
        lines: Vec<LotIn>,
    }
    /// A delivery.
    StockReceived = "stock.received" {
        /// By lot.
        lines: Vec<LotIn>,
        /// The delivery note.
        reference: Box<str>,
    }
    /// Packs that left with a sale.
    StockSold = "stock.sold" {
        /// The receipt.
        receipt: ReceiptNumber,
        /// By lot.
        moves: Vec<LotMove>,
    }
    /// The book was set right.
    StockAdjusted = "stock.adjusted" {
        /// The article.
        product: ProductId,
        /// The lot.
        lot: Option<Lot>,
        /// Added to the book; may be negative.
        delta: Quantity,
        /// Why.
        reason: AdjustReason,
        /// Somebody should count this product.
        count_wanted: bool,
        /// In a person's words; may be empty.
        note: Box<str>,
    }
    /// A count by a person.
    StockCounted = "stock.counted" {
        /// The article.
        product: ProductId,
        /// The lot.
        lot: Option<Lot>,
        /// By the book.
        expected: Quantity,
        /// On the shelf.
        found: Quantity,
        /// `found − expected`: what is added to the book, so that late facts still add up.
        difference: Quantity,
    }
    /// A document came out of the printer.
    PrintCompleted = "print.completed" {
        /// The act whose document it is.
        document: ActId,
        /// Which printer.
        printer: Box<str>,
    }
    /// It is not known whether a document came out.
    PrintUnknown = "print.unknown" {
        /// The act whose document it is.
        document: ActId,
        /// Which printer.
        printer: Box<str>,
        /// What happened.
        reason: Box<str>,
    }
    /// A person had a document printed again, marked COPY.
    PrintReprinted = "print.reprinted" {
        /// The act whose document it is.
        document: ActId,
        /// Which printer.
        printer: Box<str>,
    }
    /// A device answers again, or for the first time.
    DeviceAttached = "device.attached" {
        /// As configured.
        name: Box<str>,
        /// `scanner`, `printer` or `sensor`.
        class: Box<str>,
    }
    /// A device does not answer any more.
    DeviceLost = "device.lost" {
        /// As configured.
        name: Box<str>,
        /// `scanner`, `printer` or `sensor`.
        class: Box<str>,
        /// What was seen.
        reason: Box<str>,
    }
    /// A device answers, but says that something is wrong.
    DeviceFault = "device.fault" {
        /// As configured.
        name: Box<str>,
        /// `scanner`, `printer` or `sensor`.
        class: Box<str>,
        /// What it says.
        reason: Box<str>,
    }
    /// A sensor was asked.
    ReadingSampled = "reading.sampled" {
        /// As configured.
        sensor: Box<str>,
        /// What it said.
        sample: Sample,
    }
    /// Facts that left the box can no longer be read into its books: stock, sums and known receipts lack them.
    BoxBooksIncomplete = "box.books_incomplete" {
        /// In which life of the store.
        epoch: u32,
        /// The first that is missing.
        from: u64,
        /// The last that is missing.
        to: u64,
    }
    /// How much room the box's disk has, whenever that gets better or worse by a step.
    BoxSpaceLow = "box.space_low" {
        /// `plenty`, `low`, `shedding` (no readings are recorded) or `full` (no new business).
        level: Box<str>,
        /// Free for the box, in MiB.
        free_mib: u64,
        /// How long that lasts as it has been used lately; `None` where nobody can tell.
        days_left: Option<u32>,
    }
    /// Readings that were not recorded, because the disk has little room left.
    BoxShed = "box.shed" {
        /// How many.
        facts: u64,
        /// When the first of them was, by the box's clock.
        from: UnixMillis,
        /// When the last of them was.
        to: UnixMillis,
    }
    /// The box takes up its branch's log of orders here: what stands before it is in the snapshot that it uses, or was
    /// done by a box before it.
    OrdersJoined = "orders.joined" {
        /// The last order that it does not ask for.
        #[serde(flatten)]
        at: OrderHead,
    }
    /// An order of the centre was carried out. What it changed stands in the same act.
    OrderApplied = "order.applied" {
        /// Its place in the log, and what the log's head was then.
        #[serde(flatten)]
        at: OrderHead,
        /// Which.
        order: OrderId,
        /// Its kind.
        kind: Box<str>,
        /// How it came.
        how: OrderHow,
        /// As the centre wrote it: so a centre that lost it in a restore has it back.
        line: Box<str>,
    }
    /// An order of the centre was not carried out. The log goes on behind it.
    OrderRefused = "order.refused" {
        /// Its place in the log, and what the log's head was then.
        #[serde(flatten)]
        at: OrderHead,
        /// Which; `None` where the line does not say.
        order: Option<OrderId>,
        /// Its kind; empty where the line does not say.
        kind: Box<str>,
        /// For machines: `not_understood`, `bad_data`, `too_old`.
        reason: Box<str>,
        /// In words.
        detail: Box<str>,
        /// The agent's version: a later one tries again.
        agent: Box<str>,
        /// As the centre wrote it.
        line: Box<str>,
    }
    /// A person became a patient of the chain. Whose fields they are stands in [`Sealed::person`].
    PatientRegistered = "patient.registered" {
        /// Readable under the person's key alone.
        details: Sealed,
    }
    /// What is known of a patient was set right: these fields take the place of those before.
    PatientAmended = "patient.amended" {
        /// Readable under the person's key alone.
        details: Sealed,
    }
}

impl FactBody {
    /// Whether people should hear of it before its turn comes: it is then sent early, as a copy.
    pub fn is_urgent(&self) -> bool {
        match self {
            Self::OrderRefused(_) => true,
            // The branch is about to refuse business, or does.
            Self::BoxSpaceLow(said) => matches!(&*said.level, "shedding" | "full"),
            // One wrong PIN is nobody's night; a name that is locked may be.
            Self::StaffDenied(denied) => &*denied.reason == "locked",
            _ => false,
        }
    }

    /// Sealed personal fields, if it carries any.
    pub fn personal(&self) -> Option<&Sealed> {
        match self {
            Self::PatientRegistered(PatientRegistered { details })
            | Self::PatientAmended(PatientAmended { details }) => Some(details),
            _ => None,
        }
    }

    /// Whether a fact of this kind may stand in that lane. Telemetry is shed, copied early and read by many: nothing of
    /// a person goes there, not even sealed (invariant I11).
    pub fn may_stand_in(&self, lane: Lane) -> bool {
        lane == Lane::Ledger || self.personal().is_none()
    }
}

/// What is wrong with a line.
#[derive(Debug, thiserror::Error)]
pub enum FactError {
    /// Not the JSON of an envelope.
    #[error("the line is no fact")]
    Envelope(#[source] serde_json::Error),
    /// A known kind, with data that it cannot have.
    #[error("the data does not fit its kind {kind}")]
    Data {
        /// The kind.
        kind: String,
        /// What the parser says.
        #[source]
        source: serde_json::Error,
    },
    /// Lines of a batch are separated by line ends.
    #[error("the line contains a line end")]
    LineEnd,
}

/// A line whose envelope was read and whose data was not yet.
#[derive(Debug, Deserialize, Serialize)]
pub struct Envelope<'a> {
    /// Version of the envelope.
    pub v: u16,
    /// See [`Fact::id`].
    pub id: FactId,
    /// See [`Fact::act`].
    pub act: ActId,
    /// See [`Fact::part`].
    pub of: Part,
    /// See [`Fact::actor`].
    pub actor: Actor,
    /// See [`Fact::at`].
    pub at: Stamp,
    /// Names the form of the data.
    #[serde(borrow)]
    pub kind: std::borrow::Cow<'a, str>,
    /// By kind.
    #[serde(borrow)]
    pub data: &'a RawValue,
}

impl<'a> Envelope<'a> {
    /// Reads the envelope of a line.
    ///
    /// # Errors
    /// [`FactError::Envelope`], or [`FactError::LineEnd`].
    pub fn parse(line: &'a [u8]) -> Result<Self, FactError> {
        if line.contains(&b'\n') {
            return Err(FactError::LineEnd);
        }
        serde_json::from_slice(line).map_err(FactError::Envelope)
    }

    /// Reads the data: `None` where the envelope or the kind is newer than this version (*unfolded*).
    ///
    /// # Errors
    /// [`FactError::Data`] when the kind is known and its data is not what it must be.
    pub fn body(&self) -> Result<Option<FactBody>, FactError> {
        if self.v > ENVELOPE_VERSION {
            return Ok(None);
        }
        FactBody::parse(&self.kind, self.data.get())
            .transpose()
            .map_err(|source| FactError::Data { kind: self.kind.clone().into_owned(), source })
    }
}

impl Fact {
    /// The line that is kept, hashed and sent; without a line end.
    ///
    /// # Errors
    /// Only where JSON cannot say it, which no field of ours allows.
    pub fn to_line(&self) -> Result<Vec<u8>, serde_json::Error> {
        let data = RawValue::from_string(self.body.data_json()?)?;
        serde_json::to_vec(&Envelope {
            v: ENVELOPE_VERSION,
            id: self.id,
            act: self.act,
            of: self.part,
            actor: self.actor.clone(),
            at: self.at.clone(),
            kind: self.body.kind().into(),
            data: &data,
        })
    }

    /// Reads a line back.
    ///
    /// # Errors
    /// [`FactError`]; a kind that this version does not know is `Ok(None)`.
    pub fn from_line(line: &[u8]) -> Result<Option<Self>, FactError> {
        let envelope = Envelope::parse(line)?;
        let Some(body) = envelope.body()? else { return Ok(None) };
        let Envelope { id, act, of, actor, at, .. } = envelope;
        Ok(Some(Self { id, act, part: of, actor, at, body }))
    }
}

/// What a person did in one go, before it has a place in the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Act {
    /// The page makes it, so that a repeat is recognised.
    pub id: ActId,
    /// One to a few facts, in order, each with this act's id and its part.
    pub facts: Vec<Fact>,
}

impl Act {
    /// Puts `bodies` into one act; `ids` gives each fact its id.
    pub fn new(
        id: ActId,
        actor: &Actor,
        at: &Stamp,
        bodies: Vec<FactBody>,
        mut ids: impl FnMut() -> FactId,
    ) -> Self {
        let count = u16::try_from(bodies.len()).unwrap_or(u16::MAX);
        let facts = (1..=count)
            .zip(bodies)
            .map(|(index, body)| Fact {
                id: ids(),
                act: id,
                part: Part(index, count),
                actor: actor.clone(),
                at: at.clone(),
                body,
            })
            .collect();
        Self { id, facts }
    }
}
