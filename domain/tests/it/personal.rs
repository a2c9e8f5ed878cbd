//! Where personal fields may stand, and that what was sealed once is readable for ever (invariant I11).

use std::{fs, path::Path};

use pestle_domain::{
    fact::{Fact, FactBody},
    journal::Lane,
    personal::PatientDetails,
};

use crate::{golden_facts::golden, samples};

/// What a box writes into the telemetry lane: the first fact of its store, and what sensors say.
const TELEMETRY: &[&str] = &["epoch.opened", "reading.sampled"];

#[test]
fn what_the_first_version_sealed_is_opened_with_its_key() {
    let frozen = fs::read_to_string(golden("facts-v1.jsonl")).unwrap();
    let opened: Vec<PatientDetails> = frozen
        .lines()
        .filter_map(|line| Fact::from_line(line.as_bytes()).unwrap())
        .filter_map(|fact| fact.body.personal().cloned())
        .map(|sealed| {
            PatientDetails::open(&sealed, &samples::person_key(), &samples::stream().tenant).unwrap()
        })
        .collect();
    assert_eq!(opened, [samples::patient(), samples::patient()]);
}

#[test]
fn no_kind_of_the_telemetry_lane_carries_anything_of_a_person() {
    let personal: Vec<&str> =
        samples::bodies().iter().filter(|body| body.personal().is_some()).map(FactBody::kind).collect();
    assert_eq!(personal, ["patient.registered", "patient.amended"]);
    for body in samples::bodies() {
        assert!(body.may_stand_in(Lane::Ledger));
        assert_eq!(body.may_stand_in(Lane::Telemetry), body.personal().is_none(), "{}", body.kind());
        let telemetry = TELEMETRY.contains(&body.kind());
        assert!(!telemetry || body.may_stand_in(Lane::Telemetry), "{} carries personal fields", body.kind());
    }
    // The type of sealed fields stands in no other kind: whatever has one is known by its JSON.
    for fact in samples::facts() {
        let line = String::from_utf8(fact.to_line().unwrap()).unwrap();
        let looks_sealed = line.contains("\"nonce\"") || line.contains("\"generation\"");
        assert_eq!(looks_sealed, fact.body.personal().is_some(), "{line}");
    }
}

/// The files of everything that travels beside facts: heads, answers, presence, nudges, enrolment, exports' first lines.
/// None names a sealed field or a person.
#[test]
fn no_message_of_the_wire_or_of_the_fleet_can_carry_anything_of_a_person() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files: Vec<_> =
        fs::read_dir(source.join("wire")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.extend(["enrolment.rs", "snapshot.rs", "journal.rs"].map(|name| source.join(name)));
    assert!(files.len() > 6, "{files:?}");
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        assert_eq!(words_of_persons(&text), Vec::<String>::new(), "{}", file.display());
    }
    assert_eq!(words_of_persons("struct X { who: Option<Sealed> }"), ["Sealed"]);
    assert_eq!(words_of_persons("use crate::ids::PersonId;"), ["PersonId"]);
}

fn words_of_persons(text: &str) -> Vec<String> {
    let words = text.split(|letter: char| !letter.is_alphanumeric());
    let named = |word: &&str| {
        ["Sealed", "PersonId", "PersonKey", "SecretKey", "PatientDetails"].contains(word)
            || word.to_lowercase().contains("patient")
    };
    words.filter(named).map(str::to_owned).collect()
}
