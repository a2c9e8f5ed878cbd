//! The whole agent.

use pestle_hil_tests::disk::fault::Faults;
use pestle_hil_tests::power_cuts::agent_campaign;

use super::drawn;

/// Cuts of each run of the tests; `make power-cuts` makes more.
const CUTS: usize = 20;

#[tokio::test(flavor = "multi_thread")]
async fn a_box_whose_power_goes_while_it_sells_knows_each_sale_that_it_told_and_goes_on() {
    let _alone = crate::whole_product().await;
    let report = Box::pin(agent_campaign::run(CUTS, drawn(), &Faults::default())).await.unwrap();
    println!("{report:?}");
    assert_eq!(report.cuts, CUTS);
    assert!(report.sales >= CUTS, "{report:?}");
    assert!(report.in_flight > 0 && report.baskets > 0 && report.papers > 0, "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_harness_catches_a_disk_that_only_says_that_it_has_synced_the_journal() {
    let _alone = crate::whole_product().await;
    let faults = Faults { lies_about: Some("db".to_owned()), ..Faults::default() };
    let wrong = Box::pin(agent_campaign::run(CUTS, 1, &faults)).await.unwrap_err().to_string();
    println!("{wrong}");
    assert!(wrong.contains("seed 1, cut "), "{wrong}");
    // Of what was told something is missing, or its receipt's number was given again; not that it did not start, or that somebody waited too long.
    let is_lost =
        ["were told", "was told as sold, and is not there", "that speaks of damage", ": receipt till-"];
    assert!(is_lost.iter().any(|words| wrong.contains(words)), "{wrong}");
}
