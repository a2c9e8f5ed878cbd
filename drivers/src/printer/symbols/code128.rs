//! Code 128 as modules, in the fewest symbol characters. Pure; after ISO/IEC 15417.

use pestle_domain::document::Fnc3;

/// What a Code 128 is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Element {
    /// An ASCII character.
    Ascii(u8),
    /// Function 1: at the start, the mark of GS1-128; later, the separator of its elements.
    Fnc1,
    /// Function 3: the code programs the scanner that reads it.
    Fnc3,
}

/// The elements of a GS1-128: FNC1, and the element string with FNC1 for each GS.
#[must_use]
pub fn gs1(element_string: &str) -> Vec<Element> {
    let element = |byte: u8| if byte == 0x1d { Element::Fnc1 } else { Element::Ascii(byte) };
    std::iter::once(Element::Fnc1).chain(element_string.bytes().map(element)).collect()
}

/// The elements of a code that programs a scanner.
#[must_use]
pub fn scanner_code(text: &str, fnc3: Fnc3) -> Vec<Element> {
    let mut elements = plain(text);
    let place = match fnc3 {
        Fnc3::First => 0,
        Fnc3::Last => elements.len(),
    };
    elements.insert(place, Element::Fnc3);
    elements
}

/// The elements of a plain text.
#[must_use]
pub fn plain(text: &str) -> Vec<Element> {
    text.bytes().map(Element::Ascii).collect()
}

/// A code set. A has capitals and control characters, B capitals and small letters, C pairs of digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Set {
    A,
    B,
    C,
}

/// Of two ways of one length the earlier set is taken: digits in pairs, then what most texts are made of.
const SETS: [Set; 3] = [Set::C, Set::B, Set::A];

impl Set {
    fn place(self) -> usize {
        match self {
            Set::A => 0,
            Set::B => 1,
            Set::C => 2,
        }
    }

    fn start(self) -> u8 {
        match self {
            Set::A => 103,
            Set::B => 104,
            Set::C => 105,
        }
    }

    fn letter(self) -> u8 {
        match self {
            Set::A => b'A',
            Set::B => b'B',
            Set::C => b'C',
        }
    }

    /// The symbol character that switches to this set from any other.
    fn switch(self) -> u8 {
        match self {
            Set::A => 101,
            Set::B => 100,
            Set::C => 99,
        }
    }

    /// The symbol character of the elements at the front, and how many of them it takes.
    fn encode(self, elements: &[Element]) -> Option<(u8, usize)> {
        match (self, elements) {
            (_, [Element::Fnc1, ..]) => Some((102, 1)),
            (Set::A | Set::B, [Element::Fnc3, ..]) => Some((96, 1)),
            (Set::A, [Element::Ascii(byte @ 0..0x20), ..]) => Some((byte + 64, 1)),
            (Set::A, [Element::Ascii(byte @ 0x20..0x60), ..])
            | (Set::B, [Element::Ascii(byte @ 0x20..0x80), ..]) => Some((byte - 0x20, 1)),
            (Set::C, [Element::Ascii(tens @ b'0'..=b'9'), Element::Ascii(ones @ b'0'..=b'9'), ..]) => {
                Some(((tens - b'0') * 10 + (ones - b'0'), 2))
            }
            _ => None,
        }
    }
}

/// Puts the one character that follows in the other of sets A and B.
const SHIFT: u8 = 98;

/// One symbol character, or two where the first shifts, on the cheapest way to the end.
#[derive(Debug, Clone, Copy)]
struct Step {
    cost: usize,
    /// Symbol characters, from the left.
    symbols: [Option<u8>; 2],
    takes: usize,
    then: Set,
}

/// The symbol characters with start and check character, without the stop pattern: as few as can be.
/// `None` for anything that is not ASCII.
fn symbols(elements: &[Element]) -> Option<Vec<u8>> {
    // From the end to the front: the cheapest way to the end from each place in each set.
    let mut ways: Vec<[Option<Step>; 3]> = vec![[None; 3]; elements.len() + 1];
    let cost_from = |ways: &[[Option<Step>; 3]], at: usize, set: Set| {
        if at == elements.len() { Some(0) } else { ways.get(at)?[set.place()].map(|step| step.cost) }
    };
    for at in (0..elements.len()).rev() {
        let here = elements.get(at..).unwrap_or_default();
        for set in SETS {
            let mut best: Option<Step> = None;
            let mut offer = |symbols: [Option<u8>; 2], takes: usize, then: Set| {
                let Some(rest) = cost_from(&ways, at + takes, then) else { return };
                let cost = rest + symbols.iter().flatten().count();
                if best.is_none_or(|best| cost < best.cost) {
                    best = Some(Step { cost, symbols, takes, then });
                }
            };
            if let Some((symbol, takes)) = set.encode(here) {
                offer([Some(symbol), None], takes, set);
            }
            for other in SETS.into_iter().filter(|other| *other != set) {
                let Some((symbol, takes)) = other.encode(here) else { continue };
                offer([Some(other.switch()), Some(symbol)], takes, other);
                if set != Set::C && other != Set::C {
                    offer([Some(SHIFT), Some(symbol)], takes, set);
                }
            }
            if let Some(place) = ways.get_mut(at) {
                place[set.place()] = best;
            }
        }
    }
    let set = SETS
        .into_iter()
        .filter_map(|set| cost_from(&ways, 0, set).map(|cost| (cost, set)))
        .min_by_key(|(cost, _)| *cost)?
        .1;
    let mut symbols = vec![set.start()];
    let (mut at, mut set) = (0, set);
    while at < elements.len() {
        let step = ways.get(at)?[set.place()]?;
        symbols.extend(step.symbols.iter().flatten());
        (at, set) = (at + step.takes, step.then);
    }
    let sum: usize =
        symbols.iter().enumerate().map(|(place, symbol)| place.max(1) * usize::from(*symbol)).sum();
    symbols.push(u8::try_from(sum % 103).ok()?);
    Some(symbols)
}

/// Modules of a Code 128, true for black. `None` for nothing, and for anything that is not ASCII.
#[must_use]
pub fn code128(elements: &[Element]) -> Option<Vec<bool>> {
    let mut modules = Vec::new();
    for symbol in symbols(elements).filter(|_| !elements.is_empty())? {
        let widths: Vec<u8> = WIDTHS.get(usize::from(symbol))?.bytes().map(|digit| digit - b'0').collect();
        super::append(&mut modules, true, &widths);
    }
    super::append(&mut modules, true, &STOP);
    Some(modules)
}

/// The data of a printer's own Code 128 (`GS k 73`): code sets as `{A`, `{B`, `{C`, a shift as `{S`, functions as `{1` and
/// `{3`, a brace doubled, and pairs of digits as one byte. `None` as for [`code128`].
#[must_use]
pub fn native(elements: &[Element]) -> Option<Vec<u8>> {
    let mut symbols = symbols(elements).filter(|_| !elements.is_empty())?;
    symbols.pop();
    let (mut data, mut set, mut shifted) = (Vec::new(), Set::B, None);
    for symbol in symbols {
        let here = shifted.take().unwrap_or(set);
        let switched =
            SETS.into_iter().find(|to| symbol == to.start() || (symbol == to.switch() && here != *to));
        match (switched, symbol) {
            (Some(to), _) => {
                set = to;
                data.extend([b'{', to.letter()]);
            }
            (None, 102) => data.extend(b"{1"),
            (None, _) if here == Set::C => data.push(symbol),
            (None, 96) => data.extend(b"{3"),
            (None, SHIFT) => {
                shifted = Some(if set == Set::A { Set::B } else { Set::A });
                data.extend(b"{S");
            }
            (None, 0..64) => data.push(symbol + 32),
            (None, _) if here == Set::A => data.push(symbol - 64),
            (None, 91) => data.extend(b"{{"),
            (None, _) => data.push(symbol + 32),
        }
    }
    Some(data)
}

/// Widths of the symbol characters 0 to 105, black first.
const WIDTHS: [&str; 106] = [
    "212222", "222122", "222221", "121223", "121322", "131222", "122213", "122312", "132212", "221213",
    "221312", "231212", "112232", "122132", "122231", "113222", "123122", "123221", "223211", "221132",
    "221231", "213212", "223112", "312131", "311222", "321122", "321221", "312212", "322112", "322211",
    "212123", "212321", "232121", "111323", "131123", "131321", "112313", "132113", "132311", "211313",
    "231113", "231311", "112133", "112331", "132131", "113123", "113321", "133121", "313121", "211331",
    "231131", "213113", "213311", "213131", "311123", "311321", "331121", "312113", "312311", "332111",
    "314111", "221411", "431111", "111224", "111422", "121124", "121421", "141122", "141221", "112214",
    "112412", "122114", "122411", "142112", "142211", "241211", "221114", "413111", "241112", "134111",
    "111242", "121142", "121241", "114212", "124112", "124211", "411212", "421112", "421211", "212141",
    "214121", "412121", "111143", "111341", "131141", "114113", "114311", "411113", "411311", "113141",
    "114131", "311141", "411131", "211412", "211214", "211232",
];

const STOP: [u8; 7] = [2, 3, 3, 1, 1, 1, 2];

#[cfg(test)]
mod tests {
    use super::*;

    fn check(elements: &[Element], expected: &[u8]) {
        let mut symbols = symbols(elements).unwrap();
        symbols.pop();
        assert_eq!(symbols, expected, "{elements:?}");
    }

    #[test]
    fn the_fewest_symbol_characters_are_taken() {
        check(&plain("Pestle"), &[104, 48, 69, 83, 84, 76, 69]);
        check(&plain("123456"), &[105, 12, 34, 56]);
        // A switch to C costs one and pays from four digits at an end, from six in the middle.
        check(&plain("ab1234"), &[104, 65, 66, 99, 12, 34]);
        check(&plain("ab1234cd"), &[104, 65, 66, 17, 18, 19, 20, 67, 68]);
        check(&plain("12345"), &[105, 12, 34, 100, 21]);
        // One control character among small letters is shifted.
        check(&plain("a\tb"), &[104, 65, SHIFT, 73, 66]);
        check(&plain("\t\t"), &[103, 73, 73]);
    }

    #[test]
    fn gs1_128_begins_with_fnc1_and_has_it_between_elements() {
        check(&gs1("0109521234543213\u{1d}10A"), &[105, 102, 1, 9, 52, 12, 34, 54, 32, 13, 102, 10, 100, 33]);
    }

    #[test]
    fn a_programming_code_begins_or_ends_with_fnc3() {
        check(&scanner_code("B001", Fnc3::First), &[104, 96, 34, 16, 16, 17]);
        check(&scanner_code("~A.", Fnc3::Last), &[104, 94, 33, 14, 96]);
    }

    #[test]
    fn a_printer_is_told_the_same_symbol_characters() {
        let check = |elements: &[Element], expected: &[u8]| assert_eq!(native(elements).unwrap(), expected);
        check(&plain("T1-{7}"), b"{BT1-{{7}");
        check(&plain("ab1234"), b"{Bab{C\x0c\x22");
        check(&plain("99100"), b"{C\x63\x0a{B0");
        check(&plain("a\tb"), b"{Ba{S\tb");
        check(&plain("\t\tAB"), b"{A\t\tAB");
        check(&gs1("10AB\u{1d}21"), b"{C{1\x0a{BAB{121");
        check(&scanner_code("B001", Fnc3::First), b"{B{3B001");
        check(&scanner_code("~A.", Fnc3::Last), b"{B~A.{3");
        assert_eq!(native(&[]), None);
    }

    #[test]
    fn each_symbol_character_is_eleven_modules_wide_and_unlike_the_others() {
        for (value, widths) in WIDTHS.iter().enumerate() {
            assert_eq!(widths.bytes().map(|digit| u32::from(digit - b'0')).sum::<u32>(), 11, "{value}");
            assert_eq!(WIDTHS.iter().filter(|other| *other == widths).count(), 1, "{value}");
        }
        assert_eq!(code128(&plain("A")).unwrap().len(), 3 * 11 + 13);
        assert_eq!(code128(&plain("é")), None);
        assert_eq!(code128(&[]), None);
    }
}
