//! The counter as its configuration has it. Pure.

use pestle_domain::ids::TillId;
use pestle_drivers::printer::start::PrinterKind;

use crate::cold::settings::ColdSettings;

/// One till as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TillSettings {
    /// In facts and on receipts.
    pub id: TillId,
    /// On the page.
    pub name: String,
    /// Which receipt printer, and so which drawer; without one receipts are not printed, and the page says so.
    pub printer: Option<String>,
    /// What types quickly into its page is a scanner.
    pub typed_scans: bool,
    /// Which label printer; without one labels come from the receipt printer.
    pub label_printer: Option<String>,
    /// Which office printer; without one reports come from the receipt printer.
    pub page_printer: Option<String>,
    /// The picture at the head of its receipts.
    pub logo: Option<String>,
}

/// The counter as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CounterSettings {
    /// At least one.
    pub tills: Vec<TillSettings>,
    /// Without a scan or a key for this long, the person is signed out.
    pub idle_sign_out_ms: u64,
    /// Which life of the store this is; receipts carry it.
    pub epoch: u32,
    /// This program's version: orders that an earlier one refused are tried again.
    pub agent: Box<str>,
    /// Cold places and probes.
    pub cold: ColdSettings,
    /// Printers that sound alarms.
    pub buzzers: Vec<String>,
}

/// For how long nobody may have done anything: a customer's question, not a coffee.
const IDLE_SIGN_OUT_MS: u64 = 10 * 60 * 1_000;

impl CounterSettings {
    /// The counter of a configuration. A till has at most one printer of each kind.
    pub fn from_config(config: &crate::config::Config, epoch: u32) -> Self {
        let printer = |till: &TillId, kind: PrinterKind| {
            let is_it = |one: &&crate::config::Printer| one.till == *till && one.settings.kind() == kind;
            config.printers.iter().find(is_it).map(|one| one.settings.name().to_string())
        };
        let tills = config.tills.iter().map(|till| TillSettings {
            id: till.id.clone(),
            name: till.name.clone(),
            printer: printer(&till.id, PrinterKind::EscPos),
            label_printer: printer(&till.id, PrinterKind::Zpl),
            page_printer: printer(&till.id, PrinterKind::Ipp),
            typed_scans: till.typed_scans,
            logo: till.logo.clone(),
        });
        let agent = env!("CARGO_PKG_VERSION").into();
        let buzzers = config.printers.iter().filter(|one| one.buzzer);
        Self {
            tills: tills.collect(),
            idle_sign_out_ms: IDLE_SIGN_OUT_MS,
            epoch,
            agent,
            cold: config.cold(),
            buzzers: buzzers.map(|one| one.settings.name().to_string()).collect(),
        }
    }

    /// The printers that tills print on.
    pub fn printers(&self) -> impl Iterator<Item = &str> {
        self.tills.iter().flat_map(TillSettings::printers)
    }
}
