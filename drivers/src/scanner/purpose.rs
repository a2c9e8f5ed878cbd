//! What a programming code is for, and how what the scanner sends then comes to the box. Pure.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a code does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Everything as it was delivered.
    FactoryDefault,
    /// A carriage return behind each scan.
    SuffixCr,
    /// USB serial (CDC-ACM).
    UsbSerial,
    /// USB keyboard.
    UsbKeyboard,
    /// Types for the United States.
    KeyboardUs,
    /// Types for the United Kingdom.
    KeyboardUk,
    /// Types for Germany.
    KeyboardGerman,
    /// Types for France.
    KeyboardFrench,
    /// Types for Spain.
    KeyboardSpanish,
    /// Names the symbology before each scan.
    SymbologyIds,
    /// Sends GS, as a byte or as Ctrl+].
    TransmitGs,
}

impl Purpose {
    /// Each, in the order in which they are listed.
    pub const ALL: [Purpose; 11] = [
        Purpose::FactoryDefault,
        Purpose::SuffixCr,
        Purpose::UsbSerial,
        Purpose::UsbKeyboard,
        Purpose::KeyboardUs,
        Purpose::KeyboardUk,
        Purpose::KeyboardGerman,
        Purpose::KeyboardFrench,
        Purpose::KeyboardSpanish,
        Purpose::SymbologyIds,
        Purpose::TransmitGs,
    ];

    /// As a file of codes and a command write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Purpose::FactoryDefault => "factory_default",
            Purpose::SuffixCr => "suffix_cr",
            Purpose::UsbSerial => "usb_serial",
            Purpose::UsbKeyboard => "usb_keyboard",
            Purpose::KeyboardUs => "keyboard_us",
            Purpose::KeyboardUk => "keyboard_uk",
            Purpose::KeyboardGerman => "keyboard_german",
            Purpose::KeyboardFrench => "keyboard_french",
            Purpose::KeyboardSpanish => "keyboard_spanish",
            Purpose::SymbologyIds => "symbology_ids",
            Purpose::TransmitGs => "transmit_gs",
        }
    }

    /// For a page and the sheet.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Purpose::FactoryDefault => "Factory default",
            Purpose::SuffixCr => "Suffix: carriage return",
            Purpose::UsbSerial => "USB serial",
            Purpose::UsbKeyboard => "USB keyboard",
            Purpose::KeyboardUs => "Keyboard: United States",
            Purpose::KeyboardUk => "Keyboard: United Kingdom",
            Purpose::KeyboardGerman => "Keyboard: Germany",
            Purpose::KeyboardFrench => "Keyboard: France",
            Purpose::KeyboardSpanish => "Keyboard: Spain",
            Purpose::SymbologyIds => "Symbology identifiers (AIM)",
            Purpose::TransmitGs => "Send the separator GS",
        }
    }
}

impl FromStr for Purpose {
    type Err = String;

    fn from_str(text: &str) -> Result<Purpose, String> {
        Purpose::ALL.into_iter().find(|purpose| purpose.name() == text).ok_or_else(|| {
            let known = Purpose::ALL.map(Purpose::name).join(", ");
            format!("no code does \"{text}\"; there are {known}")
        })
    }
}

/// How what a scanner sends comes to the box.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Comes {
    /// As bytes over a serial line.
    OverLine,
    /// As keys, typed into the box or into a page.
    AsKeys,
}
