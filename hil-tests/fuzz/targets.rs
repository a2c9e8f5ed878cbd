//! What each fuzz target does with any bytes: reads them as the product would, and checks that what was read is written back
//! alike. A target that returns has held. The fuzzer and the tests run the same functions.

use std::time::{Duration, Instant};

use pestle_agent::{
    fetched::page,
    journal::{
        mark,
        raw::RawStore,
        record::{self, Chunk, Joiner},
    },
};
use pestle_domain::{
    appeal::{Appeal, Ruling},
    fact::{BoxFactsFetched, Envelope, Fact},
    gs1::{self, Elements, Scan, digital_link::DigitalLink, ppn::Ppn},
    journal::{Head, Lane, Stream},
    order::Order,
    snapshot::Snapshot,
    wire::{
        batch::{self, Batch},
        export::Preface,
        facts::{self, Asked, Page},
        message::{Answer, Heads, Nudge, Status},
        orders::{self, Orders},
        topic::Topic,
    },
};
use pestle_drivers::{
    printer::status::{Answer as Printed, AnswerReader, Condition, Question},
    scanner::framing::{Framer, FramingRules},
    sensor::answer::{crc_is_right, why_no_answer, with_crc},
};

#[path = "devices.rs"]
pub(crate) mod devices;

/// One target.
pub(crate) type Target = fn(&[u8]);

/// All of them, by the names of their corpora.
pub(crate) const TARGETS: [(&str, Target); 20] = [
    ("batch", batch),
    ("fact", fact),
    ("messages", messages),
    ("orders", orders),
    ("facts_page", facts_page),
    ("gs1", gs1),
    ("scan_framing", scan_framing),
    ("printer_status", printer_status),
    ("modbus", modbus),
    ("modbus_answer", devices::modbus_answer),
    ("keys", devices::keys),
    ("page_batch", devices::page_batch),
    ("learned", devices::learned),
    ("far_port", devices::far_port),
    ("label_status", devices::label_status),
    ("ipp_answer", devices::ipp_answer),
    ("profiles", devices::profiles),
    ("attached", devices::attached),
    ("snapshot", snapshot),
    ("journal_records", journal_records),
];

/// A batch of facts, as a gateway takes it from the broker.
pub(crate) fn batch(bytes: &[u8]) {
    let Ok(read) = Batch::parse(bytes) else { return };
    let again = batch::build(&read.header, read.lines.iter().copied())
        .expect("a header that was read can be written");
    let again = Batch::parse(&again).expect("what was written can be read");
    assert_eq!((&again.header, &again.lines), (&read.header, &read.lines));
    if let Ok(envelopes) = read.envelopes() {
        assert_eq!(envelopes.len(), read.lines.len());
    }
}

/// One fact, as the centre and the box read it.
pub(crate) fn fact(bytes: &[u8]) {
    if let Ok(envelope) = Envelope::parse(bytes) {
        let _ = envelope.body();
    }
    if let Ok(Some(fact)) = Fact::from_line(bytes) {
        let line = fact.to_line().expect("a fact that was read can be written");
        assert_eq!(Fact::from_line(&line).expect("what was written can be read"), Some(fact));
    }
}

/// The small messages, topics, and the first line of an export.
pub(crate) fn messages(bytes: &[u8]) {
    fn both_ways<T>(bytes: &[u8])
    where
        T: serde::Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug,
    {
        if let Ok(read) = serde_json::from_slice::<T>(bytes) {
            let text = serde_json::to_vec(&read).expect("what was read can be written");
            assert_eq!(serde_json::from_slice::<T>(&text).expect("what was written can be read"), read);
        }
    }
    both_ways::<Answer>(bytes);
    both_ways::<Heads>(bytes);
    both_ways::<Status>(bytes);
    both_ways::<Nudge>(bytes);
    both_ways::<Appeal>(bytes);
    both_ways::<Ruling>(bytes);
    both_ways::<Asked>(bytes);
    let _ = Preface::parse(bytes);
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(topic) = text.parse::<Topic>()
    {
        assert_eq!(topic.to_string(), text);
    }
}

/// Orders of the centre, as a box takes them, and one of them.
pub(crate) fn orders(bytes: &[u8]) {
    if let Ok(read) = Orders::parse(bytes) {
        let lines = read.lines.iter().map(|line| line.as_bytes());
        let again = orders::build(&read.header, lines).expect("a header that was read can be written");
        let again = Orders::parse(&again).expect("what was written can be read");
        assert_eq!((&again.header, &again.lines), (&read.header, &read.lines));
    }
    if let Ok(Some(order)) = Order::from_line(bytes) {
        let line = order.to_line().expect("an order that was read can be written");
        assert_eq!(Order::from_line(&line).expect("what was written can be read"), Some(order));
    }
}

/// Facts on their way back to a box that lost them, as they come and as they were kept.
pub(crate) fn facts_page(bytes: &[u8]) {
    let Ok(read) = Page::parse(bytes) else { return };
    let written = facts::build(&read.header, read.lines.iter().copied())
        .expect("a header that was read can be written");
    let again = Page::parse(&written).expect("what was written can be read");
    assert_eq!((&again.header, &again.lines), (&read.header, &read.lines));
    let fetched = |page: &Page<'_>| {
        let (stream, after) = (&page.header.acknowledgement.stream, page.after());
        BoxFactsFetched { epoch: stream.epoch, from: page.header.first, to: after.seq, hash: after.hash }
    };
    let _ = page::read(bytes, &fetched(&read));
    // Changed bytes hardly ever fit the chain: with a head that does, the facts themselves are reached.
    let mut header = read.header.clone();
    let stream = &read.header.acknowledgement.stream;
    header.acknowledgement.head = read.before().after_all(stream, read.lines.iter().copied());
    let fitting = Page { header, lines: read.lines.clone() };
    fitting.chain().expect("this is its head");
    let message = facts::build(&fitting.header, fitting.lines.iter().copied()).expect("a header of ours");
    if let Ok(acts) = page::read(&message, &fetched(&fitting)) {
        assert!(acts.iter().map(|act| act.facts.len()).sum::<usize>() <= fitting.lines.len());
    }
}

/// A scan, in every form of GS1 and of PPN.
pub(crate) fn gs1(bytes: &[u8]) {
    let today = time::Date::from_calendar_date(2026, time::Month::November, 21);
    let scanned = Scan::parse(bytes);
    if let Ok(scan) = &scanned {
        let _ = (scan.gtin(), scan.lot(), scan.serial());
        if let Ok(today) = today {
            let _ = scan.expiry(today);
        }
    }
    let _ = gs1::decode::line(bytes);
    if let Ok(elements) = Elements::parse(bytes) {
        let text = elements.to_element_string();
        let again = Elements::parse(text.as_bytes()).expect("what was written can be read");
        // It is written with the values of predefined length first.
        let in_any_order = |elements: &Elements| {
            let mut all: Vec<_> =
                elements.iter().map(|one| (one.ai.as_str().to_owned(), one.value.clone())).collect();
            all.sort();
            all
        };
        assert_eq!(in_any_order(&again), in_any_order(&elements), "{text:?}");
        assert_eq!(again.to_element_string(), text);
        if let Ok(uri) = gs1::digital_link::build(&elements) {
            assert!(DigitalLink::parse(&uri).is_ok(), "{uri}");
        }
        let bracketed = elements.to_bracketed();
        assert_eq!(Elements::parse_bracketed(&bracketed).as_ref(), Ok(&elements), "{bracketed:?}");
    }
    if let Ok(Some(ppn)) = Ppn::parse(bytes) {
        assert_eq!(Ppn::parse(&ppn.to_data()), Ok(Some(ppn)));
    }
}

/// Bytes of a serial line, in one piece and in pieces: the frames are the same.
pub(crate) fn scan_framing(bytes: &[u8]) {
    let [first, rest @ ..] = bytes else { return };
    let now = Instant::now();
    let rules = FramingRules {
        prefix: if first & 1 == 0 { Vec::new() } else { b"]".to_vec() },
        needs_suffix: first & 2 == 0,
        longest: if first & 4 == 0 { 2_335 } else { 12 },
        ..FramingRules::default()
    };
    let late = now + Duration::from_secs(2);
    let in_pieces_of = |size: usize| {
        let mut framer = Framer::new(rules.clone());
        let mut frames = Vec::new();
        rest.chunks(size.max(1)).for_each(|piece| frames.extend(framer.push(now, piece)));
        frames.extend(framer.tick(late));
        frames
    };
    let whole = in_pieces_of(rest.len());
    assert_eq!(in_pieces_of(1), whole);
    assert_eq!(in_pieces_of(usize::from(first >> 4)), whole);
}

/// What a printer sends.
pub(crate) fn printer_status(bytes: &[u8]) {
    let (mut reader, mut condition) = (AnswerReader::default(), Condition::default());
    let mut answered = 0;
    for (index, byte) in bytes.iter().enumerate() {
        match reader.push(*byte) {
            Some(Printed::RealTime(byte)) => {
                answered += 1;
                condition.take_real_time(Question::ALL[index % Question::ALL.len()], byte);
            }
            Some(Printed::Automatic(bytes)) => {
                answered += bytes.len();
                condition.take_automatic(bytes);
            }
            Some(Printed::Queued(_)) => answered += 1,
            Some(Printed::Finished(_)) => answered += 7,
            None => {}
        }
        let _ = condition.trouble();
    }
    // No byte counts twice.
    assert!(u64::try_from(answered).unwrap_or(u64::MAX) + reader.strays <= bytes.len() as u64);
}

/// What was heard of a Modbus slave that gave no answer.
pub(crate) fn modbus(bytes: &[u8]) {
    let _ = why_no_answer(1, 4, bytes);
    assert!(bytes.is_empty() || crc_is_right(&with_crc(bytes)));
}

/// A snapshot's unpacked bytes.
pub(crate) fn snapshot(bytes: &[u8]) {
    if let Ok(read) = serde_json::from_slice::<Snapshot>(bytes) {
        let text = serde_json::to_vec(&read).expect("what was read can be written");
        assert_eq!(serde_json::from_slice::<Snapshot>(&text).expect("what was written can be read"), read);
    }
}

/// Records of a journal, in a store's log and one by one.
pub(crate) fn journal_records(bytes: &[u8]) {
    if let Ok(chunk) = Chunk::parse(bytes) {
        let again = Chunk::parse(&bytes[..chunk.stored_bytes()]);
        assert_eq!(again, Ok(chunk));
        let mut joiner = Joiner::default();
        let _ = joiner.join(chunk);
    }
    if let Ok(act) = record::decode(7, bytes.to_vec()) {
        let lines: Vec<_> = act.lines().map(<[u8]>::to_vec).collect();
        let mut joiner = Joiner::default();
        let joined = record::encode(act.act, 3, &act.after, &lines, act.attachment())
            .into_iter()
            .map(|(key, chunk)| joiner.push(&key, &chunk))
            .last();
        assert_eq!(joined, Some(Ok(Some(act))));
    }
    SCRATCH.with(|folder| {
        let log = folder.path().join("db");
        std::fs::write(&log, bytes).expect("a folder of our own");
        if let Ok(store) = RawStore::open(folder.path(), &stream(), Head::EMPTY) {
            let _ = (store.head(), store.is_broken(), store.acts(1, u64::MAX, usize::MAX));
        }
        let _ = mark::read(&log);
    });
}

thread_local! {
    static SCRATCH: tempfile::TempDir = tempfile::tempdir().expect("a folder of our own");
}

fn stream() -> Stream {
    Stream {
        tenant: "acme".parse().expect("a name"),
        branch: "north".parse().expect("a name"),
        term: 1,
        device: "box-1".parse().expect("a name"),
        lane: Lane::Ledger,
        epoch: 1,
    }
}
