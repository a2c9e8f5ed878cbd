//! Drawers, paper and plugs, without any of them.

use pestle_domain::fact::{DeviceAttached, DeviceLost, Fact, FactBody};

use super::{
    command::{Command, StationId},
    counters::{Count, PrintEnd},
    machine::Event,
    preview::Preview,
    records::CANNOT_TELL,
    settings::CounterSettings,
    testing::{Rig, pack, till},
    view::{DeviceState, DeviceView, PRINTS_SHOWN},
};
use crate::spool::machine::{DrawerEnd, Ended, JOBS_MAX, JobId, Word};

fn ended(rig: &mut Rig, job: u64, ended: Ended) {
    rig.hear(Event::PrintEnded("printer-1".into(), JobId(job), ended));
    rig.commit();
}

fn unknown() -> Ended {
    Ended::Unknown { reason: "it vanished".into(), process: None }
}

fn print_of(rig: &Rig) -> &'static str {
    rig.view(1).last_sale.unwrap().print
}

#[test]
fn a_drawer_that_did_not_open_is_said_at_its_own_till_and_counted() {
    let mut rig = Rig::open();
    for end in [DrawerEnd::Open, DrawerEnd::Unseen] {
        rig.hear(Event::DrawerEnded("printer-1".into(), end));
    }
    assert!(rig.view(1).refusals.is_empty());
    rig.hear(Event::DrawerEnded("printer-1".into(), DrawerEnd::NotOpened));
    rig.refused_with(1, "The drawer did not open: open it with its key, and check its cable to the printer.");
    assert!(rig.view(2).refusals.is_empty());
    assert_eq!(rig.counts.iter().filter(|count| **count == Count::DrawerNotOpened).count(), 1);
}

#[test]
fn after_a_crash_between_commit_and_kick_the_person_is_told_to_look_at_the_drawer() {
    let mut rig = Rig::open();
    rig.scan(1, &pack(1));
    let kept = rig.branch.basket(&till(1)).unwrap().clone();
    rig.pay(1, 500).unwrap();
    let mut rig = rig.restart();
    rig.branch.recover_baskets(vec![(till(1), kept)]);
    let told = rig.view(1).notice.unwrap().text;
    assert!(told.contains("If the drawer did not open, open it with its key."), "{told}");
    assert!(rig.view(1).prints[0].reason.as_ref().unwrap().contains("whether the drawer opened"));
}

#[test]
fn a_till_without_a_drawer_records_none() {
    let mut rig = Rig::open();
    rig.branch.settings.tills[0].printer = None;
    rig.scan(1, &pack(1));
    rig.pay(1, 500).unwrap();
    assert_eq!(rig.kinds().last(), Some(&"stock.sold"), "{:?}", rig.kinds());
    assert_eq!(print_of(&rig), "none");
    rig.scan(2, &pack(1));
    rig.pay(2, 500).unwrap();
    assert_eq!(rig.kinds().last(), Some(&"drawer.opened"));
}

#[test]
fn a_receipt_is_said_to_be_printed_only_when_a_fact_says_so() {
    let mut rig = Rig::open();
    rig.scan(1, &pack(1));
    rig.pay(1, 500).unwrap();
    assert_eq!(print_of(&rig), "sent");
    ended(&mut rig, 1, unknown());
    assert_eq!(print_of(&rig), "unknown");
    rig.ask(1, Command::AnswerPrints { jobs: vec![JobId(1)], word: Word::PrintCopy }).unwrap();
    assert_eq!(print_of(&rig), "sent", "a copy on its way is no paper");
    ended(&mut rig, 1, Ended::NotPrinted { reason: "out of paper".into(), drawer_kicked: false });
    assert_eq!(print_of(&rig), "not_printed");
    rig.hear(Event::PrinterIs("printer-1".into(), Ok(())));
    rig.hear(Event::PrintEnded("printer-1".into(), JobId(1), Ended::Printed));
    assert_eq!(print_of(&rig), "unknown", "as the facts say while the newest is on its way");
    rig.commit();
    assert_eq!((print_of(&rig), print_of(&rig.restart())), ("copied", "copied"));
}

#[test]
fn a_receipt_that_was_given_up_is_said_to_be_given_up() {
    let mut rig = Rig::open();
    rig.hear(Event::PrinterIs("printer-1".into(), Err("out of paper".into())));
    rig.scan(1, &pack(1));
    rig.pay(1, 500).unwrap();
    assert_eq!(print_of(&rig), "not_printed");
    rig.ask(1, Command::AnswerPrints { jobs: vec![JobId(1)], word: Word::GiveUp }).unwrap();
    assert_eq!(print_of(&rig), "given_up");
    assert_eq!(print_of(&rig.restart()), "given_up");
}

#[test]
fn a_copy_on_top_of_a_receipt_leaves_it_printed() {
    let mut rig = Rig::open();
    rig.scan(1, &pack(1));
    rig.pay(1, 500).unwrap();
    rig.hear(Event::PrintEnded("printer-1".into(), JobId(1), Ended::Printed));
    assert_eq!(print_of(&rig), "sent", "the fact is not on the disk yet");
    rig.commit();
    rig.ask(1, Command::Reprint).unwrap();
    assert_eq!(print_of(&rig), "printed");
    ended(&mut rig, 2, Ended::Printed);
    assert_eq!(print_of(&rig), "printed");
}

#[test]
fn nobody_is_asked_about_each_receipt_of_a_printer_that_cannot_answer() {
    let mut rig = Rig::open();
    for job in 1..=3 {
        rig.scan(1, &pack(1));
        rig.pay(1, 500).unwrap();
        ended(&mut rig, job, Ended::CannotTell);
        assert_eq!((print_of(&rig), rig.view(1).prints.len()), ("cannot_tell", 0));
    }
    let counted = rig.counts.iter().filter(|count| **count == Count::Print(PrintEnd::CannotTell)).count();
    assert_eq!((counted, rig.kinds().iter().filter(|kind| **kind == "print.unknown").count()), (3, 3));
    let rig = rig.restart();
    assert_eq!((print_of(&rig), rig.view(1).prints.len()), ("cannot_tell", 0));
    let said = pestle_drivers::printer::Unknown::CannotTell.to_string();
    assert!(said.starts_with(CANNOT_TELL), "what older boxes wrote is understood as well: {said}");
}

#[test]
fn a_restart_asks_about_every_paper_and_about_many_at_once() {
    let mut rig = Rig::open();
    rig.hear(Event::PrinterIs("printer-1".into(), Err("out of paper".into())));
    for _ in 0..60 {
        rig.scan(1, &pack(1));
        rig.pay(1, 500).unwrap();
    }
    let waiting = rig.view(1).print_groups.remove(0);
    assert_eq!((waiting.state, waiting.count()), ("not_printed", 60));
    let mut rig = rig.restart();
    let asked = rig.view(1);
    assert_eq!(asked.prints.len(), PRINTS_SHOWN, "no page could show them all");
    let [group] = &asked.print_groups[..] else { panic!("{:?}", asked.print_groups) };
    assert_eq!((group.state, group.count(), group.more()), ("unknown", 60, 60 - PRINTS_SHOWN));
    assert_eq!(group.span(), ", from Receipt 1 to Receipt 60");
    assert!(asked.prints.iter().all(|print| asked.is_grouped(print)));

    rig.sign_in(1, "anna", true).unwrap();
    let answer = |rig: &mut Rig, jobs: &[JobId], word| {
        rig.ask(1, Command::AnswerPrints { jobs: jobs.to_vec(), word }).map(|said| said.message)
    };
    let (there, wanted) = group.jobs.split_at(15);
    let said = answer(&mut rig, &there[..1], Word::CameOut).unwrap();
    assert_eq!(said, "Noted: the paper is there.");
    // The first of them was answered already, by another browser perhaps.
    let said = answer(&mut rig, there, Word::CameOut).unwrap();
    assert_eq!(said, "Noted: 14 papers are there.");
    answer(&mut rig, there, Word::CameOut).unwrap_err();
    let (copied, dropped) = wanted.split_at(42);
    let said = answer(&mut rig, copied, Word::PrintCopy).unwrap();
    assert_eq!(said, "42 copies are being printed.");
    assert!(rig.view(1).prints.iter().any(|print| print.copy));
    assert_eq!(rig.view(1).prints.iter().filter(|print| print.state == "unknown").count(), 3);
    assert_eq!(
        rig.view(1).print_groups.len(),
        1,
        "three are asked about one by one: {:?}",
        rig.view(1).prints
    );
    answer(&mut rig, dropped, Word::GiveUp).unwrap();
    rig.commit();
    let kinds = rig.kinds();
    let told = |kind: &str| kinds.iter().filter(|one| **one == kind).count();
    assert_eq!((told("print.completed"), told("print.unknown")), (15, 3));
    // What is not on paper yet is asked about again, and nothing else is.
    assert_eq!(rig.restart().view(1).print_groups[0].count(), 42);
}

#[test]
fn a_paper_for_which_the_queue_has_no_room_is_let_go_by_a_fact_and_a_person_is_told() {
    let mut rig = Rig::open();
    rig.hear(Event::PrinterIs("printer-1".into(), Err("out of paper".into())));
    for _ in 0..JOBS_MAX {
        rig.scan(1, &pack(1));
        rig.pay(1, 500).unwrap();
    }
    let group = rig.view(1).print_groups.remove(0);
    assert_eq!(group.count(), JOBS_MAX, "{group:?}");
    let full = "No more can wait for printer-1: each new paper costs an old one.";
    assert!(rig.papers_on_page(1).contains(full) && !rig.papers_on_page(2).contains("No more can wait"));
    assert!(!rig.kinds().contains(&"print.unknown"));
    rig.scan(1, &pack(1));
    rig.pay(1, 500).unwrap();
    let told = rig.view(1).notice.unwrap().text;
    assert!(
        told.starts_with("Receipt 1 will not be printed: 1000 other papers wait for printer-1"),
        "{told}"
    );
    assert_eq!(rig.counts.iter().filter(|count| **count == Count::Print(PrintEnd::LetGo)).count(), 1);
    rig.commit();
    assert_eq!(rig.kinds().iter().filter(|kind| **kind == "print.unknown").count(), 1);
    let asked = rig.restart().view(1).print_groups.remove(0);
    assert_eq!((asked.count(), &*asked.first), (JOBS_MAX, "Receipt 2"));
}

#[test]
fn that_a_paper_was_let_go_is_said_until_somebody_has_seen_it() {
    let mut rig = Rig::open();
    rig.hear(Event::PrinterIs("printer-1".into(), Err("out of paper".into())));
    for _ in 0..=JOBS_MAX {
        rig.scan(1, &pack(1));
        rig.pay(1, 500).unwrap();
    }
    rig.scan(1, "rubbish");
    rig.scan(1, &pack(1));
    rig.pay(1, 500).unwrap();
    rig.commit();
    let told = |rig: &Rig| -> Vec<String> {
        rig.view(1).refusals.iter().filter_map(|one| one.text.get(..9).map(str::to_owned)).collect()
    };
    assert_eq!(told(&rig), ["Receipt 1", "Receipt 2"], "a sale puts aside what belonged to the one before");
    rig.ask(1, Command::Dismiss).unwrap();
    assert!(told(&rig).is_empty());
}

#[test]
fn papers_of_a_printer_that_is_gone_are_asked_about_and_never_sent_nowhere() {
    let mut rig = Rig::open();
    for _ in 0..5 {
        rig.scan(1, &pack(1));
        rig.pay(1, 500).unwrap();
    }
    let mut rig = rig.restart_without_printer();
    rig.sign_in(1, "anna", true).unwrap();
    let asked = rig.view(1).print_groups.remove(0);
    assert_eq!((asked.count(), asked.has_printer(), asked.noun()), (5, false, "receipts"));
    let answer = |rig: &mut Rig, word| {
        rig.ask(1, Command::AnswerPrints { jobs: asked.jobs.clone(), word }).map(|said| said.message)
    };
    let refused = answer(&mut rig, Word::PrintCopy).unwrap_err();
    assert!(refused.message.contains("There is no printer for it any more"), "{}", refused.message);
    assert_eq!(answer(&mut rig, Word::CameOut).unwrap(), "Noted: 5 papers are there.");
    assert_eq!(printers_told(&rig), [""; 5], "what is no device's name stands in no fact");
    assert!(rig.view(1).prints.is_empty() && rig.restart_without_printer().view(1).prints.is_empty());
}

/// What the facts of the ends of papers name as their printers.
fn printers_told(rig: &Rig) -> Vec<String> {
    let told = |fact: &Fact| match &fact.body {
        FactBody::PrintCompleted(end) => Some(end.printer.to_string()),
        FactBody::PrintUnknown(end) => Some(end.printer.to_string()),
        FactBody::PrintReprinted(end) => Some(end.printer.to_string()),
        _ => None,
    };
    rig.journal.iter().flat_map(|(facts, _)| facts).filter_map(told).collect()
}

#[test]
fn papers_of_a_till_that_was_renamed_are_asked_about_at_the_first_one_with_whose_they_were() {
    let mut rig = Rig::open();
    for number in [1, 2, 2, 2, 2, 2] {
        rig.scan(number, &pack(1));
        rig.pay(number, 500).unwrap();
    }
    let rename = |settings: &mut CounterSettings| settings.tills[1].id = till(9);
    let mut rig = rig.restart_as(rename).restart_as(rename);
    rig.sign_in(1, "anna", true).unwrap();
    let view = rig.view(1);
    let [group] = &view.print_groups[..] else { panic!("{:?}", view.print_groups) };
    assert_eq!((group.count(), group.former_till.clone(), group.has_printer()), (5, Some(till(2)), false));
    let page = rig.papers_on_page(1);
    assert!(page.contains("5 receipts of till-2, which is not set up any more, are recorded"), "{page}");
    assert!(page.contains("Receipt 1 is recorded."), "its own is asked about by itself: {page}");
    let own = view.prints.iter().filter(|print| print.former_till.is_none());
    assert_eq!(own.map(|print| print.printer.as_str()).collect::<Vec<_>>(), ["printer-1"]);
    assert!(rig.view(9).prints.is_empty());
    let act = view.prints.iter().find(|print| print.former_till.is_some()).unwrap().document;
    let station = StationId("station-1".into());
    rig.look_at(&Preview { till: till(1), station, act, copy: false }).unwrap();

    let answer = |rig: &mut Rig, word| {
        rig.ask(1, Command::AnswerPrints { jobs: group.jobs.clone(), word }).map(|said| said.message)
    };
    assert!(
        answer(&mut rig, Word::PrintCopy)
            .unwrap_err()
            .message
            .contains("There is no printer for it any more")
    );
    assert_eq!(answer(&mut rig, Word::GiveUp).unwrap(), "Noted: 5 papers will not be printed.");
    assert_eq!(printers_told(&rig), [""; 5]);
    assert_eq!(rig.restart_as(rename).view(1).prints.len(), 1, "it is not asked about again");
}

#[test]
fn what_a_start_finds_of_several_printers_that_are_gone_is_let_go_down_to_what_one_queue_keeps() {
    let mut rig = Rig::open();
    for number in [1, 2] {
        rig.hear(Event::PrinterIs(format!("printer-{number}"), Err("out of paper".into())));
    }
    for number in std::iter::repeat_n(1, JOBS_MAX).chain([2; 25]) {
        rig.scan(number, &pack(1));
        rig.pay(number, 500).unwrap();
    }
    let mut rig = rig.restart_as(|settings| settings.tills.iter_mut().for_each(|till| till.printer = None));
    let waiting = |rig: &Rig| rig.branch.jobs_of(&till(1)).len() + rig.branch.jobs_of(&till(2)).len();
    assert_eq!(waiting(&rig), JOBS_MAX + 25);
    for _ in 0..3 {
        rig.hear(Event::Tick);
        rig.commit();
    }
    assert_eq!((waiting(&rig), printers_told(&rig)), (JOBS_MAX, vec![String::new(); 25]));
    rig.refused_with(
        1,
        "Receipt 25 is not asked about any more: 1000 other papers whose printer is not set up",
    );
    let rig = rig.restart_as(|settings| settings.tills.iter_mut().for_each(|till| till.printer = None));
    assert_eq!(waiting(&rig), JOBS_MAX);
}

#[test]
fn a_bad_plug_does_not_fill_the_journal_and_the_page_shows_each_change() {
    let mut rig = Rig::new();
    let device =
        |state| DeviceView { name: "scanner-1".into(), class: "scanner".into(), state, detail: None };
    let facts = |rig: &Rig| rig.kinds().iter().filter(|kind| kind.starts_with("device.")).count();
    for _ in 0..100 {
        rig.now_ms += 50;
        let attached = DeviceAttached { name: "scanner-1".into(), class: "scanner".into() };
        rig.hear(Event::Device(device(DeviceState::Ok), Some(attached.into())));
        rig.now_ms += 50;
        let lost =
            DeviceLost { name: "scanner-1".into(), class: "scanner".into(), reason: "unplugged".into() };
        rig.hear(Event::Device(device(DeviceState::Away), Some(lost.into())));
        rig.commit();
        assert_eq!(rig.view(1).devices[0].state, DeviceState::Away);
    }
    assert_eq!(facts(&rig), 6);
    rig.now_ms += 60_000;
    rig.hear(Event::Tick);
    rig.commit();
    assert_eq!((facts(&rig), rig.kinds().last()), (7, Some(&"device.lost")), "how it ended is written");
}
