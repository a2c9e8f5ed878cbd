//! Ten rounds of chaos on real processes, `make chaos` plays as many as one likes; and a backlog that two gateways share.

use std::time::Duration;

use pestle_agent::identity::DeviceIdentity;
use pestle_domain::{
    ids::DeviceId,
    journal::{Lane, Stream},
};
use pestle_gateway::postgres::{
    Layout,
    cluster::{self, Access},
};
use pestle_hil_tests::{
    bench::{backlog::Backlog, queues::effects::Effects, real_centre::committed},
    chaos::{
        self, Plan,
        blows::{Blow, Victim},
        field::Field,
    },
    processes::log_tail,
    waiting::until,
    world::{Brokered, Place},
};
use sqlx::{Connection as _, PgConnection};

use crate::whole_product;

/// Several of the largest transactions: with fewer no gateway knows that it is a backlog.
const SALES: u64 = 4_000;
/// A debug build on two busy cores.
const SOON: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_rounds_of_kills_lose_nothing_and_count_nothing_twice() {
    let _alone = whole_product().await;
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("chaos");
    let plan = Plan { rounds: 10, seed: 3 };
    if let Err(error) = Box::pin(chaos::run(&place, plan, &|line| println!("{line}"))).await {
        let logs = ["gateway", "gateway-2", "agent-north", "agent-south"].map(|name| {
            let path = place.join("logs").join(format!("{name}.log"));
            format!("--- {name}\n{}", log_tail(&path))
        });
        panic!("{error:#}\n{}", logs.join("\n"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backlog_that_two_gateways_share_counts_once_although_each_is_killed_on_the_way() {
    let _alone = whole_product().await;
    let folder = tempfile::tempdir().unwrap();
    let place = Place::at(&folder.path().canonicalize().unwrap().join("backlog")).unwrap();
    place.begin_anew().unwrap();
    let field = Field::start(place.clone(), Brokered::ByMosquitto, &|line| println!("{line}")).await.unwrap();
    let branch = field.world.branch("north").unwrap();
    let data = place.branch("north");
    let device = DeviceIdentity::load(&data).unwrap().identity.device;
    let earlier = at_centre(&place, &device).await.unwrap().1;

    branch.stop().await;
    let backlog = Backlog::write(&data, ledger(&data), 0, SALES).await.unwrap();
    let seq = backlog.head().seq;
    backlog.close().await;
    branch.start().await.unwrap();
    let begun = until("the backlog's first facts at the centre", SOON, || async {
        let (reached, _) = at_centre(&place, &device).await?;
        if reached >= seq / 10 { Ok(()) } else { Err(format!("{reached} of {seq}")) }
    });
    begun.await.unwrap();
    let blow = |victim| Blow { victim, after: Duration::ZERO, down: Duration::from_millis(300) };
    assert_eq!(field.strike(&[blow(Victim::SecondGateway)]).await.unwrap(), [Victim::SecondGateway]);
    let (left, _) = at_centre(&place, &device).await.unwrap();
    assert!(left < seq, "everything was at the centre before the first was hit");
    assert_eq!(field.strike(&[blow(Victim::FirstGateway)]).await.unwrap(), [Victim::FirstGateway]);
    let all = until("the whole backlog at the centre", SOON, || async {
        let (reached, found) = at_centre(&place, &device).await?;
        if reached >= seq { Ok(found) } else { Err(format!("{reached} of {seq}")) }
    });
    let found = all.await.unwrap().since(&earlier);
    assert_eq!(Effects::of_sales(0, SALES).differences(&found), Vec::<String>::new());
    field.stop().await;
    drop(field);
    place.remove().unwrap();
}

/// The ledger of the box in that folder.
fn ledger(data: &std::path::Path) -> Stream {
    let who = DeviceIdentity::load(data).unwrap().identity;
    Stream {
        tenant: who.tenant,
        branch: who.branch,
        term: who.term,
        device: who.device,
        lane: Lane::Ledger,
        epoch: 1,
    }
}

/// How many facts of the box are at the centre, and what all of its branch's did.
async fn at_centre(place: &Place, device: &DeviceId) -> Result<(u64, Effects), String> {
    let told = |error: &dyn std::fmt::Display| error.to_string();
    let access = Access::read(&Layout::under(place.cluster())).map_err(|error| told(&error))?;
    let mut owner =
        PgConnection::connect(&access.dsn_root(cluster::DATABASE)).await.map_err(|error| told(&error))?;
    let reached = committed(&mut owner, device).await.map_err(|error| told(&error))?;
    let effects = Effects::at_centre(&mut owner, "north").await.map_err(|error| told(&error))?;
    owner.close().await.map_err(|error| told(&error))?;
    Ok((reached, effects))
}
