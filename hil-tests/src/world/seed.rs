//! What a new world is filled with, through the product's own commands.

use std::fs;

use super::{ADMIN, Gateway, Place, TENANT, WorldError};
use crate::demo_data::{BRANCHES, file};

/// Tenant, branches, people, catalogue and recalls.
pub(crate) async fn centre(gateway: &Gateway, place: &Place) -> Result<(), WorldError> {
    let written = |name: &str| {
        let path = place.folder().join(name);
        fs::write(&path, file(name)).map_err(WorldError::disk("write", &path))?;
        Ok::<_, WorldError>(path.display().to_string())
    };
    gateway.admin(&["tenant-add", TENANT, "--name", "Demo Pharmacies"], "").await?;
    for (slug, street) in BRANCHES.into_iter().zip(["1 North Street", "2 South Street"]) {
        let name = format!("{} Pharmacy", capitalised(slug));
        let branch = [
            "branch-add",
            "--tenant",
            TENANT,
            slug,
            "--name",
            &name,
            "--address",
            street,
            "--address",
            "Exampleton",
            "--currency",
            "EUR",
            "--time-zone",
            "Europe/Berlin",
        ];
        gateway.admin(&branch, "").await?;
    }
    let user = ["user-add", "--tenant", TENANT, ADMIN.0, "--name", "Demo Admin", "--role", "admin"];
    gateway.admin(&user, ADMIN.1).await?;
    gateway.admin(&["catalogue-import", "--tenant", TENANT, &written("catalogue.csv")?], "").await?;
    gateway.admin(&["recall-import", "--tenant", TENANT, &written("recalls.csv")?], "").await?;
    gateway.admin(&["staff-import", "--tenant", TENANT, &written("staff.csv")?], "").await?;
    Ok(())
}

/// A one-time claim code for a box of that branch.
pub(crate) async fn claim(gateway: &Gateway, branch: &str) -> Result<String, WorldError> {
    gateway.admin(&["claim", "--tenant", TENANT, branch], "").await
}

/// A branch's opening stock.
pub(crate) fn stock(branch: &str) -> String {
    file(&format!("opening-stock-{branch}.csv"))
}

fn capitalised(slug: &str) -> String {
    let mut letters = slug.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
