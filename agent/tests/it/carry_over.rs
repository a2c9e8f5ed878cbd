//! A fork's resolution in the box, against power cuts at every step of it, and with facts that have left the box before.

use std::{fs, path::Path};

use pestle_agent::{
    appeal::{
        carry,
        plan::{Plan, Stage, Swapped},
    },
    config::Config,
    counter::{
        books::Books,
        fold::{Folded, Nowhere},
        keep::Keep,
        rebase,
    },
    foundation::Foundation,
    journal::{self as journals, Journal, JournalError, Place},
};
use pestle_domain::{fact::BoxBooksIncomplete, ids::ActId, journal::Lane};

use crate::{
    books::{self as stores, Store, sold},
    journal::{act, stamp},
    program::enrolled_box,
};

const EPOCH: u32 = 7;

fn config(folder: &Path) -> Config {
    Config::from_parts("the test", &fs::read_to_string(folder.join("agent.toml")).unwrap(), []).unwrap()
}

fn open(folder: &Path) -> Foundation {
    Foundation::open(&config(folder)).unwrap()
}

/// Ends it, and gives its folder back.
fn close(foundation: Foundation) {
    foundation.close();
}

/// The acts of a journal as they are, but for those that open epochs.
fn contents(journal: &Journal) -> Vec<(ActId, Vec<Vec<u8>>)> {
    let mut found = Vec::new();
    let all = journal.for_each(Place::START, |_, act| -> Result<(), JournalError> {
        let lines: Vec<Vec<u8>> = act.lines().map(<[u8]>::to_vec).collect();
        if !String::from_utf8_lossy(&lines[0]).contains("epoch.opened") {
            found.push((act.act, lines));
        }
        Ok(())
    });
    all.unwrap();
    found
}

fn books(folder: &Path, ledger: &Journal) -> Folded {
    Keep::new(folder.join("counter")).unwrap().fold(ledger, &Nowhere).unwrap()
}

/// What must be the same, however often the power goes.
struct Before {
    ledger: Vec<(ActId, Vec<Vec<u8>>)>,
    telemetry: Vec<(ActId, Vec<Vec<u8>>)>,
    books: Books,
}

/// A box with 40 sales, half of them in a checkpoint, and some readings.
fn a_box() -> (tempfile::TempDir, Before) {
    let folder = enrolled_box();
    let foundation = open(folder.path());
    for number in 1..=40 {
        foundation.ledger.append_blocking(sold(number)).unwrap();
        if number == 20 {
            let keep = Keep::new(folder.path().join("counter")).unwrap();
            let folded = keep.fold(&foundation.ledger, &Nowhere).unwrap();
            let turn = keep.next_turn();
            let mut bytes = Vec::new();
            pestle_agent::counter::checkpoint::encode(turn, &folded.at, &folded.books, &mut bytes).unwrap();
            keep.keep_books(turn, &folded.at, bytes.as_slice()).unwrap();
        }
    }
    for number in 1..=5 {
        foundation.telemetry.append_blocking(act(number, 1, 0)).unwrap();
    }
    let before = Before {
        ledger: contents(&foundation.ledger),
        telemetry: contents(&foundation.telemetry),
        books: books(folder.path(), &foundation.ledger).books,
    };
    close(foundation);
    (folder, before)
}

/// The next start is in the new epoch, with everything once.
#[track_caller]
fn assert_carried(folder: &Path, before: &Before, step: usize) {
    let foundation = open(folder);
    assert!(foundation.carried_over().is_ok());
    for (journal, wanted) in
        [(&foundation.ledger, &before.ledger), (&foundation.telemetry, &before.telemetry)]
    {
        assert_eq!(journal.stream().epoch, EPOCH, "step {step}");
        assert_eq!(&contents(journal), wanted, "step {step}");
        assert_eq!(journal.epochs().len(), 1, "step {step}");
        assert!(!journal.folder().join("building").exists(), "step {step}");
        assert!(journal.folder().join("aside/before-00007/epoch-00001").exists(), "step {step}");
    }
    let folded = books(folder, &foundation.ledger);
    let mut wanted = before.books.clone();
    wanted.stand_at(folded.at.place);
    assert_eq!(folded.books, wanted, "step {step}");
    assert_eq!(folded.missing, [], "step {step}");
    assert_eq!(folded.at.place.epoch, EPOCH);
    assert_eq!(Plan::read(folder).unwrap(), None, "step {step}");
    assert!(!folder.join("counter/staged").exists(), "step {step}");
    close(foundation);
    // And so is every start after it.
    let again = open(folder);
    assert_eq!(again.carried_over(), Ok(None));
    assert_eq!((contents(&again.ledger), again.ledger.stream().epoch), (before.ledger.clone(), EPOCH));
    close(again);
}

#[test]
fn a_carrying_over_that_is_cut_off_after_any_of_its_steps_ends_with_every_act_once_and_the_books_as_they_were()
 {
    for step in 0..=8 {
        let (folder, before) = a_box();
        let data = folder.path();
        let plan = Plan { epoch: EPOCH, stage: Stage::Build };
        plan.write(data).unwrap();
        if step >= 1 {
            // Built, and the power goes before the plan says so; what it left is in the way of nothing.
            Plan::drop_from(data).unwrap();
            let foundation = open(data);
            let built =
                carry::build(data, &plan, (&foundation.ledger, &foundation.telemetry), &stamp()).unwrap();
            close(foundation);
            plan.write(data).unwrap();
            if step >= 2 {
                built.write(data).unwrap();
                swap_up_to(data, &built, step - 2);
            }
        }
        assert_carried(data, &before, step);
    }
}

/// The steps of a swap, of which so many reached the disk.
fn swap_up_to(data: &Path, plan: &Plan, steps: usize) {
    let Stage::Swap { lanes } = &plan.stage else { panic!("{plan:?}") };
    let folder = |lane: Lane| data.join("journal").join(lane.as_str());
    let whole = |lane: &Swapped| journals::carry::swap(&folder(lane.lane), EPOCH, &lane.epochs).unwrap();
    let aside = |lane: &Swapped| {
        let aside = folder(lane.lane).join("aside/before-00007");
        fs::create_dir_all(&aside).unwrap();
        fs::rename(folder(lane.lane).join("epoch-00001"), aside.join("epoch-00001")).unwrap();
    };
    match steps {
        0 => {}
        1 => aside(&lanes[0]),
        2 => whole(&lanes[0]),
        3 => {
            whole(&lanes[0]);
            aside(&lanes[1]);
        }
        _ => lanes.iter().for_each(whole),
    }
    let counter = data.join("counter");
    if steps == 5 {
        fs::rename(counter.join("staged/books-0.checkpoint"), counter.join("books-0.checkpoint")).unwrap();
    }
    if steps >= 6 {
        rebase::adopt(&counter).unwrap();
    }
}

#[test]
fn a_number_that_cannot_be_used_changes_nothing_and_is_said() {
    let (folder, before) = a_box();
    let plan = Plan { epoch: 1, stage: Stage::Build };
    plan.write(folder.path()).unwrap();
    let foundation = open(folder.path());
    assert!(foundation.carried_over().unwrap_err().contains("epoch 1 cannot be used"));
    assert_eq!(contents(&foundation.ledger), before.ledger);
    assert_eq!((foundation.ledger.stream().epoch, Plan::read(folder.path()).unwrap()), (1, None));
    close(foundation);
}

#[test]
fn a_plan_that_cannot_be_read_stops_the_box_before_it_opens_anything() {
    let (folder, _) = a_box();
    Plan { epoch: EPOCH, stage: Stage::Build }.write(folder.path()).unwrap();
    let path = folder.path().join("journal/carry-over.json");
    let mut bytes = fs::read(&path).unwrap();
    bytes[3] ^= 1;
    fs::write(&path, bytes).unwrap();
    let said = format!("{:#}", Foundation::open(&config(folder.path())).unwrap_err());
    assert!(said.contains("call support"), "{said}");
}

#[test]
fn what_had_left_the_box_stays_in_the_books_and_is_named_when_they_are_lost() {
    let one = Store::new();
    one.sell(1..=250);
    one.checkpoint();
    one.sell(251..=520);
    one.checkpoint();
    assert!(one.prune() > 0);
    let first_kept = one.first_kept();
    let whole = one.fold();
    let (one, place) = carry_over(one);
    let folded = one.fold();
    let mut wanted = whole.books.clone();
    wanted.stand_at(place);
    assert_eq!((&folded.books, folded.kept), (&wanted, place));
    one.sell(521..=522);
    let one = one.restart();
    assert_eq!(one.fold().at.place.seq, place.seq + 4);
    for file in one.checkpoints() {
        fs::remove_file(file).unwrap();
    }
    // Of what it was before, that alone is missing which had left the box: the rest stands in the new epoch.
    let missing = one.fold().missing;
    assert_eq!(missing, [BoxBooksIncomplete { epoch: 1, from: 1, to: first_kept - 1 }]);
    one.ledger.close_blocking();
}

/// Records everything once more, as a start does that has a plan, and starts. Up to where the books must be.
fn carry_over(one: Store) -> (Store, Place) {
    let counter = one.folder.path().join("counter");
    let built = journals::carry::build(&one.ledger, EPOCH, &stamp()).unwrap();
    let place = Place { epoch: EPOCH, seq: built.head.seq };
    rebase::stage(&counter, &one.ledger, (built.store, place, built.head)).unwrap();
    let lane = one.ledger.folder().to_owned();
    one.ledger.close_blocking();
    journals::carry::swap(&lane, EPOCH, &built.epochs).unwrap();
    rebase::adopt(&counter).unwrap();
    (one.restart(), place)
}

/// A box whose oldest two generations left it before both checkpoints were lost, and the facts that are in them.
fn without_its_first_facts() -> (Store, BoxBooksIncomplete, [stores::Page; 2]) {
    let one = Store::new();
    one.sell(1..=250);
    let pages = [stores::page(&one, 1, 100), stores::page(&one, 101, 400)];
    one.checkpoint();
    one.checkpoint();
    assert_eq!((one.prune(), one.first_kept()), (2, 401));
    for file in one.checkpoints() {
        fs::remove_file(file).unwrap();
    }
    (one.restart(), BoxBooksIncomplete { epoch: 1, from: 1, to: 400 }, pages)
}

#[test]
fn what_was_fetched_back_behind_the_newest_checkpoint_is_in_the_books_of_the_new_epoch() {
    let (one, lost, pages) = without_its_first_facts();
    one.ledger.append_blocking(stores::act(900, vec![lost.clone().into()])).unwrap();
    one.checkpoint();
    for (number, (fetched, message)) in (901..).zip(&pages) {
        one.keep.fetched().keep(fetched, message).unwrap();
        one.ledger.append_blocking(stores::act(number, vec![fetched.clone().into()])).unwrap();
    }
    let (one, place) = carry_over(one);
    // Two checkpoints have them: the pages may go.
    fs::remove_dir_all(one.folder.path().join("counter/fetched")).unwrap();
    let folded = one.fold();
    assert_eq!((folded.kept, folded.books.missing(), folded.books.fetched()), (place, &[][..], &[lost][..]));
    stores::knows(&folded, 1, 250);
    one.ledger.close_blocking();
}

#[test]
fn what_nobody_had_named_before_it_was_carried_over_is_named_in_the_new_epoch() {
    let (one, lost, _) = without_its_first_facts();
    let (one, place) = carry_over(one);
    let folded = one.fold();
    assert_eq!((folded.kept, &folded.missing[..]), (place, std::slice::from_ref(&lost)));
    one.ledger.append_blocking(stores::act(900, vec![lost.clone().into()])).unwrap();
    let folded = one.fold();
    assert_eq!((folded.missing, folded.books.missing()), (vec![], &[lost][..]));
    one.ledger.close_blocking();
}
