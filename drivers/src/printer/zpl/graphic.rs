//! A picture as ZPL graphic fields (`^GFA`), compressed by ZPL's own run lengths. Pure.
//!
//! Zebra's ZPL programming guide, `^GF` and "Alternative data compression scheme": hexadecimal digits, each four dots;
//! `G` to `Y` before a digit repeat it 1 to 19 times, `g` to `z` 20 to 400 times in steps of 20, and they add up; a comma
//! fills the row with white, `!` with black, and a colon repeats the row above. No character of it is a ZPL command.

use super::super::bitmap::Bitmap;

/// Bytes of a picture that one graphic field may carry (`^GF`, parameter c).
const FIELD_BYTES_MAX: usize = 99_999;

/// From this length on a run is shorter than its digits.
const RUN_MIN: usize = 3;

/// The fields that draw `picture` with its upper left corner at the label's. Large pictures become several fields, one
/// below the other.
#[must_use]
pub fn fields(picture: &Bitmap) -> String {
    let row_bytes = picture.row_bytes().max(1);
    let rows_a_field = (FIELD_BYTES_MAX / row_bytes).max(1);
    let rows: Vec<&[u8]> = picture.rows().collect();
    let mut text = String::new();
    for (field, rows) in rows.chunks(rows_a_field).enumerate() {
        let (top, bytes) = (field * rows_a_field, row_bytes * rows.len());
        text.push_str(&format!("^FO0,{top}^GFA,{bytes},{bytes},{row_bytes},"));
        let mut above = None;
        for row in rows {
            if above == Some(row) {
                text.push(':');
            } else {
                let digits: Vec<u8> = row.iter().flat_map(|byte| [byte >> 4, byte & 0xf]).collect();
                compress(&digits, &mut text);
                above = Some(row);
            }
        }
        text.push_str("^FS\n");
    }
    text
}

fn compress(row: &[u8], text: &mut String) {
    let mut rest = row;
    while let Some(&digit) = rest.first() {
        let run = rest.iter().take_while(|other| **other == digit).count();
        match digit {
            0x0 if run == rest.len() => return text.push(','),
            0xf if run == rest.len() => return text.push('!'),
            _ if run >= RUN_MIN => {
                push_count(run, text);
                push_digit(digit, text);
            }
            _ => (0..run).for_each(|_| push_digit(digit, text)),
        }
        rest = &rest[run..];
    }
}

fn push_digit(digit: u8, text: &mut String) {
    text.push(char::from_digit(u32::from(digit), 16).map_or('0', |c| c.to_ascii_uppercase()));
}

fn push_count(mut count: usize, text: &mut String) {
    let letter = |first: u8, steps: usize| char::from(first + u8::try_from(steps).unwrap_or(0));
    while count >= 400 {
        text.push('z');
        count -= 400;
    }
    if count >= 20 {
        text.push(letter(b'f', count / 20));
        count %= 20;
    }
    if count > 0 {
        text.push(letter(b'F', count));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(row: &str, expected: &str) {
        let values: Vec<u8> = row.chars().map(|c| u8::try_from(c.to_digit(16).unwrap()).unwrap()).collect();
        let mut text = String::new();
        compress(&values, &mut text);
        assert_eq!(text, expected, "{row}");
    }

    #[test]
    fn rows_are_compressed_as_the_programming_guide_shows() {
        // The guide's own examples: M6 is seven sixes, hB is forty Bs, vMB is 327 Bs.
        check(&format!("{}1", "6".repeat(7)), "M61");
        check(&format!("{}1", "b".repeat(40)), "hB1");
        check(&format!("{}1", "b".repeat(327)), "vMB1");
        check(&format!("{}1", "b".repeat(427)), "zgMB1");
        check("11a", "11A");
    }

    #[test]
    fn a_row_that_ends_in_white_or_black_says_so_once() {
        check("0000", ",");
        check("ffff", "!");
        check("80f0000", "80F,");
        check("a0ffffff", "A0!");
    }

    #[test]
    fn a_row_like_the_one_above_is_a_colon_and_width_is_filled_with_white() {
        let mut picture = Bitmap::new(5, 3);
        picture.fill(0, 0, 5, 2);
        let text = fields(&picture);
        assert_eq!(text, "^FO0,0^GFA,3,3,1,F8:,^FS\n");
    }

    #[test]
    fn a_large_picture_is_split_where_a_field_is_full() {
        let text = fields(&Bitmap::new(2_400, 700));
        let heads: Vec<&str> = text.lines().map(|line| line.split(",,").next().unwrap_or(line)).collect();
        assert_eq!(heads.len(), 3, "{heads:?}");
        assert!(heads[0].starts_with("^FO0,0^GFA,99900,99900,300"), "{heads:?}");
        assert!(heads[1].starts_with("^FO0,333^GFA,99900,99900,300"), "{heads:?}");
        assert!(heads[2].starts_with("^FO0,666^GFA,10200,10200,300"), "{heads:?}");
    }
}
