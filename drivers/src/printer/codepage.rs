//! Code pages: which byte prints which character. Pure, both ways.
//!
//! A receipt printer holds some tables of 256 characters and is told which one to use, as often as one likes within a
//! line. [`encode_line`] writes a line in as few changes as it can; what no page of the model has is drawn as an image
//! ([`compose`](super::compose)). Only where that cannot be, it is replaced where a stand-in is usual ("ł" by "l") and by
//! "?" otherwise, counted and told, since a wrong character in a product's name may matter.
//!
//! Pages of scripts that run from the right (862, 864, 1255, 1256) are left out: printers put such text in no order and
//! join no letters, so it is always drawn.

mod tables;

use std::sync::OnceLock;

use serde::Deserialize;

/// A table of characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CodePage {
    /// USA, the table that every printer has. No euro.
    Pc437,
    /// Greek.
    Pc737,
    /// Baltic.
    Pc775,
    /// Multilingual Latin 1. No euro.
    Pc850,
    /// Latin 2, central Europe. No euro.
    Pc852,
    /// Cyrillic of the Balkans.
    Pc855,
    /// Turkish.
    Pc857,
    /// As 850, with the euro sign.
    Pc858,
    /// Portuguese.
    Pc860,
    /// Canadian French.
    Pc863,
    /// Nordic.
    Pc865,
    /// Russian Cyrillic.
    Pc866,
    /// Windows, central Europe, with the euro sign.
    Wpc1250,
    /// Windows Cyrillic, with the euro sign.
    Wpc1251,
    /// Windows Latin 1, with the euro sign.
    Wpc1252,
    /// Windows Greek, with the euro sign.
    Wpc1253,
    /// Windows Turkish, with the euro sign.
    Wpc1254,
    /// Windows Baltic, with the euro sign.
    Wpc1257,
    /// ISO Latin 2. No euro.
    Iso8859_2,
    /// ISO Greek, with the euro sign since 2003.
    Iso8859_7,
    /// ISO Latin 9, with the euro sign.
    Iso8859_15,
}

/// A page, and its number in `ESC t` on one model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NumberedPage {
    /// Which.
    pub page: CodePage,
    /// What the model calls it.
    pub number: u8,
}

/// A character that was not printed as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replaced {
    /// What was asked for.
    pub wanted: char,
    /// What was printed instead; "?" when there is no usual stand-in.
    pub printed: String,
    /// How often.
    pub times: u32,
}

impl Replaced {
    /// Notes that `wanted` was printed as `printed` once more.
    pub(super) fn note(all: &mut Vec<Replaced>, wanted: char, printed: &str) {
        match all.iter_mut().find(|known| known.wanted == wanted) {
            Some(known) => known.times += 1,
            None => all.push(Replaced { wanted, printed: printed.to_owned(), times: 1 }),
        }
    }
}

impl CodePage {
    const COUNT: usize = CodePage::Iso8859_15 as usize + 1;

    /// The byte that prints `wanted`, if this page has it.
    #[must_use]
    pub fn encode(self, wanted: char) -> Option<u8> {
        if matches!(wanted, ' '..='~') {
            return u8::try_from(wanted).ok();
        }
        if wanted.is_control() || wanted == char::REPLACEMENT_CHARACTER {
            return None;
        }
        let bytes = self.bytes();
        let place = bytes.binary_search_by_key(&wanted, |(character, _)| *character).ok()?;
        bytes.get(place).map(|(_, byte)| *byte)
    }

    /// Appends the bytes that print `text`; false at the first character that this page lacks.
    fn encode_all(self, text: &str, bytes: &mut Vec<u8>) -> bool {
        let mut rest = text;
        loop {
            // Most of what is printed is ASCII, in whole words.
            let plain = rest.bytes().position(|byte| !matches!(byte, b' '..=b'~')).unwrap_or(rest.len());
            let Some((ascii, other)) = rest.split_at_checked(plain) else { return false };
            bytes.extend_from_slice(ascii.as_bytes());
            let mut characters = other.chars();
            let Some(wanted) = characters.next() else { return true };
            let Some(byte) = self.encode(wanted) else { return false };
            bytes.push(byte);
            rest = characters.as_str();
        }
    }

    /// The character that `byte` prints; the replacement character where the page has a hole.
    #[must_use]
    pub fn decode(self, byte: u8) -> char {
        match byte {
            0..128 => char::from(byte),
            128.. => {
                let place = usize::from(byte) - 128;
                self.upper_half().get(place).copied().unwrap_or(char::REPLACEMENT_CHARACTER)
            }
        }
    }

    /// The bytes from 128 to 255 by their characters, sorted; of two that print the same, the first.
    fn bytes(self) -> &'static [(char, u8)] {
        static SORTED: [OnceLock<Vec<(char, u8)>>; CodePage::COUNT] =
            [const { OnceLock::new() }; CodePage::COUNT];
        let sorted = || {
            let mut bytes: Vec<_> = self.upper_half().iter().copied().zip(128..=u8::MAX).collect();
            bytes.sort_unstable();
            bytes.dedup_by_key(|(character, _)| *character);
            bytes
        };
        SORTED.get(self as usize).map_or(&[], |page| page.get_or_init(sorted))
    }

    /// The characters of bytes 128 to 255.
    fn upper_half(self) -> &'static [char] {
        static DECODED: [OnceLock<Vec<char>>; CodePage::COUNT] = [const { OnceLock::new() }; CodePage::COUNT];
        DECODED.get(self as usize).map_or(&[], |page| page.get_or_init(|| self.table().chars().collect()))
    }

    fn table(self) -> &'static str {
        match self {
            CodePage::Pc437 => tables::PC437,
            CodePage::Pc737 => tables::PC737,
            CodePage::Pc775 => tables::PC775,
            CodePage::Pc850 => tables::PC850,
            CodePage::Pc852 => tables::PC852,
            CodePage::Pc855 => tables::PC855,
            CodePage::Pc857 => tables::PC857,
            CodePage::Pc858 => tables::PC858,
            CodePage::Pc860 => tables::PC860,
            CodePage::Pc863 => tables::PC863,
            CodePage::Pc865 => tables::PC865,
            CodePage::Pc866 => tables::PC866,
            CodePage::Wpc1250 => tables::WPC1250,
            CodePage::Wpc1251 => tables::WPC1251,
            CodePage::Wpc1252 => tables::WPC1252,
            CodePage::Wpc1253 => tables::WPC1253,
            CodePage::Wpc1254 => tables::WPC1254,
            CodePage::Wpc1257 => tables::WPC1257,
            CodePage::Iso8859_2 => tables::ISO8859_2,
            CodePage::Iso8859_7 => tables::ISO8859_7,
            CodePage::Iso8859_15 => tables::ISO8859_15,
        }
    }
}

/// Appends a line in bytes of `pages`, with `ESC t` where the page changes; `current` is the page that the printer has.
/// False, and nothing appended or changed, when a character is in none of them.
#[must_use]
pub fn encode_line(
    text: &str,
    pages: &[NumberedPage],
    current: &mut Option<NumberedPage>,
    bytes: &mut Vec<u8>,
) -> bool {
    let start = bytes.len();
    let mut page = *current;
    // The page that is there, or the best that has all of it: a line is not torn over two pages of which one would do.
    for one in current.iter().chain(pages) {
        change_page(*one, &mut page, bytes);
        if one.page.encode_all(text, bytes) {
            *current = page;
            return true;
        }
        bytes.truncate(start);
        page = *current;
    }
    let mut rest = text;
    while !rest.is_empty() {
        let reach = |page: &NumberedPage| {
            rest.char_indices().find(|(_, c)| page.page.encode(*c).is_none()).map_or(rest.len(), |(at, _)| at)
        };
        // As far as the page that is there reaches; then the one that reaches farthest, of two alike the better.
        let here = page.filter(|page| reach(page) > 0);
        let next = here.or_else(|| pages.iter().copied().rev().max_by_key(reach));
        let run = next.and_then(|next| Some((next, rest.split_at_checked(reach(&next))?)));
        let Some((next, (run, after))) = run.filter(|(_, (run, _))| !run.is_empty()) else {
            bytes.truncate(start);
            return false;
        };
        change_page(next, &mut page, bytes);
        next.page.encode_all(run, bytes);
        rest = after;
    }
    *current = page;
    true
}

/// `ESC t n`, where the printer does not have the page already.
pub fn change_page(wanted: NumberedPage, current: &mut Option<NumberedPage>, bytes: &mut Vec<u8>) {
    if *current != Some(wanted) {
        bytes.extend([0x1b, b't', wanted.number]);
        *current = Some(wanted);
    }
}

/// Writes `text` in bytes of `page`, and notes in `replaced` what the page does not have.
#[must_use]
pub fn encode_text(text: &str, page: CodePage, replaced: &mut Vec<Replaced>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    for wanted in text.chars() {
        if let Some(byte) = page.encode(wanted) {
            bytes.push(byte);
            continue;
        }
        let printed = stand_in(wanted, page);
        bytes.extend(printed.chars().filter_map(|c| page.encode(c)));
        Replaced::note(replaced, wanted, &printed);
    }
    bytes
}

/// What is printed for a character that `page` lacks. As many characters as were laid out for it (one), so that amounts
/// stay in their column.
fn stand_in(wanted: char, page: CodePage) -> String {
    let usual = match wanted {
        '\u{2018}' | '\u{2019}' | '\u{201a}' | '\u{2032}' => '\'',
        '\u{201c}' | '\u{201d}' | '\u{201e}' | '\u{2033}' => '"',
        '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{ad}' => '-',
        '\u{a0}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\t' => ' ',
        '\u{2022}' => '*',
        '\u{2026}' => '.',
        '×' => 'x',
        'Ł' => 'L',
        'ł' => 'l',
        'Š' | 'Ś' | 'Ş' => 'S',
        'š' | 'ś' | 'ş' => 's',
        'Ž' | 'Ź' | 'Ż' => 'Z',
        'ž' | 'ź' | 'ż' => 'z',
        'Č' | 'Ć' => 'C',
        'č' | 'ć' => 'c',
        'Ř' => 'R',
        'ř' => 'r',
        'Ě' | 'Ę' | 'É' | 'È' | 'Ê' | 'Ë' => 'E',
        'ě' | 'ę' => 'e',
        'Ą' | 'Ă' | 'Á' | 'À' | 'Â' | 'Ã' => 'A',
        'ą' | 'ă' | 'ã' => 'a',
        'Đ' | 'Ď' => 'D',
        'đ' | 'ď' => 'd',
        'Ň' | 'Ń' => 'N',
        'ň' | 'ń' => 'n',
        'Ť' | 'Ţ' => 'T',
        'ť' | 'ţ' => 't',
        'Ő' | 'Ó' | 'Ò' | 'Ô' | 'Õ' | 'Ø' => 'O',
        'ő' | 'õ' | 'ø' => 'o',
        'Ů' | 'Ű' | 'Ú' | 'Ù' | 'Û' => 'U',
        'ů' | 'ű' => 'u',
        'İ' | 'Í' | 'Ì' | 'Î' | 'Ï' => 'I',
        'ı' => 'i',
        'Ğ' => 'G',
        'ğ' => 'g',
        'Ý' | 'Ÿ' => 'Y',
        'ý' | 'ÿ' => 'y',
        _ => '?',
    };
    let printed = if page.encode(usual).is_some() { usual } else { '?' };
    printed.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGES: [CodePage; 21] = [
        CodePage::Pc437,
        CodePage::Pc737,
        CodePage::Pc775,
        CodePage::Pc850,
        CodePage::Pc852,
        CodePage::Pc855,
        CodePage::Pc857,
        CodePage::Pc858,
        CodePage::Pc860,
        CodePage::Pc863,
        CodePage::Pc865,
        CodePage::Pc866,
        CodePage::Wpc1250,
        CodePage::Wpc1251,
        CodePage::Wpc1252,
        CodePage::Wpc1253,
        CodePage::Wpc1254,
        CodePage::Wpc1257,
        CodePage::Iso8859_2,
        CodePage::Iso8859_7,
        CodePage::Iso8859_15,
    ];

    #[test]
    fn each_page_decodes_what_it_encodes() {
        for page in PAGES {
            assert_eq!(page.upper_half().len(), 128, "{page:?}");
            for byte in 32..=255u8 {
                let c = page.decode(byte);
                if c != char::REPLACEMENT_CHARACTER && byte != 0x7f {
                    assert_eq!(page.encode(c), Some(byte), "{page:?} {byte:#x}");
                }
            }
        }
    }

    fn check(text: &str, page: CodePage, expected: &[u8], expected_replaced: &[(char, &str, u32)]) {
        let mut replaced = Vec::new();
        assert_eq!(encode_text(text, page, &mut replaced), expected);
        let replaced: Vec<_> = replaced.iter().map(|r| (r.wanted, r.printed.as_str(), r.times)).collect();
        assert_eq!(replaced, expected_replaced);
    }

    #[test]
    fn the_euro_is_in_858_and_1252_and_nowhere_else() {
        check("5 €", CodePage::Pc858, b"5 \xd5", &[]);
        check("5 €", CodePage::Wpc1252, b"5 \x80", &[]);
        check("5 €", CodePage::Pc437, b"5 ?", &[('€', "?", 1)]);
    }

    #[test]
    fn what_a_page_lacks_is_replaced_and_told() {
        check("’Łódź’", CodePage::Pc858, b"'L\xa2dz'", &[('’', "'", 2), ('Ł', "L", 1), ('ź', "z", 1)]);
        check("漢\n", CodePage::Pc858, b"??", &[('漢', "?", 1), ('\n', "?", 1)]);
    }

    const NUMBERED: [NumberedPage; 3] = [
        NumberedPage { page: CodePage::Pc858, number: 19 },
        NumberedPage { page: CodePage::Wpc1252, number: 16 },
        NumberedPage { page: CodePage::Pc866, number: 17 },
    ];

    fn check_line(text: &str, expected: Option<&[u8]>) {
        let mut current = Some(NUMBERED[0]);
        let mut bytes = Vec::new();
        assert_eq!(encode_line(text, &NUMBERED, &mut current, &mut bytes), expected.is_some(), "{text}");
        assert_eq!(bytes, expected.unwrap_or_default(), "{text}");
    }

    #[test]
    fn a_line_changes_its_page_only_where_it_must() {
        check_line("5 €", Some(b"5 \xd5"));
        check_line("€ ’", Some(b"\x1bt\x10\x80 \x92"));
        check_line("Ж", Some(b"\x1bt\x11\x86"));
        check_line("5 € Ж ’", Some(b"5 \xd5 \x1bt\x11\x86 \x1bt\x10\x92"));
        check_line("", Some(b""));
    }

    #[test]
    fn a_line_with_a_character_of_no_page_is_not_written_at_all() {
        for text in ["漢", "a漢b", "Ж漢", "שלום"] {
            let mut current = Some(NUMBERED[0]);
            let mut bytes = b"before".to_vec();
            assert!(!encode_line(text, &NUMBERED, &mut current, &mut bytes));
            assert_eq!((current, &bytes[..]), (Some(NUMBERED[0]), &b"before"[..]));
        }
    }

    #[test]
    fn a_control_character_in_a_text_never_reaches_the_printer() {
        for page in PAGES {
            for c in (0..32u8).chain([127]).map(char::from) {
                let bytes = encode_text(&c.to_string(), page, &mut Vec::new());
                assert!(bytes.iter().all(|b| *b >= 32 && *b != 127), "{page:?} {c:?}");
            }
        }
    }
}
