//! Which printer a paper goes to, and what becomes of labels that somebody asks for.

use pestle_domain::{
    document::{
        Document,
        dispensing_label::{DispensingCode, DispensingLabel, dispensing_label},
    },
    ids::ActId,
};

use super::{
    command::{Command, Why},
    machine::Event,
    papers::{DispensingPaper, DocumentKind},
    testing::{Rig, pack, pence, till},
    view::PRINTS_SHOWN,
};
use crate::spool::machine::{Ended, JOBS_MAX, JobId, Spool, Word};

/// Till 1 has a label and a page printer too.
fn equip(rig: &mut Rig) {
    let settings = &mut rig.branch.settings.tills[0];
    (settings.label_printer, settings.page_printer) = (Some("labels".into()), Some("pages".into()));
    for (index, printer) in ["labels", "pages"].into_iter().enumerate() {
        let number = u32::try_from(index).unwrap() + 10;
        rig.branch.spools.insert(printer.into(), Spool::of(number));
        rig.hear(Event::PrinterIs(printer.into(), Ok(())));
    }
}

fn equipped() -> Rig {
    let mut rig = Rig::open();
    equip(&mut rig);
    rig
}

fn first_of(printer: u64) -> JobId {
    JobId(printer * 1_000_000_000 + 1)
}

fn ask_for_label(rig: &mut Rig, number: u32) -> ActId {
    let act = rig.draw_act();
    rig.ask(number, Command::ShelfLabel { act, product: "p-1".parse().unwrap() }).unwrap();
    act
}

fn a_dispensing_label() -> Document {
    let label = DispensingLabel {
        patient: "Mrs Jane Doe".into(),
        product: "Amoxicillin 500 mg capsules".into(),
        quantity: "21 capsules".into(),
        directions: "Take ONE three times a day".into(),
        warnings: Vec::new(),
        date: "22 Nov 2026".into(),
        pharmacy: "North Street".into(),
        serial: None,
        prescriber: None,
        lot: None,
        children: "Keep out of the reach and sight of children".into(),
        code: DispensingCode::None,
    };
    dispensing_label(&label).unwrap()
}

fn want_dispensing_label(rig: &mut Rig) -> ActId {
    let act = rig.draw_act();
    let wanted = DispensingPaper { act, till: till(1), document: a_dispensing_label() };
    rig.hear(Event::DispensingLabel(wanted));
    rig.commit();
    act
}

#[test]
fn each_kind_goes_to_its_own_printer_and_to_the_receipt_printer_where_there_is_none() {
    let rig = equipped();
    let of = |index: usize, kind| rig.branch.settings.tills[index].printer_for(kind).unwrap().to_owned();
    use DocumentKind::{DispensingLabel, Receipt, Report, ShelfLabel};
    let kinds = [Receipt, Report, ShelfLabel, DispensingLabel];
    assert_eq!(kinds.map(|kind| of(0, kind)), ["printer-1", "pages", "labels", "labels"]);
    assert_eq!(kinds.map(|kind| of(1, kind)), ["printer-2"; 4]);
}

#[test]
fn the_report_of_a_closing_comes_out_as_a_page_and_the_drawer_opens_all_the_same() {
    let mut rig = equipped();
    let act = rig.draw_act();
    rig.ask(1, Command::CloseTill { act, counted: pence(10_000) }).unwrap();
    assert_eq!(rig.ordered, ["printer-1 kick", "pages 11000000001 Closing of till-1"]);
    let act = rig.draw_act();
    rig.ordered.clear();
    rig.ask(2, Command::CloseTill { act, counted: pence(10_000) }).unwrap();
    assert_eq!(rig.ordered.len(), 1);
    assert!(rig.ordered[0].starts_with("printer-2") && rig.ordered[0].ends_with("with drawer"));
}

#[test]
fn a_shelf_label_is_on_the_disk_before_it_is_printed_and_holds_up_no_receipt() {
    let mut rig = equipped();
    let act = rig.draw_act();
    let ticket = rig.send(1, Command::ShelfLabel { act, product: "p-1".parse().unwrap() });
    assert!(rig.ordered.is_empty() && rig.answer(ticket).is_none(), "not before");
    let again = rig.send(1, Command::ShelfLabel { act, product: "p-1".parse().unwrap() });
    assert!(rig.answer(again).unwrap().is_ok(), "a double tap is one label");
    rig.commit();
    assert!(rig.answer(ticket).unwrap().is_ok());
    assert_eq!(rig.ordered, ["labels 10000000001 Shelf label Article 1"]);
    rig.scan(1, &pack(1));
    rig.pay(1, 500).unwrap();
    assert_eq!(rig.ordered[1], "printer-1 1 Receipt 1 with drawer", "{:?}", rig.ordered);
    rig.hear(Event::PrintEnded("labels".into(), first_of(10), Ended::Printed));
    rig.commit();
    assert_eq!(rig.kinds().last(), Some(&"print.completed"));
    assert!(!rig.restart().view(1).prints.iter().any(|print| print.document == act));
}

#[test]
fn a_label_whose_end_the_box_did_not_see_is_asked_about_under_its_printer_s_name_and_comes_again_as_a_copy() {
    let mut rig = equipped();
    let act = ask_for_label(&mut rig, 1);
    let mut rig = rig.restart();
    rig.sign_in(1, "anna", true).unwrap();
    let print = rig.view(1).prints.remove(0);
    // After this start till 1 has its receipt printer alone.
    assert_eq!((print.document, print.state, &*print.printer), (act, "unknown", "printer-1"));
    assert_eq!(print.title, "Shelf label of Article 1");
    rig.ordered.clear();
    rig.ask(1, Command::AnswerPrints { jobs: vec![print.job], word: Word::PrintCopy }).unwrap();
    assert_eq!(rig.ordered, [format!("printer-1 {} Shelf label Article 1 COPY", print.job.0)]);
}

#[test]
fn each_printer_waits_for_itself_and_what_it_says_late_settles_the_question() {
    let mut rig = equipped();
    rig.hear(Event::PrinterIs("labels".into(), Err("no more labels".into())));
    ask_for_label(&mut rig, 1);
    let act = rig.draw_act();
    rig.ask(1, Command::CloseTill { act, counted: pence(10_000) }).unwrap();
    let shown = |rig: &Rig| -> Vec<(String, &'static str)> {
        rig.view(1).prints.into_iter().map(|print| (print.printer, print.state)).collect()
    };
    assert_eq!(shown(&rig), [("labels".into(), "not_printed"), ("pages".into(), "sent")]);
    let held = Ended::Unknown { reason: "a paper jam".into(), process: Some(*b"0007") };
    rig.hear(Event::PrintEnded("pages".into(), first_of(11), held));
    rig.commit();
    assert_eq!(shown(&rig)[1], ("pages".into(), "unknown"));
    assert!(rig.view(1).notice.unwrap().text.contains("Look at the printer pages"));
    rig.hear(Event::PrintFinishedLate("labels".into(), *b"0007"));
    assert_eq!(shown(&rig).len(), 2, "another printer's word settles nothing");
    rig.hear(Event::PrintFinishedLate("pages".into(), *b"0007"));
    rig.commit();
    assert_eq!(shown(&rig), [("labels".into(), "not_printed")]);
    assert_eq!(rig.kinds().last(), Some(&"print.completed"));
}

#[test]
fn a_dispensing_label_goes_to_the_label_printer_and_its_patient_to_no_disk_and_no_list() {
    let mut rig = equipped();
    let before = rig.journal.len();
    want_dispensing_label(&mut rig);
    assert_eq!(rig.ordered, ["labels 10000000001 Mrs Jane Doe: Amoxicillin 500 mg capsules"]);
    assert_eq!(rig.view(1).prints[0].title, "Dispensing label");
    for (facts, attachment) in &rig.journal[before..] {
        let lines = facts.iter().map(|fact| String::from_utf8(fact.to_line().unwrap()).unwrap());
        let kept: String = lines.chain([String::from_utf8(attachment.clone()).unwrap()]).collect();
        assert!(!kept.contains("Doe") && !kept.contains("Amoxicillin"), "{kept}");
    }
}

#[test]
fn after_a_restart_a_dispensing_label_is_asked_about_and_never_printed_empty() {
    let mut rig = equipped();
    want_dispensing_label(&mut rig);
    let mut rig = rig.restart();
    rig.sign_in(1, "anna", true).unwrap();
    rig.ordered.clear();
    let job = rig.view(1).prints[0].job;
    let refused = rig.ask(1, Command::AnswerPrints { jobs: vec![job], word: Word::PrintCopy }).unwrap_err();
    assert!(refused.message.contains("print it from the dispensing once more"), "{}", refused.message);
    rig.ask(1, Command::AnswerPrints { jobs: vec![job], word: Word::GiveUp }).unwrap();
    assert!(rig.ordered.is_empty() && rig.view(1).prints.is_empty());
}

#[test]
fn of_many_labels_those_that_can_be_printed_again_are_and_the_page_says_what_is_left() {
    let mut rig = equipped();
    want_dispensing_label(&mut rig);
    for _ in 0..2 {
        ask_for_label(&mut rig, 1);
    }
    let mut rig = rig.restart();
    rig.sign_in(1, "anna", true).unwrap();
    let jobs = rig.view(1).prints.iter().map(|print| print.job).collect();
    rig.ask(1, Command::AnswerPrints { jobs, word: Word::PrintCopy }).unwrap();
    let told = rig.view(1).notice.unwrap().text;
    assert!(told.starts_with("2 copies are being printed. The box keeps no label with a patient"), "{told}");
    let asked = rig.view(1).prints.into_iter().filter(|print| print.state == "unknown");
    assert_eq!(asked.map(|print| print.title).collect::<Vec<_>>(), ["Dispensing label"]);
}

#[test]
fn of_more_dispensing_labels_than_are_shown_the_page_says_how_many_more_there_are() {
    let mut rig = equipped();
    rig.hear(Event::PrinterIs("labels".into(), Err("no more labels".into())));
    for _ in 0..PRINTS_SHOWN {
        want_dispensing_label(&mut rig);
    }
    assert!(!rig.papers_on_page(1).contains("And "));
    for _ in 0..2 {
        want_dispensing_label(&mut rig);
    }
    let page = rig.papers_on_page(1);
    assert!(page.contains("And 2 more dispensing labels of the printer labels, shown when"), "{page}");
    assert!(!page.contains("No more can wait"), "{page}");
    for _ in PRINTS_SHOWN + 2..JOBS_MAX {
        want_dispensing_label(&mut rig);
    }
    let page = rig.papers_on_page(1);
    assert!(page.contains("No more can wait for labels: each new paper costs an old one."), "{page}");
    rig.hear(Event::PrinterIs("labels".into(), Ok(())));
    let page = rig.papers_on_page(1);
    let to_come = format!("{} dispensing labels are still to come: labels prints them", JOBS_MAX - 1);
    assert!(page.contains(&to_come) && !page.contains("shown when"), "{page}");
}

#[test]
fn while_the_box_runs_a_dispensing_label_that_did_not_come_out_is_printed_as_a_copy() {
    let mut rig = equipped();
    want_dispensing_label(&mut rig);
    let vanished = Ended::Unknown { reason: "it vanished".into(), process: None };
    rig.hear(Event::PrintEnded("labels".into(), first_of(10), vanished));
    rig.commit();
    rig.ask(1, Command::AnswerPrints { jobs: vec![first_of(10)], word: Word::PrintCopy }).unwrap();
    assert!(rig.ordered[1].ends_with("capsules COPY"), "{:?}", rig.ordered);
}

#[test]
fn a_till_without_a_printer_says_so_and_records_nothing() {
    let mut rig = Rig::open();
    rig.branch.settings.tills[0].printer = None;
    let (act, before) = (rig.draw_act(), rig.journal.len());
    let product = "p-1".parse().unwrap();
    let refused = rig.ask(1, Command::ShelfLabel { act, product }).unwrap_err();
    assert_eq!((refused.why, rig.journal.len()), (Why::Conflict, before));
    let unknown = Command::ShelfLabel { act, product: "nothing".parse().unwrap() };
    assert_eq!(rig.ask(2, unknown).unwrap_err().why, Why::NotFound);
}

#[test]
fn a_shelf_label_has_the_code_that_is_scanned_at_the_till() {
    let mut rig = equipped();
    let act = rig.draw_act();
    rig.send(1, Command::ShelfLabel { act, product: "p-1".parse().unwrap() });
    let (_, _, attachment) = rig.pending.last().cloned().unwrap();
    let said = String::from_utf8(attachment).unwrap();
    assert!(said.contains(&format!("\"ean13\":\"{}\"", pack(1))) && said.contains("£4.99"), "{said}");
}
