//! Who is there, and the till's cash session.

use pestle_domain::{
    fact::{ClockQuality, DrawerCause, DrawerOpened, FactBody, StaffDenied, StaffSignedIn},
    ids::{ActId, SessionId, StaffId, TillId},
    journal::Lane,
    money::Money,
    staff::Permission,
    till::TillRefusal,
};

use super::{
    books::PrintIntent,
    command::{Pin, Refused, Said, StationId, Ticket, Why},
    live::SignedIn,
    machine::{Branch, Check, Effect, Now, Purpose},
};

/// People whose sign-ins may be compared at once. Each takes argon2's 19 MiB and some 20 ms of a core.
const CHECKS_MAX: usize = 4;

impl From<TillRefusal> for Refused {
    fn from(refusal: TillRefusal) -> Self {
        let why = match refusal {
            TillRefusal::AlreadyOpen | TillRefusal::NotOpen => Why::Conflict,
            TillRefusal::Negative | TillRefusal::Money(_) => Why::Validation,
        };
        Self::new(why, format!("That cannot be done: {refusal}."))
    }
}

/// The same words for an unknown person and a wrong PIN: who works here is nobody's business.
fn wrong() -> Refused {
    Refused::new(Why::Authentication, "The name or the PIN is wrong. Type both again.")
}

fn wait(wait_ms: u64) -> Refused {
    let seconds = wait_ms.div_ceil(1_000);
    Refused::new(Why::RateLimited, format!("Too many wrong PINs. Try again in {seconds} s."))
}

impl Branch {
    #[allow(clippy::too_many_arguments, reason = "who, where and with what are three things each")]
    pub(super) fn sign_in(
        &mut self,
        now: &mut Now<'_>,
        ticket: Ticket,
        till: TillId,
        station: StationId,
        staff: &str,
        pin: Pin,
        out: &mut Vec<Effect>,
    ) -> Result<(), Refused> {
        let shop = self.shop()?;
        let id: Option<StaffId> = staff.trim().to_lowercase().parse().ok();
        let Some(member) = id.as_ref().and_then(|id| shop.member(id)) else {
            let throttle = self.strangers.entry(till.clone()).or_default();
            throttle.check(now.mono_ms).map_err(wait)?;
            throttle.wrong(now.mono_ms);
            if let Some(staff) = id {
                self.deny(now, staff, till, "left", out);
            }
            return Err(wrong());
        };
        let staff = member.id.clone();
        self.throttles.entry(staff.clone()).or_default().check(now.mono_ms).map_err(wait)?;
        if member.valid_until.is_some_and(|day| day < now.stamp.business_date) {
            self.deny(now, staff, till, "left", out);
            let text = "This sign-in has not been confirmed by the centre for too long. Let the box reach the centre, or ask a colleague.";
            return Err(Refused::new(Why::Authorization, text));
        }
        // One comparison per person at a time, or the throttle could be outrun.
        if self.checks.len() >= CHECKS_MAX || self.checks.values().any(|check| check.staff == staff) {
            return Err(Refused::new(
                Why::RateLimited,
                "Another PIN is being compared. Try again in a moment.",
            ));
        }
        out.push(Effect::CheckPin { ticket, verifier: member.pin_verifier.clone(), pin });
        self.checks.insert(ticket, Check { till, staff, station });
        Ok(())
    }

    pub(super) fn pin_checked(
        &mut self,
        now: &mut Now<'_>,
        ticket: Ticket,
        right: bool,
        out: &mut Vec<Effect>,
    ) {
        let Some(Check { till, staff, station }) = self.checks.remove(&ticket) else { return };
        let throttle = self.throttles.entry(staff.clone()).or_default();
        if !right {
            throttle.wrong(now.mono_ms);
            let reason = if throttle.check(now.mono_ms).is_err() { "locked" } else { "pin" };
            self.deny(now, staff, till, reason, out);
            out.push(Effect::Answer(ticket, Err(wrong())));
            return;
        }
        throttle.right();
        let body = StaffSignedIn { staff: staff.clone(), till: till.clone() }.into();
        let actor = pestle_domain::fact::Actor::Staff(staff.clone());
        let purpose = Purpose::SignIn { ticket, till, staff, station };
        let (act, intent) = (ActId((now.draw)()), PrintIntent { print: false });
        self.append(now, act, Lane::Ledger, &actor, vec![body], intent, purpose, out);
    }

    fn deny(&mut self, now: &mut Now<'_>, staff: StaffId, till: TillId, reason: &str, out: &mut Vec<Effect>) {
        let body = StaffDenied { staff, till, reason: reason.into() }.into();
        self.append_plain(now, Lane::Ledger, &pestle_domain::fact::Actor::Machine, vec![body], out);
    }

    #[allow(clippy::too_many_arguments, reason = "who, where and how it ended")]
    pub(super) fn signed_in(
        &mut self,
        now: &mut Now<'_>,
        ticket: Ticket,
        till: &TillId,
        staff: &StaffId,
        station: StationId,
        result: Result<(), String>,
        out: &mut Vec<Effect>,
    ) {
        let member = self.shop.as_ref().and_then(|shop| shop.member(staff)).cloned();
        let answer = match (result, member, self.tills.get_mut(till)) {
            (Ok(()), Some(member), Some(live)) => {
                let text = format!("Hello, {}.", member.name);
                live.signed_in = Some(SignedIn {
                    staff: member.id,
                    name: member.name,
                    role: member.role,
                    station,
                    last_ms: now.mono_ms,
                });
                out.push(Effect::Show(till.clone()));
                Ok(Said::words(text))
            }
            (Err(why), ..) => Err(Refused::new(Why::Unavailable, format!("The sign-in was {why}."))),
            // A new list of staff came in between.
            _ => Err(wrong()),
        };
        out.push(Effect::Answer(ticket, answer));
    }

    pub(super) fn sign_out(&mut self, till: &TillId) -> Result<Said, Refused> {
        if let Some(live) = self.tills.get_mut(till) {
            live.signed_in = None;
        }
        Ok(Said::words("Signed out."))
    }

    pub(super) fn sign_out_idle(&mut self, now: &Now<'_>, out: &mut Vec<Effect>) {
        let longest = self.settings.idle_sign_out_ms;
        for (till, live) in &mut self.tills {
            let idle = |signed_in: &SignedIn| now.mono_ms.saturating_sub(signed_in.last_ms) > longest;
            if live.busy.is_none() && live.signed_in.as_ref().is_some_and(idle) {
                live.signed_in = None;
                out.push(Effect::Show(till.clone()));
            }
        }
    }

    /// Somebody did something at this browser: is it the one where a person is signed in?
    pub(super) fn touch(&mut self, now: &Now<'_>, till: &TillId, station: &StationId) -> Result<(), Refused> {
        let signed_in = self.tills.get_mut(till).and_then(|live| live.signed_in.as_mut());
        match signed_in {
            Some(signed_in) if signed_in.station == *station => {
                signed_in.last_ms = now.mono_ms;
                Ok(())
            }
            Some(signed_in) => {
                let text = format!(
                    "{} is signed in at another screen of this till. Sign in here to take over.",
                    signed_in.name
                );
                Err(Refused::new(Why::Authentication, text))
            }
            None => {
                Err(Refused::new(Why::Authentication, "Nobody is signed in at this till. Sign in first."))
            }
        }
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
        date_confirmed: bool,
        out: &mut Vec<Effect>,
    ) -> Result<Option<Said>, Refused> {
        let session = SessionId((now.draw)());
        if now.stamp.clock == ClockQuality::Doubted && !self.date_confirmed {
            if !date_confirmed {
                let text = format!(
                    "The box is not sure of the date. If today is {}, tick the box beside it and open the till again; if not, call support.",
                    now.stamp.business_date
                );
                return Err(Refused::new(Why::Validation, text));
            }
            self.date_confirmed = true;
            out.push(Effect::ConfirmDate);
        }
        self.till_act(now, ticket, till, act, Permission::OpenTill, DrawerCause::Till, out, |branch| {
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
        self.till_act(now, ticket, till, act, Permission::CloseTill, DrawerCause::Till, out, |branch| {
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
        self.till_act(now, ticket, till, act, Permission::OpenDrawer, DrawerCause::NoSale, out, |branch| {
            let printer = branch.settings.tills.iter().any(|one| one.id == *till && one.printer.is_some());
            match printer {
                true => Ok((None, false)),
                false => Err(Refused::new(
                    Why::Conflict,
                    "This till has no drawer that the box can open. Use its key.",
                )),
            }
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
        permission: Permission,
        cause: DrawerCause,
        out: &mut Vec<Effect>,
        decide: impl FnOnce(&Self) -> Result<(Option<FactBody>, bool), Refused>,
    ) -> Result<Option<Said>, Refused> {
        if let Some(done) = self.books.done(act) {
            return Ok(Some(super::sell::said_of(done)));
        }
        if self.tills.get(till).and_then(|live| live.busy.as_ref()).is_some() {
            return self.begin(till, act, ticket);
        }
        let actor = self.permitted(till, permission)?.actor();
        let (body, print) = decide(self)?;
        let mut bodies: Vec<FactBody> = body.into_iter().collect();
        let has_printer = self.spool_of(till).is_some();
        if has_printer {
            bodies.push(DrawerOpened { till: till.clone(), cause }.into());
        }
        self.begin(till, act, ticket)?;
        let intent = PrintIntent { print: print && has_printer };
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
        sums.is_some_and(|sums| sums.opened_on < now.stamp.business_date)
    }
}
