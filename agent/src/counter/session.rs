//! What the person who is there may do, and the till's cash session.

use pestle_domain::{
    fact::{DrawerCause, DrawerOpened, FactBody},
    ids::{ActId, SessionId, TillId},
    journal::Lane,
    money::Money,
    staff::Permission,
    till::TillRefusal,
};

use super::{
    command::{CashWay, Command, DateWord, Refused, Said, StationId, Ticket, Why},
    live::{Asked, SignedIn},
    machine::{Branch, Effect, Now},
    papers::DocumentKind,
    records::PrintIntent,
    sell::repeated,
    under_way::Purpose,
};
use crate::spool::machine::Word;

/// Longest reason for which cash is moved: one line of a report.
const REASON_CHARS_MAX: usize = 80;

impl From<TillRefusal> for Refused {
    fn from(refusal: TillRefusal) -> Self {
        let why = match refusal {
            TillRefusal::AlreadyOpen | TillRefusal::NotOpen => Why::Conflict,
            TillRefusal::Negative | TillRefusal::NotAboveZero | TillRefusal::Money(_) => Why::Validation,
        };
        Self::new(why, format!("That cannot be done: {refusal}."))
    }
}

impl Branch {
    /// Somebody did something at this browser: is it the one where a person is signed in?
    pub(super) fn touch(&mut self, now: &Now<'_>, till: &TillId, station: &StationId) -> Result<(), Refused> {
        let signed_in = self.tills.get_mut(till).and_then(|live| live.signed_in.as_mut());
        match signed_in {
            Some(signed_in) if signed_in.station == *station => {
                signed_in.last_ms = now.mono_ms;
                Ok(())
            }
            Some(_other) => {
                // Who it is, is for those who are signed in.
                let text = "Somebody is signed in at another screen of this till. Sign in here to take over.";
                Err(Refused::new(Why::Authentication, text))
            }
            None => {
                Err(Refused::new(Why::Authentication, "Nobody is signed in at this till. Sign in first."))
            }
        }
    }

    /// Refuses what this person may not do here, before anything is looked at.
    pub(super) fn may_ask(&self, till: &TillId, command: &Command) -> Result<(), Refused> {
        let needed = match command {
            Command::SetQuantity { .. }
            | Command::Void { .. }
            | Command::VoidAll
            | Command::Add { .. }
            | Command::ChooseLot { .. }
            | Command::ConfirmDate { .. }
            | Command::Reprint
            // It may be a label with a patient's name.
            | Command::AnswerPrints { word: Word::PrintCopy, .. } => Permission::Sell,
            Command::MendDevices => Permission::MendDevices,
            Command::AnswerPrints { .. } => Permission::AnswerPrints,
            // The same act again is answered, whoever asks. Behind that each asks for its own right.
            Command::OpenTill { .. }
            | Command::CloseTill { .. }
            | Command::OpenDrawer { .. }
            | Command::MoveCash { .. }
            | Command::Pay { .. }
            | Command::RegisterPatient { .. }
            | Command::AmendPatient { .. }
            | Command::ShelfLabel { .. }
            // A scan is judged where all of them are taken, from whichever scanner.
            | Command::Scan { .. }
            | Command::TypedScans { .. }
            // Whoever is signed in may leave, and put aside what they were told.
            | Command::SignIn { .. }
            | Command::SignOut
            | Command::Dismiss => return Ok(()),
        };
        self.permitted(till, needed).map(|_person| ())
    }

    pub(super) fn permitted(&self, till: &TillId, permission: Permission) -> Result<&SignedIn, Refused> {
        let signed_in = self.tills.get(till).and_then(|live| live.signed_in.as_ref());
        let signed_in = signed_in.ok_or_else(|| {
            Refused::new(Why::Authentication, "Nobody is signed in at this till. Sign in first.")
        })?;
        if signed_in.role.may(permission) {
            return Ok(signed_in);
        }
        let what = match permission {
            Permission::Sell => "sell",
            Permission::OpenTill => "open a till",
            Permission::CloseTill => "close a till",
            Permission::OpenDrawer => "open the drawer without a sale",
            Permission::MoveCash => "put cash in or take it out",
            Permission::KeepPatients => "register patients",
            Permission::MendDevices => "mend devices",
            Permission::AnswerPrints => "say what became of papers",
        };
        let text = format!("{} may not {what}. Ask somebody who may to sign in.", signed_in.name);
        Err(Refused::new(Why::Authorization, text))
    }

    #[allow(clippy::too_many_arguments, reason = "who asks, where, and what was counted and confirmed")]
    pub(super) fn open_till(
        &mut self,
        now: &mut Now<'_>,
        ticket: Ticket,
        till: &TillId,
        act: ActId,
        float: Money,
        date: DateWord,
        out: &mut Vec<Effect>,
    ) -> Result<Option<Said>, Refused> {
        let session = SessionId((now.draw)());
        if !self.take_date(now, date, out)? {
            let text = format!(
                "The box is not sure of the date. If today is {}, tick the box beside it; if not, type today's date. Then open the till again.",
                self.today(now)
            );
            return Err(Refused::new(Why::Validation, text));
        }
        let asked = Asked::Open { float };
        self.till_act(now, ticket, till, act, asked, Permission::OpenTill, DrawerCause::Till, out, |branch| {
            branch.in_currency(float)?;
            let state = branch.books.till(till).map(|book| book.till).unwrap_or_default();
            Ok((Some(state.open(till, session, float)?.into()), false))
        })
    }

    pub(super) fn close_till(
        &mut self,
        now: &mut Now<'_>,
        ticket: Ticket,
        till: &TillId,
        act: ActId,
        counted: Money,
        out: &mut Vec<Effect>,
    ) -> Result<Option<Said>, Refused> {
        let asked = Asked::Close { counted };
        self.till_act(now, ticket, till, act, asked, Permission::CloseTill, DrawerCause::Till, out, |branch| {
            branch.in_currency(counted)?;
            if branch.basket(till).is_some_and(|basket| !basket.lines().is_empty()) {
                let text =
                    "There is a basket at this till. Take the money for it or empty it, then close the till.";
                return Err(Refused::new(Why::Conflict, text));
            }
            let state = branch.books.till(till).map(|book| book.till).unwrap_or_default();
            Ok((Some(state.close(till, counted)?.into()), true))
        })
    }

    pub(super) fn open_drawer(
        &mut self,
        now: &mut Now<'_>,
        ticket: Ticket,
        till: &TillId,
        act: ActId,
        out: &mut Vec<Effect>,
    ) -> Result<Option<Said>, Refused> {
        let asked = Asked::Drawer;
        self.till_act(
            now,
            ticket,
            till,
            act,
            asked,
            Permission::OpenDrawer,
            DrawerCause::NoSale,
            out,
            |branch| match branch.has_drawer(till) {
                true => Ok((None, false)),
                false => Err(Refused::new(
                    Why::Conflict,
                    "This till has no drawer that the box can open. Use its key.",
                )),
            },
        )
    }

    #[allow(clippy::too_many_arguments, reason = "who asks, where, and how much goes which way for what")]
    pub(super) fn move_cash(
        &mut self,
        now: &mut Now<'_>,
        ticket: Ticket,
        till: &TillId,
        act: ActId,
        (way, amount): (CashWay, Money),
        reason: &str,
        out: &mut Vec<Effect>,
    ) -> Result<Option<Said>, Refused> {
        let reason: Box<str> = reason.trim().into();
        let asked = Asked::Move { way, amount };
        self.till_act(now, ticket, till, act, asked, Permission::MoveCash, DrawerCause::Till, out, |branch| {
            branch.in_currency(amount)?;
            if reason.is_empty() || reason.chars().count() > REASON_CHARS_MAX {
                let text = format!("Say in 1 to {REASON_CHARS_MAX} characters what the money is for.");
                return Err(Refused::new(Why::Validation, text));
            }
            let state = branch.books.till(till).map(|book| book.till).unwrap_or_default();
            let body = match way {
                CashWay::In => state.pay_in(till, amount, reason)?.into(),
                CashWay::Out => state.pay_out(till, amount, reason)?.into(),
            };
            Ok((Some(body), false))
        })
    }

    /// The way of each of a till's own acts but the sale: a repeat, the right, the fact, the drawer, the append.
    #[allow(clippy::too_many_arguments, reason = "the three acts above differ in exactly these")]
    fn till_act(
        &mut self,
        now: &mut Now<'_>,
        ticket: Ticket,
        till: &TillId,
        act: ActId,
        asked: Asked,
        permission: Permission,
        cause: DrawerCause,
        out: &mut Vec<Effect>,
        decide: impl FnOnce(&Self) -> Result<(Option<FactBody>, bool), Refused>,
    ) -> Result<Option<Said>, Refused> {
        if let Some(done) = self.books.done(act) {
            return repeated(&done, till, &asked).map(Some);
        }
        if self.tills.get(till).and_then(|live| live.busy.as_ref()).is_some() {
            return self.begin(till, act, asked, ticket);
        }
        let actor = self.permitted(till, permission)?.actor();
        self.has_room_for(&asked)?;
        let (body, print) = decide(self)?;
        let mut bodies: Vec<FactBody> = body.into_iter().collect();
        if self.has_drawer(till) {
            bodies.push(DrawerOpened { till: till.clone(), cause }.into());
        }
        self.begin(till, act, asked, ticket)?;
        let intent = PrintIntent { print: print && self.prints_here(till, DocumentKind::Report) };
        self.append(now, act, Lane::Ledger, &actor, bodies, intent, Purpose::Till(till.clone()), out);
        Ok(None)
    }

    fn in_currency(&self, amount: Money) -> Result<(), Refused> {
        let currency = self.shop()?.profile.currency;
        if amount.currency == currency {
            return Ok(());
        }
        Err(Refused::new(
            Why::Validation,
            format!("This branch counts in {currency}. Type the amount in {currency}."),
        ))
    }

    /// A session that was opened on an earlier day of business: it is prompted for, never closed by itself.
    pub(super) fn stale_session(&self, now: &Now<'_>, till: &TillId) -> bool {
        let sums = self.books.till(till).and_then(|book| book.sums.as_ref());
        sums.is_some_and(|sums| sums.opened_on < self.today(now))
    }
}
