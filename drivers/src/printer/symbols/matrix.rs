//! QR codes and DataMatrix as squares of modules. Pure; the encoding is that of the crates `qrcode` and `datamatrix`.

use datamatrix::{DataMatrix, SymbolList};
use qrcode::{Color, EcLevel, QrCode, bits::encode_auto};

/// Modules in rows, true for black.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matrix {
    width: usize,
    modules: Vec<bool>,
}

impl Matrix {
    /// Modules in a row.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    #[must_use]
    pub fn height(&self) -> usize {
        self.modules.len() / self.width.max(1)
    }

    /// Rows from the top.
    pub fn rows(&self) -> impl Iterator<Item = &[bool]> {
        self.modules.chunks(self.width.max(1))
    }
}

/// A QR code with correction level M, in the smallest version that holds the data. `None` when none does.
#[must_use]
pub fn qr(data: &[u8]) -> Option<Matrix> {
    let code = QrCode::with_error_correction_level(data, EcLevel::M).ok()?;
    let modules = code.to_colors().into_iter().map(|color| color == Color::Dark).collect();
    Some(Matrix { width: code.width(), modules })
}

/// How many modules [`qr`] has across, without drawing it: choosing its mask is most of the work.
#[must_use]
pub fn qr_width(data: &[u8]) -> Option<usize> {
    let bits = encode_auto(data, EcLevel::M).ok()?;
    usize::try_from(bits.version().width()).ok()
}

/// A square GS1 DataMatrix: it begins with FNC1. `None` when no size holds the data.
#[must_use]
pub fn gs1_data_matrix(element_string: &[u8]) -> Option<Matrix> {
    let code = DataMatrix::encode_gs1(element_string, SymbolList::default().enforce_square()).ok()?;
    let bitmap = code.bitmap();
    Some(Matrix { width: bitmap.width(), modules: bitmap.bits().to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_width_of_a_qr_code_is_known_before_it_is_drawn() {
        for length in [1, 20, 60, 200, 512] {
            let data = vec![b'a'; length];
            assert_eq!(qr_width(&data), qr(&data).map(|code| code.width()), "{length}");
        }
        assert_eq!(qr_width(&[0; 4_000]), None);
    }

    #[test]
    fn a_data_matrix_can_be_read_again() {
        let data = b"010952123454321317261231\x1d10A1";
        let matrix = gs1_data_matrix(data).unwrap();
        assert_eq!(matrix.width(), matrix.height());
        assert_eq!(DataMatrix::decode(&matrix.modules, matrix.width).unwrap(), data);
    }

    #[test]
    fn a_qr_code_grows_with_what_it_holds() {
        assert_eq!(qr(b"act").unwrap().width(), 21);
        assert!(qr(&[b'x'; 500]).unwrap().width() > 80);
        assert_eq!(qr(&[b'x'; 5_000]), None);
    }
}
