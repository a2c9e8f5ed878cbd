//! Recalls and their end: where they hold, and what a list that is imported again says of them.

use pestle_domain::order::{OrderHead, OrderLog};
use pestle_gateway::{
    admin::Admin,
    orders::issue::{self, NotIssued, Whom},
    testing,
};

use super::desk::{Desk, id, issue, lifting, only, recall};
use crate::{
    ingest::centre::tenant as acme,
    platform::client::{seed, tenant},
};

#[tokio::test]
async fn a_recall_for_all_that_is_over_in_one_branch_holds_in_all_others_also_in_those_of_later() {
    let desk = Desk::new().await;
    let db = &desk.centre.db;
    issue(db, (id(1), recall("R-1")), Whom::All).await.unwrap();
    issue(db, (id(2), lifting("R-1")), only(&["north"])).await.unwrap();
    desk.south().await;
    assert_eq!((desk.recalled("north").await.len(), desk.recalled("south").await.len()), (0, 1));
    // It is issued there again, and then over for everybody.
    issue(db, (id(3), recall("R-1")), only(&["north"])).await.unwrap();
    assert_eq!((desk.recalled("north").await.len(), desk.recalled("south").await.len()), (1, 1));
    issue(db, (id(4), lifting("R-1")), Whom::All).await.unwrap();
    assert_eq!((desk.recalled("north").await.len(), desk.recalled("south").await.len()), (0, 0));
    // Issued anew for one, it is for that one alone.
    issue(db, (id(5), recall("R-1")), only(&["south"])).await.unwrap();
    assert_eq!((desk.recalled("north").await.len(), desk.recalled("south").await.len()), (0, 1));
}

#[tokio::test]
async fn where_a_recall_is_not_in_force_it_cannot_be_lifted() {
    let desk = Desk::new().await;
    desk.south().await;
    let db = &desk.centre.db;
    let mut number = 0;
    let mut try_lifting = async |whom: Whom| {
        number += 1;
        match issue(db, (id(number), lifting("R-1")), whom).await {
            Ok(_) => true,
            Err(NotIssued::NoRecall) => false,
            Err(other) => panic!("{other}"),
        }
    };
    let (north, south) = (only(&["north"]), only(&["south"]));
    assert!(!try_lifting(Whom::All).await);
    issue(db, (id(100), recall("R-1")), north.clone()).await.unwrap();
    assert!(!try_lifting(south.clone()).await, "a branch that never had it");
    assert!(try_lifting(north.clone()).await);
    assert!(!try_lifting(north.clone()).await);
    assert!(!try_lifting(Whom::All).await, "nothing is left of it");
    issue(db, (id(101), recall("R-1")), Whom::All).await.unwrap();
    assert!(try_lifting(only(&["north", "south"])).await);
    assert!(!try_lifting(south).await);
    assert!(try_lifting(Whom::All).await, "for those that are added later");
    assert!(!try_lifting(north).await);
}

#[tokio::test]
async fn a_list_that_is_imported_again_issues_what_is_new_and_undoes_no_lifting() {
    let gateway = testing::gateway().await;
    seed(&gateway, pestle_domain::staff::Role::Admin).await;
    let app = &gateway.running.app;
    let admin = Admin::connect(&app.config).await.unwrap();
    let article = "id,gtins,name,price,currency,tax_percent,supply,storage\np-1,09520123000011,A,4.99,EUR,7,general,ambient\n";
    admin.catalogue_import(&tenant(), article.as_bytes()).await.unwrap();
    let list = |numbers: &[u8]| {
        let line = |number: &u8| format!("R-{number},p-1,,glass,2026-11-01\n");
        format!("reference,product,lot,reason,issued\n{}", numbers.iter().map(line).collect::<String>())
    };
    let import =
        async |numbers: &[u8]| admin.recall_import(&tenant(), list(numbers).as_bytes()).await.unwrap();
    let lift = async |number: u128, whom: Whom| {
        let mut tx = app.db.tenant(&tenant()).begin().await.unwrap();
        let order = (id(number), lifting(&format!("R-{number}")));
        issue::issue(&mut tx, &tenant(), order, &whom, &super::desk::writer()).await.unwrap();
        tx.commit().await.unwrap();
    };
    let orders = async || -> i64 {
        let mut tx = app.db.tenant(&tenant()).begin().await.unwrap();
        sqlx::query_scalar("SELECT count(*) FROM orders.log WHERE in_snapshots")
            .fetch_one(&mut *tx)
            .await
            .unwrap()
    };
    let before = orders().await;
    assert_eq!(import(&[1, 2, 2]).await, "recalls: 2 new, 0 known");
    assert_eq!(orders().await, before + 2);
    lift(1, Whom::All).await;
    lift(2, only(&["north"])).await;
    let said = import(&[1, 2, 3]).await;
    assert_eq!(
        said,
        "recalls: 1 new, 0 known, 2 lifted and left so: R-1 (p-1, every lot), R-2 (p-1, every lot). Issue anew over \
         the interface what is to hold again"
    );
    assert_eq!(orders().await, before + 5);
    assert_eq!(import(&[3]).await, "recalls: 0 new, 1 known");
    let nothing = "reference,product,lot,reason,issued\nR-9,p-9,,glass,2026-11-01\n";
    let said = admin.recall_import(&tenant(), nothing.as_bytes()).await.unwrap_err().to_string();
    assert_eq!(said, "there is no article \"p-9\"");
}

#[tokio::test]
async fn a_long_list_of_recalls_is_written_into_every_log_and_no_chain_is_broken() {
    const RECALLS: usize = 10_050;
    let desk = Desk::new().await;
    desk.south().await;
    desk.order(1, super::desk::adjust(1)).await;
    let recalls: Vec<pestle_domain::catalogue::Recall> = (0..RECALLS)
        .map(|number| pestle_domain::catalogue::Recall {
            reference: format!("R-{number}").into(),
            product: "p-1".parse().unwrap(),
            lot: None,
            reason: "glass".into(),
            issued: "2026-11-21".parse().unwrap(),
        })
        .collect();
    let mut tx = desk.centre.db.tenant(&acme()).begin().await.unwrap();
    issue::issue_recalls(&mut tx, &acme(), &recalls, &super::desk::writer()).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = desk.centre.db.tenant(&acme()).begin().await.unwrap();
    for branch in ["north", "south"] {
        let log = OrderLog { tenant: acme(), branch: branch.parse().unwrap() };
        let rows: Vec<(i64, Vec<u8>, Vec<u8>)> = sqlx::query_as(
            "SELECT l.seq, l.hash, i.bytes FROM orders.log l JOIN orders.issued i USING (tenant_id, order_id)
             WHERE branch_id = $1 ORDER BY seq",
        )
        .bind(branch)
        .fetch_all(&mut *tx)
        .await
        .unwrap();
        let mut head = OrderHead::START;
        for (seq, hash, bytes) in &rows {
            head = head.after(&log, 1, bytes);
            assert_eq!((*seq, &hash[..]), (i64::try_from(head.seq).unwrap(), &head.hash.0[..]), "{branch}");
        }
        assert_eq!(rows.len(), RECALLS + 1);
        let last: (i64, Vec<u8>) = sqlx::query_as("SELECT seq, hash FROM orders.head WHERE branch_id = $1")
            .bind(branch)
            .fetch_one(&mut *tx)
            .await
            .unwrap();
        assert_eq!(last, (i64::try_from(head.seq).unwrap(), head.hash.0.to_vec()), "the head is the last");
    }
}
