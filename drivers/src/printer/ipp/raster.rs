//! Pages as PWG raster, the form that every IPP Everywhere printer takes. Pure.
//!
//! PWG 5102.4-2012: a synchronisation word, then for each page a header of 1,796 bytes (4.3, all numbers big-endian) and
//! its rows, run-length encoded (4.4). Rows that are alike follow as one row with a count.

use super::super::bitmap::Bitmap;

/// 4.1: "RaS2".
const SYNC_WORD: &[u8; 4] = b"RaS2";
/// 4.3: a page's header.
const HEADER_BYTES: usize = 1_796;
/// 4.4: a row is repeated, and a run is long, at most so often.
const RUN_MAX: usize = 128;

/// How a dot is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dots {
    /// `sgray_8`: a byte a dot, 255 is white. Every IPP Everywhere printer takes it (PWG 5100.14).
    Grey8,
    /// `black_1`: eight dots a byte, 1 is black.
    Black1,
}

/// A sheet of paper.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Paper {
    /// 210 × 297 mm.
    A4,
    /// 8.5 × 11 inches.
    Letter,
}

impl Paper {
    /// Its name as a printer knows it (PWG 5101.1).
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Paper::A4 => "iso_a4_210x297mm",
            Paper::Letter => "na_letter_8.5x11in",
        }
    }

    /// Width and height in points, rounded as PWG 5102.4 asks for in PageSize.
    #[must_use]
    pub fn points(self) -> (u16, u16) {
        match self {
            Paper::A4 => (595, 842),
            Paper::Letter => (612, 792),
        }
    }

    /// Width and height in dots.
    #[must_use]
    pub fn dots(self, dpi: u16) -> (u16, u16) {
        // In hundredths of a millimetre: 25.4 mm an inch.
        let (width, height) = match self {
            Paper::A4 => (21_000, 29_700),
            Paper::Letter => (21_590, 27_940),
        };
        let dots = |side: u32| u16::try_from(side * u32::from(dpi) / 2_540).unwrap_or(u16::MAX);
        (dots(width), dots(height))
    }
}

/// Writes pages, each of `paper` at `dpi` dots an inch.
#[must_use]
pub fn write(pages: &[Bitmap], paper: Paper, dpi: u16, dots: Dots) -> Vec<u8> {
    let mut bytes = SYNC_WORD.to_vec();
    for page in pages {
        bytes.extend(header(page, pages.len(), paper, dpi, dots));
        rows(page, dots, &mut bytes);
    }
    bytes
}

fn row_bytes(page: &Bitmap, dots: Dots) -> u32 {
    number(match dots {
        Dots::Grey8 => page.width(),
        Dots::Black1 => page.row_bytes(),
    })
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn header(page: &Bitmap, pages: usize, paper: Paper, dpi: u16, dots: Dots) -> Vec<u8> {
    let mut header = vec![0u8; HEADER_BYTES];
    let mut text = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    text(0, "PwgRaster");
    text(1_732, paper.name());
    let (bits, colour_space) = match dots {
        Dots::Grey8 => (8, 18),
        Dots::Black1 => (1, 3),
    };
    let (points_wide, points_high) = paper.points();
    let numbers: [(usize, u32); 18] = [
        (276, dpi.into()),            // HWResolution, across
        (280, dpi.into()),            // and along
        (340, 1),                     // NumCopies
        (352, points_wide.into()),    // PageSize
        (356, points_high.into()),    //
        (372, number(page.width())),  // Width
        (376, number(page.height())), // Height
        (384, bits),                  // BitsPerColor
        (388, bits),                  // BitsPerPixel
        (392, row_bytes(page, dots)), // BytesPerLine
        (400, colour_space),          // ColorSpace
        (420, 1),                     // NumColors
        (452, number(pages)),         // TotalPageCount
        (456, 1),                     // CrossFeedTransform: upright
        (460, 1),                     // FeedTransform: upright
        (472, number(page.width())),  // ImageBoxRight; left and top are 0
        (476, number(page.height())), // ImageBoxBottom
        (480, 0x00ff_ffff),           // AlternatePrimary: white
    ];
    for (at, number) in numbers {
        header[at..at + 4].copy_from_slice(&number.to_be_bytes());
    }
    header
}

fn rows(page: &Bitmap, dots: Dots, bytes: &mut Vec<u8>) {
    let all: Vec<&[u8]> = page.rows().collect();
    let mut rest = all.as_slice();
    while let Some(row) = rest.first() {
        let alike = rest.iter().take(RUN_MAX).take_while(|other| *other == row).count();
        bytes.push(u8::try_from(alike - 1).unwrap_or(0));
        match dots {
            Dots::Black1 => encode(row, bytes),
            Dots::Grey8 => encode(&grey(row, page.width()), bytes),
        }
        rest = &rest[alike..];
    }
}

/// A byte a dot: 0 is black.
fn grey(row: &[u8], width: usize) -> Vec<u8> {
    let dots =
        row.iter().flat_map(|byte| (0..8).map(move |bit| if byte << bit & 0x80 != 0 { 0 } else { 255 }));
    dots.take(width).collect()
}

/// Runs of bytes that are alike, and runs of bytes that differ, each of at most [`RUN_MAX`].
fn encode(row: &[u8], bytes: &mut Vec<u8>) {
    let run_at = |at: usize| row[at..].iter().take(RUN_MAX).take_while(|byte| **byte == row[at]).count();
    let mut at = 0;
    while at < row.len() {
        let run = run_at(at);
        if run > 1 || at + 1 == row.len() {
            bytes.push(u8::try_from(run - 1).unwrap_or(0));
            bytes.push(row[at]);
            at += run;
            continue;
        }
        let mut differ = 1;
        while differ < RUN_MAX && at + differ < row.len() && run_at(at + differ) == 1 {
            differ += 1;
        }
        // One byte that differs is a run of one: a count of 257 - 1 does not fit.
        if differ == 1 {
            bytes.push(0);
        } else {
            bytes.push(u8::try_from(257 - differ).unwrap_or(0));
        }
        bytes.extend_from_slice(&row[at..at + differ]);
        at += differ;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(row: &[u8], expected: &[u8]) {
        let mut bytes = Vec::new();
        encode(row, &mut bytes);
        assert_eq!(bytes, expected, "{row:?}");
    }

    #[test]
    fn runs_are_counted_as_the_standard_does() {
        check(&[7, 7, 7], &[2, 7]);
        check(&[1, 2, 3], &[254, 1, 2, 3]);
        check(&[1, 2, 2], &[0, 1, 1, 2]);
        check(&[1, 2, 3, 3, 4], &[255, 1, 2, 1, 3, 0, 4]);
        check(&[5; 130], &[127, 5, 1, 5]);
        check(&[], &[]);
    }

    #[test]
    fn a_long_row_without_runs_is_split() {
        let row: Vec<u8> = (0..130).collect();
        let mut bytes = Vec::new();
        encode(&row, &mut bytes);
        assert_eq!((bytes[0], bytes[129], bytes.len()), (129, 255, 132));
    }

    #[test]
    fn rows_that_are_alike_are_written_once() {
        let mut page = Bitmap::new(2, 3);
        page.fill(0, 0, 1, 2);
        page.set(1, 2, true);
        let mut bytes = Vec::new();
        rows(&page, Dots::Grey8, &mut bytes);
        // Twice "black, white"; once "white, black".
        assert_eq!(bytes, [1, 255, 0, 255, 0, 255, 255, 0]);
    }

    #[test]
    fn paper_has_its_dots() {
        assert_eq!(Paper::A4.dots(300), (2_480, 3_507));
        assert_eq!(Paper::Letter.dots(300), (2_550, 3_300));
    }
}
