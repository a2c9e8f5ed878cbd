//! Check digits and check characters.
//!
//! Each function computes what should stand there; comparing is the caller's.

/// GS1's check digit of a row of ASCII digits: weights 3 and 1 from the right, modulo 10 (General Specifications
/// 7.9.1). Bytes that are no digits count by their low four bits, so give digits alone.
pub fn check_digit(body: &[u8]) -> u8 {
    let sum: u32 = body
        .iter()
        .rev()
        .enumerate()
        .map(|(i, digit)| u32::from(digit & 0x0F) * if i % 2 == 0 { 3 } else { 1 })
        .sum();
    digit((10 - sum % 10) % 10)
}

/// The characters of set 82 in the order of their values.
const SET_82: &[u8; 82] =
    b"!\"%&'()*+,-./0123456789:;<=>?ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz";

/// The characters that check characters are written with, in the order of their values.
const SET_32: &[u8; 32] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZ";

/// GS1's check character pair for alphanumeric keys (GMN, MUDI): each character's value times a prime, the primes
/// rising from the right, modulo 1021, split into two characters of five bits (General Specifications 7.9.5).
/// Characters outside set 82 count as 0.
pub fn check_pair(body: &[u8]) -> [u8; 2] {
    let mut prime = 1;
    let mut sum = 0_u32;
    for byte in body.iter().rev() {
        prime = next_prime(prime);
        let value = SET_82.iter().position(|character| character == byte).unwrap_or(0);
        sum = (sum + u32::try_from(value).unwrap_or(0) * prime) % 1021;
    }
    let character = |value: u32| SET_32[usize::try_from(value & 31).unwrap_or(0)];
    [character(sum >> 5), character(sum)]
}

fn next_prime(after: u32) -> u32 {
    let is_prime = |n: u32| (2..n).take_while(|d| d * d <= n).all(|d| !n.is_multiple_of(d));
    (after + 1..).find(|n| is_prime(*n)).unwrap_or(after)
}

/// The remainder modulo 97 of an IBAN of capital letters and digits; 1 when it is right (ISO 13616-1, ISO/IEC 7064).
pub fn iban_remainder(text: &[u8]) -> u32 {
    let (head, tail) = text.split_at(text.len().min(4));
    tail.iter().chain(head).fold(0, |remainder, byte| {
        let value = char::from(*byte).to_digit(36).unwrap_or(0);
        (remainder * if value < 10 { 10 } else { 100 } + value) % 97
    })
}

/// The check digits of a Pharmacy Product Number: the ASCII value of each character times 2, 3, 4 … from the left,
/// modulo 97, as two digits (IFA, PPN Technical Specification, "Calculation of PPN Check Digits").
pub fn ppn_check_digits(body: &[u8]) -> [u8; 2] {
    let sum = body.iter().zip(2..).fold(0, |sum: u32, (byte, weight)| (sum + u32::from(*byte) * weight) % 97);
    [digit(sum / 10), digit(sum % 10)]
}

/// The check digit of a PZN's first seven digits: weights 1 to 7, modulo 11; `None` where the remainder is 10, which
/// is never issued (IFA, "Prüfziffernberechnungen der PZN").
pub fn pzn_check_digit(body: &[u8]) -> Option<u8> {
    let sum: u32 = body.iter().zip(1..).map(|(byte, weight)| u32::from(byte & 0x0F) * weight).sum();
    (sum % 11 < 10).then(|| digit(sum % 11))
}

fn digit(value: u32) -> u8 {
    b'0' + u8::try_from(value % 10).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_digits_of_known_keys_come_out() {
        for key in [
            "24012345678905",
            "2112233789657",
            "416000336108",
            "02345680",
            "123456789012345675",
            "09520123456788",
            "9520123456788",
            "952012345678912345",
        ] {
            let (body, last) = key.split_at(key.len() - 1);
            assert_eq!([check_digit(body.as_bytes())], last.as_bytes(), "{key}");
        }
    }

    #[test]
    fn check_pairs_of_the_general_specifications_come_out() {
        for key in [
            "1987654Ad4X4bL5ttr2310c2K",
            "12345678901234567890123NT",
            "12345_ABCDEFGHIJKLMCP",
            "12345_!\"%&'()*+,-./LC",
            "12345_0123456789:;<=>?62",
            "7907665Bm8v2AB",
            "53395376X1:nST",
            "99999zzzzzzzzzzzzzzzzzzT2",
            "22",
        ] {
            let (body, last) = key.split_at(key.len() - 2);
            assert_eq!(check_pair(body.as_bytes()), last.as_bytes(), "{key}");
        }
    }

    #[test]
    fn the_example_ppn_of_ifa_and_its_pzn_come_out() {
        assert_eq!(ppn_check_digits(b"1103752864"), *b"14");
        assert_eq!(pzn_check_digit(b"0375286"), Some(b'4'));
        assert_eq!(pzn_check_digit(b"0000005"), Some(b'2'));
    }
}
