//! Patients at the counter: their details are sealed by the shell, and only sealed do they come back to be recorded. The
//! machine never keeps, shows or says what stands in them. Pure.

use pestle_domain::{
    fact::{Actor, FactBody, PatientAmended, PatientRegistered},
    ids::{ActId, PersonId, TillId},
    journal::Lane,
    personal::{PatientDetails, Sealed},
    staff::Permission,
};

use super::{
    command::{Refused, Said, Ticket},
    live::Asked,
    machine::{Branch, Effect, Now},
    records::PrintIntent,
    sell::repeated,
    under_way::Purpose,
};
use crate::personal::Whose;

/// Details on their way to be sealed: for whom, and who waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealing {
    /// At which till.
    pub till: TillId,
    /// As which act.
    pub act: ActId,
    /// Who asked.
    pub actor: Actor,
    /// For whom.
    pub whose: Whose,
}

impl Branch {
    /// Registers a patient (`person` is `None`), or sets right what is known of one: the details go to be sealed, and the
    /// till waits for them as for any act of its own. The same act again is the same registration, whatever it says:
    /// nothing that is kept could tell.
    #[allow(clippy::too_many_arguments, reason = "who asks, where, and what for whom")]
    pub(super) fn keep_patient(
        &mut self,
        now: &mut Now<'_>,
        ticket: Ticket,
        till: &TillId,
        act: ActId,
        person: Option<PersonId>,
        details: PatientDetails,
        out: &mut Vec<Effect>,
    ) -> Result<Option<Said>, Refused> {
        let asked = Asked::Patient(person);
        if let Some(done) = self.books.done(act) {
            return repeated(&done, till, &asked).map(Some);
        }
        if self.tills.get(till).is_some_and(|live| live.busy.is_some()) {
            return self.begin(till, act, asked, ticket);
        }
        let actor = self.permitted(till, Permission::KeepPatients)?.actor();
        self.has_room_for(&asked)?;
        self.begin(till, act, asked, ticket)?;
        let whose = person.map_or_else(|| Whose::New(PersonId((now.draw)())), Whose::Known);
        out.push(Effect::Seal(Sealing { till: till.clone(), act, actor, whose }, details));
        Ok(None)
    }

    /// The details came back sealed, with their key on the disk; or why not.
    pub(super) fn sealed(
        &mut self,
        now: &mut Now<'_>,
        sealing: &Sealing,
        sealed: Result<Sealed, String>,
        out: &mut Vec<Effect>,
    ) {
        let Sealing { till, act, actor, whose } = sealing;
        let details = match sealed {
            Ok(details) => details,
            Err(why) => return self.till_act_ended(now, till, &[], Err(why), out),
        };
        let body: FactBody = match whose {
            Whose::New(_) => PatientRegistered { details }.into(),
            Whose::Known(_) => PatientAmended { details }.into(),
        };
        let intent = PrintIntent { print: false };
        self.append(now, *act, Lane::Ledger, actor, vec![body], intent, Purpose::Till(till.clone()), out);
    }
}
