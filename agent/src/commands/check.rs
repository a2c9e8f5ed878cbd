//! What `config check` says of a configuration that is good: a line of what it holds, and a line for whatever in it works and
//! needs care all the same.

use std::{collections::BTreeSet, path::Path};

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

/// Where the appliance mounts its data partition (`images/root/etc/fstab`).
const APPLIANCE_DATA: &str = "/var/lib/pestle";
/// The one port for the pages that the appliance's firewall lets in, and that its screen leaves out of the address.
const APPLIANCE_PORT: u16 = 443;

/// The serial port of the appliance's console (`images/build.sh`).
const APPLIANCE_CONSOLE: &str = "ttyS0";

/// What in a good configuration would make an appliance useless: what is wrong, and what to write. Nobody can sign in there to mend
/// it.
pub fn unfit_for_the_appliance(config: &Config) -> Vec<String> {
    let listen = config.web.listen;
    let is_reached = listen.port() == APPLIANCE_PORT && !listen.ip().to_canonical().is_loopback();
    let pages = (!is_reached).then(|| {
        format!(
            "web.listen is \"{listen}\", where no till reaches the pages of this box: write [web] with listen = \"0.0.0.0:{APPLIANCE_PORT}\""
        )
    });
    let data = (config.data_dir != Path::new(APPLIANCE_DATA)).then(|| {
        format!(
            "data_dir is \"{}\", and this box keeps only what lies in {APPLIANCE_DATA}: leave data_dir out, or write \"{APPLIANCE_DATA}\"",
            config.data_dir.display()
        )
    });
    let console = devices::at_port(config, APPLIANCE_CONSOLE).into_iter().map(|name| {
        format!(
            "{name} is at {APPLIANCE_CONSOLE}, the first serial port, which is this box's own console: use its next one, or a USB adapter"
        )
    });
    pages.into_iter().chain(data).chain(console).collect()
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
