//! Whatever is resent, reordered, doubled or cut: each fact counts once.

use pestle_domain::{
    journal::Head,
    wire::{
        batch::RefusalReason,
        message::{Answer, StreamHead},
    },
};

use pestle_gateway::ingest::{Entry, Incoming, Settled};

use super::{
    branch::Branch,
    centre::{Centre, committed, refused},
};

#[tokio::test]
async fn a_sale_moves_stock_takings_and_till_by_exactly_that() {
    let centre = Centre::new().await;
    let mut branch = Branch::new("north", "box-1");
    centre.enrol(&branch).await;
    branch.open(10);
    let last = branch.sell("p-1", 3);
    let answer = centre.one(branch.batch(1, last)).await;
    assert_eq!(committed(&answer), branch.head(last));
    let Answer::Committed(acknowledgement) = answer else { panic!() };
    acknowledgement.verify(centre.public_key()).unwrap();
    assert_eq!(acknowledgement.incarnation, 1);

    assert_eq!((centre.on_hand("north", "p-1").await, centre.on_hand("north", "p-2").await), (7, 10));
    let day: Vec<(i64, i64, i64)> = centre.rows("SELECT sales, gross_minor, tax_minor FROM sales.day").await;
    assert_eq!(day, [(1, 750, 125)]);
    let session: Vec<(i64, i64, i64)> =
        centre.rows("SELECT float_minor, received_minor, sales FROM sales.session").await;
    assert_eq!(session, [(10_000, 750, 1)]);
    let bytes: Vec<(Vec<u8>, Vec<u8>)> =
        centre.rows("SELECT bytes, hash FROM ingest.fact ORDER BY seq").await;
    assert_eq!(bytes.len(), 6);
    for (index, (bytes, hash)) in bytes.iter().enumerate() {
        assert_eq!(*bytes, branch.lines[index]);
        assert_eq!(*hash, branch.head(index as u64 + 1).hash.0);
    }
    centre.assert_books_balance().await;
}

#[tokio::test]
async fn a_gap_rewinds_an_overlap_joins_and_a_repeat_is_acknowledged_again() {
    let centre = Centre::new().await;
    let mut branch = Branch::new("north", "box-1");
    centre.enrol(&branch).await;
    let opened = branch.open(10);
    let (one, two) = (branch.sell("p-1", 1), branch.sell("p-1", 2));

    let gapped = centre.one(branch.batch(opened + 1, one)).await;
    assert!(matches!(gapped, Answer::Rewind { head: Head::EMPTY, .. }), "{gapped:?}");
    assert_eq!(committed(&centre.one(branch.batch(1, opened)).await), branch.head(opened));
    let gapped = centre.one(branch.batch(one + 1, two)).await;
    assert!(matches!(gapped, Answer::Rewind { head, .. } if head == branch.head(opened)), "{gapped:?}");
    assert_eq!(committed(&centre.one(branch.batch(1, one)).await), branch.head(one));
    assert_eq!(
        committed(&centre.one(branch.batch(1, opened)).await),
        branch.head(one),
        "the whole head is told"
    );
    assert_eq!(committed(&centre.one(branch.batch(opened + 1, two)).await), branch.head(two));
    assert_eq!(centre.on_hand("north", "p-1").await, 7);
    centre.assert_books_balance().await;
}

#[tokio::test]
async fn other_bytes_at_a_known_position_contradict_wherever_they_begin() {
    let centre = Centre::new().await;
    let mut branch = Branch::new("north", "box-1");
    centre.enrol(&branch).await;
    let opened = branch.open(10);
    let (one, two) = (branch.adjust(-1), branch.adjust(-1));
    assert_eq!(committed(&centre.one(branch.batch(1, two)).await), branch.head(two));

    branch.lines.truncate(usize::try_from(opened).unwrap());
    for _ in 0..4 {
        branch.adjust(-2);
    }
    for (first, last) in [(opened + 1, one), (opened + 1, two), (1, two + 1), (two + 1, two + 2)] {
        let answer = centre.one(branch.batch(first, last)).await;
        assert_eq!(refused(&answer), RefusalReason::Contradicts, "{first} to {last}");
    }
    assert_eq!(centre.on_hand("north", "p-1").await, 8);
}

#[tokio::test]
async fn the_centre_tells_each_stated_stream_where_it_stands() {
    let centre = Centre::new().await;
    let mut branch = Branch::new("north", "box-1");
    centre.enrol(&branch).await;
    let last = branch.open(10);
    centre.one(branch.batch(1, last)).await;
    let sender = centre.ingest.sender(&branch.device()).await.unwrap().unwrap();
    let second = pestle_domain::journal::Stream { epoch: 2, ..branch.stream.clone() };
    let other = pestle_domain::journal::Stream { branch: "south".parse().unwrap(), ..branch.stream.clone() };
    let stated =
        [branch.stream.clone(), second, other].map(|stream| StreamHead { stream, head: Head::EMPTY });
    let answers = centre.ingest.heads(&sender, &stated).await.unwrap();
    let heads: Vec<Head> = answers.iter().map(committed).collect();
    assert_eq!(heads, [branch.head(last), Head::EMPTY]);
}

#[tokio::test]
async fn totals_are_exact_after_any_doubling_and_reordering() {
    for seed in 1..=4u64 {
        let centre = Centre::new().await;
        let mut random = Random(seed);
        let mut branches = [Branch::new("north", "box-1"), Branch::new("south", "box-2")];
        let mut sold = [0i64; 2];
        let mut borders = [Vec::new(), Vec::new()];
        for (index, branch) in branches.iter_mut().enumerate() {
            centre.enrol(branch).await;
            borders[index] = vec![0, branch.open(1_000)];
            for _ in 0..30 {
                let packs = i64::try_from(random.below(4)).unwrap() + 1;
                sold[index] += packs;
                borders[index].push(branch.sell("p-1", packs));
            }
        }
        let done =
            |centre_heads: &[u64; 2]| (0..2).all(|index| centre_heads[index] == branches[index].last());
        let mut reached = [0u64; 2];
        let mut rounds = 0;
        while !done(&reached) {
            rounds += 1;
            assert!(rounds < 500, "seed {seed} does not come to an end");
            let mut messages = Vec::new();
            for _ in 0..=random.below(6) {
                let index = random.below(2);
                let borders = &borders[index];
                let from = borders.iter().position(|border| *border >= reached[index]).unwrap();
                let back = random.below(4).min(from);
                let start = (from - back + random.below(2)).min(borders.len() - 2);
                let end = (start + 1 + random.below(6)).min(borders.len() - 1);
                messages.push((index, branches[index].batch(borders[start] + 1, borders[end])));
            }
            if random.below(3) == 0 {
                messages.extend_from_within(..1);
            }
            let (indices, messages): (Vec<usize>, Vec<_>) = messages.into_iter().unzip();
            for (index, answer) in indices.into_iter().zip(centre.ingest.apply(&messages).await) {
                match answer {
                    Answer::Committed(acknowledgement) => {
                        reached[index] = reached[index].max(acknowledgement.head.seq)
                    }
                    Answer::Rewind { .. } => {}
                    other => panic!("seed {seed}: {other:?}"),
                }
            }
        }
        for (index, branch) in ["north", "south"].into_iter().enumerate() {
            assert_eq!(centre.on_hand(branch, "p-1").await, 1_000 - sold[index], "seed {seed}");
        }
        let gross: Vec<(i64, i64)> =
            centre.rows("SELECT sum(gross_minor)::bigint, sum(sales)::bigint FROM sales.day").await;
        assert_eq!(gross, [(250 * (sold[0] + sold[1]), 60)], "seed {seed}");
        centre.assert_books_balance().await;
    }
}

/// Seeded: what fails is replayed by its seed (xorshift64*, Vigna 2016).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let value = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(value).unwrap() % bound
    }
}

#[tokio::test]
async fn one_bad_batch_does_not_hold_up_its_neighbours() {
    let centre = Centre::new().await;
    let (mut north, mut south) = (Branch::new("north", "box-1"), Branch::new("south", "box-2"));
    for branch in [&north, &south] {
        centre.enrol(branch).await;
    }
    let (one, two) = (north.open(5), south.open(5));
    // The same fact id in two branches, with other bytes: the transaction of both fails at the unique key.
    let stolen = String::from_utf8(north.lines[1].clone()).unwrap();
    let id = &stolen.split("\"id\":\"").nth(1).unwrap()[..36];
    let own = String::from_utf8(south.lines[1].clone()).unwrap();
    let own_id = own.split("\"id\":\"").nth(1).unwrap()[..36].to_owned();
    south.lines[1] = own.replace(&own_id, id).replace("\"quantity\":5", "\"quantity\":6").into_bytes();
    let answers = centre.ingest.apply(&[north.batch(1, one), south.batch(1, two)]).await;
    assert_eq!(committed(&answers[0]), north.head(one));
    assert_eq!(refused(&answers[1]), RefusalReason::Contradicts);
    centre.assert_books_balance().await;
}

#[tokio::test]
async fn two_gateways_at_once_book_a_batch_once() {
    let centre = Centre::new().await;
    let other = centre.another_gateway();
    let mut branch = Branch::new("north", "box-1");
    centre.enrol(&branch).await;
    let opened = branch.open(10);
    let last = branch.sell("p-1", 4);
    let batches = [branch.batch(1, opened), branch.batch(opened + 1, last)];
    let (one, two) = tokio::join!(centre.ingest.apply(&batches), other.apply(&batches));
    for answer in one.iter().chain(&two) {
        assert_eq!(committed(answer), branch.head(last));
    }
    assert_eq!(centre.on_hand("north", "p-1").await, 6);
    centre.assert_books_balance().await;
}

#[tokio::test]
async fn a_database_that_is_cut_off_between_makes_boxes_wait_and_loses_nothing() {
    let centre = Centre::new().await;
    let mut branch = Branch::new("north", "box-1");
    centre.enrol(&branch).await;
    let opened = branch.open(10);
    let last = branch.sell("p-1", 4);
    assert_eq!(committed(&centre.one(branch.batch(1, opened)).await), branch.head(opened));
    centre.lock_out().await;
    let answer = centre.one(branch.batch(opened + 1, last)).await;
    assert!(matches!(answer, Answer::Busy { .. }), "{answer:?}");
    // A gateway that has just started does not even know whose batch it is.
    let cold = centre.another_gateway();
    let (device, message) = branch.batch(opened + 1, last);
    let incoming = || vec![Incoming { device: device.clone(), lane: None, message: message.clone().into() }];
    let entries = cold.read(incoming()).await;
    assert!(matches!(entries[..], [Entry::Away(_)]));
    centre.let_in().await;
    let settled = cold.settle(cold.read(incoming()).await).await;
    assert!(matches!(settled[..], [Settled::Answered(Answer::Committed(_))]), "{settled:?}");
    assert_eq!(committed(&centre.one(branch.batch(opened + 1, last)).await), branch.head(last));
    assert_eq!(centre.on_hand("north", "p-1").await, 6);
    centre.assert_books_balance().await;
}

#[tokio::test]
async fn another_tenant_sees_and_changes_nothing() {
    let centre = Centre::new().await;
    let mut branch = Branch::new("north", "box-1");
    centre.enrol(&branch).await;
    branch.open(10);
    let last = branch.sell("p-1", 1);
    centre.one(branch.batch(1, last)).await;
    let other = "other".parse().unwrap();
    for table in [
        "ingest.stream",
        "ingest.fact",
        "inventory.movement",
        "inventory.balance",
        "sales.sale",
        "sales.receipt_series",
        "sales.session",
        "sales.till_movement",
        "sales.day",
    ] {
        let count = || sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        let mut tx = centre.db.tenant(&other).begin().await.unwrap();
        let seen: i64 = sqlx::query_scalar(count()).fetch_one(&mut *tx).await.unwrap();
        assert_eq!(seen, 0, "{table}");
        let mut tx = centre.db.tenant(&branch.stream.tenant).begin().await.unwrap();
        let own: i64 = sqlx::query_scalar(count()).fetch_one(&mut *tx).await.unwrap();
        assert!(own > 0, "{table}");
    }
    let mut tx = centre.db.tenant(&other).begin().await.unwrap();
    let forged = sqlx::query("INSERT INTO inventory.balance (tenant_id, branch_id, product_id, lot, on_hand) VALUES ('acme', 'north', 'x', '', 1)")
        .execute(&mut *tx)
        .await;
    assert!(forged.is_err());
}
