//! All figures, one after the other.

use std::path::Path;

use anyhow::{Result, bail};

use super::{
    commit, disk, footprint, group, ingest, link, million,
    place::{Cores, WorkFolder},
    queues, receipt, relay,
    report::{Failure, Report, Row},
    scan,
    stats::Scale,
    stock_check,
};
use crate::world::{Place, World};

/// The figures by name, in the order of measuring.
pub const FIGURES: [&str; 12] = [
    "commit",
    "group",
    "scan",
    "receipt",
    "relay",
    "link",
    "ingest",
    "queues",
    "stock",
    "footprint",
    "million",
    "disk",
];
/// Of these, what takes so long that it is measured only when it is named.
pub const BY_NAME: [&str; 1] = ["disk"];

/// What is not measured, since it is measured only when it is named.
pub fn left_out(wanted: &[String]) -> Vec<&'static str> {
    BY_NAME.into_iter().filter(|name| !is_wanted(wanted, name)).collect()
}

/// Where none is named, all but [`BY_NAME`].
fn is_wanted(wanted: &[String], name: &str) -> bool {
    (wanted.is_empty() && !BY_NAME.contains(&name)) || wanted.iter().any(|other| other == name)
}

/// Measures `wanted` (where none is named, all but [`BY_NAME`]), and tells `tell` what is being done.
///
/// # Errors
/// When nothing can be measured here at all. What fails by itself is in the report.
pub async fn run(wanted: &[String], scale: Scale, tell: &dyn Fn(&str)) -> Result<Report> {
    if let Some(unknown) = wanted.iter().find(|name| !FIGURES.contains(&name.as_str())) {
        bail!("there is no figure \"{unknown}\": write some of {}", FIGURES.join(", "));
    }
    let folder = WorkFolder::make()?;
    let cores = Cores::find()?;
    let mut report = Report::default();
    for name in FIGURES.into_iter().filter(|name| is_wanted(wanted, name)) {
        tell(name);
        match Box::pin(figure(name, folder.path(), cores, scale)).await {
            Ok(rows) => report.rows.extend(rows.into_iter().map(|row| row.of_figure(name))),
            Err(error) => {
                report.failures.push(Failure { name: name.to_owned(), error: format!("{error:#}") })
            }
        }
    }
    Ok(report)
}

async fn figure(name: &str, folder: &Path, cores: Cores, scale: Scale) -> Result<Vec<Row>> {
    Ok(match name {
        "commit" => {
            let folder = folder.to_owned();
            // Beside this task, so that Ctrl-C is heard meanwhile.
            tokio::task::spawn_blocking(move || commit::measure(&folder, scale)).await??
        }
        "group" => {
            let folder = folder.to_owned();
            tokio::task::spawn_blocking(move || group::measure(&folder, scale)).await??
        }
        "receipt" => vec![receipt::measure(scale).await?],
        "relay" => vec![relay::measure(folder, cores, scale).await?],
        "link" => vec![link::measure(folder, cores, scale).await?],
        "queues" => queues::measure(folder, cores, scale).await?,
        "million" => million::measure(folder, cores, scale).await?,
        "disk" => vec![disk::measure(folder, cores, scale).await?],
        "ingest" => vec![ingest::measure(folder, scale).await?],
        "stock" => vec![stock_check::measure(folder, cores, scale).await?],
        "scan" => {
            let world = world(folder).await?;
            let rows = scan::measure(&world, folder, scale).await;
            end(world).await?;
            rows?
        }
        _ => {
            let world = world(folder).await?;
            let row = footprint::memory(&world, scale).await;
            let full = footprint::full_books(&world, folder, cores, scale).await;
            end(world).await?;
            vec![row?.noting(full?), footprint::program(folder)?]
        }
    })
}

/// The demo's world, new.
async fn world(folder: &Path) -> Result<World> {
    let place = Place::at(&folder.join("world"))?;
    place.begin_anew()?;
    Ok(World::start(place, &|_| ()).await?)
}

async fn end(world: World) -> Result<()> {
    world.stop().await;
    let place = world.place.clone();
    drop(world);
    Ok(place.remove()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_measured_only_by_name_is_told_as_left_out_until_it_is_named() {
        assert_eq!(left_out(&[]), BY_NAME);
        assert_eq!(left_out(&["commit".to_owned()]), BY_NAME);
        assert!(left_out(&["commit".to_owned(), "disk".to_owned()]).is_empty());
    }
}
