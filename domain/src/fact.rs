//! What happened in a branch: every kind of fact, its data, and the one line of JSON that it is kept as.
//!
//! A line is `{"v":1,"id":…,"act":…,"of":[1,4],"actor":…,"at":{…},"kind":"sale.completed","data":{…}}`. Kinds and
//! fields are append-only; golden files hold the bytes. A kind that this version does not know is *unfolded*, not
//! malformed: the envelope is read, the data kept, and a later version folds it.

mod bearing;
mod line;
mod words;

use serde::{Deserialize, Serialize};

use crate::{
    ids::{ActId, FactId, OrderId, ProductId, SessionId, StaffId, StoreId, TillId},
    journal::{Carried, Parent},
    kinds::kinds,
    money::Money,
    order::{OrderHead, OrderHow},
    personal::Sealed,
    signature::Hash,
    units::{Day, MilliCelsius, Quantity, UnixMillis},
};

pub use line::{Act, ENVELOPE_VERSION, Envelope, FactError};
pub use words::{
    AdjustReason, DrawerCause, Lot, LotIn, LotMove, Provenance, ReceiptNumber, SaleLine, Sample, TaxShare,
    Tender,
};

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

kinds! {
    /// What happened, by kind.
    enum FactBody;

    /// The first fact of a store: which store it is, and what it descends from.
    EpochOpened = "epoch.opened" {
        /// The new store.
        store: StoreId,
        /// The one before; `None` for a box's first.
        parent: Option<Parent>,
        /// What was recorded before in lives that the centre could not join, and stands in this one once more, as it was; empty
        /// but where a fork was resolved.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        carried: Vec<Carried>,
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
        /// Which printer; empty where none is set up for it any more.
        printer: Box<str>,
    }
    /// It is not known whether a document came out.
    PrintUnknown = "print.unknown" {
        /// The act whose document it is.
        document: ActId,
        /// Which printer; empty where none is set up for it any more.
        printer: Box<str>,
        /// What happened.
        reason: Box<str>,
    }
    /// A person had a document printed again, marked COPY.
    PrintReprinted = "print.reprinted" {
        /// The act whose document it is.
        document: ActId,
        /// Which printer; empty where none is set up for it any more.
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
        /// The cold place whose temperature this is. A probe that only watches another, or belongs to no place, names none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        place: Option<Box<str>>,
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
    /// Facts that this box's books lacked were fetched from the centre, verified by the chain, and taken into the books here.
    BoxFactsFetched = "box.facts_fetched" {
        /// In which life of the store.
        epoch: u32,
        /// The first that was taken in.
        from: u64,
        /// The last that was taken in.
        to: u64,
        /// The chain's value there.
        hash: Hash,
    }
    /// A door, the mains or an alarm changed, or cannot be read any more.
    InputChanged = "input.changed" {
        /// As configured.
        input: Box<str>,
        /// `door`, `power` or `alarm`.
        kind: Box<str>,
        /// `closed`, `open`; `here`, `away`; `quiet`, `ringing`; or `unknown`.
        state: Box<str>,
        /// Why it is unknown, as in [`Sample::Missing`].
        reason: Option<Box<str>>,
    }
    /// A probe's certificate is in force from here on: each later reading of it is corrected by this.
    ProbeCalibrated = "probe.calibrated" {
        /// As configured.
        sensor: Box<str>,
        /// The certificate's number.
        certificate: Box<str>,
        /// When the probe was calibrated.
        date: Day,
        /// When it is due again.
        due: Day,
        /// Added to what the probe tells.
        correction: MilliCelsius,
    }
    /// A sensor has a time behind it without readings, and why. It stands in the same stream as the readings around it.
    ReadingMissed = "reading.missed" {
        /// As configured.
        sensor: Box<str>,
        /// The last record before it, or the first one that says that there is no reading; by the box's clock.
        from: UnixMillis,
        /// The first record behind it.
        to: UnixMillis,
        /// How long it was: by the machine's own clock, which no person sets, or by the wall clock where the box was off.
        lasted_ms: u64,
        /// `box_off`, `not_asked`, `bus_away`, `power_away` or `sensor_silent`.
        cause: Box<str>,
        /// What the sensor said instead, as in [`Sample::Missing`]; where it was the sensor.
        reason: Option<Box<str>>,
    }
    /// Something is wrong with a cold place, and has been for long enough to be told; or it has ended.
    PlaceChanged = "place.changed" {
        /// As configured.
        place: Box<str>,
        /// `too_warm`, `too_cold`, `no_reading`, `disagreement`, `fell_back` or `second_away`.
        trouble: Box<str>,
        /// `began` or `ended`.
        state: Box<str>,
        /// In words, with the readings of the moment.
        detail: Box<str>,
    }
    /// A document was asked for that belongs to no other act. What becomes of it, `print.completed` and its kin say.
    PrintRequested = "print.requested" {
        /// Where.
        till: TillId,
        /// `shelf_label` or `dispensing_label`.
        document: Box<str>,
        /// For lists; names nobody.
        title: Box<str>,
    }
}
