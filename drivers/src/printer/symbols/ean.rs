//! EAN-13 and EAN-8 as modules. Pure; after ISO/IEC 15420.

/// A digit's widths in set A; set B is the mirror image of set C, and set C has the same widths as A.
const DIGITS: [[u8; 4]; 10] = [
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
const FIRST: [[u8; 6]; 10] = [
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

/// Modules of an EAN-13, true for black: 95 of them. `None` unless there are thirteen digits.
#[must_use]
pub fn ean13(text: &str) -> Option<Vec<bool>> {
    let digits = digits(text)?;
    let (first, rest) = digits.split_first().filter(|(_, rest)| rest.len() == 12)?;
    Some(halves(rest, FIRST.get(*first)?))
}

/// Modules of an EAN-8, true for black: 67 of them. `None` unless there are eight digits.
#[must_use]
pub fn ean8(text: &str) -> Option<Vec<bool>> {
    digits(text).filter(|digits| digits.len() == 8).map(|digits| halves(&digits, &[0; 4]))
}

fn digits(text: &str) -> Option<Vec<usize>> {
    text.chars().map(|c| c.to_digit(10).and_then(|d| usize::try_from(d).ok())).collect()
}

/// Guard, left half in sets A and B, middle guard, right half in set C, guard.
fn halves(digits: &[usize], sets: &[u8]) -> Vec<bool> {
    let mut modules = vec![true, false, true];
    let (left, right) = digits.split_at(sets.len());
    for (digit, set) in left.iter().zip(sets) {
        let mut widths = DIGITS.get(*digit).copied().unwrap_or_default();
        if *set == 1 {
            widths.reverse();
        }
        super::append(&mut modules, false, &widths);
    }
    modules.extend([false, true, false, true, false]);
    for digit in right {
        super::append(&mut modules, true, &DIGITS.get(*digit).copied().unwrap_or_default());
    }
    modules.extend([true, false, true]);
    modules
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(modules: &[bool]) -> String {
        modules.iter().map(|black| if *black { '1' } else { '0' }).collect()
    }

    #[test]
    fn an_ean13_has_95_modules_and_is_the_published_pattern() {
        let left = "101 0001101 0100111 0101111 0111101 0001001 0110011";
        let right = "01010 1000010 1000010 1000010 1110100 1000010 1100110 101";
        assert_eq!(drawn(&ean13("4006381333931").unwrap()), format!("{left}{right}").replace(' ', ""));
        assert_eq!(ean13("400638133393"), None);
        assert_eq!(ean13("400638133393x"), None);
    }

    #[test]
    fn an_ean8_has_67_modules_and_is_the_published_pattern() {
        let expected = "101 0001011 0101111 0111101 0110111 01010 1001110 1110010 1000100 1011100 101";
        assert_eq!(drawn(&ean8("96385074").unwrap()), expected.replace(' ', ""));
        assert_eq!(ean8("9638507"), None);
    }
}
