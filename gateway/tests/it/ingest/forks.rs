//! Two stores under one name, at the centre: the second is held off, and what it carries over later counts once.

use pestle_domain::{
    fact::EpochOpened,
    ids::StoreId,
    journal::{Carried, Parent},
    wire::batch::RefusalReason,
};
use pestle_gateway::ingest::{by_hand::NotBooked, quarantine};
use uuid::Uuid;

use super::{
    branch::Branch,
    centre::{Centre, committed, refused, tenant},
};

async fn reasons(centre: &Centre) -> Vec<(String, i64)> {
    centre.rows("SELECT reason, times FROM ingest.quarantine ORDER BY quarantine_id").await
}

async fn breaks(centre: &Centre) -> Vec<(String, i64, i64)> {
    centre.rows("SELECT kind, first_seq, last_seq FROM ingest.breaks()").await
}

async fn sales(centre: &Centre) -> Vec<(i64,)> {
    centre.rows("SELECT count(*) FROM sales.sale").await
}

/// A branch with one sale at the centre, and as many facts.
async fn sold_once(centre: &Centre) -> (Branch, u64) {
    let mut original = Branch::new("north", "box-1");
    centre.enrol(&original).await;
    original.open(100);
    let common = original.sell("p-1", 1);
    committed(&centre.one(original.batch(1, common)).await);
    (original, common)
}

#[tokio::test]
async fn both_histories_of_a_fork_count_once_when_the_refused_one_is_carried_over() {
    let centre = Centre::new().await;
    let (mut original, common) = sold_once(&centre).await;
    let mut copy = original.copy_up_to(common);
    let theirs = original.sell("p-1", 2);
    committed(&centre.one(original.batch(common + 1, theirs)).await);
    let ours = copy.sell("p-1", 4);
    assert_eq!(refused(&centre.one(copy.batch(common + 1, ours)).await), RefusalReason::Contradicts);
    assert_eq!(centre.on_hand("north", "p-1").await, 97);

    let carried = copy.carried_over(7);
    let (half, all) = (carried.last() / 2, carried.last());
    // Acts are not split: the sale at the end comes by itself.
    committed(&centre.one(carried.batch(1, all - 3)).await);
    assert_eq!((centre.on_hand("north", "p-1").await, half > 0), (97, true), "the centre has all of these");
    committed(&centre.one(carried.batch(all - 2, all)).await);
    assert_eq!((centre.on_hand("north", "p-1").await, sales(&centre).await), (93, vec![(3,)]));
    committed(&centre.one(carried.batch(1, all)).await);
    assert_eq!(centre.on_hand("north", "p-1").await, 93, "a repeat is a repeat");
    centre.assert_books_balance().await;
    // What the box of the copy has lost is named, and nothing else is wrong any more.
    let number = |seq: u64| i64::try_from(seq).unwrap();
    assert_eq!(breaks(&centre).await, [("lost".to_owned(), number(common) + 1, number(theirs))]);
}

#[tokio::test]
async fn a_life_that_was_carried_over_takes_no_more_and_what_a_second_store_adds_to_it_is_kept_for_a_person()
{
    let centre = Centre::new().await;
    let (mut original, common) = sold_once(&centre).await;
    let copy = original.copy_up_to(common);
    let carried = copy.carried_over(7);
    committed(&centre.one(carried.batch(1, carried.last())).await);
    // The original lives, and goes on where the centre's head is: it would join.
    let more = original.sell("p-1", 5);
    assert_eq!(refused(&centre.one(original.batch(common + 1, more)).await), RefusalReason::Contradicts);
    assert_eq!(reasons(&centre).await, [("fenced".to_owned(), 1)]);
    assert_eq!(centre.on_hand("north", "p-1").await, 99);
    committed(&centre.one(original.batch(1, common)).await);
    // It is carried over in its turn, and counts.
    let second = original.carried_over(8);
    committed(&centre.one(second.batch(1, second.last())).await);
    assert_eq!(centre.on_hand("north", "p-1").await, 94);
    centre.assert_books_balance().await;
}

#[tokio::test]
async fn what_a_box_lost_and_a_broker_had_held_back_is_booked_by_hand_once_and_in_order() {
    let centre = Centre::new().await;
    let (mut branch, common) = sold_once(&centre).await;
    let first = branch.sell("p-1", 2);
    let second = branch.sell("p-1", 4);
    // The box lost both sales, and said so before the broker brought them.
    let next = branch.next_epoch(common);
    committed(&centre.one(next.batch(1, next.last())).await);
    for (from, to) in [(common + 1, first), (first + 1, second)] {
        let reason = refused(&centre.one(branch.batch(from, to)).await);
        assert_eq!(reason, RefusalReason::Contradicts);
    }
    let kept: Vec<(i64, String)> =
        centre.rows("SELECT quarantine_id, reason FROM ingest.quarantine ORDER BY quarantine_id").await;
    let [(one, reason), (other, _)] = kept.as_slice() else { panic!("{kept:?}") };
    assert_eq!(reason, "fenced");
    assert_eq!((centre.on_hand("north", "p-1").await, sales(&centre).await), (98, vec![(2,)]));

    let ingest = centre.another_gateway();
    let book = async |number| ingest.book_by_hand(&tenant(), number, "Kit").await;
    assert!(matches!(book(one + 1_000).await, Err(NotBooked::Unknown)));
    let gap = book(*other).await.unwrap_err().to_string();
    assert!(gap.starts_with(&format!("facts {} to {first} of ", common + 1)), "{gap}");
    let booked = book(*one).await.unwrap();
    assert_eq!((booked.first, booked.last), (common + 1, first));
    book(*other).await.unwrap();
    assert_eq!((centre.on_hand("north", "p-1").await, sales(&centre).await), (92, vec![(4,)]));
    book(*one).await.unwrap();
    assert_eq!(centre.on_hand("north", "p-1").await, 92, "a repeat books nothing more");
    centre.assert_books_balance().await;
    let mut tx = centre.db.tenant(&tenant()).begin().await.unwrap();
    assert_eq!(quarantine::latest(&mut tx, 10).await.unwrap(), (vec![], 0), "nobody needs to look any more");
    // The box is told that the centre has more of that life than it has itself, and fetches it.
    committed(&centre.one(branch.batch(first + 1, second)).await);
}

#[tokio::test]
async fn what_contradicts_is_not_booked_by_hand() {
    let centre = Centre::new().await;
    let (mut original, common) = sold_once(&centre).await;
    let mut copy = original.copy_up_to(common);
    let (theirs, ours) = (original.sell("p-1", 2), copy.sell("p-1", 4));
    committed(&centre.one(original.batch(common + 1, theirs)).await);
    refused(&centre.one(copy.batch(common + 1, ours)).await);
    let kept: Vec<(i64,)> = centre.rows("SELECT quarantine_id FROM ingest.quarantine").await;
    let refusal = centre.another_gateway().book_by_hand(&tenant(), kept[0].0, "Kit").await;
    assert!(matches!(refusal, Err(NotBooked::OtherReason(_))), "{refusal:?}");
    assert_eq!(centre.on_hand("north", "p-1").await, 97);
}

#[tokio::test]
async fn late_facts_of_an_ended_life_are_taken_up_to_where_it_said_that_it_ended_and_not_behind() {
    let centre = Centre::new().await;
    let (mut branch, common) = sold_once(&centre).await;
    let late = branch.sell("p-1", 1);
    let next = branch.next_epoch(late);
    committed(&centre.one(next.batch(1, next.last())).await);
    committed(&centre.one(branch.batch(common + 1, late)).await);
    let behind = branch.sell("p-1", 1);
    assert_eq!(refused(&centre.one(branch.batch(late + 1, behind)).await), RefusalReason::Contradicts);
    assert_eq!(reasons(&centre).await, [("fenced".to_owned(), 1)]);
    // One whose store is another's word binds nobody.
    let mut other = Branch::new("south", "box-2");
    centre.enrol(&other).await;
    let opened = other.open(5);
    committed(&centre.one(other.batch(1, opened)).await);
    let mut stranger = other.copy_up_to(0);
    stranger.store = StoreId(Uuid::now_v7());
    stranger.open(5);
    let unknown = stranger.next_epoch(1);
    committed(&centre.one(unknown.batch(1, unknown.last())).await);
    let sold = other.sell("p-1", 1);
    committed(&centre.one(other.batch(opened + 1, sold)).await);
}

#[tokio::test]
async fn a_journal_that_was_begun_anew_under_the_same_name_is_carried_over_and_its_loss_is_named() {
    let centre = Centre::new().await;
    let (original, common) = sold_once(&centre).await;
    let mut anew = original.copy_up_to(0);
    anew.open(0);
    let sold = anew.sell("p-1", 1);
    assert_eq!(refused(&centre.one(anew.batch(1, sold)).await), RefusalReason::Contradicts);
    let carried = anew.carried_over(2);
    committed(&centre.one(carried.batch(1, carried.last())).await);
    assert_eq!(sales(&centre).await, [(2,)]);
    let number = i64::try_from(common).unwrap();
    assert_eq!(breaks(&centre).await, [("lost".to_owned(), 1, number)], "all that the box had before");
}

#[tokio::test]
async fn what_a_box_says_that_it_carried_and_cannot_have_ends_nobody_s_look_at_what_is_broken() {
    let centre = Centre::new().await;
    let (original, common) = sold_once(&centre).await;
    let beyond = i64::MAX.unsigned_abs() + 1;
    for (epoch, (first, last)) in
        (2..).zip([(beyond, beyond), (u64::MAX, u64::MAX), (9, 3), (common + 1, common)])
    {
        let mut next = original.copy_up_to(0);
        (next.stream.epoch, next.store) = (epoch, StoreId(Uuid::now_v7()));
        let parent = Parent { epoch: 1, head: original.head(common), store: original.store };
        let carried = vec![Carried { epoch: 1, first, last }];
        next.write(vec![EpochOpened { store: next.store, parent: Some(parent), carried }.into()]);
        committed(&centre.one(next.batch(1, 1)).await);
        assert_eq!(breaks(&centre).await, [], "{first} to {last}");
    }
    // A person is shown each but the last, of which its box had kept nothing.
    let kept = reasons(&centre).await;
    assert_eq!(kept, vec![("unfolded".to_owned(), 1); 3]);
    // And as an earlier version stored it.
    centre.as_owner("UPDATE ingest.stream SET carried = '[{\"epoch\": 1, \"first\": 18446744073709551615, \"last\": 18446744073709551615}]' WHERE epoch = 5").await;
    assert_eq!(breaks(&centre).await, []);
}
