//! Looks at the time that are put off while nothing is on its way.

use super::*;

impl Bench {
    /// Looks every 10 ms for `length`, and asserts that only such looks did anything that were not put off.
    fn rest(&mut self, length: Duration) -> u32 {
        let end_ms = self.now_ms + u64::try_from(length.as_millis()).unwrap();
        let (mut next_ms, mut looks) = (self.now_ms, 0);
        while self.now_ms < end_ms {
            let before = (self.connects, self.given_up, self.heads_stated, self.sent.len(), self.finished);
            let rival = self.link.has_rival();
            let is_due = self.now_ms >= next_ms;
            self.take(Event::Tick);
            let after = (self.connects, self.given_up, self.heads_stated, self.sent.len(), self.finished);
            if is_due {
                looks += 1;
                next_ms =
                    self.now_ms + u64::try_from(self.link.nothing_for(self.now_ms).as_millis()).unwrap();
            } else {
                let put_off_ms = next_ms - self.now_ms;
                assert!(
                    (before, rival) == (after, self.link.has_rival()) || put_off_ms <= 200,
                    "at {} ms, with the next look {put_off_ms} ms later: {before:?} became {after:?}",
                    self.now_ms
                );
                // What happened in between is an event, and each event looks anew.
                if before != after {
                    let pause = self.link.nothing_for(self.now_ms);
                    next_ms = next_ms.min(self.now_ms + u64::try_from(pause.as_millis()).unwrap());
                }
            }
            self.now_ms += 10;
        }
        looks
    }
}

#[test]
fn a_link_at_rest_looks_at_the_time_seldom_and_misses_nothing() {
    let mut bench = Bench::new(1, 100);
    // The broker takes connections and says nothing: each is given up and tried again.
    let looks = bench.rest(Duration::from_secs(120));
    assert!(bench.connects >= 4 && bench.given_up >= 4, "{} {}", bench.connects, bench.given_up);
    assert!(looks <= 60, "{looks} looks in two minutes");

    bench.take(Event::Connected);
    let stated = bench.heads_stated;
    let looks = bench.rest(Duration::from_secs(120));
    assert!(bench.heads_stated >= stated + 3, "{} after {stated}", bench.heads_stated);
    assert!(looks <= 40, "{looks} looks in two minutes");

    bench.take(Event::TakenOver { random: 7 });
    assert!(bench.link.has_rival());
    bench.take(Event::Connected);
    bench.rest(Duration::from_secs(310));
    assert!(!bench.link.has_rival(), "it is told no longer than five minutes");
}

#[test]
fn while_something_is_on_its_way_the_link_looks_often() {
    let mut bench = Bench::new(1, 100);
    bench.take(Event::Tick);
    bench.take(Event::Connected);
    bench.journal(LEDGER, 3);
    assert!(bench.link.waiting() > 0);
    assert_eq!(bench.link.nothing_for(bench.now_ms), Duration::from_millis(200));
    bench.take(Event::Drain);
    assert!(bench.link.nothing_for(bench.now_ms) <= Duration::from_millis(200));
}
