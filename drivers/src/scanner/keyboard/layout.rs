//! What a key types, by layout and level; and which keys type a character. Pure, both ways.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{
    keys::{self, KEY_KPDOT, KEY_SPACE},
    tables::{self, Rows, Table},
};

/// The country for which a scanner types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// United States: what most scanners are delivered with.
    Us,
    /// United Kingdom.
    Uk,
    /// Germany and Austria, QWERTZ.
    German,
    /// France, AZERTY.
    French,
    /// Spain.
    Spanish,
}

/// Which of a key's characters is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// The key alone.
    Plain,
    /// With Shift.
    Shift,
    /// With AltGr.
    AltGr,
}

/// What a key types at a level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Glyph {
    /// The character; of a dead key, its accent by itself.
    pub character: char,
    /// It waits for the next key.
    pub dead: bool,
}

/// A key and the level at which it is pressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stroke {
    /// Its code.
    pub code: u16,
    /// With which modifier.
    pub level: Level,
}

/// A layout's name that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no keyboard layout: write one of us, uk, german, french, spanish")]
pub struct UnknownLayout(String);

impl Layout {
    /// All of them, in the order in which they are tried.
    pub const ALL: [Layout; 5] = [Layout::Us, Layout::Uk, Layout::German, Layout::French, Layout::Spanish];

    /// What the key types at this level; `None` for a key or a level that types nothing. The numeric keypad types the
    /// same at every level: a scanner that presses its keys means digits, whatever Num Lock says.
    #[must_use]
    pub fn glyph(self, code: u16, level: Level) -> Option<Glyph> {
        if code == KEY_SPACE {
            return Some(Glyph { character: ' ', dead: false });
        }
        let table = self.table();
        if code == KEY_KPDOT {
            return Some(Glyph { character: table.keypad_decimal, dead: false });
        }
        if let Some(character) = keys::keypad(code) {
            return Some(Glyph { character, dead: false });
        }
        let character = match level {
            Level::Plain => in_rows(&table.plain, code)?,
            Level::Shift => in_rows(&table.shift, code)?,
            Level::AltGr => table.alt_gr.iter().find(|(key, _)| *key == code)?.1,
        };
        Some(Glyph { character, dead: table.dead.contains(&(code, level)) })
    }

    /// Does Caps Lock work as Shift on this key? On letters it does everywhere; on a German or French layout on digits
    /// and signs too.
    #[must_use]
    pub fn caps_shifts(self, code: u16) -> bool {
        let table = self.table();
        table.caps_also.contains(&code)
            || matches!((in_rows(&table.plain, code), in_rows(&table.shift, code)),
                (Some(small), Some(large)) if small != large && small.to_uppercase().eq([large]))
    }

    /// Has it a third level? Without one, the right Alt key is an Alt key.
    #[must_use]
    pub fn has_alt_gr(self) -> bool {
        !self.table().alt_gr.is_empty()
    }

    /// The keys that type `character`: one, or a dead key and what follows it. `None` if no keys do.
    #[must_use]
    pub fn strokes(self, character: char) -> Option<Vec<Stroke>> {
        const SPACE: Stroke = Stroke { code: KEY_SPACE, level: Level::Plain };
        if character == ' ' {
            return Some(vec![SPACE]);
        }
        let all = || self.all_strokes();
        if let Some((stroke, _)) = all().find(|(_, glyph)| glyph.character == character && !glyph.dead) {
            return Some(vec![stroke]);
        }
        if let Some((stroke, _)) = all().find(|(_, glyph)| glyph.character == character) {
            return Some(vec![stroke, SPACE]);
        }
        all().filter(|(_, glyph)| glyph.dead).find_map(|(accent, dead)| {
            let (letter, _) = all()
                .find(|(_, glyph)| tables::accented(dead.character, glyph.character) == Some(character))?;
            Some(vec![accent, letter])
        })
    }

    /// Every key of the main block at every level at which it types something.
    pub fn all_strokes(self) -> impl Iterator<Item = (Stroke, Glyph)> {
        let codes = (2..=13).chain(16..=27).chain(30..=41).chain([43]).chain(44..=53).chain([86]);
        codes.flat_map(move |code| {
            [Level::Plain, Level::Shift, Level::AltGr]
                .into_iter()
                .filter_map(move |level| Some((Stroke { code, level }, self.glyph(code, level)?)))
        })
    }

    /// Its name in configurations.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Layout::Us => "us",
            Layout::Uk => "uk",
            Layout::German => "german",
            Layout::French => "french",
            Layout::Spanish => "spanish",
        }
    }

    fn table(self) -> &'static Table {
        match self {
            Layout::Us => &tables::US,
            Layout::Uk => &tables::UK,
            Layout::German => &tables::GERMAN,
            Layout::French => &tables::FRENCH,
            Layout::Spanish => &tables::SPANISH,
        }
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Layout {
    type Err = UnknownLayout;

    fn from_str(name: &str) -> Result<Layout, UnknownLayout> {
        Layout::ALL.into_iter().find(|l| l.as_str() == name).ok_or_else(|| UnknownLayout(name.to_owned()))
    }
}

fn in_rows(rows: &Rows, code: u16) -> Option<char> {
    let (row, first) = match code {
        2..=13 => (rows.digits, 2),
        16..=27 => (rows.upper, 16),
        30..=40 => (rows.home, 30),
        44..=53 => (rows.lower, 44),
        41 => (rows.others, 41),
        43 => (rows.others, 42),
        86 => (rows.others, 84),
        _ => return None,
    };
    row.chars().nth(usize::from(code - first)).filter(|c| *c != '\0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_layout_types_every_printable_ascii_character() {
        for layout in Layout::ALL {
            for character in ' '..='~' {
                let strokes =
                    layout.strokes(character).unwrap_or_else(|| panic!("{layout} has no {character}"));
                assert!((1..=2).contains(&strokes.len()), "{layout} {character}");
            }
        }
    }

    #[test]
    fn every_row_has_a_character_for_each_of_its_keys() {
        for layout in Layout::ALL {
            for rows in [&layout.table().plain, &layout.table().shift] {
                let lengths = [rows.digits, rows.upper, rows.home, rows.lower, rows.others]
                    .map(|row| row.chars().count());
                assert_eq!(lengths, [12, 12, 11, 10, 3], "{layout}");
            }
        }
    }

    #[test]
    fn any_two_layouts_differ_in_a_character_that_gs1_element_strings_use() {
        // Which is why one DataMatrix tells the layout: see `learn::sheet`.
        let of_gs1 = |c: &char| "!\"%&'()*+,-./:;<=>?_".contains(*c) || c.is_ascii_alphanumeric();
        for (place, one) in Layout::ALL.into_iter().enumerate() {
            for other in Layout::ALL.into_iter().skip(place + 1) {
                let differs = |c: char| one.strokes(c) != other.strokes(c);
                assert!((' '..='~').filter(of_gs1).any(differs), "{one} {other}");
            }
        }
    }

    #[test]
    fn caps_lock_is_a_shift_lock_where_windows_has_it_so() {
        let key_1 = 2;
        let shifted: Vec<_> = Layout::ALL.into_iter().filter(|layout| layout.caps_shifts(key_1)).collect();
        assert_eq!(shifted, [Layout::German, Layout::French]);
        assert!(Layout::Spanish.caps_shifts(39), "ñ is a letter");
        assert!(!Layout::German.caps_shifts(12 + 1), "a dead key is not shifted");
        assert!(!Layout::French.caps_shifts(86));
    }

    #[test]
    fn a_layout_s_name_is_read_back() {
        for layout in Layout::ALL {
            assert_eq!(layout.to_string().parse(), Ok(layout));
            assert_eq!(serde_json::to_string(&layout).unwrap(), format!("\"{layout}\""));
        }
        assert!("dvorak".parse::<Layout>().unwrap_err().to_string().contains("write one of us, uk"));
    }
}
