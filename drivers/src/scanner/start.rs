//! One place where a scanner of any kind is started, and how a configuration names it.

use std::{fmt, str::FromStr};

use super::{
    Scanner,
    framing::FramingRules,
    keyboard::{
        decode::DecodeRules,
        evdev::{KeyboardScanner, KeyboardScannerSettings},
        layout::Layout,
        source::KeySource,
    },
    learn::settings::Learned,
    serial::{SerialScanner, SerialScannerSettings},
};
use crate::{
    device::DeviceName,
    find::device::DeviceClass,
    line::{LineAddress, place::DevicePlace},
};

/// Where a scanner is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScannerAddress {
    /// It sends bytes.
    Line(LineAddress),
    /// It types.
    Keyboard(KeySource),
}

/// All that a scanner's driver needs, whatever its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScannerSettings {
    /// What the branch calls it.
    pub name: DeviceName,
    /// Where it is.
    pub address: ScannerAddress,
    /// What a keyboard-mode scanner types for, while nothing was learned.
    pub layout: Layout,
    /// How it frames scans, while nothing was learned.
    pub framing: FramingRules,
    /// A serial scanner that the configuration believes, while nothing was learned.
    pub proved: bool,
    /// What was learned with the sheet of test codes.
    pub learned: Option<Learned>,
}

/// Starts a scanner's driver. A scanner that is not there is told as a fault, and read when it comes.
/// Must be called within a tokio runtime.
#[must_use]
pub fn start(settings: ScannerSettings) -> Box<dyn Scanner> {
    let ScannerSettings { name, address, layout, framing, proved, learned } = settings;
    match address {
        ScannerAddress::Line(line) => {
            Box::new(SerialScanner::start(SerialScannerSettings { name, line, framing, proved, learned }))
        }
        ScannerAddress::Keyboard(source) => {
            // Keys that mean separators on some scanners only are believed once they were learned.
            let decoding = DecodeRules { layout, function_keys: false };
            Box::new(KeyboardScanner::start(KeyboardScannerSettings {
                name,
                source,
                decoding,
                framing,
                learned,
            }))
        }
    }
}

impl ScannerAddress {
    /// What stands where the device is, and as what it is opened. `None` on the network.
    #[must_use]
    pub fn place(&self) -> Option<(&DevicePlace, DeviceClass)> {
        match self {
            ScannerAddress::Line(line) => line.place(),
            ScannerAddress::Keyboard(KeySource::Device(place)) => Some((place, DeviceClass::Input)),
            #[cfg(feature = "sim")]
            ScannerAddress::Keyboard(KeySource::Stream(_)) => None,
        }
    }

    /// The same scanner elsewhere: wherever its keeper says, or at a file.
    #[must_use]
    pub fn at(self, place: DevicePlace) -> ScannerAddress {
        match self {
            ScannerAddress::Line(line) => ScannerAddress::Line(line.at(place)),
            ScannerAddress::Keyboard(KeySource::Device(_)) => {
                ScannerAddress::Keyboard(KeySource::Device(place))
            }
            #[cfg(feature = "sim")]
            far @ ScannerAddress::Keyboard(KeySource::Stream(_)) => far,
        }
    }
}

/// For logs and people: where it is.
impl fmt::Display for ScannerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ScannerAddress::Line(line) => line.fmt(f),
            ScannerAddress::Keyboard(KeySource::Device(place)) => place.fmt(f),
            #[cfg(feature = "sim")]
            ScannerAddress::Keyboard(KeySource::Stream(path)) => write!(f, "{}", path.display()),
        }
    }
}

/// As a configuration writes it: `keyboard:` and a device file under `/dev/input` or a name that stays, or the address of a line.
impl FromStr for ScannerAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<ScannerAddress, String> {
        #[cfg(feature = "sim")]
        if let Some(socket) = text.strip_prefix("keyboard-stream:") {
            return Ok(ScannerAddress::Keyboard(KeySource::Stream(socket.into())));
        }
        match text.strip_prefix("keyboard:") {
            None => text.parse().map(ScannerAddress::Line),
            Some("") => Err(format!(
                "address is \"{text}\": write \"keyboard:/dev/input/by-id/…-event-kbd\", or a name from `pestle-agent devices list`"
            )),
            Some(place) => {
                let place = DevicePlace::written(place).map_err(|error| error.to_string())?;
                Ok(ScannerAddress::Keyboard(KeySource::Device(place)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scanner_is_named_by_the_kind_of_its_line() {
        let address = |text: &str| text.parse::<ScannerAddress>();
        let by_id = address("keyboard:/dev/input/by-id/usb-Maker_Scanner-event-kbd").unwrap();
        assert!(
            matches!(by_id, ScannerAddress::Keyboard(KeySource::Device(DevicePlace::File(_)))),
            "{by_id:?}"
        );
        let selected = address("keyboard:usb:05e0:1200:S1").unwrap();
        assert_eq!(selected.place().map(|(_, class)| class), Some(DeviceClass::Input));
        assert!(matches!(address("tcp://192.0.2.7:4001"), Ok(ScannerAddress::Line(LineAddress::Tcp(_)))));
        assert!(address("keyboard:").unwrap_err().contains("event-kbd"));
        assert!(address("usb").is_err());
    }
}
