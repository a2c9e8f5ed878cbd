//! Ten rounds of chaos on real processes; `make chaos` plays as many as one likes.

use pestle_hil_tests::chaos::{self, Plan};

use crate::whole_product;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_rounds_of_kills_lose_nothing_and_count_nothing_twice() {
    let _alone = whole_product().await;
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("chaos");
    let plan = Plan { rounds: 10, seed: 3 };
    if let Err(error) = Box::pin(chaos::run(&place, plan, &|line| println!("{line}"))).await {
        let logs = ["gateway", "gateway-2", "agent-north", "agent-south"].map(|name| {
            let path = place.join("logs").join(format!("{name}.log"));
            format!("--- {name}\n{}", pestle_hil_tests::processes::log_tail(&path))
        });
        panic!("{error:#}\n{}", logs.join("\n"));
    }
}
