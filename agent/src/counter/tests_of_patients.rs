//! Patients at the counter: who may, in which order things happen, and that nothing of them is shown.

use pestle_domain::{
    fact::FactBody,
    personal::{PatientDetails, PersonKey, Sealed, SecretKey},
};

use super::{
    command::{Command, Why},
    event::Event,
    patient::Sealing,
    records::Done,
    testing::Rig,
};
use crate::{
    personal::Whose,
    space::{Level, Space},
};

const NAME: &str = "Zebedee Quillfeather";

fn details() -> PatientDetails {
    PatientDetails { name: NAME.into(), birth_date: None, phone: None, address: None }
}

/// As the shell seals it.
fn sealed(sealing: &Sealing, details: &PatientDetails) -> Sealed {
    let (Whose::New(person) | Whose::Known(person)) = sealing.whose;
    let key = PersonKey { person, generation: 1, secret: SecretKey::from_bytes(&[7; 32]) };
    details.seal(&key, &"acme".parse().unwrap(), [1; 12]).unwrap()
}

#[test]
fn a_patient_is_recorded_once_their_key_is_on_the_disk_and_not_before() {
    let mut rig = Rig::open();
    let act = rig.draw_act();
    let ticket = rig.send(1, Command::RegisterPatient { act, details: details() });
    assert!(rig.pending.is_empty(), "nothing is recorded before the key is kept");
    let (sealing, given) = rig.seals.pop().unwrap();
    rig.hear(Event::Sealed(sealing.clone(), Ok(sealed(&sealing, &given))));
    assert_eq!(rig.answer(ticket), None, "nobody is told before it is on the disk");
    rig.commit();
    let told = rig.answer(ticket).unwrap().unwrap();
    let (facts, _) = rig.journal.last().unwrap();
    let FactBody::PatientRegistered(fact) = &facts[0].body else { panic!("{facts:?}") };
    assert_eq!(told.done, Some(Done::Patient { person: fact.details.person, new: true }));

    // The same again, and after a restart, is the same patient.
    let again = rig.ask(1, Command::RegisterPatient { act, details: details() }).unwrap();
    assert_eq!(again, told);
    assert!(rig.seals.is_empty());
    let shown = format!("{:?} {:?} {told:?}", rig.view(1), rig.branch);
    assert!(!shown.contains("Zebedee"), "{shown}");
    let mut rig = rig.restart();
    rig.sign_in(1, "anna", true).unwrap();
    assert_eq!(rig.ask(1, Command::RegisterPatient { act, details: details() }).unwrap(), told);

    // Under its name nothing else is done.
    let person = fact_person(&told.done);
    let amend = Command::AmendPatient { act, person, details: details() };
    assert_eq!(rig.ask(1, amend).unwrap_err().why, Why::Conflict);
    let act = rig.draw_act();
    let ticket = rig.send(1, Command::AmendPatient { act, person, details: details() });
    let (sealing, given) = rig.seals.pop().unwrap();
    assert_eq!(sealing.whose, Whose::Known(person));
    rig.hear(Event::Sealed(sealing.clone(), Ok(sealed(&sealing, &given))));
    rig.commit();
    assert_eq!(rig.answer(ticket).unwrap().unwrap().done, Some(Done::Patient { person, new: false }));
    assert_eq!(*rig.kinds().last().unwrap(), "patient.amended");
}

fn fact_person(done: &Option<Done>) -> pestle_domain::ids::PersonId {
    match done {
        Some(Done::Patient { person, .. }) => *person,
        other => panic!("{other:?} is no patient"),
    }
}

#[test]
fn a_key_that_the_disk_does_not_take_means_no_patient_and_the_till_goes_on() {
    let mut rig = Rig::open();
    let act = rig.draw_act();
    let ticket = rig.send(1, Command::RegisterPatient { act, details: details() });
    // Meanwhile the till waits for it, and the same again joins.
    let joined = rig.send(1, Command::RegisterPatient { act, details: details() });
    let (sealing, _) = rig.seals.pop().unwrap();
    assert!(rig.seals.is_empty());
    let facts = rig.kinds().len();
    rig.hear(Event::Sealed(
        sealing,
        Err("not recorded; the box's disk does not take the patient's key".into()),
    ));
    for ticket in [ticket, joined] {
        let refused = rig.answer(ticket).unwrap().unwrap_err();
        assert_eq!(refused.why, Why::Unavailable);
        assert!(refused.message.contains("Nothing was booked"), "{}", refused.message);
    }
    assert_eq!(rig.kinds().len(), facts);
    rig.scan(1, &super::testing::pack(1));
    assert!(rig.view(1).basket.is_some());
}

#[test]
fn who_only_sells_registers_nobody_and_nothing_is_sealed_for_them() {
    let mut rig = Rig::open();
    rig.sign_in(1, "ben", true).unwrap();
    let act = rig.draw_act();
    let refused = rig.ask(1, Command::RegisterPatient { act, details: details() }).unwrap_err();
    assert_eq!(refused.why, Why::Authorization);
    assert!(refused.message.contains("Ben may not register patients"), "{}", refused.message);
    assert!(rig.seals.is_empty());
}

#[test]
fn on_a_full_disk_no_patient_is_registered() {
    let mut rig = Rig::open();
    let full = Space { level: Level::Full, free_mib: 50, ..Space::default() };
    rig.hear(Event::Space(full));
    rig.commit();
    let act = rig.draw_act();
    let refused = rig.ask(1, Command::RegisterPatient { act, details: details() }).unwrap_err();
    assert!(refused.message.contains("full"), "{refused}");
    assert!(rig.seals.is_empty(), "no key is made either");
}
