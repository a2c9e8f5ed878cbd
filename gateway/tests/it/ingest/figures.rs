//! How fast ingest is against a plain `COPY` of the same rows. Not part of the tests: the bench of the whole product
//! measures it properly; this is for whoever works on ingest.

use std::time::Instant;

use pestle_gateway::ingest::Incoming;
use sqlx::{Connection as _, PgConnection};

use super::{
    branch::Branch,
    centre::{Centre, committed},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures; run it alone, in release, with --run-ignored"]
async fn ingest_keeps_up_with_a_plain_copy() {
    let sales: usize = std::env::var("SALES").ok().and_then(|text| text.parse().ok()).unwrap_or(20_000);
    let centre = Centre::new().await;
    let mut branch = Branch::new("north", "box-1");
    centre.enrol(&branch).await;
    let mut borders = vec![0, branch.open(1_000_000)];
    for index in 0..sales {
        let last = branch.sell(["p-1", "p-2"][index % 2], 1);
        if index % 80 == 79 {
            borders.push(last);
        }
    }
    borders.push(branch.last());
    borders.dedup();
    let mut head = pestle_domain::journal::Head::EMPTY;
    let mut messages = Vec::new();
    for pair in borders.windows(2) {
        let lines = &branch.lines[usize::try_from(pair[0]).unwrap()..usize::try_from(pair[1]).unwrap()];
        let after = head.after_all(&branch.stream, lines.iter().map(Vec::as_slice));
        messages.push((branch.device(), branch.between(head, after)));
        head = after;
    }
    let incoming = messages
        .iter()
        .map(|(device, message)| Incoming {
            device: device.clone(),
            lane: None,
            message: message.clone().into(),
        })
        .collect();
    let began = Instant::now();
    centre.ingest.read(incoming).await;
    let reading = began.elapsed();
    let began = Instant::now();
    let answers = centre.ingest.apply(&messages).await;
    let ours = began.elapsed();
    assert_eq!(committed(answers.last().unwrap()), head);
    centre.assert_books_balance().await;

    let mut root = PgConnection::connect_with(&centre.root()).await.unwrap();
    let columns =
        "tenant_id, stream_id, seq, fact_id, act_id, wall_ms, business_date, folded, kind, hash, bytes";
    for statement in [
        "CREATE SCHEMA figures".to_owned(),
        "CREATE TABLE figures.fact (LIKE ingest.fact INCLUDING ALL)".to_owned(),
        "CHECKPOINT".to_owned(),
    ] {
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&mut root).await.unwrap();
    }
    let mut rows = Vec::new();
    let read = format!("COPY (SELECT {columns} FROM ingest.fact ORDER BY seq) TO STDOUT (FORMAT binary)");
    {
        use futures::TryStreamExt as _;
        use sqlx::postgres::PgPoolCopyExt as _;
        let pool = sqlx::PgPool::connect_with(centre.root()).await.unwrap();
        let mut stream = pool.copy_out_raw(&read).await.unwrap();
        while let Some(part) = stream.try_next().await.unwrap() {
            rows.extend_from_slice(&part);
        }
    }
    let began = Instant::now();
    let mut copy =
        root.copy_in_raw(&format!("COPY figures.fact ({columns}) FROM STDIN (FORMAT binary)")).await.unwrap();
    copy.send(rows.as_slice()).await.unwrap();
    let copied = copy.finish().await.unwrap();
    let plain = began.elapsed();
    assert_eq!(copied, branch.last());
    let rate = |time: std::time::Duration| u128::from(branch.last()) * 1_000_000 / time.as_micros().max(1);
    println!(
        "{} facts: ingest {}/s, COPY {}/s, ratio {}%; reading alone {}/s",
        branch.last(),
        rate(ours),
        rate(plain),
        rate(ours) * 100 / rate(plain).max(1),
        rate(reading)
    );
}
