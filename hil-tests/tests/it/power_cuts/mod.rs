//! What was told survives power cuts and a disk that fails, and the harness that says so is tried itself.

mod agent;
mod faults;
mod journal;
mod mounts;

/// Another seed at each run finds more in a year; the run says which it was.
fn drawn() -> u64 {
    let seed = uuid::Uuid::now_v7().as_u64_pair().1;
    println!("seed {seed}");
    seed
}
