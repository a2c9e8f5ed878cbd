//! The whole product's rules under every fault, from seeds.

mod conformance;

use std::sync::{
    Mutex,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use pestle_hil_tests::simulation::{
    self, Failure,
    bug::Bug,
    replay,
    schedule::{Planned, draw},
    shorten,
};

/// Lives that each run of the tests lives; `make simulate` lives more.
const LIVES: u64 = 2_000;
/// Each planted bug is found among so many.
const LIVES_TO_FIND_A_BUG: u64 = 400;

/// The first of some seeds that fails.
fn first_failure(seeds: u64, bug: Option<Bug>) -> Option<(u64, Failure)> {
    let next = AtomicU64::new(1);
    let found: Mutex<Vec<(u64, Failure)>> = Mutex::default();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Relaxed);
                    if seed > seeds {
                        return;
                    }
                    if let Err(failure) = simulation::live(seed, bug) {
                        next.store(seeds + 1, Relaxed);
                        found.lock().unwrap().push((seed, failure));
                    }
                }
            });
        }
    });
    found.into_inner().unwrap().into_iter().min_by_key(|(seed, _)| *seed)
}

#[test]
fn in_two_thousand_lives_nothing_is_lost_and_nothing_counts_twice() {
    if let Some((seed, failure)) = first_failure(LIVES, None) {
        let (short, shortest) = shorten(seed, &draw(seed), None);
        let story = shortest.map(|failure| failure.story.join("\n")).unwrap_or_default();
        panic!("{story}\n{short:#?}\nseed {seed}: {}\nagain: pestle-simulate --seed {seed}", failure.what);
    }
}

#[test]
fn each_of_the_planted_bugs_is_found() {
    let mut missed = Vec::new();
    for bug in Bug::ALL {
        match first_failure(LIVES_TO_FIND_A_BUG, Some(bug)) {
            Some((seed, failure)) => println!("{bug:?}: seed {seed}, {}", failure.what),
            None => missed.push(bug),
        }
    }
    assert!(missed.is_empty(), "not found in {LIVES_TO_FIND_A_BUG} lives: {missed:?}");
}

#[test]
fn a_seed_lives_the_same_life_every_time_and_another_seed_another() {
    let story = |seed| {
        let failed = replay(seed, draw(seed), Some(Bug::AckBeforeCommit), true);
        failed.err().map(|failure| (failure.at, failure.what, failure.story))
    };
    let failing: Vec<u64> = (1..200).filter(|seed| story(*seed).is_some()).take(2).collect();
    let [one, other] = failing[..] else { panic!("only {failing:?} fail") };
    assert_eq!(story(one), story(one));
    assert_ne!(story(one), story(other));
}

#[test]
fn a_failing_life_is_made_short_and_fails_again_from_its_file() {
    let bug = Some(Bug::AckBeforeCommit);
    let (seed, _) = first_failure(LIVES_TO_FIND_A_BUG, bug).unwrap();
    let (short, failure) = shorten(seed, &draw(seed), bug);
    assert!(short.len() <= 4, "{short:?}");
    let text = serde_json::to_string(&short).unwrap();
    let again: Vec<Planned> = serde_json::from_str(&text).unwrap();
    assert_eq!(replay(seed, again, bug, true).err(), failure);
    assert!(failure.is_some());
}
