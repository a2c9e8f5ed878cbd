use super::*;
use crate::relay::lane::ANSWER_MS_MAX;

/// Two lives of one lane with eight facts each, the first of which the centre has up to its fact 100.
fn behind(lane: Lane) -> (Bench, [StreamKey; 2]) {
    let mut bench = Bench::new(4, BATCH_BYTES_MAX);
    let lives = [1, 2].map(|epoch| StreamKey { lane, epoch });
    bench.take(Event::Connected);
    // The older one has the place where there is one alone.
    lives.iter().for_each(|stream| bench.journal(*stream, 8));
    (bench, lives)
}

#[test]
fn a_life_of_which_the_centre_has_more_stands_still_with_words_and_the_next_one_goes_on() {
    for lane in Lane::ALL {
        let (mut bench, [old, new]) = behind(lane);
        let ahead = Event::Ahead { stream: old, seq: 100 };
        for _ in 0..4 {
            bench.take(ahead.clone());
            bench.wait(ANSWER_MS_MAX / 3);
            assert_eq!(bench.link.contradicted_streams(), []);
        }
        let words = bench.link.detail().unwrap();
        assert!(words.contains("up to 100 of epoch 1") && words.contains("Facts 1 to 8"), "{words}");
        assert_eq!(bench.alarms, [words]);
        // What is said to our heads, every half minute, keeps nobody's place.
        for _ in 0..8 {
            bench.take(ahead.clone());
            bench.wait(1_000);
            if let Some((_, run)) = bench.sent.iter().rfind(|(stream, _)| *stream == new).copied() {
                bench.acknowledge(new, run.last);
            }
        }
        assert_eq!(bench.link.waiting(), 8, "{lane:?}: only the old life's");
    }
}

#[test]
fn a_life_that_stands_still_because_the_centre_has_more_goes_on_once_that_is_settled_or_no_longer_so() {
    let held = || {
        let (mut bench, [old, _]) = behind(Lane::Telemetry);
        bench.take(Event::Ahead { stream: old, seq: 100 });
        bench.wait(ANSWER_MS_MAX + 1);
        assert!(bench.link.detail().is_some());
        bench.sent.clear();
        (bench, old)
    };
    // Its chain was compared, and all of it is there.
    let (mut bench, old) = held();
    bench.take(Event::Heads(vec![Known { stream: old, head: 8, acknowledged: 8, incarnation: 1 }]));
    assert_eq!((bench.link.detail(), bench.link.waiting()), (None, 8));
    // The centre was put back to where it has less.
    let (mut bench, old) = held();
    bench.take(Event::Acknowledged { stream: old, seq: 4, incarnation: 2 });
    assert_eq!((bench.link.detail(), bench.link.waiting()), (None, 12));
    // Nobody could compare it: it is tried again now and then, so that another history is refused and not overlooked.
    for broken in [false, true] {
        let (mut bench, old) = held();
        if broken {
            bench.take(Event::Disconnected { why: String::new(), random: 0 });
            bench.take(Event::Connected);
        } else {
            bench.wait(300_000);
        }
        let batch = bench.sent.iter().rfind(|(stream, _)| *stream == old).unwrap().1.batch;
        bench.take(Event::Ahead { stream: old, seq: 100 });
        bench.refuse(batch, RefusalReason::Contradicts);
        assert_eq!(bench.link.contradicted_streams(), [old]);
    }
}
