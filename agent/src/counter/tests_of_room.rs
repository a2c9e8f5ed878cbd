//! The counter on a disk with little room, and on a slow one.

use pestle_domain::{
    fact::{BoxShed, FactBody},
    units::MilliCelsius,
};

use super::{
    command::{CashWay, Command, DateWord, Why},
    counters::Count,
    machine::Event,
    testing::{Rig, pack, pence},
};
use crate::space::{Level, Space};

fn space(level: Level) -> Event {
    Event::Space(Space { level, free_mib: 50, days_left: Some(3), reserve: true, takes_nothing: false })
}

fn becomes(rig: &mut Rig, level: Level) {
    rig.hear(space(level));
    rig.commit();
}

fn read(rig: &mut Rig) {
    rig.hear(Event::Reading("fridge".into(), Ok(MilliCelsius(4_000))));
    rig.commit();
}

fn count(rig: &Rig, kind: &str) -> usize {
    rig.kinds().iter().filter(|found| **found == kind).count()
}

fn last_shed(rig: &Rig) -> BoxShed {
    let facts = rig.journal.iter().rev().flat_map(|(facts, _)| facts);
    let shed = facts.filter_map(|fact| match &fact.body {
        FactBody::BoxShed(shed) => Some(shed.clone()),
        _ => None,
    });
    shed.into_iter().next().expect("a fact of what was shed")
}

#[test]
fn each_step_is_a_fact_once_and_low_stops_nothing() {
    let mut rig = Rig::open();
    for level in [Level::Low, Level::Low, Level::Shedding, Level::Plenty] {
        becomes(&mut rig, level);
    }
    assert_eq!(count(&rig, "box.space_low"), 3);
    becomes(&mut rig, Level::Low);
    rig.scan(1, &pack(1));
    rig.pay(1, 500).unwrap();
    read(&mut rig);
    assert_eq!((rig.sales(), count(&rig, "reading.sampled")), (1, 1));
}

#[test]
fn readings_are_shed_counted_and_reported_while_selling_goes_on() {
    let mut rig = Rig::open();
    becomes(&mut rig, Level::Shedding);
    for _ in 0..3 {
        read(&mut rig);
    }
    assert_eq!(count(&rig, "reading.sampled"), 0);
    assert_eq!(rig.view(1).readings[0].milli_celsius, Some(MilliCelsius(4_000)), "it is shown");
    assert_eq!(rig.counts.iter().filter(|one| **one == Count::ReadingShed).count(), 3);
    rig.scan(1, &pack(1));
    rig.pay(1, 500).unwrap();
    assert_eq!(count(&rig, "box.shed"), 0, "not each by itself");
    rig.now_ms += 15 * 60 * 1_000;
    rig.hear(Event::Tick);
    rig.commit();
    assert_eq!((count(&rig, "box.shed"), last_shed(&rig).facts), (1, 3));
    read(&mut rig);
    becomes(&mut rig, Level::Low);
    assert_eq!((count(&rig, "box.shed"), last_shed(&rig).facts), (2, 1));
    read(&mut rig);
    assert_eq!(count(&rig, "reading.sampled"), 1);
}

#[test]
fn what_was_shed_is_reported_when_the_box_ends() {
    let mut rig = Rig::open();
    becomes(&mut rig, Level::Shedding);
    read(&mut rig);
    rig.hear(Event::Ending);
    rig.commit();
    assert_eq!(last_shed(&rig).facts, 1);
}

#[test]
fn on_a_full_disk_nothing_new_begins_and_what_was_begun_is_ended() {
    let mut rig = Rig::open();
    rig.scan(1, &pack(1));
    becomes(&mut rig, Level::Full);
    let refused = |answer: super::command::Answer| {
        let refused = answer.unwrap_err();
        assert_eq!(refused.why, Why::Unavailable);
        assert!(refused.message.contains("full") && refused.message.contains("call support"), "{refused}");
    };
    rig.scan(2, &pack(1));
    rig.refused_with(2, "no new sale");
    let act = rig.draw_act();
    let (way, reason) = (CashWay::In, String::from("change"));
    refused(rig.ask(2, Command::MoveCash { act, way, amount: pence(100), reason: reason.clone() }));

    // The basket was begun before; what is in the drawer may be taken out; the tills are closed.
    rig.scan(1, &pack(2));
    rig.pay(1, 2_000).unwrap();
    assert_eq!(rig.sales(), 1);
    assert_eq!(rig.ordered.len(), 1, "and printed");
    let act = rig.draw_act();
    rig.ask(2, Command::MoveCash { act, way: CashWay::Out, amount: pence(100), reason }).unwrap();
    for number in [1, 2] {
        let act = rig.draw_act();
        rig.ask(number, Command::CloseTill { act, counted: pence(0) }).unwrap();
    }
    let act = rig.draw_act();
    refused(rig.ask(1, Command::OpenTill { act, float: pence(0), date: DateWord::Silent }));
    rig.ask(1, Command::SignOut).unwrap();

    becomes(&mut rig, Level::Shedding);
    rig.sign_in(1, "anna", true).unwrap();
    rig.ask(1, Command::OpenTill { act, float: pence(0), date: DateWord::Silent }).unwrap();
}

#[test]
fn a_step_that_the_disk_did_not_take_is_tried_again_until_it_does() {
    let mut rig = Rig::open();
    rig.hear(space(Level::Full));
    let (commit, ..) = rig.pending.remove(0);
    rig.hear(Event::Appended(commit, Err("not recorded".into())));
    rig.now_ms += 9_000;
    rig.hear(Event::Tick);
    assert!(rig.pending.is_empty());
    rig.now_ms += 1_000;
    rig.hear(Event::Tick);
    assert_eq!(rig.pending.len(), 1);
    rig.commit();
    rig.now_ms += 60_000;
    rig.hear(Event::Tick);
    assert!(rig.pending.is_empty());
    assert_eq!(count(&rig, "box.space_low"), 1);
}

#[test]
fn on_a_slow_disk_the_person_is_told_to_wait_and_nothing_is_told_as_recorded_before_it_is() {
    let mut rig = Rig::open();
    rig.scan(1, &pack(1));
    let (act, total) = (rig.basket_act(1), pence(499));
    let ticket = rig.send(1, Command::Pay { act, total, tendered: pence(500) });
    let said = |rig: &Rig| rig.view(1).notice.map(|notice| notice.text).unwrap_or_default();
    rig.now_ms += 1_000;
    rig.hear(Event::Tick);
    assert!(!said(&rig).contains("slow"));
    for _ in 0..20 {
        rig.now_ms += 1_000;
        rig.hear(Event::Tick);
        assert!(said(&rig).contains("disk is slow") && said(&rig).contains("not done yet"), "{}", said(&rig));
        assert_eq!((rig.answer(ticket), rig.sales()), (None, 0));
    }
    assert_eq!(rig.counts.iter().filter(|one| **one == Count::SlowCommit).count(), 1, "once");
    rig.commit();
    assert!(rig.answer(ticket).unwrap().is_ok());
    assert!(said(&rig).contains("recorded"), "{}", said(&rig));
}

#[test]
fn a_report_of_what_was_shed_that_the_disk_did_not_take_is_a_part_of_the_next() {
    let mut rig = Rig::open();
    becomes(&mut rig, Level::Shedding);
    (0..3).for_each(|_| read(&mut rig));
    rig.now_ms += 15 * 60 * 1_000;
    rig.hear(Event::Tick);
    let (commit, ..) = rig.pending.remove(0);
    rig.hear(Event::Appended(commit, Err("not recorded; the disk is full".into())));
    read(&mut rig);
    rig.now_ms += 15 * 60 * 1_000;
    rig.hear(Event::Tick);
    rig.commit();
    assert_eq!((count(&rig, "box.shed"), last_shed(&rig).facts), (1, 4));
}

#[test]
fn a_disk_that_took_nothing_is_tried_until_it_does_although_nothing_else_is_recorded() {
    let mut rig = Rig::open();
    let full =
        Space { level: Level::Full, free_mib: 4_000, days_left: None, reserve: false, takes_nothing: true };
    rig.hear(Event::Space(full));
    rig.commit();
    for probes in 2..5 {
        rig.now_ms += 9_000;
        rig.hear(Event::Tick);
        assert!(rig.pending.is_empty());
        rig.now_ms += 1_000;
        rig.hear(Event::Tick);
        rig.commit();
        assert_eq!(count(&rig, "box.space_low"), probes);
    }
    becomes(&mut rig, Level::Plenty);
    let recorded = count(&rig, "box.space_low");
    rig.now_ms += 60_000;
    rig.hear(Event::Tick);
    assert_eq!((rig.pending.len(), count(&rig, "box.space_low")), (0, recorded));
}
