//! A database that is away or does not take something, seen by boxes on the wire: nothing is lost, nobody waits for
//! another's trouble, and everything counts once.

use std::time::UNIX_EPOCH;

use pestle_domain::{
    fact::{Act, Actor, BoxBooksIncomplete, BoxShed, BoxSpaceLow, Stamp},
    ids::{ActId, FactId},
    staff::Role,
    units::UnixMillis,
    wire::message::Answer,
};
use pestle_gateway::{
    ingest::{quarantine, refold},
    testing,
};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use uuid::Uuid;

use super::{
    branch::{Branch, stamp},
    centre::{Centre, committed},
    whole::Wired,
};
use crate::platform::client::{enrolled, seed, tenant};

async fn as_root(database: &testing::TestDatabase, statement: String) {
    let mut root = PgConnection::connect_with(&database.root().database("postgres")).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut root).await.unwrap();
    root.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_in_flight_while_the_database_is_away_are_not_kept_and_count_once_when_they_come_again() {
    let gateway = testing::gateway().await;
    seed(&gateway, Role::Manager).await;
    let enrolled = enrolled(&gateway).await;
    let mut wired = Wired::new(&gateway, &enrolled).await;
    let opened = wired.branch.open(100);
    assert_eq!(committed(&wired.send(1, opened).await), wired.branch.head(opened));

    let name = gateway.database.name.clone();
    as_root(&gateway.database, format!("ALTER DATABASE {name} CONNECTION LIMIT 0")).await;
    as_root(
        &gateway.database,
        format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"),
    )
    .await;
    // Three batches are on their way, the middle one twice.
    let ends: Vec<u64> = (0..3).map(|_| wired.branch.sell("p-1", 1)).collect();
    let mut first = opened + 1;
    for last in &ends {
        let (_, message) = wired.branch.batch(first, *last);
        wired.say("up/ledger", message.clone()).await;
        if *last == ends[1] {
            wired.say("up/ledger", message).await;
        }
        first = last + 1;
    }
    let told = wired.answer().await;
    assert!(matches!(told, Answer::Busy { .. }), "{told:?}");
    as_root(&gateway.database, format!("ALTER DATABASE {name} CONNECTION LIMIT -1")).await;
    // Nothing was kept: a box sends again, as a whole run and then once more.
    for _ in 0..2 {
        loop {
            let (_, message) = wired.branch.batch(opened + 1, ends[2]);
            wired.say("up/ledger", message).await;
            match wired.answer().await {
                Answer::Committed(acknowledgement) if acknowledgement.head == wired.branch.head(ends[2]) => {
                    break;
                }
                Answer::Busy { .. } | Answer::Committed(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }
    let mut tx = gateway.running.app.db.tenant(&tenant()).begin().await.unwrap();
    let sales: i64 = sqlx::query_scalar("SELECT count(*) FROM sales.sale").fetch_one(&mut *tx).await.unwrap();
    let on_hand: i64 =
        sqlx::query_scalar("SELECT sum(on_hand)::bigint FROM inventory.balance WHERE product_id = 'p-1'")
            .fetch_one(&mut *tx)
            .await
            .unwrap();
    assert_eq!((sales, on_hand), (3, 97));
}

/// Makes the database refuse rows: a fault that trying again does not help.
async fn refuse(centre: &Centre, table: &str, when: &str) {
    let mut root = PgConnection::connect_with(&centre.root()).await.unwrap();
    let statement = format!("ALTER TABLE {table} ADD CONSTRAINT refuse CHECK (NOT ({when}))");
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut root).await.unwrap();
    root.close().await.unwrap();
}

#[tokio::test]
async fn facts_whose_effects_cannot_be_written_are_stored_unfolded_acknowledged_and_shown() {
    let centre = Centre::new().await;
    let mut branch = Branch::new("north", "box-1");
    centre.enrol(&branch).await;
    let opened = branch.open(10);
    committed(&centre.one(branch.batch(1, opened)).await);
    refuse(&centre, "sales.sale", "total_minor = 500").await;
    let sold = branch.sell("p-1", 2);
    assert_eq!(committed(&centre.one(branch.batch(opened + 1, sold)).await), branch.head(sold));
    let rows: Vec<(bool, i64)> =
        centre.rows("SELECT folded, count(*) FROM ingest.fact GROUP BY folded ORDER BY folded").await;
    assert_eq!(rows, [(false, 3), (true, i64::try_from(opened).unwrap())]);
    let doubts: Vec<(String, i64)> =
        centre.rows("SELECT reason, count(*) FROM ingest.quarantine GROUP BY reason").await;
    assert_eq!(doubts, [("unfolded".to_owned(), 3)]);
    assert_eq!(centre.on_hand("north", "p-1").await, 10, "all effects of a batch, or none");
    // The branch goes on.
    let next = branch.sell("p-1", 1);
    assert_eq!(committed(&centre.one(branch.batch(sold + 1, next)).await), branch.head(next));
    assert_eq!(centre.on_hand("north", "p-1").await, 9);
    centre.assert_books_balance().await;
}

#[tokio::test]
async fn facts_that_are_here_already_and_one_whose_effects_cannot_be_written_are_taken_in_one_batch() {
    let centre = Centre::new().await;
    let mut branch = Branch::new("north", "box-1");
    centre.enrol(&branch).await;
    branch.open(10);
    let known = branch.sell("p-1", 1);
    committed(&centre.one(branch.batch(1, known)).await);
    refuse(&centre, "sales.sale", "total_minor = 500").await;
    // All of it once more in a new epoch, and a sale that the database does not take.
    branch.sell("p-1", 2);
    let carried = branch.carried_over(7);
    let all = carried.last();
    assert_eq!(committed(&centre.one(carried.batch(1, all)).await), carried.head(all));
    let unfolded =
        async || -> Vec<(i64,)> { centre.rows("SELECT count(*) FROM ingest.fact WHERE NOT folded").await };
    // The sale's three, and that of the epoch.
    assert_eq!((centre.on_hand("north", "p-1").await, unfolded().await), (9, vec![(4,)]));
    committed(&centre.one(carried.batch(1, all)).await);
    let mut root = PgConnection::connect_with(&centre.root()).await.unwrap();
    sqlx::raw_sql("ALTER TABLE sales.sale DROP CONSTRAINT refuse").execute(&mut root).await.unwrap();
    root.close().await.unwrap();
    assert_eq!(refold::all(&centre.db).await.unwrap(), 4);
    assert_eq!((centre.on_hand("north", "p-1").await, unfolded().await), (7, vec![(0,)]));
    let sales: Vec<(i64, i64)> =
        centre.rows("SELECT count(*), sum(total_minor)::bigint FROM sales.sale").await;
    assert_eq!(sales, [(2, 750)], "each once");
    centre.assert_books_balance().await;
}

#[tokio::test]
async fn a_batch_that_cannot_be_stored_waits_in_its_branch_and_holds_up_no_other() {
    let centre = Centre::new().await;
    let (mut north, mut south) = (Branch::new("north", "box-1"), Branch::new("south", "box-2"));
    centre.enrol(&north).await;
    centre.enrol(&south).await;
    let opened = north.open(10);
    committed(&centre.one(north.batch(1, opened)).await);
    refuse(&centre, "ingest.fact", "kind = 'stock.adjusted'").await;
    let stuck = north.adjust(1);
    let fine = south.open(5);
    let answers = centre.ingest.apply(&[north.batch(opened + 1, stuck), south.batch(1, fine)]).await;
    assert!(matches!(answers[0], Answer::Busy { retry_ms, .. } if retry_ms >= 60_000), "{answers:?}");
    assert_eq!(committed(&answers[1]), south.head(fine));
    assert_eq!(centre.on_hand("south", "p-1").await, 5);
}

#[tokio::test]
async fn what_was_stored_without_effects_is_folded_once_when_it_can_be() {
    let centre = Centre::new().await;
    let mut branch = Branch::new("north", "box-1");
    centre.enrol(&branch).await;
    let opened = branch.open(10);
    committed(&centre.one(branch.batch(1, opened)).await);
    refuse(&centre, "sales.sale", "total_minor = 500").await;
    let sold = branch.sell("p-1", 2);
    committed(&centre.one(branch.batch(opened + 1, sold)).await);
    let next = branch.sell("p-1", 1);
    committed(&centre.one(branch.batch(sold + 1, next)).await);
    assert_eq!(centre.on_hand("north", "p-1").await, 9);
    let shown = async || {
        let mut tx = centre.db.tenant(&branch.stream.tenant).begin().await.unwrap();
        quarantine::latest(&mut tx, 10).await.unwrap().1
    };
    assert_eq!(shown().await, 3);
    // The reason stands: what has nothing to do with it is folded, and the sale waits on.
    assert_eq!(refold::all(&centre.db).await.unwrap(), 2);
    assert_eq!(shown().await, 1, "what has its effect is no alarm any more");
    assert_eq!(centre.on_hand("north", "p-1").await, 7);
    let mut root = PgConnection::connect_with(&centre.root()).await.unwrap();
    sqlx::raw_sql("ALTER TABLE sales.sale DROP CONSTRAINT refuse").execute(&mut root).await.unwrap();
    root.close().await.unwrap();
    assert_eq!(refold::all(&centre.db).await.unwrap(), 1);
    assert_eq!(refold::all(&centre.db).await.unwrap(), 0);
    assert_eq!(shown().await, 0);
    let sales: Vec<(i64, i64)> =
        centre.rows("SELECT count(*), sum(total_minor)::bigint FROM sales.sale").await;
    assert_eq!(sales, [(2, 750)]);
    centre.assert_books_balance().await;
}

#[tokio::test]
async fn a_store_that_does_not_go_on_where_it_ended_is_seen() {
    let centre = Centre::new().await;
    let mut branch = Branch::new("north", "box-1");
    centre.enrol(&branch).await;
    let opened = branch.open(10);
    let sold = branch.sell("p-1", 1);
    committed(&centre.one(branch.batch(1, opened)).await);
    let breaks = async || -> Vec<(String, i64, i64)> {
        centre.rows("SELECT kind, first_seq, last_seq FROM ingest.breaks()").await
    };
    assert_eq!(breaks().await, []);
    // The next life of the store says that the one before ended behind what has come so far.
    let second = branch.next_epoch(sold);
    let begun = second.last();
    committed(&centre.one(second.batch(1, begun)).await);
    let number = |seq: u64| i64::try_from(seq).unwrap();
    assert_eq!(breaks().await, [("missing".to_owned(), number(opened) + 1, number(sold))]);
    committed(&centre.one(branch.batch(opened + 1, sold)).await);
    assert_eq!(breaks().await, [], "what was missing has come");
    // An old copy of the store was restored: it lacks what the centre has.
    let third = second.next_epoch(begun - 1);
    committed(&centre.one(third.batch(1, third.last())).await);
    assert_eq!(breaks().await, [("lost".to_owned(), number(begun), number(begun))]);
}

#[tokio::test]
async fn what_a_box_says_of_its_disk_and_its_books_stands_until_it_says_better_or_is_replaced() {
    let centre = Centre::new().await;
    let mut branch = Branch::new("north", "box-1");
    centre.enrol(&branch).await;
    let mut sent = branch.open(10);
    committed(&centre.one(branch.batch(1, sent)).await);
    let says = async || -> Vec<(String, String)> {
        centre
            .rows("SELECT says, coalesce(data->>'level', data->>'facts', data->>'lacks') FROM ingest.box_says()")
            .await
    };
    let row = |says: &str, what: &str| (says.to_owned(), what.to_owned());
    assert_eq!(says().await, []);
    let space = |level: &str| BoxSpaceLow { level: level.into(), free_mib: 300, days_left: Some(12) }.into();
    let now = i64::try_from(UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap();
    let shed = |facts, wall: i64| {
        let at = Stamp { wall_ms: UnixMillis(wall), ..stamp() };
        let body = BoxShed { facts, from: at.wall_ms, to: at.wall_ms }.into();
        let act =
            Act::new(ActId(Uuid::now_v7()), &Actor::Machine, &at, vec![body], || FactId(Uuid::now_v7()));
        act.facts[0].to_line().unwrap()
    };
    for level in ["low", "full", "shedding"] {
        branch.write(vec![space(level)]);
    }
    // Two of this day, one of last week.
    branch.lines.extend([shed(3, now), shed(4, now - 3_600_000), shed(900, now - 7 * 86_400_000)]);
    // Told at every start, and once more of another life: one word with all that is lacking.
    for (epoch, from, to) in [(1, 1, 77), (1, 1, 77), (1, 60, 90), (2, 5, 6)] {
        branch.write(vec![BoxBooksIncomplete { epoch, from, to }.into()]);
    }
    committed(&centre.one(branch.batch(sent + 1, branch.last())).await);
    sent = branch.last();
    let lacks = r#"[{"to": 90, "from": 1, "epoch": 1}, {"to": 6, "from": 5, "epoch": 2}]"#;
    assert_eq!(says().await, [row("space", "shedding"), row("shed", "7"), row("books", lacks)]);
    let kept: Vec<(i64,)> = centre.rows("SELECT count(*) FROM ingest.box_shed").await;
    assert_eq!(kept, [(2,)], "what nobody is shown any more has gone");
    branch.write(vec![space("plenty")]);
    committed(&centre.one(branch.batch(sent + 1, branch.last())).await);
    assert_eq!(says().await, [row("shed", "7"), row("books", lacks)]);
    // The box that follows it has books and a disk of its own.
    let mut next = Branch::new("north", "box-2");
    next.stream.term = 2;
    centre.enrol(&next).await;
    let opened = next.open(10);
    committed(&centre.one(next.batch(1, opened)).await);
    assert_eq!(says().await, []);
}

#[tokio::test]
async fn facts_that_mean_nothing_or_that_the_database_cannot_read_take_nothing_from_the_console() {
    let centre = Centre::new().await;
    let mut branch = Branch::new("north", "box-1");
    centre.enrol(&branch).await;
    branch.open(10);
    let space = |level: &str| BoxSpaceLow { level: level.into(), free_mib: 300, days_left: None }.into();
    branch.write(vec![space("low")]);
    let real = branch.lines.last().unwrap().clone();
    let changed = |from: &str, to: &str| {
        let mut line = String::from_utf8(real.clone()).unwrap();
        let id = line.find("\"id\":\"").unwrap() + 6;
        line.replace_range(id..id + 36, &Uuid::now_v7().to_string());
        assert!(line.contains(from), "{line}");
        line.replace(from, to).into_bytes()
    };
    // By its key, since an id may hold the digits too. Well-formed JSON that PostgreSQL's does not take; a known fact with another meaning than its kind has; a number beyond.
    branch.lines.push(changed("\"low\"", "\"lo\\u0000w\""));
    branch.lines.push(changed("\"free_mib\":300", "\"free_mib\":\"many\""));
    branch.lines.push(changed("\"free_mib\":300", "\"free_mib\":18446744073709551615"));
    committed(&centre.one(branch.batch(1, branch.last())).await);
    let mut tx = centre.db.tenant(&branch.stream.tenant).begin().await.unwrap();
    let said = pestle_gateway::ingest::box_words::says(&mut tx).await.unwrap();
    assert_eq!((said.len(), said[0].data["free_mib"].as_i64()), (1, Some(i64::MAX)), "{said:?}");
    let unfolded = pestle_gateway::ingest::read::unfolded(&mut tx).await.unwrap();
    assert_eq!(unfolded, 2, "the first and the second are kept as they are");
}
