//! Code pages: which byte prints which character. Pure, both ways.
//!
//! A receipt printer holds some tables of 256 characters and is told which one to use. What a table lacks is
//! replaced where a stand-in is usual ("ł" by "l"), and becomes "?" otherwise; either way it is counted and told, since
//! a wrong character in a product's name may matter. Drawing such characters as an image is later work.
//!
//! The upper halves are those of the vendors' mapping tables at unicode.org (MAPPINGS/VENDORS/MICSFT); the lower half
//! is ASCII in all of them.

use serde::Deserialize;

/// A table of characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CodePage {
    /// USA, the table that every printer has. No euro.
    Pc437,
    /// Multilingual Latin 1. No euro.
    Pc850,
    /// Latin 2, central Europe. No euro.
    Pc852,
    /// As 850, with the euro sign.
    Pc858,
    /// Windows Latin 1, with the euro sign.
    Wpc1252,
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

impl CodePage {
    /// The byte that prints `wanted`, if this page has it.
    #[must_use]
    pub fn encode(self, wanted: char) -> Option<u8> {
        if matches!(wanted, ' '..='~') {
            return u8::try_from(wanted).ok();
        }
        if wanted.is_control() || wanted == char::REPLACEMENT_CHARACTER {
            return None;
        }
        let place = self.upper_half().chars().position(|c| c == wanted)?;
        u8::try_from(place + 128).ok()
    }

    /// The character that `byte` prints; the replacement character where the page has a hole.
    #[must_use]
    pub fn decode(self, byte: u8) -> char {
        match byte {
            0..128 => char::from(byte),
            128.. => {
                self.upper_half().chars().nth(usize::from(byte) - 128).unwrap_or(char::REPLACEMENT_CHARACTER)
            }
        }
    }

    fn upper_half(self) -> &'static str {
        match self {
            CodePage::Pc437 => PC437,
            CodePage::Pc850 => PC850,
            CodePage::Pc852 => PC852,
            CodePage::Pc858 => PC858,
            CodePage::Wpc1252 => WPC1252,
        }
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
        match replaced.iter_mut().find(|r| r.wanted == wanted) {
            Some(known) => known.times += 1,
            None => replaced.push(Replaced { wanted, printed, times: 1 }),
        }
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

const PC437: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}";
const PC850: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜø£Ø×ƒáíóúñÑªº¿®¬½¼¡«»░▒▓│┤ÁÂÀ©╣║╗╝¢¥┐└┴┬├─┼ãÃ╚╔╩╦╠═╬¤ðÐÊËÈıÍÎÏ┘┌█▄¦Ì▀ÓßÔÒõÕµþÞÚÛÙýÝ¯´\u{ad}±‗¾¶§÷¸°¨·¹³²■\u{a0}";
const PC852: &str = "ÇüéâäůćçłëŐőîŹÄĆÉĹĺôöĽľŚśÖÜŤťŁ×čáíóúĄąŽžĘę¬źČş«»░▒▓│┤ÁÂĚŞ╣║╗╝Żż┐└┴┬├─┼Ăă╚╔╩╦╠═╬¤đĐĎËďŇÍÎě┘┌█▄ŢŮ▀ÓßÔŃńňŠšŔÚŕŰýÝţ´\u{ad}˝˛ˇ˘§÷¸°¨˙űŘř■\u{a0}";
const PC858: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜø£Ø×ƒáíóúñÑªº¿®¬½¼¡«»░▒▓│┤ÁÂÀ©╣║╗╝¢¥┐└┴┬├─┼ãÃ╚╔╩╦╠═╬¤ðÐÊËÈ€ÍÎÏ┘┌█▄¦Ì▀ÓßÔÒõÕµþÞÚÛÙýÝ¯´\u{ad}±‗¾¶§÷¸°¨·¹³²■\u{a0}";
const WPC1252: &str = "€\u{fffd}‚ƒ„…†‡ˆ‰Š‹Œ\u{fffd}Ž\u{fffd}\u{fffd}‘’“”•–—˜™š›œ\u{fffd}žŸ\u{a0}¡¢£¤¥¦§¨©ª«¬\u{ad}®¯°±²³´µ¶·¸¹º»¼½¾¿ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÐÑÒÓÔÕÖ×ØÙÚÛÜÝÞßàáâãäåæçèéêëìíîïðñòóôõö÷øùúûüýþÿ";

#[cfg(test)]
mod tests {
    use super::*;

    const PAGES: [CodePage; 5] =
        [CodePage::Pc437, CodePage::Pc850, CodePage::Pc852, CodePage::Pc858, CodePage::Wpc1252];

    #[test]
    fn each_page_decodes_what_it_encodes() {
        for page in PAGES {
            assert_eq!(page.upper_half().chars().count(), 128, "{page:?}");
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
