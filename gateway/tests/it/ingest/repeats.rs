//! An act counts once, however often a page sent it and whatever its box had lost meanwhile.

use pestle_domain::{fact::TillPaidIn, ids::ActId, money::Currency, money::Money};
use uuid::Uuid;

use super::{
    branch::Branch,
    centre::{Centre, committed},
};

/// A box that sold one act, whose books lost it, that began a new epoch behind it, and recorded the act once more.
struct Repeated {
    centre: Centre,
    first: Branch,
    opened: u64,
    second: Branch,
}

const PACKS: i64 = 3;

async fn repeated() -> Repeated {
    let centre = Centre::new().await;
    let mut first = Branch::new("north", "box-1");
    centre.enrol(&first).await;
    let opened = first.open(100);
    let act = ActId(Uuid::now_v7());
    first.sell_as(act, "p-1", PACKS);
    let mut second = first.next_epoch(first.last());
    second.session = first.session;
    second.sell_as(act, "p-1", PACKS);
    Repeated { centre, first, opened, second }
}

impl Repeated {
    /// One sale of three packs, and the single pack with which the new epoch begins.
    async fn assert_counted_once(&self, counted: &str, left_out: &str) {
        let centre = &self.centre;
        assert_eq!(centre.on_hand("north", "p-1").await, 100 - PACKS - 1);
        let day: Vec<(i64, i64)> = centre.rows("SELECT sales, gross_minor FROM sales.day").await;
        assert_eq!(day, [(2, 250 * (PACKS + 1))]);
        let received: Vec<(i64, i64)> =
            centre.rows("SELECT sum(received_minor)::bigint, sum(sales)::bigint FROM sales.session").await;
        assert_eq!(received, [(250 * (PACKS + 1), 2)]);
        let facts: Vec<(i64,)> =
            centre.rows("SELECT count(*) FROM ingest.fact WHERE kind = 'sale.completed'").await;
        assert_eq!(facts, [(3,)], "both are in their chains");
        let said: Vec<(String, i64)> =
            centre.rows("SELECT message, times FROM ingest.quarantine WHERE reason = 'repeated'").await;
        let [(said, times)] = &said[..] else { panic!("{said:?}") };
        let words = format!("receipt {counted} counts, receipt {left_out} ");
        assert!(said.contains(&words) && *times == 1, "{said} {times}");
        centre.assert_books_balance().await;
    }
}

#[tokio::test]
async fn an_act_that_was_lost_in_the_branch_and_recorded_again_counts_once() {
    let all = repeated().await;
    let Repeated { centre, first, second, .. } = &all;
    assert_eq!(committed(&centre.one(first.batch(1, first.last())).await), first.head(first.last()));
    assert_eq!(committed(&centre.one(second.batch(1, second.last())).await), second.head(second.last()));
    all.assert_counted_once("till-1/1/1", "till-1/2/2").await;
    // Whatever comes again changes nothing.
    centre.one(second.batch(1, second.last())).await;
    all.assert_counted_once("till-1/1/1", "till-1/2/2").await;
}

#[tokio::test]
async fn of_two_records_the_one_that_comes_first_counts_be_it_the_later_one() {
    let all = repeated().await;
    let Repeated { centre, first, second, opened } = &all;
    centre.one(first.batch(1, *opened)).await;
    assert_eq!(committed(&centre.one(second.batch(1, second.last())).await), second.head(second.last()));
    assert_eq!(committed(&centre.one(first.batch(opened + 1, first.last())).await), first.head(first.last()));
    all.assert_counted_once("till-1/2/2", "till-1/1/1").await;
}

#[tokio::test]
async fn two_records_in_one_transaction_count_once() {
    let all = repeated().await;
    let Repeated { centre, first, second, .. } = &all;
    let answers = centre.ingest.apply(&[second.batch(1, second.last()), first.batch(1, first.last())]).await;
    assert_eq!(committed(&answers[0]), second.head(second.last()));
    assert_eq!(committed(&answers[1]), first.head(first.last()));
    all.assert_counted_once("till-1/1/1", "till-1/2/2").await;
}

#[tokio::test]
async fn two_records_through_two_gateways_at_once_count_once() {
    for _ in 0..10 {
        let all = repeated().await;
        let Repeated { centre, first, second, opened } = &all;
        centre.one(first.batch(1, *opened)).await;
        let other = centre.another_gateway();
        let (one, two) = ([first.batch(opened + 1, first.last())], [second.batch(1, second.last())]);
        let (one, two) = tokio::join!(centre.ingest.apply(&one), other.apply(&two));
        assert_eq!(committed(&one[0]), first.head(first.last()));
        assert_eq!(committed(&two[0]), second.head(second.last()));
        let sales: Vec<(i64, i64)> = centre.rows("SELECT sales, gross_minor FROM sales.day").await;
        assert_eq!(sales, [(2, 250 * (PACKS + 1))]);
        assert_eq!(centre.on_hand("north", "p-1").await, 100 - PACKS - 1);
        let left_out: Vec<(i64,)> = centre.rows("SELECT count(*) FROM ingest.repeat").await;
        assert_eq!(left_out, [(1,)]);
        centre.assert_books_balance().await;
    }
}

#[tokio::test]
async fn cash_that_was_put_in_once_and_recorded_twice_counts_once_and_another_branch_s_act_of_that_id_counts()
{
    let centre = Centre::new().await;
    let (mut first, mut south) = (Branch::new("north", "box-1"), Branch::new("south", "box-2"));
    centre.enrol(&first).await;
    centre.enrol(&south).await;
    let opened = first.open(10);
    south.open(10);
    let act = ActId(Uuid::now_v7());
    let paid = |session| TillPaidIn {
        till: "till-1".parse().unwrap(),
        session,
        amount: Money::new(500, Currency::GBP),
        reason: "change".into(),
    };
    first.write_as(act, vec![paid(first.session).into()]);
    let mut second = first.next_epoch(opened);
    second.write_as(act, vec![paid(first.session).into()]);
    south.write_as(act, vec![paid(south.session).into()]);
    for branch in [&first, &second, &south] {
        assert_eq!(committed(&centre.one(branch.batch(1, branch.last())).await), branch.head(branch.last()));
    }
    let paid: Vec<(String, i64)> = centre
        .rows("SELECT branch_id, sum(paid_in_minor)::bigint FROM sales.session GROUP BY 1 ORDER BY 1")
        .await;
    assert_eq!(paid, [("north".to_owned(), 500), ("south".to_owned(), 500)]);
    centre.assert_books_balance().await;
}

#[tokio::test]
async fn what_is_folded_after_an_upgrade_counts_once_too() {
    let all = repeated().await;
    let Repeated { centre, first, second, .. } = &all;
    centre.one(first.batch(1, first.last())).await;
    centre.one(second.batch(1, second.last())).await;
    // As a version leaves it that did not understand the repeat.
    centre
        .as_owner(
            "DELETE FROM ingest.repeat; DELETE FROM ingest.quarantine;
             UPDATE ingest.fact f SET folded = false FROM ingest.fact sale
             WHERE f.act_id = sale.act_id AND sale.kind = 'sale.completed' AND f.stream_id = sale.stream_id
               AND sale.act_id IN (SELECT act_id FROM ingest.fact WHERE kind = 'sale.completed' GROUP BY 1 HAVING count(*) = 2)
               AND f.stream_id = (SELECT max(stream_id) FROM ingest.stream)",
        )
        .await;
    assert_eq!(pestle_gateway::ingest::refold::all(&centre.db).await.unwrap(), 3);
    all.assert_counted_once("till-1/1/1", "till-1/2/2").await;
}
