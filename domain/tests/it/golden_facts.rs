//! `golden/facts-v1.jsonl` holds one line of every kind, as the first version wrote it. A line that is there may
//! never change; a new kind adds a line. `PESTLE_GOLDEN=append` writes lines that are missing.

use std::{fs, path::PathBuf};

use pestle_domain::{
    fact::{Envelope, Fact, FactBody, ReadingSampled, Sample},
    journal::Head,
};

use crate::samples;

pub(crate) fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// The frozen lines, after adding those that are missing if that was asked for.
pub(crate) fn frozen_lines(name: &str, written: &[String]) -> Vec<String> {
    let path = golden(name);
    let mut frozen: Vec<String> =
        fs::read_to_string(&path).unwrap_or_default().lines().map(str::to_owned).collect();
    if std::env::var("PESTLE_GOLDEN").is_ok_and(|value| value == "append") && frozen.len() < written.len() {
        frozen.extend_from_slice(&written[frozen.len()..]);
        fs::write(&path, frozen.join("\n") + "\n").unwrap();
    }
    frozen
}

#[test]
fn every_kind_is_written_as_it_always_was() {
    let written: Vec<String> =
        samples::facts().iter().map(|fact| String::from_utf8(fact.to_line().unwrap()).unwrap()).collect();
    assert_eq!(frozen_lines("facts-v1.jsonl", &written), written);
}

#[test]
fn every_kind_has_a_sample() {
    let kinds: Vec<_> = samples::bodies().iter().map(FactBody::kind).collect();
    assert_eq!(kinds, FactBody::KINDS);
}

#[test]
fn every_frozen_line_is_still_read() {
    for (line, fact) in fs::read_to_string(golden("facts-v1.jsonl")).unwrap().lines().zip(samples::facts()) {
        assert_eq!(Fact::from_line(line.as_bytes()).unwrap(), Some(fact));
    }
}

#[test]
fn the_chain_over_the_frozen_lines_ends_where_it_always_did() {
    let text = fs::read_to_string(golden("facts-v1.jsonl")).unwrap();
    let mut head = Head::EMPTY;
    let heads: Vec<String> = text
        .lines()
        .map(|line| {
            head = head.after(&samples::stream(), line.as_bytes());
            format!("{} {}", head.seq, head.hash)
        })
        .collect();
    // One line for each time that kinds were added: the end of then, and the end of now.
    let mut written: Vec<String> =
        fs::read_to_string(golden("chain-v1.txt")).unwrap().lines().map(str::to_owned).collect();
    for frozen in &written {
        assert!(heads.contains(frozen), "{frozen}");
    }
    let end = heads.last().unwrap();
    if !written.contains(end) {
        written.push(end.clone());
    }
    assert_eq!(frozen_lines("chain-v1.txt", &written), written);
}

#[test]
fn a_kind_of_a_later_version_is_kept_and_not_called_malformed() {
    let line = String::from_utf8(samples::facts()[1].to_line().unwrap()).unwrap();
    let later = line.replace("box.started", "box.teleported");
    assert_eq!(Envelope::parse(later.as_bytes()).unwrap().kind, "box.teleported");
    assert_eq!(Fact::from_line(later.as_bytes()).unwrap(), None);
    let newer_envelope = line.replacen("\"v\":1", "\"v\":2", 1);
    assert_eq!(Fact::from_line(newer_envelope.as_bytes()).unwrap(), None);
    let broken = line.replace("\"version\"", "\"verison\"");
    assert!(Fact::from_line(broken.as_bytes()).is_err());
}

#[test]
fn a_reading_says_which_cold_place_it_speaks_for_and_an_older_line_says_none() {
    let reading = |place: Option<&str>| -> FactBody {
        let sample = Sample::Missing("power_away".into());
        ReadingSampled { sensor: "fridge-1".into(), sample, place: place.map(Into::into) }.into()
    };
    for (place, data) in [
        (None, r#""data":{"sensor":"fridge-1","sample":{"missing":"power_away"}}}"#),
        (
            Some("vaccines"),
            r#""data":{"sensor":"fridge-1","sample":{"missing":"power_away"},"place":"vaccines"}}"#,
        ),
    ] {
        let fact = Fact { body: reading(place), ..samples::facts().remove(0) };
        let line = String::from_utf8(fact.to_line().unwrap()).unwrap();
        assert!(line.ends_with(data), "{line}");
        assert_eq!(Fact::from_line(line.as_bytes()).unwrap(), Some(fact));
    }
}
