//! What a box has lost is given back to it, as it was hashed, and to nobody else.

use std::time::{Duration, Instant};

use pestle_domain::{
    fact::{BoxBooksIncomplete, BoxFactsFetched, FactBody},
    journal::{Head, Lane},
    signature::Hash,
    staff::Role,
    wire::facts::{Asked, FACTS_PATH, PAGE_FACTS_MAX, Page},
};
use pestle_gateway::{
    ingest::{
        box_words::{BoxWords, book},
        rules::{VerifiedFact, read_line},
    },
    testing::{self, TestGateway},
};
use sqlx::{Connection as _, PgConnection};

use super::{branch::Branch, centre::Centre, centre::committed, whole::Wired};
use crate::platform::client::{enrolled, seed, trusting, url};

async fn ask(gateway: &TestGateway, client: &reqwest::Client, asked: &Asked) -> (u16, Vec<u8>) {
    let answer = client.post(url(gateway, FACTS_PATH)).json(asked).send().await.unwrap();
    (answer.status().as_u16(), answer.bytes().await.unwrap().to_vec())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_box_has_its_own_facts_back_page_by_page_and_nobody_else_has_them() {
    let gateway = testing::gateway().await;
    seed(&gateway, Role::Admin).await;
    let enrolled = enrolled(&gateway).await;
    let mut wired = Wired::new(&gateway, &enrolled).await;
    // More than one page, in messages of whole acts.
    let mut borders = vec![0, wired.branch.open(2_000)];
    while wired.branch.last() < PAGE_FACTS_MAX as u64 + 50 {
        borders.push(wired.branch.sell("p-1", 1));
    }
    let last = wired.branch.last();
    let sent: Vec<u64> = borders.iter().step_by(80).copied().chain([last]).collect();
    for ends in sent.windows(2).filter(|ends| ends[0] < ends[1]) {
        committed(&wired.send(ends[0] + 1, ends[1]).await);
    }
    let device = enrolled.https(&gateway);
    let everything = Asked { lane: Lane::Ledger, epoch: 1, store: None, from: 1, to: None };

    let mut head = Head::EMPTY;
    let mut lines: Vec<Vec<u8>> = Vec::new();
    let mut pages = 0;
    while head.seq < last {
        let (status, message) = ask(&gateway, &device, &Asked { from: head.seq + 1, ..everything }).await;
        assert_eq!(status, 200);
        let page = Page::parse(&message).unwrap();
        let key = &enrolled.response.identity.centre_keys[0];
        page.verify(key).unwrap();
        assert_eq!((page.before(), page.header.last), (head, last));
        assert_eq!(page.header.acknowledgement.stream, wired.branch.stream);
        lines.extend(page.lines.iter().map(|line| line.to_vec()));
        head = page.after();
        pages += 1;
    }
    assert_eq!((pages, &lines), (2, &wired.branch.lines));

    // A range, and what lies behind the end.
    let (_, message) = ask(&gateway, &device, &Asked { from: 4, to: Some(6), ..everything }).await;
    let page = Page::parse(&message).unwrap();
    assert_eq!((page.before(), page.after()), (wired.branch.head(3), wired.branch.head(6)));
    let (_, message) = ask(&gateway, &device, &Asked { from: last + 1, ..everything }).await;
    let page = Page::parse(&message).unwrap();
    assert_eq!((page.header.count, page.after()), (0, wired.branch.head(last)));

    // Nobody else, no other life, no other lane, no other store.
    let client = trusting(&gateway).build().unwrap();
    assert_eq!(ask(&gateway, &client, &everything).await.0, 401);
    for other in [
        Asked { epoch: 2, ..everything },
        Asked { lane: Lane::Telemetry, ..everything },
        Asked { store: Some(pestle_domain::ids::StoreId(uuid::Uuid::now_v7())), ..everything },
    ] {
        assert_eq!(ask(&gateway, &device, &other).await.0, 404, "{other:?}");
    }
    let second = crate::platform::client::enrolled(&gateway).await;
    assert_ne!(second.response.identity.device, enrolled.response.identity.device);
    assert_eq!(ask(&gateway, &second.https(&gateway), &everything).await.0, 404);
}

#[tokio::test]
async fn what_a_box_has_fetched_back_is_no_alarm_any_more() {
    let centre = Centre::new().await;
    let mut first = Branch::new("north", "box-1");
    centre.enrol(&first).await;
    let opened = first.open(10);
    let last = first.sell("p-1", 1);
    centre.one(first.batch(1, last)).await;
    let mut second = first.next_epoch(opened);
    let range = |from, to| pestle_domain::fact::BoxBooksIncomplete { epoch: 1, from, to };
    second.write(vec![range(opened + 1, last).into()]);
    let mut sent = second.last();
    centre.one(second.batch(1, sent)).await;
    let alarms = async || {
        let mut tx = centre.db.tenant(&first.stream.tenant).begin().await.unwrap();
        let breaks = pestle_gateway::ingest::read::breaks(&mut tx).await.unwrap();
        let boxes = pestle_gateway::ingest::box_words::says(&mut tx).await.unwrap();
        (breaks.iter().filter(|row| row.kind == "lost").count(), boxes.len())
    };
    assert_eq!(alarms().await, (1, 1));
    // In two parts: it is over with the second.
    for (from, to, expected) in [(opened + 1, opened + 2, (1, 1)), (opened + 3, last, (0, 0))] {
        let hash = pestle_domain::signature::Hash([0; 32]);
        second.write(vec![pestle_domain::fact::BoxFactsFetched { epoch: 1, from, to, hash }.into()]);
        centre.one(second.batch(sent + 1, second.last())).await;
        sent = second.last();
        assert_eq!(alarms().await, expected, "{from} to {to}");
    }
}

#[tokio::test]
async fn two_gateways_that_book_what_came_back_in_other_orders_do_not_wait_for_each_other_in_turn() {
    let centre = Centre::new().await;
    let mut north = Branch::new("north", "box-1");
    centre.enrol(&north).await;
    let lacks = |epoch| FactBody::from(BoxBooksIncomplete { epoch, from: 1, to: 9 });
    let last = north.write(vec![lacks(1), lacks(2)]);
    committed(&centre.one(north.batch(1, last)).await);
    let hash = Hash([0; 32]);
    let fetched = |epoch| FactBody::from(BoxFactsFetched { epoch, from: 1, to: 9, hash });
    north.write(vec![fetched(1), fetched(2)]);
    let facts: Vec<VerifiedFact> =
        north.lines[2..].iter().map(|line| read_line(line, hash).unwrap()).collect();
    let book_in = async |order: [usize; 2]| {
        let mut words = BoxWords::default();
        for index in order {
            words.add(&north.stream, 3, &facts[index], facts[index].body().unwrap());
        }
        let mut tx = centre.db.tenant(&north.stream.tenant).begin().await.unwrap();
        book(&mut tx, &north.stream.tenant, &words).await.map_err(|error| format!("{error:?}"))?;
        tx.commit().await.map_err(|error| error.to_string())
    };
    // Each comes as far as behind its first row while this holds the next table.
    let mut root = PgConnection::connect_with(&centre.root()).await.unwrap();
    sqlx::raw_sql("BEGIN; LOCK TABLE ingest.box_fetched IN EXCLUSIVE MODE").execute(&mut root).await.unwrap();
    let let_go = async {
        let deadline = Instant::now() + Duration::from_secs(20);
        let waiting = "SELECT count(DISTINCT l.pid) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
                       WHERE NOT l.granted AND a.datname = current_database()";
        while sqlx::query_scalar::<_, i64>(waiting).fetch_one(&mut root).await.unwrap() < 2 {
            assert!(Instant::now() < deadline, "both wait");
        }
        sqlx::raw_sql("COMMIT").execute(&mut root).await.unwrap();
    };
    let (one, other, ()) = tokio::join!(book_in([0, 1]), book_in([1, 0]), let_go);
    assert!(one.is_ok() && other.is_ok(), "{one:?} {other:?}");
}
