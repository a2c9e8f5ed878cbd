//! Batches and the small messages. Signatures are random, so the frozen ones were made once and are verified.

use std::fs;

use aws_lc_rs::rand::SystemRandom;
use pestle_domain::{
    ids::{ActId, BatchId, ConnectionId},
    journal::{Acknowledgement, Head},
    signature::{SignatureError, SigningKey, VerifyingKey},
    units::UnixMillis,
    wire::{
        MESSAGE_BYTES_MAX, WIRE_VERSION,
        batch::{self, Batch, BatchError, Header, RefusalReason},
        message::{Answer, Heads, Nudge, Presence, Status, StreamHead},
    },
};

use crate::{golden_facts::golden, samples};

fn lines() -> Vec<Vec<u8>> {
    samples::facts().iter().map(|fact| fact.to_line().unwrap()).collect()
}

fn header(lines: &[Vec<u8>], key: &SigningKey) -> Header {
    let stream = samples::stream();
    let head = Head::EMPTY.after_all(&stream, lines.iter().map(Vec::as_slice));
    Header {
        v: WIRE_VERSION,
        batch: BatchId(samples::uuid(8)),
        first: 1,
        count: lines.len() as u64,
        previous: Head::EMPTY.hash,
        hash: head.hash,
        key: key.id().clone(),
        signature: key.sign(&head.statement(&stream), &SystemRandom::new()).unwrap(),
        stream,
    }
}

fn message(header: &Header, lines: &[Vec<u8>]) -> Vec<u8> {
    batch::build(header, lines.iter().map(Vec::as_slice)).unwrap()
}

#[test]
fn the_frozen_batch_is_still_read_and_verified() {
    let (path, key_path) = (golden("batch-v1.txt"), golden("batch-v1.key"));
    if std::env::var("PESTLE_GOLDEN").is_ok_and(|value| value == "append") && !path.exists() {
        let key = samples::key();
        fs::write(&path, message(&header(&lines(), &key), &lines())).unwrap();
        fs::write(&key_path, serde_json::to_string(key.public()).unwrap()).unwrap();
    }
    let key: VerifyingKey = serde_json::from_slice(&fs::read(key_path).unwrap()).unwrap();
    let bytes = fs::read(path).unwrap();
    let batch = Batch::parse(&bytes).unwrap();
    let heads = batch.verify(&key).unwrap();
    assert_eq!(heads.last(), Some(&batch.header.after()));
    // As many kinds as there were when it was made.
    assert_eq!(batch.lines, lines()[..23]);
    assert_eq!(batch.envelopes().unwrap().len(), 23);
}

#[test]
fn a_batch_is_read_as_it_was_built() {
    let (key, lines) = (samples::key(), lines());
    let header = header(&lines, &key);
    let bytes = message(&header, &lines);
    let batch = Batch::parse(&bytes).unwrap();
    assert_eq!(batch.header, header);
    assert_eq!(batch.lines, lines);
    assert!(batch.verify(key.public()).is_ok());
}

#[track_caller]
fn refused(bytes: &[u8], key: &VerifyingKey, reason: RefusalReason) {
    let error = match Batch::parse(bytes) {
        Err(error) => error,
        Ok(batch) => {
            batch.verify(key).err().or_else(|| batch.envelopes().err()).expect("nothing was found wrong")
        }
    };
    assert_eq!(error.reason(), reason, "{error}");
}

#[test]
fn whatever_is_wrong_with_a_batch_has_its_own_reason() {
    let (key, lines) = (samples::key(), lines());
    let good = header(&lines, &key);

    refused(b"", key.public(), RefusalReason::Malformed);
    refused(b"\xff\xfe\x00", key.public(), RefusalReason::Malformed);
    refused(b"{}", key.public(), RefusalReason::Malformed);
    refused(&vec![b'x'; MESSAGE_BYTES_MAX + 1], key.public(), RefusalReason::Malformed);
    refused(&message(&good, &lines[1..]), key.public(), RefusalReason::Malformed);
    refused(&message(&Header { first: 0, ..good.clone() }, &lines), key.public(), RefusalReason::Malformed);
    refused(
        &message(&Header { first: u64::MAX, ..good.clone() }, &lines),
        key.public(),
        RefusalReason::Malformed,
    );
    refused(b"{\"v\":9,\"else\":true}\n", key.public(), RefusalReason::NewerVersion);
    refused(&message(&Header { v: 2, ..good.clone() }, &lines), key.public(), RefusalReason::NewerVersion);

    let mut changed = lines.clone();
    changed[3][20] ^= 1;
    refused(&message(&good, &changed), key.public(), RefusalReason::WrongHash);
    refused(&message(&Header { first: 2, ..good.clone() }, &lines), key.public(), RefusalReason::WrongHash);
    refused(&message(&good, &lines), samples::key().public(), RefusalReason::WrongSignature);

    let mut split = samples::facts();
    split[0].part = pestle_domain::fact::Part(1, 2);
    split[1].act = ActId(samples::uuid(77));
    let split: Vec<_> = split.iter().map(|fact| fact.to_line().unwrap()).collect();
    refused(&message(&header(&split, &key), &split), key.public(), RefusalReason::SplitAct);

    let nonsense = vec![b"{\"no\":\"fact\"}".to_vec()];
    refused(&message(&header(&nonsense, &key), &nonsense), key.public(), RefusalReason::Malformed);
}

#[test]
fn a_signature_for_one_stream_does_not_pass_for_another() {
    let (key, lines) = (samples::key(), lines());
    let mut header = header(&lines, &key);
    header.stream.branch = "south".parse().unwrap();
    let head = Head::EMPTY.after_all(&header.stream, lines.iter().map(Vec::as_slice));
    header.hash = head.hash;
    let bytes = message(&header, &lines);
    let error = Batch::parse(&bytes).unwrap().verify(key.public()).unwrap_err();
    assert!(matches!(error, BatchError::WrongSignature(SignatureError::Mismatch)));
}

#[test]
fn the_small_messages_survive_json() {
    let key = samples::key();
    let head = Head { seq: 7, hash: pestle_domain::signature::Hash::of(b"seven") };
    let stream = samples::stream();
    let ack = Acknowledgement::sign(3, stream.clone(), head, &key, &SystemRandom::new()).unwrap();
    for answer in [
        Answer::Committed(ack),
        Answer::Rewind { batch: BatchId(samples::uuid(1)), stream: stream.clone(), head },
        Answer::Refused {
            batch: None,
            reason: RefusalReason::WrongHash,
            message: "…".into(),
            head: Some(head),
        },
        Answer::Busy { batch: BatchId(samples::uuid(1)), retry_ms: 500, alone: false },
        Answer::Busy { batch: BatchId(samples::uuid(1)), retry_ms: 60_000, alone: true },
    ] {
        let text = serde_json::to_string(&answer).unwrap();
        let back: Answer = serde_json::from_str(&text).unwrap();
        assert_eq!(back, answer, "{text}");
        if let Answer::Committed(ack) = back {
            assert_eq!(ack.verify(key.public()), Ok(()));
        }
    }
    let connection = ConnectionId(samples::uuid(4));
    let heads = Heads {
        v: WIRE_VERSION,
        connection,
        streams: vec![StreamHead { stream, head }],
        waiting: 12,
        snapshot: 3,
        agent: "0.1.0".into(),
        orders: None,
    };
    let as_ever = serde_json::to_string(&heads).unwrap();
    assert!(!as_ever.contains("orders"), "an agent without orders says nothing of them: {as_ever}");
    assert_eq!(serde_json::from_str::<Heads>(&as_ever).unwrap(), heads);
    let heads = Heads { orders: Some(pestle_domain::order::OrderHead::START), ..heads };
    assert_eq!(serde_json::from_str::<Heads>(&serde_json::to_string(&heads).unwrap()).unwrap(), heads);
    let status =
        Status { v: 1, connection, state: Presence::Online, at: UnixMillis(5), agent: "0.1.0".into() };
    assert_eq!(serde_json::from_str::<Status>(&serde_json::to_string(&status).unwrap()).unwrap(), status);
    for nudge in [Nudge::Heads, Nudge::Snapshot { version: 4 }] {
        assert_eq!(serde_json::from_str::<Nudge>(&serde_json::to_string(&nudge).unwrap()).unwrap(), nudge);
    }
}
