//! Who signs in: names, PINs, and how often they may be tried.
//!
//! A name that nobody has here costs the same time, gets the same words and is slowed down in the same way as one that
//! somebody has: who works here is nobody's business. What was tried before a restart counts after it.

use pestle_domain::{
    fact::{Actor, StaffDenied, StaffSignedIn},
    ids::{ActId, StaffId, TillId},
    journal::Lane,
    staff::{Member, PinThrottle},
};

use super::{
    command::{Pin, Refused, Said, StationId, Ticket, Why},
    counters::Count,
    live::SignedIn,
    machine::{Branch, Effect, Now},
    records::{Denials, PrintIntent},
    under_way::Purpose,
};

/// People whose sign-ins may be compared at once. Each takes argon2's 19 MiB and some 20 ms of a core.
const CHECKS_MAX: usize = 4;
/// Longest name that is kept; those of people are shorter.
const NAME_CHARS_MAX: usize = 64;
/// Names of nobody here whose tries are counted. Past it those that may be tried again are forgotten.
const STRANGERS_MAX: usize = 256;

/// A verifier with the centre's cost that fits no PIN, for a branch without staff.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// A sign-in whose PIN is being compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Check {
    till: TillId,
    /// As typed, in small letters.
    name: Box<str>,
    station: StationId,
}

/// The same words for an unknown person and a wrong PIN.
fn wrong() -> Refused {
    Refused::new(Why::Authentication, "The name or the PIN is wrong. Type both again.")
}

fn wait(wait_ms: u64) -> Refused {
    let seconds = wait_ms.div_ceil(1_000);
    Refused::new(Why::RateLimited, format!("Too many wrong PINs. Try again in {seconds} s."))
}

/// The throttle as it was left before this run. A machine that was started anew has no such clock any more: then the
/// wait begins again.
fn restored(denials: Option<&Denials>, now: &Now<'_>) -> PinThrottle {
    let mut throttle = PinThrottle::default();
    if let Some(denials) = denials {
        let at = if denials.boot == now.stamp.boot { denials.mono_ms } else { now.mono_ms };
        for _ in 0..denials.wrong.min(PinThrottle::FREE_TRIES + 20) {
            throttle.wrong(at);
        }
    }
    throttle
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
        let name: Box<str> =
            staff.trim().to_lowercase().chars().take(NAME_CHARS_MAX).collect::<String>().into();
        let member = name.parse().ok().and_then(|id: StaffId| shop.member(&id));
        self.throttle_of(now, &name, member).check(now.mono_ms).map_err(wait)?;
        // One comparison per person at a time, or the throttle could be outrun.
        if self.checks.len() >= CHECKS_MAX || self.checks.values().any(|check| check.name == name) {
            return Err(Refused::new(
                Why::RateLimited,
                "Another PIN is being compared. Try again in a moment.",
            ));
        }
        let verifier = member.or_else(|| shop.any_member()).map(|member| member.pin_verifier.clone());
        out.push(Effect::CheckPin { ticket, verifier: verifier.unwrap_or_else(|| NOBODY.into()), pin });
        self.checks.insert(ticket, Check { till, name, station });
        Ok(())
    }

    /// The throttle of a name: of a member for good, of anybody else among a bounded number.
    fn throttle_of(&mut self, now: &Now<'_>, name: &str, member: Option<&Member>) -> &mut PinThrottle {
        match member {
            Some(member) => {
                let denials = self.books.denials(&member.id);
                self.throttles.entry(member.id.clone()).or_insert_with(|| restored(denials, now))
            }
            None => {
                if self.strangers.len() >= STRANGERS_MAX && !self.strangers.contains_key(name) {
                    self.strangers.retain(|_, throttle| throttle.check(now.mono_ms).is_err());
                    if self.strangers.len() >= STRANGERS_MAX {
                        self.strangers.clear();
                    }
                }
                self.strangers.entry(name.into()).or_default()
            }
        }
    }

    pub(super) fn pin_checked(
        &mut self,
        now: &mut Now<'_>,
        ticket: Ticket,
        right: bool,
        out: &mut Vec<Effect>,
    ) {
        let Some(Check { till, name, station }) = self.checks.remove(&ticket) else { return };
        // The list of staff may have changed while the PIN was compared: the one of now counts.
        let id: Option<StaffId> = name.parse().ok();
        let member = self.shop.as_ref().and_then(|shop| shop.member(id.as_ref()?)).cloned();
        let today = self.today(now);
        let refused = match &member {
            Some(member) if right && member.may_sign_in_on(today) => {
                self.throttle_of(now, &name, Some(member)).right();
                let staff = member.id.clone();
                let body = StaffSignedIn { staff: staff.clone(), till: till.clone() }.into();
                let purpose = Purpose::SignIn { ticket, till, staff: staff.clone(), station };
                let (act, intent) = (ActId((now.draw)()), PrintIntent { print: false });
                self.append(now, act, Lane::Ledger, &Actor::Staff(staff), vec![body], intent, purpose, out);
                return;
            }
            Some(_) if right => Refused::new(
                Why::Authorization,
                "This sign-in has not been confirmed by the centre for too long. Let the box reach the centre, or ask a colleague.",
            ),
            _ => wrong(),
        };
        out.push(Effect::Count(Count::WrongPin));
        let throttle = self.throttle_of(now, &name, member.as_ref());
        throttle.wrong(now.mono_ms);
        let locked = throttle.check(now.mono_ms).is_err();
        match (member, id) {
            (Some(member), _) => {
                let reason = if right {
                    "left"
                } else if locked {
                    "locked"
                } else {
                    "pin"
                };
                self.deny(now, member.id, till, reason, out);
            }
            (None, Some(id)) if self.stranger_is_recorded(now, &till) => {
                self.deny(now, id, till, "left", out)
            }
            (None, _) => out.push(Effect::Count(Count::DenialNotRecorded)),
        }
        out.push(Effect::Answer(ticket, Err(refused)));
    }

    /// Whoever tries all names would fill the disk and the centre with facts: past some they are counted alone.
    fn stranger_is_recorded(&mut self, now: &Now<'_>, till: &TillId) -> bool {
        let records = self.stranger_records.entry(till.clone()).or_default();
        let recorded = records.check(now.mono_ms).is_ok();
        if recorded {
            records.wrong(now.mono_ms);
        }
        recorded
    }

    fn deny(&mut self, now: &mut Now<'_>, staff: StaffId, till: TillId, reason: &str, out: &mut Vec<Effect>) {
        let body = StaffDenied { staff, till, reason: reason.into() }.into();
        self.append_plain(now, Lane::Ledger, &Actor::Machine, vec![body], out);
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
        let today = self.today(now);
        let member = self.shop.as_ref().and_then(|shop| shop.member(staff)).cloned();
        let member = member.filter(|member| member.may_sign_in_on(today));
        let answer = match (result, member, self.tills.get_mut(till)) {
            (Ok(()), Some(member), Some(live)) => {
                let text = format!("Hello, {}.", member.name);
                live.farewell = None;
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

    /// A new list of staff: whoever is not on it any more is signed out, and a new role counts from now on.
    pub(super) fn staff_changed(&mut self, now: &Now<'_>, out: &mut Vec<Effect>) {
        let today = self.today(now);
        let Some(shop) = self.shop.clone() else { return };
        for (till, live) in &mut self.tills {
            let Some(signed_in) = &mut live.signed_in else { continue };
            match shop.member(&signed_in.staff).filter(|member| member.may_sign_in_on(today)) {
                None => {
                    live.signed_in = None;
                    live.farewell = Some(
                        "The sign-in at this till has ended, because the centre has changed who works here. Sign in again, or call support if that is a mistake."
                            .into(),
                    );
                }
                Some(member) if member.role != signed_in.role => {
                    signed_in.role = member.role;
                    signed_in.name = member.name.clone();
                    let text = "The centre has changed your role: what you may do at this till has changed.";
                    live.say(super::live::Tone::Info, text);
                }
                Some(member) => signed_in.name = member.name.clone(),
            }
            out.push(Effect::Show(till.clone()));
        }
    }
}

trait ValidOn {
    fn may_sign_in_on(&self, today: pestle_domain::units::Day) -> bool;
}

impl ValidOn for Member {
    fn may_sign_in_on(&self, today: pestle_domain::units::Day) -> bool {
        self.valid_until.is_none_or(|last| last >= today)
    }
}
