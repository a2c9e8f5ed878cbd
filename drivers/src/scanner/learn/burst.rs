//! What arrived in one go, and the ways to read it while it is not known how the scanner types. Pure.

use super::settings::Wire;
use crate::scanner::{
    keyboard::{
        decode::{DecodeRules, Decoder, KeyChange, KeyState, Typed},
        keys::KEY_F8,
        layout::Layout,
        record::{EV_KEY, KeyRecord},
    },
    page::{self, PageKey},
};

/// What arrived between two silences: one scan, if a person scans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Burst {
    /// Of a serial line.
    Bytes(Vec<u8>),
    /// Of an input device.
    Keys(Vec<KeyRecord>),
    /// Of a browser.
    Page(Vec<PageKey>),
}

/// A burst as text, read in one way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ReadBurst {
    /// In which way.
    pub(super) wire: Wire,
    /// What it says; what has no meaning there is the replacement character.
    pub(super) text: String,
    /// The key F8 was pressed; in the text it stands as GS.
    pub(super) has_f8: bool,
}

impl Burst {
    /// Reads it in every way that is possible, in the order in which they are preferred.
    pub(super) fn readings(&self) -> Vec<ReadBurst> {
        match self {
            Burst::Bytes(bytes) => {
                let text = String::from_utf8_lossy(bytes).into_owned();
                vec![ReadBurst { wire: Wire::Serial, text, has_f8: false }]
            }
            Burst::Keys(records) => {
                let keys = records.iter().filter(|record| record.kind == EV_KEY);
                let events: Vec<_> = keys.map(|record| (record.code, change(record.value))).collect();
                let has_f8 = events.contains(&(KEY_F8, KeyChange::Press));
                Layout::ALL
                    .into_iter()
                    .map(|layout| {
                        let text = decoded(layout, &events);
                        ReadBurst { wire: Wire::Keyboard { layout }, text, has_f8 }
                    })
                    .collect()
            }
            Burst::Page(keys) => {
                let has_f8 = keys.iter().any(PageKey::is_f8);
                let by_code = Layout::ALL.into_iter().map(Some).chain([None]);
                by_code
                    .map(|layout| {
                        let text = page::text(keys, layout, true);
                        ReadBurst { wire: Wire::Page { layout }, text, has_f8 }
                    })
                    .collect()
            }
        }
    }
}

fn change(value: i32) -> KeyChange {
    match value {
        0 => KeyChange::Release,
        1 => KeyChange::Press,
        _ => KeyChange::Repeat,
    }
}

fn decoded(layout: Layout, events: &[(u16, KeyChange)]) -> String {
    let mut decoder = Decoder::new(DecodeRules { layout, function_keys: true }, &KeyState::default());
    let mut typed: Vec<Typed> =
        events.iter().flat_map(|(code, change)| decoder.key(*code, *change)).collect();
    typed.extend(decoder.flush());
    typed.iter().map(Typed::character_or_replacement).collect()
}
