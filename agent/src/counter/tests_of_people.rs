//! Who is at the till, what they mean by what they send, and what day they say it is.

use pestle_domain::{
    fact::ClockQuality,
    ids::ProductId,
    sale::LineId,
    staff::{PinThrottle, Role},
    units::Quantity,
};

use super::{
    command::{CashWay, Command, DateWord, StationId, Why},
    counters::Count,
    machine::Event,
    preview::Preview,
    testing::{Rig, pack, pack_of, pence, receipt_of, shop_of, snapshot, till},
    view::Phase,
};
use crate::spool::machine::Word;

/// A branch whose till was open when the power went, and whose clock battery is dead.
fn without_a_clock() -> Rig {
    let mut rig = Rig::open();
    rig.scan(1, &pack(1));
    let mut rig = rig.restart();
    (rig.clock, rig.day) = (ClockQuality::Doubted, "1970-01-01");
    rig.sign_in(1, "anna", true).unwrap();
    rig
}

fn say(rig: &mut Rig, day: &str) -> super::command::Answer {
    rig.ask(1, Command::ConfirmDate { date: DateWord::Is(day.parse().unwrap()) })
}

#[test]
fn nothing_is_sold_at_an_open_till_while_nobody_knows_the_date() {
    let mut rig = without_a_clock();
    assert_eq!(rig.view(1).phase, Phase::Selling);
    assert!(rig.view(1).date_doubted);
    assert_eq!(rig.view(1).business_date.to_string(), "2026-11-20", "that much has passed");
    rig.scan(1, &pack_of(1, "1726112110A^21S1"));
    rig.refused_with(1, "Say today's date on this page");
    let refused = rig.pay(1, 500).unwrap_err();
    assert!(refused.message.contains("not sure of the date"), "{}", refused.message);
    assert_eq!(rig.sales(), 0);

    assert!(say(&mut rig, "2026-11-19").unwrap_err().message.contains("2026-11-20 or later"));
    assert!(say(&mut rig, "2062-11-22").unwrap_err().message.contains("years ahead"));
    say(&mut rig, "2026-11-22").unwrap();
    assert!(!rig.view(1).date_doubted);
    rig.scan(1, &pack_of(1, "1726112110A^21S1"));
    rig.refused_with(1, "expired on 2026-11-21");
    rig.scan(1, &pack_of(1, "1728010110A^21S2"));
    assert_eq!(receipt_of(&rig.pay(1, 1_000)), 1);
    let (facts, _) = rig.journal.last().unwrap();
    assert_eq!(facts[0].at.clock, ClockQuality::Confirmed);
    assert_eq!(facts[0].at.business_date.to_string(), "2026-11-22");
}

#[test]
fn a_said_date_is_asked_for_again_after_half_a_day_and_after_a_restart() {
    let mut rig = without_a_clock();
    say(&mut rig, "2026-11-22").unwrap();
    // The clock still stands at 1970; the system's own clock knows of the word.
    rig.clock = ClockQuality::Confirmed;
    rig.scan(1, &pack(1));
    assert!(rig.view(1).refusals.is_empty());
    rig.now_ms += 12 * 3_600_000;
    assert!(rig.view(1).date_doubted);
    rig.scan(1, &pack(1));
    rig.refused_with(1, "Say today's date");
    rig.sign_in(1, "anna", true).unwrap();
    assert_eq!(rig.journal.last().unwrap().0[0].at.clock, ClockQuality::Doubted);
    say(&mut rig, "2026-11-23").unwrap();
    let mut rig = rig.restart();
    (rig.clock, rig.day) = (ClockQuality::Doubted, "1970-01-01");
    assert!(rig.view(1).date_doubted);
    (rig.clock, rig.day) = (ClockQuality::Synchronised, "2026-11-24");
    assert!(!rig.view(1).date_doubted, "the centre's time has come");
    assert_eq!(rig.view(1).business_date.to_string(), "2026-11-24");
}

#[test]
fn a_repeat_counts_only_if_it_is_the_same_request() {
    let mut rig = Rig::open();
    rig.scan(1, &pack(1));
    let act = rig.basket_act(1);
    let pay = |total, tendered| Command::Pay { act, total: pence(total), tendered: pence(tendered) };
    let first = rig.send(1, pay(499, 500));
    let second = rig.send(1, pay(499, 2_000));
    assert_eq!(rig.answer(second).unwrap().unwrap_err().why, Why::Conflict, "while it is on its way");
    rig.commit();
    assert_eq!(receipt_of(&rig.answer(first).unwrap()), 1);
    assert_eq!(receipt_of(&rig.ask(1, pay(499, 500))), 1);
    let other = |rig: &mut Rig, number, command| {
        let refused = rig.ask(number, command).unwrap_err();
        assert_eq!(refused.why, Why::Conflict);
        assert!(refused.message.contains("Sale 1 recorded."), "{}", refused.message);
    };
    other(&mut rig, 1, pay(499, 2_000));
    other(&mut rig, 1, pay(998, 500));
    other(&mut rig, 2, pay(499, 500));
    other(&mut rig, 1, Command::OpenDrawer { act });
    other(&mut rig, 1, Command::CloseTill { act, counted: pence(0) });
    assert_eq!(rig.sales(), 1);
    let act = rig.draw_act();
    rig.ask(1, Command::CloseTill { act, counted: pence(10_499) }).unwrap();
    let open = Command::OpenTill { act, float: pence(10_499), date: DateWord::Silent };
    assert_eq!(rig.ask(1, open).unwrap_err().why, Why::Conflict);
    assert_eq!(rig.view(1).phase, Phase::Closed);
}

#[test]
fn a_payment_is_for_the_basket_that_the_person_saw() {
    let mut rig = Rig::open();
    rig.scan(1, &pack(1));
    let act = rig.basket_act(1);
    rig.ask(1, Command::SetQuantity { line: LineId(1), quantity: Quantity(2) }).unwrap();
    let old = Command::Pay { act, total: pence(499), tendered: pence(2_000) };
    let refused = rig.ask(1, old).unwrap_err();
    assert_eq!(refused.why, Why::Conflict);
    assert!(refused.message.starts_with("The basket has changed: it is now £9.98."), "{}", refused.message);
    assert_eq!(rig.sales(), 0);
    assert_eq!(receipt_of(&rig.pay(1, 2_000)), 1);
}

#[test]
fn a_manager_moves_cash_without_a_sale_and_the_count_expects_it() {
    let mut rig = Rig::open();
    let act = rig.draw_act();
    let out = |act, minor, reason: &str| Command::MoveCash {
        act,
        way: CashWay::Out,
        amount: pence(minor),
        reason: reason.into(),
    };
    rig.sign_in(2, "ben", true).unwrap();
    assert_eq!(rig.ask(2, out(act, 2_000, "to the safe")).unwrap_err().why, Why::Authorization);
    assert!(!rig.view(2).signed_in.unwrap().may_move_cash);
    assert_eq!(rig.ask(1, out(act, 0, "to the safe")).unwrap_err().why, Why::Validation);
    assert_eq!(rig.ask(1, out(act, 2_000, "  ")).unwrap_err().why, Why::Validation);
    let said = rig.ask(1, out(act, 2_000, " to the safe ")).unwrap();
    assert_eq!(said.message, "£20.00 taken out of the drawer.");
    assert!(rig.kinds().ends_with(&["till.paid_out", "drawer.opened"]), "{:?}", rig.kinds());
    assert_eq!(rig.ask(1, out(act, 2_000, "to the safe")).unwrap(), said, "a repeat is the same");
    assert_eq!(rig.ask(1, out(act, 2_001, "to the safe")).unwrap_err().why, Why::Conflict);
    let act = rig.draw_act();
    let (way, amount) = (CashWay::In, pence(500));
    rig.ask(1, Command::MoveCash { act, way, amount, reason: "change".into() }).unwrap();
    let act = rig.draw_act();
    let closed = rig.ask(1, Command::CloseTill { act, counted: pence(8_500) }).unwrap();
    assert_eq!(closed.message, "The till is closed, and the count is right.");
    assert_eq!(rig.ordered.iter().filter(|order| order.ends_with("kick")).count(), 2);
}

#[test]
fn whoever_does_not_sell_here_changes_nothing_at_a_till_but_a_technician_says_what_lies_in_the_printer() {
    let mut rig = Rig::open();
    rig.hear(Event::PrinterIs("printer-1".into(), Err("out of paper".into())));
    rig.scan(1, &pack(1));
    rig.pay(1, 500).unwrap();
    let paper = rig.view(1).prints.remove(0);
    rig.scan(1, &pack(1));
    let act = rig.basket_act(1);
    let (line, product) = (LineId(1), "p-1".parse::<ProductId>().unwrap());
    let commands = [
        Command::Pay { act, total: pence(499), tendered: pence(500) },
        Command::SetQuantity { line, quantity: Quantity(2) },
        Command::Void { line },
        Command::VoidAll,
        Command::Add { product: product.clone() },
        Command::ChooseLot { line: Some(line), lot: "A".into() },
        Command::ConfirmDate { date: DateWord::AsShown },
        Command::Reprint,
        Command::ShelfLabel { act: rig.draw_act(), product },
        Command::AnswerPrints { jobs: vec![paper.job], word: Word::PrintCopy },
    ];
    let answer = Command::AnswerPrints { jobs: vec![paper.job], word: Word::GiveUp };
    let station = StationId("station-1".into());
    let look = |rig: &mut Rig| {
        let paper = Preview { till: till(1), station: station.clone(), act: paper.document, copy: false };
        rig.look_at(&paper).map(|_paper| ()).map_err(|refused| refused.why)
    };
    for staff in ["ida", "tess"] {
        rig.sign_in(1, staff, true).unwrap();
        let before = (rig.kinds(), rig.view(1).basket, rig.ordered.clone());
        for command in &commands {
            let refused = rig.ask(1, command.clone()).unwrap_err();
            assert_eq!(refused.why, Why::Authorization, "{staff}: {command:?}");
            assert!(refused.message.ends_with("Ask somebody who may to sign in."), "{}", refused.message);
        }
        rig.scan(1, &pack(1));
        rig.refused_with(1, "may not sell");
        assert_eq!(before, (rig.kinds(), rig.view(1).basket, rig.ordered.clone()), "{staff}");
        let refused = (staff == "ida").then_some(Why::Authorization);
        assert_eq!(look(&mut rig).err(), refused, "{staff}");
        assert_eq!(rig.ask(1, answer.clone()).err().map(|refused| refused.why), refused, "{staff}");
    }
    rig.commit();
    assert!(rig.view(1).prints.is_empty() && rig.kinds().last() == Some(&"print.unknown"));
}

#[test]
fn a_person_whom_the_centre_has_taken_off_is_signed_out_and_a_new_role_counts_at_once() {
    let mut rig = Rig::open();
    rig.scan(1, &pack(1));
    rig.sign_in(2, "ben", true).unwrap();
    let mut changed = snapshot(&[], "verifier");
    changed.staff[1].role = Role::Manager;
    rig.hear(Event::Shop(shop_of(changed.clone())));
    assert!(rig.view(2).signed_in.unwrap().may_close);
    assert!(rig.view(2).notice.unwrap().text.contains("changed your role"));
    assert!(rig.view(1).signed_in.is_some(), "Anna is as she was");

    changed.staff[1].valid_until = Some("2026-11-20".parse().unwrap());
    changed.staff.remove(0);
    rig.hear(Event::Shop(shop_of(changed)));
    for number in [1, 2] {
        assert_eq!(rig.view(number).phase, Phase::SignIn);
        let shown = rig.view(number).seen_by(&StationId("anybody".into()));
        assert!(shown.notice.unwrap().text.contains("the centre has changed who works here"));
        assert_eq!(rig.ask(number, Command::VoidAll).unwrap_err().why, Why::Authentication);
    }
    assert!(rig.branch.basket(&till(1)).is_some(), "the basket stays for whoever comes");
}

#[test]
fn a_name_that_nobody_has_costs_says_and_waits_the_same() {
    let mut rig = Rig::new();
    let mut tried = |name: &str| {
        let mut said = Vec::new();
        for _ in 0..=PinThrottle::FREE_TRIES {
            let compared = rig.verifiers.len();
            // Whatever a comparison says: it is nobody's verifier.
            let refused = rig.sign_in(1, name, name == "nobody").unwrap_err();
            said.push((refused, rig.verifiers.len() - compared));
        }
        said
    };
    let (known, unknown) = (tried("anna"), tried("nobody"));
    assert_eq!(known, unknown);
    assert_eq!(known.last().unwrap().0.why, Why::RateLimited);
    assert_eq!(rig.verifiers[0], rig.verifiers[rig.verifiers.len() - 1]);
    assert_eq!(rig.counts.iter().filter(|count| **count == Count::WrongPin).count(), 6);
}

#[test]
fn a_sign_in_that_has_run_out_is_slowed_down_and_told_only_to_whoever_knows_the_pin() {
    let mut rig = Rig::new();
    let mut staff = snapshot(&[], "verifier");
    staff.staff[0].valid_until = Some("2026-11-20".parse().unwrap());
    rig.hear(Event::Shop(shop_of(staff)));
    assert_eq!(rig.sign_in(1, "anna", false).unwrap_err().why, Why::Authentication);
    let refused = rig.sign_in(1, "anna", true).unwrap_err();
    assert!(refused.message.contains("not been confirmed by the centre"), "{}", refused.message);
    rig.sign_in(1, "anna", true).unwrap_err();
    assert_eq!(rig.sign_in(1, "anna", true).unwrap_err().why, Why::RateLimited);
}

#[test]
fn wrong_pins_of_before_a_restart_count_after_it() {
    let mut rig = Rig::new();
    rig.now_ms = 1_000_000;
    for _ in 0..PinThrottle::FREE_TRIES {
        rig.sign_in(1, "anna", false).unwrap_err();
    }
    let mut rig = rig.restart();
    rig.now_ms = 1_000_000 + PinThrottle::WAIT_MS_FIRST - 1;
    assert_eq!(rig.sign_in(1, "anna", true).unwrap_err().why, Why::RateLimited, "the agent was started anew");
    let mut rig = rig.restart();
    (rig.now_ms, rig.boot) = (7, "another");
    assert_eq!(rig.sign_in(1, "anna", true).unwrap_err().why, Why::RateLimited, "the machine was");
    rig.now_ms += PinThrottle::WAIT_MS_FIRST;
    rig.sign_in(1, "anna", true).unwrap();
    let mut rig = rig.restart();
    rig.sign_in(1, "anna", false).unwrap_err();
    rig.sign_in(1, "anna", true).unwrap();
}

#[test]
fn whoever_tries_all_names_fills_neither_disk_nor_memory() {
    let mut rig = Rig::new();
    for number in 0..1_000 {
        assert_eq!(rig.sign_in(1, &format!("n{number}"), false).unwrap_err().why, Why::Authentication);
    }
    let written = rig.kinds().iter().filter(|kind| **kind == "staff.denied").count();
    assert!(written <= 10, "{written} facts");
    assert_eq!(rig.counts.iter().filter(|count| **count == Count::WrongPin).count(), 1_000);
    assert!(rig.branch.strangers.len() <= 256);
    assert!(rig.sign_in(1, "anna", true).is_ok(), "those who work here go on");
}

#[test]
fn another_browser_sees_neither_basket_nor_names() {
    let mut rig = Rig::open();
    rig.scan(1, &pack(1));
    rig.pay(1, 500).unwrap();
    rig.scan(1, &pack(2));
    rig.scan(1, "rubbish");
    let full = rig.view(1);
    assert_eq!(full.seen_by(&StationId("station-1".into())), full);
    let seen = full.seen_by(&StationId("station-2".into()));
    let text = serde_json::to_string(&seen).unwrap();
    for word in ["Article", "Anna", "anna", "rubbish", "receipt", "\"minor\""] {
        assert!(!text.contains(word), "{word} in {text}");
    }
    assert_eq!((seen.phase, &seen.link), (Phase::SignIn, &full.link));
    assert!(seen.notice.unwrap().text.contains("in use at another screen"));
    rig.ask(1, Command::SignOut).unwrap();
    let left = rig.view(1).seen_by(&StationId("station-1".into()));
    assert_eq!((left.basket, left.notice), (None, None), "a basket waits for whoever signs in");
}
