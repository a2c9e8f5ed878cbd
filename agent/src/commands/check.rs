//! What `config check` says of a configuration that is good: a line of what it holds, and a line for whatever in it works and
//! needs care all the same.

use std::collections::BTreeSet;

use pestle_drivers::printer::render::pictures::Pictures;

use crate::{config::Config, devices};

/// What is said of a box whose journal keeps nothing that the centre has.
const WITHOUT_RETENTION: &str = "journal.retention_days is 0, which is for measuring alone: write 35.";

/// What the configuration holds, and its concerns behind it.
pub fn summary(config: &Config) -> String {
    let tills: Vec<_> = config.tills.iter().map(|till| till.id.to_string()).collect();
    let holds = format!(
        "The configuration is good: data in {}, pages on {}{}, tills {}; {} scanners, {} printers, {} sensor lines.",
        config.data_dir.display(),
        config.web.listen,
        if config.web.tls { " with TLS" } else { "" },
        tills.join(", "),
        config.scanners.len(),
        config.printers.len(),
        config.buses.len()
    );
    std::iter::once(holds).chain(concerns(config)).collect::<Vec<_>>().join("\n")
}

/// What works, and not as well as it could. Reads the logos.
pub fn concerns(config: &Config) -> Vec<String> {
    let retention = config.journal.retention.is_zero().then(|| WITHOUT_RETENTION.to_owned());
    retention.into_iter().chain(missing_logos(config)).chain(unkept(config)).collect()
}

/// Devices that are whatever stands behind a device file.
fn unkept(config: &Config) -> Vec<String> {
    let said = devices::bound_by_files(config).into_iter().map(|(name, file)| {
        format!(
            "{name} is bound by the device file {}: whatever stands there is used, nobody is asked when it was exchanged, and it is \
             not rested when it comes and goes. Bind it by a name that \"pestle-agent devices list\" shows.",
            file.display()
        )
    });
    said.collect()
}

/// Logos that cannot be printed as they are now. Receipts come out without them.
fn missing_logos(config: &Config) -> Vec<String> {
    let pictures = Pictures::in_folder(config.artwork.pictures.clone());
    let logos: BTreeSet<&str> = config.tills.iter().filter_map(|till| till.logo.as_deref()).collect();
    // As small as can be: whether it can be read is asked, not how it looks.
    let unreadable = |logo: &str| pictures.draw(logo, 1, 1).err();
    let said = logos.into_iter().filter_map(|logo| {
        let why = unreadable(logo)?;
        Some(format!("Receipts are printed without their logo: {why}."))
    });
    said.collect()
}
