//! What is kept for people: that it is kept before a box is told, how much of it, who has looked at it, and what they book.

use bytes::Bytes;
use pestle_domain::{
    journal::Lane,
    signature::Hash,
    wire::{batch::RefusalReason, message::Answer},
};
use pestle_gateway::ingest::{
    Entry, Incoming, Settled,
    by_hand::{NotBooked, NotClosed},
    quarantine::{self, Quarantined},
    rules::UNFOLDED,
};

use super::{
    branch::Branch,
    centre::{Centre, committed, refused, tenant},
};

/// Number, reason, whether there are bytes, how often it came.
type Row = (i64, String, bool, i64);

async fn kept(centre: &Centre) -> Vec<Row> {
    centre
        .rows("SELECT quarantine_id, reason, bytes IS NOT NULL, times FROM ingest.quarantine ORDER BY quarantine_id")
        .await
}

/// How many a person still has to look at.
async fn open(centre: &Centre) -> i64 {
    let mut tx = centre.db.tenant(&tenant()).begin().await.unwrap();
    quarantine::latest(&mut tx, 10).await.unwrap().1
}

/// A branch whose box has lost a sale, and said so before a broker brought it: the message.
async fn lost_a_sale(centre: &Centre) -> (Branch, Vec<u8>) {
    let mut branch = Branch::new("north", "box-1");
    centre.enrol(&branch).await;
    let opened = branch.open(100);
    committed(&centre.one(branch.batch(1, opened)).await);
    let lost = branch.sell("p-1", 4);
    let next = branch.next_epoch(opened);
    committed(&centre.one(next.batch(1, next.last())).await);
    let (_, message) = branch.batch(opened + 1, lost);
    (branch, message)
}

/// Makes the database fail so often to keep something, with that SQLSTATE.
async fn fail_to_keep(centre: &Centre, times: u32, code: &str) {
    // A sequence counts on where a transaction is rolled back.
    let statements = format!(
        "CREATE SEQUENCE public.tries;
         CREATE FUNCTION public.fail() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
         BEGIN
             IF nextval('public.tries') <= {times} THEN RAISE EXCEPTION 'not now' USING ERRCODE = '{code}'; END IF;
             RETURN NEW;
         END $$;
         CREATE TRIGGER fail BEFORE INSERT ON ingest.quarantine FOR EACH ROW EXECUTE FUNCTION public.fail();"
    );
    centre.as_owner_says(&statements).await;
}

#[tokio::test]
async fn what_cannot_be_kept_for_a_moment_is_kept_at_the_next_try_and_refused_then() {
    for code in ["40P01", "55P03"] {
        let centre = Centre::new().await;
        let (branch, message) = lost_a_sale(&centre).await;
        fail_to_keep(&centre, 2, code).await;
        let answer = centre.one((branch.device(), message)).await;
        assert_eq!(refused(&answer), RefusalReason::Contradicts);
        let rows = kept(&centre).await;
        assert!(matches!(&rows[..], [(_, reason, true, 1)] if reason == "fenced"), "{code}: {rows:?}");
    }
}

#[tokio::test]
async fn no_box_is_told_that_it_was_refused_before_that_is_kept() {
    // Overtaken again and again, refused by the database, and away.
    for (code, retry_ms_min) in [("40P01", 1), ("23514", 60_000), ("57P01", 1)] {
        let centre = Centre::new().await;
        let (branch, message) = lost_a_sale(&centre).await;
        fail_to_keep(&centre, 5, code).await;
        let answer = centre.one((branch.device(), message.clone())).await;
        assert!(
            matches!(answer, Answer::Busy { retry_ms, .. } if retry_ms >= retry_ms_min),
            "{code}: {answer:?}"
        );
        assert_eq!(kept(&centre).await, []);
        // It comes again until it is kept.
        let mut tries = 0;
        while matches!(centre.one((branch.device(), message.clone())).await, Answer::Busy { .. }) {
            tries += 1;
            assert!(tries < 5, "{code}");
        }
        assert_eq!(kept(&centre).await.len(), 1);
    }
}

#[tokio::test]
async fn a_message_that_only_the_broker_may_have_is_told_from_one_that_its_box_sends_again() {
    let centre = Centre::new().await;
    let (mut branch, message) = lost_a_sale(&centre).await;
    let (_, other) = branch.batch(1, 1);
    let settle = async |message: Vec<u8>| {
        let (device, message) = (branch.device(), Bytes::from(message));
        let read = centre.ingest.read(vec![Incoming { device, lane: Some(Lane::Ledger), message }]).await;
        centre.ingest.settle(read).await.remove(0)
    };
    fail_to_keep(&centre, 1, "57P01").await;
    let Settled::Away(entry) = settle(message).await else { panic!("it was kept") };
    assert!(entry.is_last_copy());
    // The same entry is settled again.
    let settled = centre.ingest.settle(vec![entry]).await.remove(0);
    assert!(matches!(settled, Settled::Answered(Answer::Refused { .. })), "{settled:?}");
    assert_eq!(kept(&centre).await.len(), 1);
    centre.as_owner("ALTER SEQUENCE public.tries RESTART").await;
    let damaged = [&other[..], b"what"].concat();
    let Settled::Away(entry) = settle(damaged).await else { panic!("it was kept") };
    assert!(!entry.is_last_copy(), "its box has what it had damaged on the way");
    centre.as_owner("ALTER SEQUENCE public.tries RESTART; UPDATE fleet.device SET revoked_at = now()").await;
    let last = branch.sell("p-1", 1);
    let device = branch.device();
    let message = Bytes::from(branch.batch(last - 2, last).1);
    // Another gateway: this one believes for some seconds what it knew of the box.
    let gateway = centre.another_gateway();
    let read = gateway.read(vec![Incoming { device, lane: Some(Lane::Ledger), message }]).await;
    let revoked: Vec<bool> = read.iter().map(Entry::is_last_copy).collect();
    assert_eq!(revoked, [true], "a revoked box does not come again");
}

#[tokio::test]
async fn once_the_database_is_away_what_else_is_refused_is_not_tried_in_the_same_round() {
    let centre = Centre::new().await;
    let (branch, message) = lost_a_sale(&centre).await;
    let (device, damaged) = (branch.device(), |with: &[u8]| [&message[..], with].concat());
    let incoming = |message: Vec<u8>| Incoming {
        device: device.clone(),
        lane: Some(Lane::Ledger),
        message: message.into(),
    };
    let read = centre.ingest.read([&b"a"[..], b"b", b"c"].map(|with| incoming(damaged(with))).into()).await;
    // It would take the second.
    fail_to_keep(&centre, 1, "57P01").await;
    let settled = centre.ingest.settle(read).await;
    let left: Vec<Entry> = settled
        .into_iter()
        .map(|one| match one {
            Settled::Away(entry) => entry,
            other => panic!("it was tried: {other:?}"),
        })
        .collect();
    assert_eq!(kept(&centre).await, []);
    let settled = centre.ingest.settle(left).await;
    assert!(settled.iter().all(|one| matches!(one, Settled::Answered(_))), "{settled:?}");
    assert_eq!(kept(&centre).await.len(), 3);
    // The same where they are refused behind a transaction.
    let fenced: Vec<Incoming> = (0..3).map(|_| incoming(message.clone())).collect();
    centre.as_owner("ALTER SEQUENCE public.tries RESTART").await;
    let settled = centre.ingest.settle(centre.ingest.read(fenced).await).await;
    assert!(settled.iter().all(|one| matches!(one, Settled::Away(Entry::Refused(..)))), "{settled:?}");
}

#[tokio::test]
async fn a_device_that_has_filled_its_share_still_has_its_fenced_batch_kept_whole_and_booked() {
    let centre = Centre::new().await;
    let (branch, message) = lost_a_sale(&centre).await;
    centre
        .as_owner(
            "INSERT INTO ingest.quarantine (tenant_id, device_id, channel, reason, message, bytes_hash, bytes)
             SELECT 'acme', 'box-1', 'ledger', 'wrong_hash', 'x', decode(lpad(to_hex(n), 64, '0'), 'hex'),
                    CASE WHEN n <= 200 THEN 'x'::bytea END
             FROM generate_series(1, 1000) AS n",
        )
        .await;
    refused(&centre.one((branch.device(), message)).await);
    let rows = kept(&centre).await;
    let [.., (number, reason, true, 1)] = &rows[..] else { panic!("{:?}", rows.last()) };
    assert_eq!((rows.len(), reason.as_str()), (1_001, "fenced"));
    centre.another_gateway().book_by_hand(&tenant(), *number, "Kit").await.unwrap();
    assert_eq!(centre.on_hand("north", "p-1").await, 95);
    centre.assert_books_balance().await;
    // What is one too many is counted with the oldest of its reason, until somebody has looked at some.
    let split = async |first| refused(&centre.one(branch.batch(first, first)).await);
    assert_eq!(split(4).await, RefusalReason::SplitAct);
    let rows = kept(&centre).await;
    assert_eq!((rows.len(), rows[0].3), (1_001, 2));
    centre.as_owner("UPDATE ingest.quarantine SET closed_at = now(), closed_by = 'Kit' WHERE quarantine_id <= (SELECT min(quarantine_id) + 800 FROM ingest.quarantine)").await;
    assert_eq!(split(4).await, RefusalReason::SplitAct);
    let rows = kept(&centre).await;
    let last = rows.last().map(|(_, reason, whole, times)| (reason.as_str(), *whole, *times));
    assert_eq!(last, Some(("split_act", true, 1)));
}

#[tokio::test]
async fn a_box_with_many_doubts_still_has_what_is_refused_of_it_kept_in_a_row_of_its_own() {
    let centre = Centre::new().await;
    let (branch, _) = lost_a_sale(&centre).await;
    let device = branch.stream.device.clone();
    let mut tx = centre.db.tenant(&tenant()).begin().await.unwrap();
    for fact in 0..1_300_u32 {
        let doubt = Quarantined {
            device: &device,
            channel: "ledger",
            batch: None,
            reason: UNFOLDED,
            message: "fact",
            identity: Hash::of(&fact.to_be_bytes()),
            bytes: b"",
        };
        quarantine::keep(&mut tx, &tenant(), &doubt).await.unwrap();
    }
    tx.commit().await.unwrap();
    let refuse = async |first| {
        assert_eq!(refused(&centre.one(branch.batch(first, first)).await), RefusalReason::SplitAct);
        let rows = kept(&centre).await;
        let last = rows.last().map(|(_, reason, whole, times)| (reason.clone(), *whole, *times));
        assert_eq!(last, Some(("split_act".to_owned(), true, 1)));
        rows
    };
    let rows = refuse(4).await;
    assert_eq!((rows.len(), rows[0].3), (1_001, 301), "the doubts have a bound of their own");
    // What an earlier version kept of doubts had no bytes in the end, and no bound.
    centre.as_owner("UPDATE ingest.quarantine SET bytes = NULL WHERE reason = 'unfolded'").await;
    refuse(5).await;
}

#[tokio::test]
async fn what_nobody_can_send_again_waits_until_there_is_room_for_its_bytes() {
    for reason in ["fenced", "not_allowed"] {
        let centre = Centre::new().await;
        let (branch, message) = lost_a_sale(&centre).await;
        let full = format!(
            "INSERT INTO ingest.quarantine (tenant_id, device_id, channel, reason, message, bytes_hash, bytes)
             SELECT 'acme', 'box-1', 'ledger', '{reason}', 'x', decode(lpad(to_hex(n), 64, '0'), 'hex'), 'x'
             FROM generate_series(1, 10000) AS n"
        );
        centre.as_owner_says(&full).await;
        if reason == "not_allowed" {
            centre.as_owner("UPDATE fleet.device SET revoked_at = now()").await;
        }
        let ingest = centre.another_gateway();
        let come = async || ingest.apply(&[(branch.device(), message.clone())]).await.remove(0);
        let answer = come().await;
        assert!(matches!(answer, Answer::Busy { alone: true, .. }), "{reason}: {answer:?}");
        let rows = kept(&centre).await;
        assert!(rows.len() == 10_000 && rows.iter().all(|(.., times)| *times == 1), "nor is it counted");
        let close = "UPDATE ingest.quarantine SET closed_at = now(), closed_by = 'Kit'
                     WHERE quarantine_id = (SELECT min(quarantine_id) FROM ingest.quarantine)";
        centre.as_owner(close).await;
        refused(&come().await);
        let rows = kept(&centre).await;
        let [.., (_, last, true, 1)] = &rows[..] else { panic!("{:?}", rows.last()) };
        assert_eq!((rows.len(), last.as_str()), (10_001, reason));
    }
}

#[tokio::test]
async fn nobody_closes_what_came_again_behind_their_back() {
    let centre = Centre::new().await;
    let (branch, message) = lost_a_sale(&centre).await;
    let come = async || refused(&centre.one((branch.device(), message.clone())).await);
    come().await;
    let [(number, .., seen)] = kept(&centre).await[..] else { panic!("one is kept") };
    come().await;
    let ingest = centre.another_gateway();
    let close = async |seen| ingest.close_by_hand(&tenant(), number, Some(seen), "Kit").await;
    let stale = close(seen).await;
    assert!(matches!(stale, Err(NotClosed::CameAgain)), "{stale:?}");
    assert_eq!(open(&centre).await, 1);
    let closed = close(seen + 1).await.unwrap();
    assert_eq!(close(seen).await.unwrap(), closed, "it is closed already");
    assert_eq!(open(&centre).await, 0);
}

#[tokio::test]
async fn what_a_revoked_box_sold_behind_an_ended_life_is_booked_as_a_second_live_store_alone() {
    let centre = Centre::new().await;
    let (branch, lost) = lost_a_sale(&centre).await;
    let before = centre.on_hand("north", "p-1").await;
    centre.as_owner("UPDATE fleet.device SET revoked_at = now()").await;
    let ingest = centre.another_gateway();
    let answer = ingest.apply(&[(branch.device(), lost)]).await.remove(0);
    assert_eq!(refused(&answer), RefusalReason::NotAllowed);
    let messages: Vec<(String,)> = centre.rows("SELECT message FROM ingest.quarantine").await;
    assert!(messages[0].0.contains("north/box-1 term 1 ledger epoch 1, 4 to "), "{messages:?}");
    let [(not_allowed, ..)] = kept(&centre).await[..] else { panic!("one is kept") };
    let book = async |number| ingest.book_by_hand(&tenant(), number, "Kit").await;
    let fenced = book(not_allowed).await.unwrap_err();
    assert!(matches!(fenced, NotBooked::Fenced(_)), "{fenced:?}");
    assert_eq!(centre.on_hand("north", "p-1").await, before);
    let rows = kept(&centre).await;
    let [(_, _, true, 1), (fenced, reason, true, 1)] = &rows[..] else { panic!("{rows:?}") };
    assert_eq!(reason, "fenced");
    // Neither that it was revoked nor that its life had ended is judged now; and then it is here.
    for number in [*fenced, not_allowed] {
        book(number).await.unwrap();
        assert_eq!(centre.on_hand("north", "p-1").await, before - 4);
    }
    assert_eq!(open(&centre).await, 0);
    centre.assert_books_balance().await;
}

#[tokio::test]
async fn what_a_person_has_closed_leaves_the_alarms_stays_as_it_is_and_is_opened_when_it_comes_again() {
    let centre = Centre::new().await;
    let (branch, message) = lost_a_sale(&centre).await;
    refused(&centre.one((branch.device(), message.clone())).await);
    let [(number, ..)] = kept(&centre).await[..] else { panic!("one is kept") };
    let ingest = centre.another_gateway();
    let close = async |by: &str| ingest.close_by_hand(&tenant(), number, None, by).await.unwrap();
    assert_eq!(open(&centre).await, 1);
    let unknown = ingest.close_by_hand(&tenant(), number + 1_000, None, "Kit").await;
    assert!(matches!(unknown, Err(NotClosed::Unknown)), "{unknown:?}");
    let closed = close("Kit").await;
    assert_eq!((closed.by.as_str(), open(&centre).await), ("Kit", 0));
    assert_eq!(close("Ida").await, closed, "a repeat changes nothing");
    let rows = kept(&centre).await;
    assert!(matches!(rows[..], [(_, _, true, 1)]), "{rows:?}");
    // It comes once more.
    refused(&centre.one((branch.device(), message)).await);
    assert_eq!((open(&centre).await, kept(&centre).await[0].3), (1, 2));
    assert_eq!(close("Ida").await.by, "Ida");
    // And is booked all the same.
    ingest.book_by_hand(&tenant(), number, "Kit").await.unwrap();
    assert_eq!((centre.on_hand("north", "p-1").await, open(&centre).await), (95, 0));
}

#[tokio::test]
async fn what_a_revoked_box_had_sold_is_booked_by_hand_under_its_own_signature_alone() {
    let centre = Centre::new().await;
    let (mut branch, fenced) = lost_a_sale(&centre).await;
    refused(&centre.one((branch.device(), fenced)).await);
    let mut late = Branch::new("south", "box-2");
    centre.enrol(&late).await;
    let opened = late.open(10);
    committed(&centre.one(late.batch(1, opened)).await);
    centre.as_owner("UPDATE fleet.device SET revoked_at = now()").await;
    let ingest = centre.another_gateway();
    let come = async |message| refused(&ingest.apply(&[message]).await[0]);
    // A broker had them.
    let (first, second) = (late.sell("p-1", 1), late.sell("p-1", 2));
    for message in [late.batch(first + 1, second), late.batch(opened + 1, first)] {
        assert_eq!(come(message).await, RefusalReason::NotAllowed);
    }
    // Another record in the same place, and another one's signature.
    let mut copy = late.copy_up_to(first);
    let third = copy.sell("p-1", 5);
    assert_eq!(come(copy.batch(first + 1, third)).await, RefusalReason::NotAllowed);
    branch.stream = late.stream.clone();
    assert_eq!(come((late.device(), branch.batch(4, 6).1)).await, RefusalReason::NotAllowed);
    let rows = kept(&centre).await;
    let numbers: Vec<i64> = rows.iter().map(|(number, ..)| *number).collect();
    let [lost, beyond, joins, forked, forged] = numbers[..] else { panic!("{rows:?}") };

    let book = async |number| ingest.book_by_hand(&tenant(), number, "Kit").await;
    book(lost).await.unwrap();
    assert_eq!(centre.on_hand("north", "p-1").await, 95);
    let gap = book(beyond).await.unwrap_err();
    assert!(matches!(gap, NotBooked::Gap { from, to, .. } if (from, to) == (opened + 1, first)), "{gap:?}");
    for number in [joins, beyond, joins] {
        book(number).await.unwrap();
    }
    assert_eq!(centre.on_hand("south", "p-1").await, 7);
    for number in [forked, forged] {
        let refusal = book(number).await;
        assert!(matches!(refusal, Err(NotBooked::Refused(_))), "{refusal:?}");
    }
    assert_eq!(centre.on_hand("south", "p-1").await, 7);
    centre.assert_books_balance().await;
    // Revoked it stays.
    let more = late.sell("p-1", 1);
    assert_eq!(come(late.batch(second + 1, more)).await, RefusalReason::NotAllowed);
}
