//! The counter's decisions, without a clock, a disk or a printer.

use pestle_domain::{
    fact::ClockQuality, ids::StoreId, journal::Head, sale::LineId, staff::PinThrottle, units::Quantity,
};
use uuid::Uuid;

use super::{
    checkpoint::{self, Where},
    command::{Command, DateWord, Why},
    live::{Scanned, Tone},
    machine::Event,
    records::Done,
    testing::{Rig, pack, pack_of, pence, receipt_of, sealed, shop, till},
    view::Phase,
};
use crate::{
    journal::Place,
    spool::machine::{Ended, JobId, Word},
};

#[test]
fn a_pack_is_scanned_paid_printed_and_booked() {
    let mut rig = Rig::open();
    rig.scan(1, &pack_of(1, "1728010110A^21S1"));
    rig.scan(1, &pack_of(1, "1728010110A^21S2"));
    assert_eq!(rig.view(1).phase, Phase::Selling);
    let answer = rig.pay(1, 2_000);
    assert_eq!(answer.as_ref().unwrap().message, "Sale 1 recorded. Change £10.02.");
    assert_eq!(rig.view(1).phase, Phase::Change);
    assert_eq!(rig.ordered, ["printer-1 1 Receipt 1 with drawer"]);
    assert_eq!(rig.branch.books.ledger.on_hand(&"p-1".parse().unwrap()), Quantity::ZERO);
    assert_eq!(rig.view(1).last_sale.unwrap().print, "sent");
    rig.hear(Event::PrintEnded("printer-1".into(), JobId(1), Ended::Printed));
    rig.commit();
    assert_eq!(rig.view(1).last_sale.unwrap().print, "printed");
    let tail = ["sale.completed", "till.received", "stock.sold", "drawer.opened", "print.completed"];
    assert!(rig.kinds().ends_with(&tail), "{:?}", rig.kinds());
    rig.scan(1, &pack_of(1, "1728010110A^21S1"));
    rig.refused_with(1, "was sold with receipt till-1/1/1");
}

#[test]
fn nobody_is_told_sold_before_the_disk_has_it() {
    let mut rig = Rig::open();
    rig.scan(1, &pack(1));
    let act = rig.basket_act(1);
    let ticket = rig.send(1, Command::Pay { act, total: pence(499), tendered: pence(500) });
    assert_eq!((rig.answer(ticket), rig.view(1).phase, rig.view(1).last_sale), (None, Phase::Paying, None));
    assert!(rig.ordered.is_empty(), "neither paper nor drawer before the disk");
    rig.commit();
    assert_eq!(receipt_of(&rig.answer(ticket).unwrap()), 1);
    assert_eq!(rig.ordered.len(), 1);
}

#[test]
fn a_double_tap_is_one_sale_with_one_receipt() {
    let mut rig = Rig::open();
    rig.scan(1, &pack(1));
    let act = rig.basket_act(1);
    let pay = || Command::Pay { act, total: pence(499), tendered: pence(500) };
    let (first, second) = (rig.send(1, pay()), rig.send(1, pay()));
    rig.commit();
    let third = rig.send(1, pay());
    for ticket in [first, second, third] {
        assert_eq!(receipt_of(&rig.answer(ticket).unwrap()), 1);
    }
    assert_eq!((rig.sales(), rig.ordered.len()), (1, 1));
}

#[test]
fn an_append_that_fails_leaves_the_basket_and_says_so() {
    let mut rig = Rig::open();
    rig.scan(1, &pack(1));
    let before = rig.view(1).basket;
    let act = rig.basket_act(1);
    let ticket = rig.send(1, Command::Pay { act, total: pence(499), tendered: pence(500) });
    let (commit, ..) = rig.pending.remove(0);
    rig.hear(Event::Appended(commit, Err("not recorded; the disk is full".into())));
    let refused = rig.answer(ticket).unwrap().unwrap_err();
    assert_eq!(refused.why, Why::Unavailable);
    assert!(refused.message.starts_with("Not recorded; the disk is full."), "{}", refused.message);
    assert_eq!((rig.view(1).basket, rig.view(1).last_sale), (before, None));
    assert!(rig.ordered.is_empty());
    assert_eq!(receipt_of(&rig.pay(1, 500)), 1, "the number was not used up");
    rig.hear(Event::Appended(commit, Ok(())));
    assert_eq!(
        rig.branch.books.ledger.on_hand(&"p-1".parse().unwrap()),
        Quantity::ONE,
        "a late report books nothing"
    );
}

#[test]
fn an_append_of_which_nobody_knows_is_not_told_as_if_nothing_had_been_booked() {
    let mut rig = Rig::open();
    rig.scan(1, &pack(1));
    let act = rig.basket_act(1);
    let ticket = rig.send(1, Command::Pay { act, total: pence(499), tendered: pence(500) });
    let (commit, ..) = rig.pending.remove(0);
    rig.hear(Event::Appended(commit, Err("perhaps recorded, perhaps not: look after the restart".into())));
    let message = rig.answer(ticket).unwrap().unwrap_err().message;
    assert_eq!(message, "Perhaps recorded, perhaps not: look after the restart.");
}

#[test]
fn after_a_crash_before_the_commit_the_basket_is_back() {
    let mut rig = Rig::open();
    rig.scan(1, &pack(1));
    let act = rig.basket_act(1);
    rig.send(1, Command::Pay { act, total: pence(499), tendered: pence(500) });
    let mut rig = rig.restart();
    assert_eq!(rig.basket_act(1), act);
    assert!(rig.view(1).notice.unwrap().text.contains("your basket is back"));
    rig.sign_in(1, "anna", true).unwrap();
    assert_eq!(receipt_of(&rig.pay(1, 500)), 1);
    assert_eq!(rig.sales(), 1);
}

#[test]
fn after_a_crash_between_commit_and_print_the_sale_is_known_and_the_print_asks() {
    let mut rig = Rig::open();
    rig.scan(1, &pack(1));
    let act = rig.basket_act(1);
    let kept = rig.branch.basket(&till(1)).unwrap().clone();
    rig.pay(1, 500).unwrap();
    let mut rig = rig.restart();
    rig.branch.recover_baskets(vec![(till(1), kept)]);
    assert!(rig.view(1).basket.is_none(), "a basket that was paid does not come back");
    assert!(rig.view(1).notice.unwrap().text.starts_with("Sale 1 recorded."));
    assert_eq!(rig.view(1).prints[0].state, "unknown");
    assert!(rig.ordered.is_empty(), "nothing is printed twice by itself");

    rig.sign_in(1, "anna", true).unwrap();
    assert_eq!(
        receipt_of(&rig.ask(1, Command::Pay { act, total: pence(499), tendered: pence(500) })),
        1,
        "a repeat is the same sale"
    );
    let job = rig.view(1).prints[0].job;
    rig.ask(1, Command::AnswerPrints { jobs: vec![job], word: Word::PrintCopy }).unwrap();
    assert_eq!(rig.ordered, ["printer-1 1 Receipt 1 COPY"]);
    rig.hear(Event::PrintEnded("printer-1".into(), job, Ended::Printed));
    rig.commit();
    assert!(rig.kinds().ends_with(&["print.reprinted"]));
    assert!(rig.restart().view(1).prints.is_empty());
}

#[test]
fn two_tills_that_sell_the_last_packs_at_once_have_their_own_numbers_and_a_right_book() {
    let mut rig = Rig::open();
    for _ in 0..2 {
        rig.scan(1, &pack(1));
        rig.scan(2, &pack(1));
    }
    let (one, two) = (rig.basket_act(1), rig.basket_act(2));
    let first = rig.send(1, Command::Pay { act: one, total: pence(998), tendered: pence(1_000) });
    let second = rig.send(2, Command::Pay { act: two, total: pence(998), tendered: pence(1_000) });
    rig.commit();
    for (ticket, number) in [(first, 1), (second, 2)] {
        let Some(Done::Sold { receipt, .. }) = rig.answer(ticket).unwrap().unwrap().done else { panic!() };
        assert_eq!((receipt.till, receipt.number), (till(number), 1));
    }
    assert_eq!(rig.branch.books.ledger.on_hand(&"p-1".parse().unwrap()), Quantity::ZERO);
    assert_eq!(rig.doubts, []);
    assert_eq!(
        rig.kinds().iter().filter(|kind| **kind == "stock.adjusted").count(),
        1,
        "one find, with a count"
    );
}

#[test]
fn a_serial_that_is_being_sold_at_another_till_is_refused() {
    let mut rig = Rig::open();
    rig.scan(1, &pack_of(1, "10A^21S1"));
    let act = rig.basket_act(1);
    rig.send(1, Command::Pay { act, total: pence(499), tendered: pence(500) });
    let bytes = pack_of(1, "10A^21S1").replace('^', "\u{1D}").into_bytes();
    rig.hear(Event::Scanned(till(2), Scanned { bytes, proved: true }));
    rig.refused_with(2, "was sold with receipt till-1/1/1");
}

#[test]
fn a_scan_that_comes_while_the_sale_is_recorded_begins_the_next_basket() {
    let mut rig = Rig::open();
    rig.scan(1, &pack(1));
    let act = rig.basket_act(1);
    rig.send(1, Command::Pay { act, total: pence(499), tendered: pence(500) });
    rig.hear(Event::Scanned(till(1), Scanned { bytes: pack(2).into_bytes(), proved: true }));
    assert_eq!(rig.view(1).basket.unwrap().lines.len(), 1);
    rig.commit();
    let basket = rig.view(1).basket.unwrap();
    assert_ne!(basket.act, act);
    assert_eq!(&*basket.lines[0].name, "Article 2");
}

#[test]
fn what_must_not_be_sold_is_refused_with_its_reason_and_stays_on_the_page_until_seen() {
    let mut rig = Rig::open();
    rig.hear(Event::Shop(shop(&[(2, "BAD")])));
    for (code, words) in [
        (pack(9), "No article has the number"),
        (pack(3), "prescription medicine"),
        (pack_of(2, "10BAD"), "is recalled (R-1): glass found"),
        (pack_of(1, "1720010110OLD"), "expired on 2020-01-01"),
        ("9520123456789".into(), "cannot be read"),
        ("STAFF-7".into(), "names no article"),
    ] {
        rig.scan(1, &code);
        rig.refused_with(1, words);
        assert!(rig.view(1).basket.is_none());
    }
    assert_eq!(rig.view(1).refusals.len(), super::live::REFUSALS_MAX);
    rig.scan(1, &pack(1));
    assert_eq!(rig.view(1).notice.unwrap().tone, Tone::Good);
    assert!(!rig.view(1).refusals.is_empty(), "a good scan does not hide a refusal");
    rig.ask(1, Command::Dismiss).unwrap();
    assert!(rig.view(1).refusals.is_empty());
}

#[test]
fn a_pack_whose_lot_may_be_blocked_asks_for_it() {
    let mut rig = Rig::open();
    rig.stock(2, "OLD", "2026-01-01", 1);
    rig.stock(2, "NEW", "2028-01-01", 1);
    rig.scan(1, &pack(2));
    assert_eq!(rig.view(1).question.unwrap().choices.len(), 2);
    let refused = rig.ask(1, Command::ChooseLot { line: None, lot: "OLD".into() }).unwrap_err();
    assert!(refused.message.contains("expired on 2026-01-01"));
    rig.scan(1, &pack(2));
    rig.ask(1, Command::ChooseLot { line: None, lot: "NEW".into() }).unwrap();
    assert_eq!(rig.view(1).basket.unwrap().lines[0].lot.as_deref(), Some("NEW"));
    assert_eq!(rig.view(1).question, None);
}

#[test]
fn a_pack_in_the_hand_is_sold_though_the_book_has_none() {
    let mut rig = Rig::open();
    rig.scan(1, &pack(2));
    assert_eq!(rig.view(1).basket.unwrap().lines[0].on_hand, Quantity::ZERO);
    assert_eq!(receipt_of(&rig.pay(1, 500)), 1);
    assert!(rig.kinds().contains(&"stock.adjusted"));
    assert_eq!(rig.doubts, []);
}

#[test]
fn receipt_numbers_go_on_after_a_restart_and_begin_anew_in_a_new_epoch() {
    let mut rig = Rig::open();
    for number in 1..=3 {
        rig.scan(1, &pack(1));
        assert_eq!(receipt_of(&rig.pay(1, 500)), number);
    }
    let mut rig = rig.restart();
    rig.sign_in(1, "anna", true).unwrap();
    rig.scan(1, &pack(1));
    assert_eq!(receipt_of(&rig.pay(1, 500)), 4);
    rig.branch.settings.epoch = 2;
    rig.scan(1, &pack(1));
    assert_eq!(receipt_of(&rig.pay(1, 500)), 1);
}

#[test]
fn nothing_is_done_at_a_till_without_a_person_and_a_session() {
    let mut rig = Rig::new();
    rig.scan(1, &pack(1));
    rig.refused_with(1, "Sign in first");
    assert_eq!(rig.ask(1, Command::Reprint).unwrap_err().why, Why::Authentication);
    rig.sign_in(1, "anna", true).unwrap();
    rig.scan(1, &pack(1));
    rig.refused_with(1, "open the till first");
    let act = rig.draw_act();
    let refused = rig.ask(2, Command::OpenTill { act, float: pence(0), date: DateWord::Silent }).unwrap_err();
    assert_eq!(refused.why, Why::Authentication, "another browser is another station");
}

#[test]
fn wrong_pins_are_recorded_and_slowed_down() {
    let mut rig = Rig::new();
    for _ in 0..PinThrottle::FREE_TRIES {
        assert_eq!(rig.sign_in(1, "anna", false).unwrap_err().why, Why::Authentication);
    }
    assert_eq!(rig.sign_in(1, "anna", true).unwrap_err().why, Why::RateLimited);
    assert!(rig.sign_in(1, "Ben ", true).is_ok(), "others may go on");
    rig.now_ms += PinThrottle::WAIT_MS_FIRST;
    assert!(rig.sign_in(1, "anna", true).is_ok());
    assert_eq!(rig.kinds().iter().filter(|kind| **kind == "staff.denied").count(), 3);
    let unknown = rig.sign_in(1, "nobody", true).unwrap_err();
    assert_eq!(
        unknown.message,
        rig.sign_in(2, "anna", false).unwrap_err().message,
        "who works here is not told"
    );
}

#[test]
fn an_idle_person_is_signed_out_and_the_basket_stays() {
    let mut rig = Rig::open();
    rig.scan(1, &pack(1));
    rig.now_ms += 60_000;
    rig.hear(Event::Tick);
    assert!(rig.view(1).signed_in.is_some());
    rig.now_ms += 1;
    rig.hear(Event::Tick);
    assert_eq!(rig.view(1).phase, Phase::SignIn);
    rig.sign_in(1, "ben", true).unwrap();
    assert_eq!(rig.view(1).phase, Phase::Selling);
}

#[test]
fn a_till_is_closed_by_a_blind_count_and_its_report_is_printed_with_the_drawer_open() {
    let mut rig = Rig::open();
    rig.scan(1, &pack(1));
    let act = rig.draw_act();
    let refused = rig.ask(1, Command::CloseTill { act, counted: pence(0) }).unwrap_err();
    assert!(refused.message.contains("basket"), "{}", refused.message);
    rig.pay(1, 500).unwrap();
    rig.hear(Event::PrintEnded("printer-1".into(), JobId(1), Ended::Printed));
    let said = rig.ask(1, Command::CloseTill { act, counted: pence(10_400) }).unwrap();
    assert_eq!(said.message, "The till is closed. The count differs by −£0.99.");
    let Some(Done::Closed { expected, variance, .. }) = said.done else { panic!() };
    assert_eq!((expected, variance), (pence(10_499), pence(-99)));
    assert_eq!(rig.ordered.last().unwrap(), "printer-1 2 Closing of till-1 with drawer");
    assert_eq!(rig.view(1).phase, Phase::Closed);
    assert_eq!(
        rig.ask(1, Command::CloseTill { act, counted: pence(10_400) }).unwrap().done,
        rig.branch.books.done(act)
    );
}

#[test]
fn an_assistant_may_sell_and_may_not_count_the_till() {
    let mut rig = Rig::open();
    rig.sign_in(1, "ben", true).unwrap();
    rig.scan(1, &pack(1));
    rig.pay(1, 500).unwrap();
    let act = rig.draw_act();
    assert_eq!(
        rig.ask(1, Command::CloseTill { act, counted: pence(0) }).unwrap_err().why,
        Why::Authorization
    );
    assert_eq!(rig.ask(1, Command::OpenDrawer { act }).unwrap_err().why, Why::Authorization);
    assert!(!rig.view(1).signed_in.unwrap().may_close);
}

#[test]
fn a_doubted_date_is_confirmed_by_a_person_before_the_till_opens() {
    let mut rig = Rig::new();
    rig.clock = ClockQuality::Doubted;
    rig.sign_in(1, "anna", true).unwrap();
    assert!(rig.view(1).date_doubted);
    let act = rig.draw_act();
    let open = |date| Command::OpenTill { act, float: pence(0), date };
    assert!(rig.ask(1, open(DateWord::Silent)).unwrap_err().message.contains("2026-11-21"));
    rig.ask(1, open(DateWord::AsShown)).unwrap();
    let (facts, _) = rig.journal.last().unwrap();
    assert_eq!(facts[0].at.clock, ClockQuality::Confirmed);
}

#[test]
fn a_page_that_pays_an_older_basket_is_refused() {
    let mut rig = Rig::open();
    rig.scan(1, &pack(1));
    let act = rig.basket_act(1);
    rig.ask(1, Command::VoidAll).unwrap();
    rig.scan(1, &pack(2));
    let refused = rig.ask(1, Command::Pay { act, total: pence(499), tendered: pence(500) }).unwrap_err();
    assert_eq!(refused.why, Why::Conflict);
    assert_eq!(rig.sales(), 0);
}

#[test]
fn the_last_line_that_is_taken_off_ends_the_basket() {
    let mut rig = Rig::open();
    rig.scan(1, &pack(1));
    rig.ask(1, Command::SetQuantity { line: LineId(1), quantity: Quantity(3) }).unwrap();
    assert_eq!(rig.view(1).basket.unwrap().total, pence(1_497));
    rig.ask(1, Command::Void { line: LineId(1) }).unwrap();
    assert_eq!((rig.view(1).basket, rig.view(1).phase), (None, Phase::Ready));
}

#[test]
fn a_receipt_that_may_be_on_paper_comes_again_only_as_a_copy() {
    let mut rig = Rig::open();
    rig.scan(1, &pack(1));
    rig.pay(1, 500).unwrap();
    let ended = Ended::Unknown { reason: "it vanished".into(), process: None };
    rig.hear(Event::PrintEnded("printer-1".into(), JobId(1), ended));
    rig.commit();
    assert!(rig.kinds().ends_with(&["print.unknown"]));
    assert_eq!(rig.ask(1, Command::Reprint).unwrap_err().why, Why::Conflict, "the question comes first");
    rig.ask(1, Command::AnswerPrints { jobs: vec![JobId(1)], word: Word::CameOut }).unwrap();
    rig.ask(1, Command::Reprint).unwrap();
    assert_eq!(rig.ordered.last().unwrap(), "printer-1 2 Receipt 1 COPY");
}

#[test]
fn books_that_were_kept_are_the_books() {
    let mut rig = Rig::open();
    rig.scan(1, &pack_of(1, "10A^21S1"));
    rig.pay(1, 500).unwrap();
    let at = Where { store: StoreId(Uuid::nil()), place: Place::START, head: Head::EMPTY };
    let kept = sealed(1, &at, &rig.branch.books);
    let (_, books) = checkpoint::read(&kept[..], kept.len() as u64).unwrap();
    assert_eq!(books, rig.branch.books);
    let replayed = rig.restart();
    assert_eq!(replayed.branch.books, books, "replay and live fold to the same");
}

#[test]
fn amounts_that_people_hand_over_are_suggested() {
    let check = |minor, expected: &[i64]| {
        let found: Vec<i64> =
            super::view::suggestions(pence(minor)).iter().map(|money| money.minor).collect();
        assert_eq!(found, expected);
    };
    check(499, &[499, 500, 1_000, 2_000]);
    check(1_740, &[1_740, 2_000, 5_000, 10_000]);
    check(2_000, &[2_000, 5_000, 10_000, 20_000]);
    check(0, &[0]);
}
