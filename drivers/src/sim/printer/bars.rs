//! The bars of linear barcodes, as widths that alternate black and white. Pure; after ISO/IEC 15420 (EAN) and
//! ISO/IEC 15417 (Code 128).

/// A digit's widths in EAN's set A; set B is the mirror image of set C, and set C has the same widths as A.
const EAN_DIGITS: [[u8; 4]; 10] = [
    [3, 2, 1, 1],
    [2, 2, 2, 1],
    [2, 1, 2, 2],
    [1, 4, 1, 1],
    [1, 1, 3, 2],
    [1, 2, 3, 1],
    [1, 1, 1, 4],
    [1, 3, 1, 2],
    [1, 2, 1, 3],
    [3, 1, 1, 2],
];

/// Which of the six left digits are in set B (1), by the first digit.
const EAN_FIRST: [[u8; 6]; 10] = [
    [0, 0, 0, 0, 0, 0],
    [0, 0, 1, 0, 1, 1],
    [0, 0, 1, 1, 0, 1],
    [0, 0, 1, 1, 1, 0],
    [0, 1, 0, 0, 1, 1],
    [0, 1, 1, 0, 0, 1],
    [0, 1, 1, 1, 0, 0],
    [0, 1, 0, 1, 0, 1],
    [0, 1, 0, 1, 1, 0],
    [0, 1, 1, 0, 1, 0],
];

/// Modules of an EAN-13, true for black; `None` unless there are thirteen digits.
pub(super) fn ean13(text: &str) -> Option<Vec<bool>> {
    let digits: Vec<usize> =
        text.chars().map(|c| c.to_digit(10).and_then(|d| usize::try_from(d).ok())).collect::<Option<_>>()?;
    let [first, left @ .., _, _, _, _, _, _] = &digits[..] else { return None };
    if left.len() != 6 {
        return None;
    }
    let mut modules = vec![true, false, true];
    for (digit, set) in left.iter().zip(EAN_FIRST[*first]) {
        let mut widths = EAN_DIGITS[*digit];
        if set == 1 {
            widths.reverse();
        }
        append(&mut modules, false, &widths);
    }
    modules.extend([false, true, false, true, false]);
    for digit in &digits[7..] {
        append(&mut modules, true, &EAN_DIGITS[*digit]);
    }
    modules.extend([true, false, true]);
    Some(modules)
}

/// Widths of the Code 128 symbols 0 to 105, black first.
const CODE128: [&str; 106] = [
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

const CODE128_STOP: [u8; 7] = [2, 3, 3, 1, 1, 1, 2];

/// Modules of a Code 128 in code set B, true for black; `None` for anything but printable ASCII.
pub(super) fn code128(text: &str) -> Option<Vec<bool>> {
    const START_B: usize = 104;
    let mut symbols = vec![START_B];
    for c in text.bytes() {
        symbols.push(usize::from(c.checked_sub(0x20).filter(|value| *value < 95)?));
    }
    let sum: usize = symbols.iter().enumerate().map(|(place, symbol)| place.max(1) * symbol).sum();
    symbols.push(sum % 103);
    let mut modules = Vec::new();
    for symbol in symbols {
        let widths: Vec<u8> = CODE128[symbol].bytes().map(|digit| digit - b'0').collect();
        append(&mut modules, true, &widths);
    }
    append(&mut modules, true, &CODE128_STOP);
    Some(modules)
}

fn append(modules: &mut Vec<bool>, first_is_black: bool, widths: &[u8]) {
    let mut black = first_is_black;
    for width in widths {
        modules.extend(std::iter::repeat_n(black, usize::from(*width)));
        black = !black;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ean13_has_95_modules_and_is_the_published_pattern() {
        let modules = ean13("4006381333931").unwrap();
        let drawn: String = modules.iter().map(|black| if *black { '1' } else { '0' }).collect();
        let left = "101 0001101 0100111 0101111 0111101 0001001 0110011";
        let right = "01010 1000010 1000010 1000010 1110100 1000010 1100110 101";
        assert_eq!(drawn, format!("{left}{right}").replace(' ', ""));
        assert_eq!(ean13("400638133393"), None);
    }

    #[test]
    fn each_code128_symbol_is_eleven_modules_wide_and_unlike_the_others() {
        for (value, widths) in CODE128.iter().enumerate() {
            assert_eq!(widths.bytes().map(|digit| u32::from(digit - b'0')).sum::<u32>(), 11, "{value}");
            assert_eq!(CODE128.iter().filter(|other| *other == widths).count(), 1, "{value}");
        }
        assert_eq!(code128("A").unwrap().len(), 3 * 11 + 13);
        assert_eq!(code128("é"), None);
    }
}
