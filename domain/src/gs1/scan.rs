//! The way in: the bytes of one scan, and what they say.

use time::Date;

use super::MAX_SCAN_BYTES;
use super::bracket;
use super::date;
use super::digital_link::{self, DigitalLink};
use super::element::Elements;
use super::error::Gs1Error;
use super::gtin::{Gtin, LinearPack};
use super::ppn::{self, Ppn};
use super::symbology::{Carries, SymbologyId};

/// What a scan says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scan {
    /// GS1 element strings, each valid by itself; whether they belong together, ask
    /// [`Elements::check_associations`].
    ElementString(Elements),
    /// A linear barcode that carries a GTIN alone.
    Gtin(Gtin, LinearPack),
    /// A GS1 Digital Link URI.
    DigitalLink(DigitalLink),
    /// A German PPN code.
    Ppn(Ppn),
    /// Something else: an in-house code, a web address, a badge.
    Other {
        /// What the reader saw, if it says so.
        symbology: Option<SymbologyId>,
        /// The data without symbology identifier; bytes that are no UTF-8 are replaced.
        data: String,
    },
}

impl Scan {
    /// Reads one scan, without the reader's suffix (CR, LF). FNC1 is GS (0x1D).
    ///
    /// With a symbology identifier, that says what the data are. Without one: 8, 12, 13 or 14 digits and nothing else
    /// are a linear barcode, whose check digit must hold; `(` begins the form with brackets, `http` a URI, `[)>` a
    /// format 06 code; two digits or GS begin an element string; anything else is [`Scan::Other`].
    ///
    /// Eight bare digits are EAN-8 if that check digit holds, else UPC-E.
    ///
    /// # Errors
    /// GS1 data that are malformed, with the place and the reason; more than [`MAX_SCAN_BYTES`] bytes; none at all.
    pub fn parse(raw: &[u8]) -> Result<Self, Gs1Error> {
        if raw.len() > MAX_SCAN_BYTES {
            return Err(Gs1Error::ScanTooLong { at: MAX_SCAN_BYTES, len: raw.len() });
        }
        match SymbologyId::split(raw) {
            Some((id, data)) => identified(id, data, raw.len() - data.len()),
            None => bare(raw),
        }
    }

    /// The GTIN: (01), or the one within (8006); of a PPN code, the GTIN that it holds beside the PPN.
    pub fn gtin(&self) -> Option<Gtin> {
        match self {
            Self::Gtin(gtin, _) => Some(*gtin),
            Self::Ppn(ppn) => ppn.gtin(),
            _ => {
                let elements = self.elements()?;
                elements.get("01").or_else(|| elements.get("8006")?.get(..14))?.parse().ok()
            }
        }
    }

    /// The lot: (10), or 1T of a PPN code.
    pub fn lot(&self) -> Option<&str> {
        match self {
            Self::Ppn(ppn) => ppn.lot(),
            _ => self.elements()?.get("10"),
        }
    }

    /// The serial number: (21), or S of a PPN code.
    pub fn serial(&self) -> Option<&str> {
        match self {
            Self::Ppn(ppn) => ppn.serial(),
            _ => self.elements()?.get("21"),
        }
    }

    /// The last day of use, seen from `today`: (17), or the date of (7003), or D of a PPN code. Day 00 is the last of
    /// its month.
    pub fn expiry(&self, today: Date) -> Option<Date> {
        match self {
            Self::Ppn(ppn) => ppn.expiry(today),
            _ => {
                let elements = self.elements()?;
                let text = elements.get("17").or_else(|| elements.get("7003")?.get(..6))?;
                date::from_yymmdd(text, today)
            }
        }
    }

    /// The GS1 elements, of an element string or a Digital Link.
    pub fn elements(&self) -> Option<&Elements> {
        match self {
            Self::ElementString(elements) => Some(elements),
            Self::DigitalLink(link) => Some(&link.elements),
            _ => None,
        }
    }
}

/// Data behind a symbology identifier of `base` bytes.
fn identified(id: SymbologyId, data: &[u8], base: usize) -> Result<Scan, Gs1Error> {
    let wrong_length =
        |expected| Err(Gs1Error::LinearLength { at: base, name: id.name(), expected, len: data.len() });
    match id.carries() {
        Carries::ElementString => Elements::parse_at(data, base).map(Scan::ElementString),
        Carries::Ean13OrUpc => match data.len() {
            13 => linear(data, LinearPack::Ean13, base),
            _ if has_composite(data, 13) => composite(data, 13, base),
            _ => wrong_length("13"),
        },
        Carries::Ean13OrUpcWithAddOn => match data.len() {
            15 | 18 if data.iter().all(u8::is_ascii_digit) => linear(&data[..13], LinearPack::Ean13, base),
            _ => wrong_length("15 or 18"),
        },
        Carries::Ean8 => match data.len() {
            8 => linear(data, LinearPack::Ean8, base),
            _ if has_composite(data, 8) => composite(data, 8, base),
            _ => wrong_length("8"),
        },
        Carries::Itf if data.len() == 14 => linear(data, LinearPack::Itf14, base),
        Carries::ItfWithoutCheckDigit if data.len() == 13 => Gtin::with_check_digit(data)
            .map(|gtin| Scan::Gtin(gtin, LinearPack::Itf14))
            .map_err(|wrong| Gs1Error::LinearPack { at: base, wrong }),
        Carries::Itf | Carries::ItfWithoutCheckDigit | Carries::Other => {
            link_ppn_or_other(Some(id), data, base)
        }
    }
}

/// What parts the linear component of an EAN or UPC Composite from the other: a new message in the same scan.
const COMPOSITE: &[u8] = b"|]e0";

fn has_composite(data: &[u8], digits: usize) -> bool {
    data.get(digits..).is_some_and(|rest| rest.starts_with(COMPOSITE))
}

/// The GTIN of the linear component, as (01), and the element string of the other one.
fn composite(data: &[u8], digits: usize, base: usize) -> Result<Scan, Gs1Error> {
    let (linear, rest) = data.split_at(digits);
    let gtin = Gtin::from_digits(linear).map_err(|wrong| Gs1Error::LinearPack { at: base, wrong })?;
    let more = Elements::parse_at(&rest[COMPOSITE.len()..], base + digits + COMPOSITE.len())?;
    Elements::of_gtin(gtin, base)?.followed_by(&more).map(Scan::ElementString)
}

/// A scan without symbology identifier.
fn bare(raw: &[u8]) -> Result<Scan, Gs1Error> {
    let digits = raw.iter().all(u8::is_ascii_digit);
    match raw {
        [] => Err(Gs1Error::Empty { at: 0 }),
        _ if digits && raw.len() == 8 => match linear(raw, LinearPack::Ean8, 0) {
            Err(error) => linear(raw, LinearPack::UpcE, 0).map_err(|_| error),
            found => found,
        },
        _ if digits && raw.len() == 12 => linear(raw, LinearPack::UpcA, 0),
        _ if digits && raw.len() == 13 => linear(raw, LinearPack::Ean13, 0),
        _ if digits && raw.len() == 14 => linear(raw, LinearPack::Itf14, 0),
        [b'(', ..] => bracket::parse_at(raw, 0).map(Scan::ElementString),
        [super::GS, ..] | [b'0'..=b'9', b'0'..=b'9', ..] => Elements::parse(raw).map(Scan::ElementString),
        _ => link_ppn_or_other(None, raw, 0),
    }
}

fn link_ppn_or_other(symbology: Option<SymbologyId>, data: &[u8], base: usize) -> Result<Scan, Gs1Error> {
    if let Some(ppn) = ppn::parse_at(data, base)? {
        return Ok(Scan::Ppn(ppn));
    }
    if digital_link::looks_like_uri(data) {
        match digital_link::parse_at(data, base) {
            // A web address like any other.
            Err(Gs1Error::NoKey { .. } | Gs1Error::NoDomain { .. }) => {}
            found => return found.map(Scan::DigitalLink),
        }
    }
    Ok(Scan::Other { symbology, data: String::from_utf8_lossy(data).into_owned() })
}

fn linear(digits: &[u8], pack: LinearPack, base: usize) -> Result<Scan, Gs1Error> {
    let gtin = match pack {
        LinearPack::UpcE => Gtin::from_upc_e(digits),
        _ => Gtin::from_digits(digits),
    };
    gtin.map(|gtin| Scan::Gtin(gtin, pack)).map_err(|wrong| Gs1Error::LinearPack { at: base, wrong })
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::date;

    /// Reads a scan in which `^` stands for GS, and says in short what it is, or the error's offset.
    fn check(text: &str, expected: Result<&str, usize>) {
        let found = Scan::parse(text.replace('^', "\u{1D}").as_bytes())
            .map(|scan| match scan {
                Scan::ElementString(elements) => elements.to_bracketed(),
                Scan::Gtin(gtin, pack) => format!("{pack:?} {gtin}"),
                Scan::DigitalLink(link) => format!("link {}", link.elements.to_bracketed()),
                Scan::Ppn(ppn) => format!("ppn {}", ppn.number()),
                Scan::Other { symbology, data } => {
                    format!("other {}{data}", symbology.map(|id| id.to_string()).unwrap_or_default())
                }
            })
            .map_err(|error| error.at());
        assert_eq!(found, expected.map(String::from), "{text}");
    }

    #[test]
    fn symbology_identifiers_say_what_the_data_are() {
        for id in ["]C1", "]e0", "]d2", "]Q3", "]J1"] {
            check(&format!("{id}010952012345678810A1^217"), Ok("(01)09520123456788(10)A1(21)7"));
            check(&format!("{id}^0109520123456788"), Ok("(01)09520123456788"));
            check(id, Err(3));
            check(&format!("{id}HELLO"), Err(3));
        }
        check("]E09520123456788", Ok("Ean13 09520123456788"));
        check("]E00416000336108", Ok("Ean13 00416000336108"));
        check("]E402345673", Ok("Ean8 00000002345673"));
        check("]I124012345678905", Ok("Itf14 24012345678905"));
        check("]I32401234567890", Ok("Itf14 24012345678905"));
        check("]E3952012345678812", Ok("Ean13 09520123456788"));
        check("]E09520123456788|]e010A^99B", Ok("(01)09520123456788(10)A(99)B"));
        check("]E402345673|]e010A", Ok("(01)00000002345673(10)A"));
        check("]E09520123456788|]e08", Err(20));
        check("]E09520123456788|]e00102345673", Err(20));
        check("]E09520123456789", Err(3));
        check("]E0123456789012", Err(3));
        check("]E012345678901234", Err(3));
        check("]E0", Err(3));
        check("]E412ABC678", Err(3));
        check("]I11234", Ok("other ]I11234"));
        check("]C00109520123456788", Ok("other ]C00109520123456788"));
        check("]d1HELLO", Ok("other ]d1HELLO"));
        check("]Q1https://example.com/01/09520123456788?99=T", Ok("link (01)09520123456788(99)T"));
        check("]Q1https://example.com/about", Ok("other ]Q1https://example.com/about"));
        check("]Q1https://example.com/01/09520123456789", Err(23));
    }

    #[test]
    fn a_bare_scan_is_told_by_its_form() {
        check("", Err(0));
        check("9520123456788", Ok("Ean13 09520123456788"));
        check("416000336108", Ok("UpcA 00416000336108"));
        check("02345673", Ok("Ean8 00000002345673"));
        check("04252614", Ok("UpcE 00042100005264"));
        check("24012345678905", Ok("Itf14 24012345678905"));
        check("(01)09520123456788(10)A", Ok("(01)09520123456788(10)A"));
        check("https://id.gs1.org/01/09520123456788", Ok("link (01)09520123456788"));
        check("STAFF-7", Ok("other STAFF-7"));
        check("[)>x", Ok("other [)>x"));
        check("^0109520123456788", Ok("(01)09520123456788"));
        check("0109520123456788", Ok("(01)09520123456788"));
    }

    #[test]
    fn a_misread_linear_barcode_is_never_taken_for_an_internal_element() {
        // (95) is an internal identifier, so these would be element strings if their check digit were not asked.
        check("9520123456789", Err(0));
        check("95201234", Err(0));
        check("^9520123456789", Ok("(95)20123456789"));
    }

    #[test]
    fn a_scan_longer_than_any_symbol_is_refused() {
        check(&"1".repeat(MAX_SCAN_BYTES + 1), Err(MAX_SCAN_BYTES));
        check(
            &format!("]d1{}", "x".repeat(MAX_SCAN_BYTES - 3)),
            Ok(&format!("other ]d1{}", "x".repeat(MAX_SCAN_BYTES - 3))),
        );
    }

    #[test]
    fn product_lot_serial_and_expiry_are_at_hand() {
        let today = date!(2026 - 11 - 21);
        for text in [
            "]d201095201234567881728020010A1^217",
            "(01)09520123456788(10)A1(21)7(7003)2802291200",
            "https://id.gs1.org/01/09520123456788/10/A1/21/7?17=280200",
        ] {
            let scan = Scan::parse(text.replace('^', "\u{1D}").as_bytes()).expect("a good scan");
            assert_eq!(scan.gtin().map(|gtin| gtin.to_string()), Some("09520123456788".into()), "{text}");
            assert_eq!((scan.lot(), scan.serial()), (Some("A1"), Some("7")), "{text}");
            assert_eq!(scan.expiry(today), Some(date!(2028 - 02 - 29)), "{text}");
        }
        let piece = Scan::parse(b"(8006)123456789012310510").expect("a good scan");
        assert_eq!(piece.gtin().map(|gtin| gtin.to_string()), Some("12345678901231".into()));
        let bars = Scan::parse(b"9520123456788").expect("a good scan");
        assert_eq!((bars.lot(), bars.serial(), bars.expiry(today)), (None, None, None));
    }
}
