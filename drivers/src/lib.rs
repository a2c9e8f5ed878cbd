//! The devices at the counter and in the cold room, behind four small traits.
//!
//! | trait | driver | what it tells |
//! |---|---|---|
//! | [`Scanner`](scanner::Scanner) | [`SerialScanner`](scanner::serial::SerialScanner), [`KeyboardScanner`](scanner::keyboard::evdev::KeyboardScanner) | scans with time, source and whether the scanner is proved; what was no barcode; coming and going |
//! | [`Printer`](printer::Printer) | [`PrinterHandle`](printer::PrinterHandle) | one honest [`Outcome`](printer::Outcome) for each job, the drawer, its status at any time |
//! | [`Sensor`](sensor::Sensor) | [`ModbusSensor`](sensor::bus::ModbusSensor) | a temperature, or the reason why there is none |
//! | [`Input`](sensor::input::Input) | [`ModbusInput`](sensor::bus::ModbusInput) | how a door, the mains or an alarm stand, or the reason why nobody knows |
//!
//! Each driver is one task that owns its line, and a handle. A device that is away is no error at start: the driver tells a
//! [`DeviceEvent`](device::DeviceEvent) and takes the device into use when it comes, or comes back, by itself. Dropping the
//! handle ends the task and frees the line.
//!
//! [`line`] is how a device is reached, whatever it is plugged into; [`find`] is how it is found, and kept under its
//! name when cables move.
//!
//! What can be decided without a line is pure and stands apart: [`scanner::framing`], [`scanner::keyboard`] but for its
//! device, [`scanner::learn`] but for its session, [`scanner::page`], [`scanner::programming`], [`printer::compose`],
//! [`printer::codepage`], [`printer::raster`], [`printer::render`], [`printer::symbols`], [`printer::status`],
//! [`sensor::register`], [`sensor::profile`], [`sensor::answer`], [`sensor::place`], [`sensor::gap`], [`backoff`].
//! What differs between models is data: `printer/models.toml`, `sensor/profiles.toml`, both of which a branch can add to,
//! and `scanner/programming.toml`.
//!
//! With the feature `sim` there is a simulator for each kind of device (`sim`), which speaks the device's own
//! bytes over a pseudo-terminal or TCP.

pub mod backoff;
pub mod device;
pub mod find;
pub mod line;
pub mod printer;
pub mod scanner;
pub mod sensor;
#[cfg(feature = "sim")]
pub mod sim;
mod tables;
