//! Makes a failing life short: steps are left out, in ever smaller runs, for as long as what is left still fails (Zeller
//! and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002).

use super::schedule::Planned;

/// The shortest schedule that is found for which `fails` still holds. `fails` is asked at most `tries` times.
pub fn shrink(
    schedule: &[Planned],
    mut tries: usize,
    mut fails: impl FnMut(&[Planned]) -> bool,
) -> Vec<Planned> {
    let mut kept = schedule.to_vec();
    let mut run = kept.len().div_ceil(2);
    while run > 0 {
        let mut at = 0;
        let mut shorter = false;
        while at < kept.len() && tries > 0 {
            let end = (at + run).min(kept.len());
            let without: Vec<Planned> = kept[..at].iter().chain(&kept[end..]).cloned().collect();
            tries -= 1;
            if fails(&without) {
                kept = without;
                shorter = true;
            } else {
                at = end;
            }
        }
        if tries == 0 {
            break;
        }
        if run > 1 || !shorter {
            run /= 2;
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulation::schedule::draw;

    #[test]
    fn a_failing_schedule_is_shrunk_to_the_two_steps_that_matter() {
        let schedule = draw(7);
        let matter = [schedule[3].clone(), schedule[schedule.len() - 2].clone()];
        let fails = |steps: &[Planned]| matter.iter().all(|one| steps.contains(one));
        assert_eq!(shrink(&schedule, 1_000, fails), matter);
    }
}
