//! A code on paper: modules of whole dots, quiet zones, and its text. Pure.

use pestle_domain::document::{Symbol, SymbolKind};

use super::{
    QR_QUIET, Shape, SymbolError, kind_name,
    matrix::{self, Matrix},
    shape, text_below,
};
use crate::printer::{bitmap::Bitmap, render::plain};

/// The paper that a code is drawn on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Dots across; the quiet zones are within.
    pub width: usize,
    /// Dots an inch.
    pub dpi: u16,
}

/// Height of bars, in micrometres. Shorter than the standards' nominal height, as receipts have it; a scanner's line is
/// met all the same.
const BARS_HIGH_UM: usize = 10_000;

/// Guard bars of an EAN stand out below by five modules (GS1 General Specifications, 5.2.1.4).
const GUARD_MODULES: usize = 5;

/// A module's width, in micrometres.
struct ModuleWidth {
    /// As wide as this where there is room.
    wanted_um: usize,
    /// Never narrower: what scanners and thermal heads at 203 dpi are sure of.
    least_um: usize,
}

/// After the GS1 General Specifications, 5.12.3: EAN 0.264 to 0.660 mm, nominal 0.330; GS1-128 from 0.250 and GS1
/// DataMatrix from 0.254 in the tables for healthcare. QR codes are read by phones: wide modules for short texts.
fn module_width(symbol: &Symbol) -> ModuleWidth {
    let (wanted_um, least_um) = match symbol.kind {
        SymbolKind::Ean13 | SymbolKind::Ean8 => (330, 264),
        SymbolKind::Code128 | SymbolKind::Gs1Barcode | SymbolKind::ScannerCode(_) => (330, 250),
        SymbolKind::Qr if symbol.data.len() <= 100 => (750, 370),
        SymbolKind::Qr => (500, 370),
        SymbolKind::DataMatrix => (500, 250),
    };
    ModuleWidth { wanted_um, least_um }
}

/// How many dots a module of a code takes on this paper: the wanted width if it fits, less if it must.
///
/// # Errors
/// It cannot be drawn, or it does not fit even with the narrowest modules.
pub fn module_dots(symbol: &Symbol, space: Space) -> Result<usize, SymbolError> {
    // A printer that draws the code itself needs no more than this of it.
    let across = match symbol.kind {
        SymbolKind::Qr => matrix::qr_width(symbol.data.as_bytes()).map(|width| width + 2 * QR_QUIET),
        _ => None,
    };
    match across {
        Some(across) => dots_for(symbol, across, space),
        None => dots_for(symbol, modules_across(&shape(symbol)?), space),
    }
}

fn dots_for(symbol: &Symbol, across: usize, space: Space) -> Result<usize, SymbolError> {
    let ModuleWidth { wanted_um, least_um } = module_width(symbol);
    let dpi = usize::from(space.dpi);
    // A hundredth of a dot is given away: 203 dpi is sold as eight dots a millimetre.
    let least = (least_um * dpi).saturating_sub(254).div_ceil(25_400).max(1);
    let wanted = ((wanted_um * dpi + 12_700) / 25_400).max(least);
    let fitting = space.width / across.max(1);
    if fitting < least {
        return Err(SymbolError::TooWide {
            kind: kind_name(symbol.kind),
            data: symbol.data.clone(),
            needed: across * least,
            available: space.width,
        });
    }
    Ok(wanted.min(fitting))
}

fn modules_across(shape: &Shape) -> usize {
    match shape {
        Shape::Bars { modules, quiet_left, quiet_right } => modules.len() + quiet_left + quiet_right,
        Shape::Matrix { modules, quiet } => modules.width() + 2 * quiet,
    }
}

/// The code with its quiet zones and its text.
///
/// # Errors
/// It cannot be drawn, or it does not fit the paper; it is never cut.
pub fn draw(symbol: &Symbol, space: Space) -> Result<Bitmap, SymbolError> {
    let shape = shape(symbol)?;
    let module = dots_for(symbol, modules_across(&shape), space)?;
    Ok(match &shape {
        Shape::Matrix { modules, quiet } => squares(modules, module, quiet * module),
        Shape::Bars { modules, quiet_left, .. } => {
            let high = BARS_HIGH_UM * usize::from(space.dpi) / 25_400;
            let width = modules_across(&shape) * module;
            let mut bitmap = Bitmap::new(width, high);
            draw_bars(&mut bitmap, modules, quiet_left * module, module, high);
            match symbol.kind {
                SymbolKind::Ean13 | SymbolKind::Ean8 => {
                    draw_ean_text(&mut bitmap, symbol, modules, quiet_left * module, module);
                }
                _ => draw_text(&mut bitmap, text_below(symbol), space),
            }
            bitmap
        }
    })
}

fn squares(modules: &Matrix, module: usize, quiet: usize) -> Bitmap {
    let mut bitmap = Bitmap::new(modules.width() * module + 2 * quiet, modules.height() * module + 2 * quiet);
    for (y, row) in modules.rows().enumerate() {
        for (x, _) in row.iter().enumerate().filter(|(_, black)| **black) {
            bitmap.fill(quiet + x * module, quiet + y * module, module, module);
        }
    }
    bitmap
}

fn draw_bars(bitmap: &mut Bitmap, modules: &[bool], left: usize, module: usize, high: usize) {
    for (at, _) in modules.iter().enumerate().filter(|(_, black)| **black) {
        bitmap.fill(left + at * module, 0, module, high);
    }
}

/// Below the bars, in the middle; in two lines where it is wider than they.
fn draw_text(bitmap: &mut Bitmap, text: Option<String>, space: Space) {
    let Some(text) = text else { return };
    let scale = text_scale(space.dpi);
    let per_line = (bitmap.width() / (plain::CELL_WIDTH * scale)).max(1);
    let characters: Vec<char> = text.chars().collect();
    for line in characters.chunks(per_line) {
        let line = plain::draw(line, false).scaled(scale, scale);
        let top = bitmap.height() + 4 * scale;
        bitmap.set_height(top + line.height());
        bitmap.draw(&line, bitmap.width().saturating_sub(line.width()) / 2, top);
    }
}

/// Letters of 3 mm at 203 dpi; twice as many dots from 400 dpi.
fn text_scale(dpi: u16) -> usize {
    (usize::from(dpi) / 203).max(1)
}

/// The digits between the guard bars, which are longer; the first of an EAN-13 stands before them.
fn draw_ean_text(bitmap: &mut Bitmap, symbol: &Symbol, modules: &[bool], left: usize, module: usize) {
    let bars_end = bitmap.height();
    let digits: Vec<char> = symbol.data.chars().collect();
    let half = digits.len() / 2;
    // A digit has seven modules; ours are twelve dots wide.
    let scale = (7 * module / plain::CELL_WIDTH).max(1);
    let high = plain::CELL_HEIGHT * scale;
    bitmap.set_height(bars_end + high.max(GUARD_MODULES * module));
    let last = modules.len();
    for at in [0, 2, last / 2 - 1, last / 2 + 1, last - 3, last - 1] {
        bitmap.fill(left + at * module, bars_end, module, GUARD_MODULES * module);
    }
    let mut put = |digit: char, centre: usize| {
        let digit = plain::draw(&[digit], false).scaled(scale, scale);
        bitmap.draw(&digit, centre.saturating_sub(digit.width() / 2), bars_end + 2);
    };
    let (before, after) = digits.split_at(digits.len() - 2 * half);
    if let [first] = before {
        put(*first, left.saturating_sub(7 * module));
    }
    for (at, digit) in after.iter().enumerate() {
        let guards = if at < half { 3 } else { 8 };
        put(*digit, left + (guards + at * 7) * module + 7 * module / 2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symbol(kind: SymbolKind, data: &str) -> Symbol {
        Symbol { kind, data: data.into() }
    }

    const PAPER_80: Space = Space { width: 576, dpi: 203 };
    const PAPER_58: Space = Space { width: 384, dpi: 203 };

    fn check_dots(kind: SymbolKind, data: &str, space: Space, expected: usize) {
        assert_eq!(module_dots(&symbol(kind, data), space), Ok(expected));
    }

    #[test]
    fn a_module_is_as_wide_as_wanted_where_there_is_room_and_narrower_where_not() {
        check_dots(SymbolKind::Ean13, "9521234543213", PAPER_58, 3);
        check_dots(SymbolKind::Ean13, "9521234543213", Space { width: 512, dpi: 180 }, 2);
        check_dots(SymbolKind::Code128, "T1-1042", PAPER_80, 3);
        check_dots(SymbolKind::Code128, "ABCDEFGHIJKL", PAPER_58, 2);
        check_dots(SymbolKind::Qr, "act", PAPER_80, 6);
        check_dots(SymbolKind::Qr, &"x".repeat(400), PAPER_58, 4);
        check_dots(SymbolKind::DataMatrix, "010952123454321310A1", PAPER_58, 4);
    }

    #[test]
    fn a_code_that_does_not_fit_is_an_error_and_never_cut() {
        let long = symbol(SymbolKind::Code128, "abcdefghijklmnopqrstuvwxyz");
        let error = draw(&long, PAPER_58).unwrap_err();
        // Start, 26 characters, check and stop, and two quiet zones of ten modules.
        let needed = (28 * 11 + 13 + 20) * 2;
        assert!(
            matches!(error, SymbolError::TooWide { needed: n, available: 384, .. } if n == needed),
            "{error}"
        );
    }

    #[test]
    fn quiet_zones_are_white_and_modules_whole_dots() {
        let bitmap = draw(&symbol(SymbolKind::Ean13, "9521234543213"), PAPER_80).unwrap();
        assert_eq!(bitmap.width(), (95 + 11 + 7) * 3);
        let bars: Vec<bool> = (0..bitmap.width()).map(|x| bitmap.get(x, 0)).collect();
        assert!(bars[..33].iter().all(|black| !black) && bars[33..36].iter().all(|black| *black));
        assert!(bars[bars.len() - 21..].iter().all(|black| !black));
        let qr = draw(&symbol(SymbolKind::Qr, "act"), PAPER_80).unwrap();
        assert_eq!((qr.width(), qr.height()), ((21 + 8) * 6, (21 + 8) * 6));
    }
}
