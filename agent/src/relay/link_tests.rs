use super::*;
use crate::relay::{
    BATCH_BYTES_MAX,
    lane::{Act, LEDGER_WINDOW, Run},
    rival::{RIVAL_MS, THROWN_OFF_MAX},
};
use proptest::prelude::*;
use uuid::Uuid;

#[path = "link_behind_tests.rs"]
mod behind;
#[path = "link_rest_tests.rs"]
mod rest;

const LEDGER: StreamKey = StreamKey { lane: Lane::Ledger, epoch: 1 };
const TELEMETRY: StreamKey = StreamKey { lane: Lane::Telemetry, epoch: 1 };

/// A link with a journal behind it: acts of `facts_per_act` facts and `act_bytes` bytes.
struct Bench {
    link: Link,
    now_ms: u64,
    ids: u128,
    heads: BTreeMap<StreamKey, u64>,
    facts_per_act: u64,
    act_bytes: usize,
    sent: Vec<(StreamKey, Run)>,
    alarms: Vec<String>,
    connects: usize,
    given_up: usize,
    heads_stated: usize,
    finished: bool,
}

impl Bench {
    fn new(facts_per_act: u64, act_bytes: usize) -> Self {
        Self {
            link: Link::new(),
            now_ms: 1_000,
            ids: 0,
            heads: BTreeMap::new(),
            facts_per_act,
            act_bytes,
            sent: Vec::new(),
            alarms: Vec::new(),
            connects: 0,
            given_up: 0,
            heads_stated: 0,
            finished: false,
        }
    }

    /// Handles an event, and answers every read from the journal at once.
    fn take(&mut self, event: Event) {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            let ids = &mut self.ids;
            let effects = self.link.handle(self.now_ms, event, &mut || {
                *ids += 1;
                BatchId(Uuid::from_u128(*ids))
            });
            for effect in effects {
                match effect {
                    Effect::Connect => self.connects += 1,
                    Effect::GiveUp(why) => {
                        self.given_up += 1;
                        events.push(Event::Disconnected { why, random: 0 });
                    }
                    Effect::Read(stream, from) => events.push(Event::Read(stream, self.read(stream, from))),
                    Effect::Send(stream, run) => self.sent.push((stream, run)),
                    Effect::StateHeads => self.heads_stated += 1,
                    Effect::Alarm(why) => self.alarms.push(why),
                    Effect::Finished => self.finished = true,
                }
            }
        }
    }

    fn read(&self, stream: StreamKey, from: u64) -> Vec<Act> {
        let head = self.heads[&stream];
        let mut acts = Vec::new();
        let mut first = from;
        while first <= head && acts.len() * self.act_bytes < super::super::lane::READ_BYTES {
            let last = first + self.facts_per_act - 1;
            acts.push(Act { first, last, bytes: self.act_bytes });
            first = last + 1;
        }
        acts
    }

    fn journal(&mut self, stream: StreamKey, head: u64) {
        self.heads.insert(stream, head);
        self.take(Event::Heads(vec![Known { stream, head, acknowledged: 0, incarnation: 0 }]));
    }

    fn wait(&mut self, ms: u64) {
        self.now_ms += ms;
        self.take(Event::Tick);
    }

    fn acknowledge(&mut self, stream: StreamKey, seq: u64) {
        self.take(Event::Acknowledged { stream, seq, incarnation: 1 });
    }

    fn refuse(&mut self, batch: BatchId, reason: RefusalReason) {
        self.take(Event::Refused { batch: Some(batch), reason, message: "no".to_owned() });
    }

    fn drain_sent(&mut self) -> Vec<(u64, u64)> {
        self.sent.drain(..).map(|(_, run)| (run.first, run.last)).collect()
    }
}

fn online(head: u64) -> Bench {
    let mut bench = Bench::new(4, 2_000);
    bench.journal(LEDGER, head);
    bench.take(Event::Connected);
    bench
}

#[test]
fn a_box_that_is_offline_sends_nothing_and_says_so() {
    let mut bench = Bench::new(4, 2_000);
    bench.journal(LEDGER, 8);
    bench.take(Event::Tick);
    assert_eq!(bench.connects, 1);
    bench.take(Event::Disconnected { why: "no route".to_owned(), random: 0 });
    assert!(bench.sent.is_empty());
    assert_eq!((bench.link.phase(), bench.link.waiting()), (Phase::Offline, 8));
    assert_eq!(bench.link.detail().as_deref(), Some("no route"));
}

#[test]
fn on_connect_heads_are_stated_and_everything_is_sent_and_let_go_only_by_the_centres_word() {
    let mut bench = online(8);
    assert_eq!(bench.heads_stated, 1);
    assert_eq!(bench.drain_sent(), [(1, 8)]);
    assert_eq!((bench.link.phase(), bench.link.waiting()), (Phase::Live, 8));
    bench.acknowledge(LEDGER, 8);
    assert_eq!(bench.link.waiting(), 0);
    bench.journal(LEDGER, 12);
    assert_eq!(bench.drain_sent(), [(9, 12)]);
}

#[test]
fn a_large_backlog_is_in_flight_by_windows_of_whole_acts_and_bounded_batches() {
    let mut bench = online(200_000);
    let window = bench.drain_sent();
    assert_eq!(window.len(), LEDGER_WINDOW);
    for (first, last) in &window {
        assert_eq!((first % 4, last % 4), (1, 0), "no act is split");
        assert!((last + 1 - first) / 4 * 2_000 <= BATCH_BYTES_MAX as u64);
    }
    assert_eq!(bench.link.phase(), Phase::CatchUp);
    let mut acknowledged = 0;
    let mut next = window;
    while acknowledged < 200_000 {
        for (first, last) in std::mem::take(&mut next) {
            assert_eq!(first, acknowledged + 1, "in order, without a gap");
            acknowledged = last;
            bench.acknowledge(LEDGER, last);
        }
        next = bench.drain_sent();
    }
    assert_eq!((bench.link.phase(), bench.link.waiting()), (Phase::Live, 0));
}

#[test]
fn after_a_broken_connection_everything_that_was_not_acknowledged_is_sent_again() {
    let mut bench = online(8);
    bench.drain_sent();
    bench.take(Event::Disconnected { why: "gone".to_owned(), random: 7 });
    bench.take(Event::Connected);
    assert_eq!(bench.drain_sent(), [(1, 8)]);
}

#[test]
fn the_wait_before_the_next_try_grows_is_drawn_and_has_a_bound() {
    let mut bench = Bench::new(4, 2_000);
    for failure in 0..20 {
        bench.take(Event::Disconnected { why: String::new(), random: u64::MAX });
        let ceiling = 500u64.saturating_mul(1 << failure).min(30_000);
        let drawn = (u64::MAX % (ceiling + 1)).max(100);
        let connects = bench.connects;
        bench.wait(drawn - 1);
        assert_eq!(bench.connects, connects, "failure {failure}: too early");
        bench.wait(1);
        assert_eq!(bench.connects, connects + 1, "failure {failure}");
    }
}

#[test]
fn a_gap_is_answered_by_one_rewind_however_many_batches_were_behind_it() {
    let mut bench = online(4_000);
    let batches: Vec<_> = bench.sent.drain(..).map(|(_, run)| run).collect();
    assert!(batches.len() > 2);
    for run in &batches {
        bench.take(Event::Rewind { stream: LEDGER, batch: run.batch, seq: 0, ours: true });
    }
    let again = bench.drain_sent();
    assert_eq!(again.iter().filter(|(first, _)| *first == 1).count(), 1);
}

#[test]
fn a_head_that_this_box_never_had_stops_the_stream_and_calls_a_person() {
    let mut bench = online(8);
    let (_, run) = bench.sent.remove(0);
    bench.take(Event::Rewind { stream: LEDGER, batch: run.batch, seq: 500, ours: false });
    assert_eq!(bench.alarms.len(), 1);
    assert!(bench.link.detail().unwrap().contains("Call support"));
    bench.journal(LEDGER, 12);
    assert!(bench.sent.is_empty());
    assert_eq!(bench.link.waiting(), 12, "nothing is lost");
}

#[test]
fn a_refused_batch_is_halved_until_its_culprit_is_found_which_is_kept() {
    let mut bench = online(64);
    // The act with facts 37 to 40 is what the centre cannot take.
    let mut rounds = 0;
    while bench.alarms.is_empty() {
        rounds += 1;
        assert!(rounds < 40, "the culprit is not found");
        let (_, run) = bench.sent.remove(0);
        if (run.first..=run.last).contains(&37) {
            bench.refuse(run.batch, RefusalReason::Malformed);
        } else {
            bench.acknowledge(LEDGER, run.last);
        }
    }
    assert!(bench.alarms[0].contains("facts 37 to 40"), "{}", bench.alarms[0]);
    assert_eq!(bench.link.waiting(), 64 - 36);
    assert!(bench.sent.is_empty(), "what is behind it waits");
    bench.wait(400_000);
    assert_eq!(bench.drain_sent()[0].0, 37, "and is tried again");
}

#[test]
fn a_box_that_may_not_send_at_all_does_not_search_for_a_culprit() {
    let mut bench = online(64);
    let (_, run) = bench.sent.remove(0);
    bench.refuse(run.batch, RefusalReason::NotAllowed);
    assert_eq!(bench.alarms.len(), 1);
    assert!(bench.sent.is_empty());
}

#[test]
fn a_busy_centre_is_left_alone_for_as_long_as_it_asks() {
    let mut bench = online(8);
    bench.drain_sent();
    bench.take(Event::Busy { retry_ms: 5_000, alone: None });
    bench.wait(4_900);
    assert!(bench.sent.is_empty());
    bench.wait(100);
    assert_eq!(bench.drain_sent(), [(1, 8)]);
}

#[test]
fn what_the_centre_cannot_store_waits_alone() {
    let mut bench = online(8);
    bench.journal(TELEMETRY, 4);
    let stuck = bench.sent.iter().rfind(|(stream, _)| *stream == TELEMETRY).unwrap().1.batch;
    bench.drain_sent();
    let busy = Event::Busy { retry_ms: 60_000, alone: Some(stuck) };
    bench.take(busy.clone());
    // Of a window, each batch is answered so.
    bench.take(busy);
    bench.journal(LEDGER, 16);
    assert_eq!(bench.sent.iter().map(|(stream, _)| *stream).collect::<Vec<_>>(), [LEDGER]);
    assert!(bench.link.detail().unwrap().contains("cannot store"), "{:?}", bench.link.detail());
    bench.sent.clear();
    bench.wait(59_000);
    assert!(bench.sent.iter().all(|(stream, _)| *stream == LEDGER));
    bench.wait(1_000);
    assert!(bench.sent.iter().any(|(stream, _)| *stream == TELEMETRY), "it is tried again");
}

#[test]
fn what_lies_behind_facts_that_can_never_be_read_asks_for_a_person_and_the_next_life_goes_on() {
    let mut bench = online(8);
    let next = StreamKey { lane: Lane::Ledger, epoch: 2 };
    bench.journal(next, 3);
    let torn = Torn { from: 5, to: 6 };
    let torn_now = |bench: &Bench| {
        bench.link.torn_streams().iter().map(|one| (one.stream, one.torn)).collect::<Vec<_>>()
    };
    for _ in 0..2 {
        bench.take(Event::Torn(LEDGER, torn, "facts 5 to 6 cannot be read".to_owned()));
        assert_eq!(torn_now(&bench), [(LEDGER, torn)]);
    }
    assert_eq!(bench.alarms, ["facts 5 to 6 cannot be read"], "it is told once");
    bench.drain_sent();
    bench.journal(next, 9);
    assert!(!bench.drain_sent().is_empty(), "the next life goes on");
    bench.take(Event::Disconnected { why: String::new(), random: 0 });
    bench.take(Event::Connected);
    bench.take(Event::Acknowledged { stream: LEDGER, seq: 4, incarnation: 1 });
    assert_eq!(torn_now(&bench), [(LEDGER, torn)]);
    // A page of facts has shown that the centre has it after all.
    bench.take(Event::Acknowledged { stream: LEDGER, seq: 8, incarnation: 1 });
    assert_eq!(torn_now(&bench), []);
}

#[test]
fn what_was_read_before_facts_that_cannot_be_read_goes_on_its_way() {
    let mut bench = online(40_000);
    let sent = bench.drain_sent();
    bench.take(Event::Torn(LEDGER, Torn { from: 20_001, to: 20_004 }, "torn".to_owned()));
    assert_eq!(bench.link.detail().as_deref(), Some("torn"));
    bench.acknowledge(LEDGER, sent[0].1);
    assert_eq!(bench.drain_sent().len(), 1, "its place in the window is taken at once");
}

#[test]
fn a_lost_answer_heals_by_asking_and_then_by_sending_again() {
    let mut bench = online(8);
    bench.drain_sent();
    bench.wait(10_001);
    assert_eq!(bench.heads_stated, 2, "asked where the centre stands");
    bench.wait(20_001);
    assert_eq!(bench.drain_sent(), [(1, 8)], "sent again");
}

#[test]
fn heads_are_stated_every_thirty_seconds_and_when_the_centre_asks() {
    let mut bench = online(0);
    bench.wait(30_000);
    assert_eq!(bench.heads_stated, 2);
    bench.take(Event::Nudged);
    assert_eq!(bench.heads_stated, 3);
}

#[test]
fn telemetry_has_one_batch_in_flight_and_never_stands_before_the_ledger() {
    let mut bench = Bench::new(4, 2_000);
    bench.heads.insert(LEDGER, 40_000);
    bench.heads.insert(TELEMETRY, 40_000);
    let known =
        [LEDGER, TELEMETRY].map(|stream| Known { stream, head: 40_000, acknowledged: 0, incarnation: 0 });
    bench.take(Event::Heads(known.to_vec()));
    bench.take(Event::Connected);
    let telemetry = bench.sent.iter().filter(|(stream, _)| *stream == TELEMETRY).count();
    assert_eq!((bench.sent.len() - telemetry, telemetry), (LEDGER_WINDOW, 1));
}

#[test]
fn the_lives_of_one_lane_share_its_window() {
    let mut bench = Bench::new(4, BATCH_BYTES_MAX);
    let key = |lane, epoch| StreamKey { lane, epoch };
    let all = [key(Lane::Ledger, 1), key(Lane::Ledger, 2), key(Lane::Ledger, 3), TELEMETRY];
    for stream in all {
        bench.heads.insert(stream, 400);
    }
    let known = |stream| Known { stream, head: 400, acknowledged: 0, incarnation: 0 };
    bench.take(Event::Heads(all.map(known).to_vec()));
    bench.take(Event::Connected);
    let of = |bench: &Bench, lane| bench.sent.iter().filter(|(stream, _)| stream.lane == lane).count();
    assert_eq!((of(&bench, Lane::Ledger), of(&bench, Lane::Telemetry)), (LEDGER_WINDOW, 1));
    // Each answer makes room for one more of its own lane.
    let (stream, run) = *bench.sent.iter().find(|(stream, _)| stream.lane == Lane::Ledger).unwrap();
    bench.sent.clear();
    bench.acknowledge(stream, run.last);
    assert_eq!((of(&bench, Lane::Ledger), of(&bench, Lane::Telemetry)), (1, 0));
}

/// Both lanes with more than the line can take, which is served in the order in which it was sent: of every window's
/// messages one is telemetry, never more and never none.
#[test]
fn neither_lane_starves_the_other_on_a_line_that_is_full() {
    let mut bench = Bench::new(4, BATCH_BYTES_MAX);
    let endless = 4 * 2_000;
    for stream in [LEDGER, TELEMETRY] {
        bench.heads.insert(stream, endless);
    }
    let known = |stream| Known { stream, head: endless, acknowledged: 0, incarnation: 0 };
    bench.take(Event::Heads([LEDGER, TELEMETRY].map(known).to_vec()));
    bench.take(Event::Connected);
    let mut telemetry = 0;
    for _ in 0..1_000 {
        let (stream, run) = bench.sent.remove(0);
        telemetry += usize::from(stream == TELEMETRY);
        bench.acknowledge(stream, run.last);
    }
    assert!((25..=35).contains(&telemetry), "{telemetry} of 1,000 messages are telemetry");
}

#[test]
fn a_window_that_takes_long_on_a_slow_line_is_not_sent_twice_while_answers_come() {
    let mut bench = Bench::new(4, BATCH_BYTES_MAX);
    bench.journal(LEDGER, 4 * 40);
    bench.take(Event::Connected);
    let window: Vec<_> = bench.drain_sent();
    assert_eq!(window.len(), LEDGER_WINDOW);
    for (_, last) in &window[..20] {
        bench.wait(2_000);
        bench.acknowledge(LEDGER, *last);
    }
    let sent = bench.drain_sent();
    assert_eq!(sent[0].0, 4 * u64::try_from(LEDGER_WINDOW).unwrap() + 1, "{sent:?}");
    assert_eq!(sent.len(), 8, "what was left, once");
}

#[test]
fn a_restored_centre_gets_back_what_it_lost() {
    let mut bench = online(8);
    bench.drain_sent();
    bench.acknowledge(LEDGER, 8);
    bench.take(Event::Acknowledged { stream: LEDGER, seq: 4, incarnation: 2 });
    assert_eq!(bench.drain_sent(), [(5, 8)]);
    assert_eq!(bench.alarms.len(), 1);
}

/// Two streams, both acknowledged up to 8 in the centre's first life.
fn two_streams() -> Bench {
    let mut bench = Bench::new(4, 2_000);
    bench.journal(LEDGER, 8);
    bench.journal(TELEMETRY, 8);
    bench.take(Event::Connected);
    bench.acknowledge(LEDGER, 8);
    bench.acknowledge(TELEMETRY, 8);
    bench.sent.clear();
    bench
}

#[test]
fn a_restored_centre_gets_back_what_it_lost_of_every_stream() {
    let mut bench = two_streams();
    bench.take(Event::Acknowledged { stream: LEDGER, seq: 4, incarnation: 2 });
    bench.take(Event::Acknowledged { stream: TELEMETRY, seq: 0, incarnation: 2 });
    let again: Vec<_> = bench.sent.drain(..).map(|(stream, run)| (stream, run.first, run.last)).collect();
    assert_eq!(again, [(LEDGER, 5, 8), (TELEMETRY, 1, 8)]);
    assert_eq!(bench.alarms.len(), 2);
    assert_eq!(bench.link.waiting(), 4 + 8);
}

#[test]
fn a_late_acknowledgement_of_an_earlier_life_of_the_centre_undoes_nothing() {
    let mut bench = two_streams();
    bench.take(Event::Acknowledged { stream: LEDGER, seq: 4, incarnation: 2 });
    assert_eq!(bench.drain_sent(), [(5, 8)]);
    bench.acknowledge(LEDGER, 8);
    assert_eq!(bench.link.waiting(), 4, "the first life's word counts no more");
    bench.take(Event::Disconnected { why: String::new(), random: 0 });
    bench.take(Event::Connected);
    assert_eq!(bench.drain_sent(), [(5, 8)]);
    bench.take(Event::Acknowledged { stream: LEDGER, seq: 8, incarnation: 2 });
    assert_eq!(bench.link.waiting(), 0);
}

#[test]
fn a_box_that_was_off_during_the_restore_sends_again_too() {
    let mut bench = Bench::new(4, 2_000);
    bench.heads.insert(LEDGER, 8);
    bench.take(Event::Heads(vec![Known { stream: LEDGER, head: 8, acknowledged: 8, incarnation: 1 }]));
    bench.take(Event::Connected);
    assert_eq!(bench.link.waiting(), 0);
    bench.take(Event::Acknowledged { stream: LEDGER, seq: 4, incarnation: 2 });
    assert_eq!((bench.drain_sent(), bench.link.waiting()), (vec![(5, 8)], 4));
}

#[test]
fn a_rewind_that_nobody_signed_hides_no_backlog() {
    let mut bench = online(8);
    let (_, run) = bench.sent.remove(0);
    bench.take(Event::Rewind { stream: LEDGER, batch: run.batch, seq: 8, ours: true });
    assert_eq!(bench.link.waiting(), 8, "nothing was acknowledged");
    assert!(bench.sent.is_empty(), "but it is believed for as long as the connection holds");
    bench.take(Event::Disconnected { why: String::new(), random: 0 });
    bench.take(Event::Connected);
    assert_eq!(bench.drain_sent(), [(1, 8)]);
    bench.acknowledge(LEDGER, 8);
    assert_eq!(bench.link.waiting(), 0);
}

#[test]
fn a_broker_that_takes_the_connection_and_says_nothing_is_given_up() {
    let mut bench = Bench::new(4, 2_000);
    bench.take(Event::Tick);
    bench.wait(19_999);
    assert_eq!((bench.connects, bench.given_up), (1, 0));
    bench.wait(1);
    assert_eq!(bench.given_up, 1);
    assert!(bench.link.detail().unwrap().contains("says nothing"));
    bench.wait(500);
    assert_eq!(bench.connects, 2, "and is tried again");
    bench.take(Event::Connected);
    bench.wait(60_000);
    assert_eq!(bench.given_up, 1, "a connection that is up has no such deadline");
}

#[test]
fn a_journal_that_has_nothing_where_facts_should_be_stops_the_stream_and_is_not_asked_again_at_once() {
    let mut link = Link::new();
    let mut take = |event| link.handle(1_000, event, &mut || BatchId(Uuid::nil()));
    take(Event::Heads(vec![Known { stream: LEDGER, head: 8, acknowledged: 0, incarnation: 0 }]));
    assert!(take(Event::Connected).contains(&Effect::Read(LEDGER, 1)));
    let effects = take(Event::Read(LEDGER, Vec::new()));
    assert!(matches!(effects[..], [Effect::Alarm(_)]), "{effects:?}");
    assert!(link.detail().is_some());
}

#[test]
fn draining_ends_when_all_is_acknowledged_or_at_its_deadline_or_without_a_connection() {
    let mut bench = online(8);
    bench.take(Event::Drain);
    assert_eq!(bench.link.phase(), Phase::Draining);
    assert!(!bench.finished);
    bench.acknowledge(LEDGER, 8);
    assert!(bench.finished);

    let mut bench = online(8);
    bench.take(Event::Drain);
    bench.wait(3_000);
    assert!(bench.finished);

    let mut bench = Bench::new(4, 2_000);
    bench.take(Event::Drain);
    assert!(bench.finished);
}

proptest! {
    /// A centre that takes batches only in order, on a line that loses, repeats and breaks: in the end it has
    /// everything, and nothing was let go that it did not have.
    #[test]
    fn whatever_the_line_does_everything_arrives_in_order(
        acts in 1u64..400,
        bytes in 100usize..60_000,
        faults in proptest::collection::vec(0u8..10, 0..200),
    ) {
        let head = acts * 4;
        let mut bench = Bench::new(4, bytes);
        bench.journal(LEDGER, head);
        bench.take(Event::Connected);
        let mut centre = 0;
        let mut faults = faults.into_iter();
        for _ in 0..20_000 {
            if bench.link.waiting() == 0 {
                break;
            }
            if bench.sent.is_empty() {
                bench.wait(5_000);
                if bench.link.phase() == Phase::Offline {
                    bench.take(Event::Connected);
                }
                continue;
            }
            let (_, run) = bench.sent.remove(0);
            match faults.next() {
                // The batch is lost on its way.
                Some(0) => continue,
                // The connection breaks, and all on its way with it.
                Some(1) => {
                    bench.sent.clear();
                    bench.take(Event::Disconnected { why: String::new(), random: 3 });
                    bench.take(Event::Connected);
                    continue;
                }
                Some(2) => {
                    bench.take(Event::Busy { retry_ms: 1_000, alone: None });
                    continue;
                }
                _ => {}
            }
            if run.first > centre + 1 {
                bench.take(Event::Rewind { stream: LEDGER, batch: run.batch, seq: centre, ours: true });
                continue;
            }
            centre = centre.max(run.last);
            // Some answers are lost.
            if faults.next() != Some(3) {
                bench.acknowledge(LEDGER, centre);
            }
            prop_assert!(head - bench.link.waiting() <= centre, "let go what the centre does not have");
        }
        prop_assert_eq!(bench.link.waiting(), 0);
        prop_assert_eq!(centre, head);
    }
}

#[test]
fn only_a_connection_that_lasted_makes_the_next_wait_small_again() {
    let mut bench = Bench::new(4, 2_000);
    bench.journal(LEDGER, 8);
    // Thrown off at once, again and again, as by another box of the same name.
    for failure in 0..6 {
        bench.take(Event::Connected);
        bench.now_ms += 900;
        bench.take(Event::TakenOver { random: u64::MAX });
        let ceiling = 500u64.saturating_mul(1 << failure).min(30_000);
        let drawn = (u64::MAX % (ceiling + 1)).max(100);
        let connects = bench.connects;
        bench.wait(drawn - 1);
        assert_eq!(bench.connects, connects, "failure {failure}: too early");
        bench.wait(1);
        assert_eq!(bench.connects, connects + 1, "failure {failure}");
    }
    bench.take(Event::Connected);
    bench.now_ms += LASTED_MS;
    bench.take(Event::Disconnected { why: "a cable".to_owned(), random: 500 });
    let connects = bench.connects;
    bench.wait(500);
    assert_eq!(bench.connects, connects + 1, "the first wait is short again");
}

#[test]
fn a_box_that_another_one_throws_off_says_so_even_while_it_is_connected() {
    let mut bench = online(8);
    bench.take(Event::TakenOver { random: 0 });
    assert!(bench.link.has_rival());
    bench.take(Event::Connected);
    assert!(bench.link.detail().unwrap().contains("another box works under this box's name"));
    bench.take(Event::TakenOver { random: 0 });
    assert_eq!(bench.alarms.len(), 1, "once, not at every turn: {:?}", bench.alarms);
    bench.take(Event::Connected);
    bench.wait(RIVAL_MS);
    assert!(!bench.link.has_rival());
    assert_eq!(bench.link.detail(), None);
}

#[test]
fn a_box_that_is_dropped_again_and_again_says_what_that_may_mean_even_where_the_broker_does_not() {
    let mut bench = online(8);
    for _ in 0..THROWN_OFF_MAX {
        assert!(!bench.link.has_rival());
        bench.now_ms += 1_000;
        bench.take(Event::Disconnected { why: "closed".to_owned(), random: 0 });
        bench.take(Event::Connected);
    }
    assert!(bench.link.detail().unwrap().contains("another box may work under this box's name"));
    assert_eq!(bench.alarms.len(), 1);
    // A line that cannot be reached at all says nothing of that.
    let mut bench = Bench::new(4, 2_000);
    for _ in 0..10 {
        bench.take(Event::Disconnected { why: "no route".to_owned(), random: 0 });
    }
    assert!(!bench.link.has_rival());
}

#[test]
fn a_contradicted_stream_stays_so_over_broken_connections_until_the_centre_takes_more_of_it() {
    let mut bench = online(8);
    bench.take(Event::Contradicted(LEDGER, "it has other contents".to_owned()));
    assert_eq!(bench.link.contradicted_streams(), [LEDGER]);
    bench.take(Event::Disconnected { why: String::new(), random: 0 });
    bench.take(Event::Connected);
    assert_eq!(bench.link.contradicted_streams(), [LEDGER]);
    bench.take(Event::Acknowledged { stream: LEDGER, seq: 4, incarnation: 1 });
    assert_eq!(bench.link.contradicted_streams(), []);
}

#[test]
fn an_act_that_is_refused_as_contradicting_is_a_contradiction_and_a_malformed_one_is_none() {
    for (reason, expected) in [(RefusalReason::Contradicts, vec![LEDGER]), (RefusalReason::Malformed, vec![])]
    {
        let mut bench = online(4);
        let batch = bench.sent.pop().unwrap().1.batch;
        bench.take(Event::Refused { batch: Some(batch), reason, message: "no".to_owned() });
        assert_eq!(bench.link.contradicted_streams(), expected, "{reason:?}");
    }
}

#[test]
fn what_the_journal_knows_to_be_acknowledged_waits_no_more_and_an_earlier_life_s_word_changes_nothing() {
    let mut bench = Bench::new(1, 10);
    let known = |acknowledged, incarnation| Known { stream: LEDGER, head: 8, acknowledged, incarnation };
    bench.take(Event::Heads(vec![known(3, 2)]));
    assert_eq!(bench.link.waiting(), 5);
    bench.take(Event::Heads(vec![known(8, 1)]));
    assert_eq!(bench.link.waiting(), 5);
    bench.take(Event::Heads(vec![known(8, 2)]));
    assert_eq!(bench.link.waiting(), 0);
}
