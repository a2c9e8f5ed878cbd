//! The devices at the counter and in the cold room, behind three small traits.
//!
//! | trait | driver | what it tells |
//! |---|---|---|
//! | [`Scanner`](scanner::Scanner) | [`SerialScanner`](scanner::serial::SerialScanner) | scans with time, source and whether the scanner is proved; what was no barcode; coming and going |
//! | [`Printer`](printer::Printer) | [`EscPosPrinter`](printer::driver::EscPosPrinter) | one honest [`Outcome`](printer::Outcome) for each job, the drawer, its status at any time |
//! | [`Sensor`](sensor::Sensor) | [`ModbusSensor`](sensor::bus::ModbusSensor) | a temperature, or the reason why there is none |
//!
//! Each driver is one task that owns its line, and a handle. A device that is away is no error at start: the driver tells a
//! [`DeviceEvent`](device::DeviceEvent) and takes the device into use when it comes, or comes back, by itself. Dropping the
//! handle ends the task and frees the line.
//!
//! What can be decided without a line is pure and stands apart: [`scanner::framing`], [`printer::compose`],
//! [`printer::codepage`], [`printer::raster`], [`printer::status`], [`sensor::profile`], [`sensor::answer`], [`backoff`].
//! What differs between models is data: `printer/models.toml`, `sensor/profiles.toml`, both of which a branch can add to.
//!
//! With the feature `sim` there is a simulator for each kind of device (`sim`), which speaks the device's own
//! bytes over a pseudo-terminal or TCP.

pub mod backoff;
pub mod device;
pub mod printer;
pub mod scanner;
pub mod sensor;
pub mod serial;
#[cfg(feature = "sim")]
pub mod sim;
