//! The German PPN code: a Data Matrix in format 06, as IFA defines it for medicines.
//!
//! `[)>` RS `06` GS `9N…` GS `1T…` GS `D…` GS `S…` RS EOT (ISO/IEC 15434; a symbol in "macro 06" is sent alike). Fields
//! begin with a data identifier of ASC MH10.8.2 and stand in any order. Sources: IFA, "PPN Technical Specification"
//! 3.1 (2020) and "Coding rules securPharm". Readers that drop the closing RS EOT are tolerated.

use time::Date;

use super::check;
use super::date;
use super::error::{Gs1Error, PpnWrong};
use super::gtin::Gtin;

const HEAD: &[u8] = b"[)>\x1E06\x1D";
const RS: u8 = 0x1E;
const EOT: u8 = 0x04;

/// The product registration agency code under which IFA issues PZN.
const PRA_CODE_GERMANY: &str = "11";

/// The longest batch or serial number, in characters.
const TEXT_MAX: usize = 20;

/// One field: its data identifier and its value.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct DataField {
    /// The data identifier, for example `1T`.
    pub di: String,
    /// The value behind it.
    pub value: String,
}

/// What a PPN code says; it has a valid PPN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ppn {
    fields: Vec<DataField>,
}

impl Ppn {
    /// Reads a format 06 code, if the data are one with a PPN; other data and other format 06 codes are `None`.
    ///
    /// # Errors
    /// A field that is malformed or fails its check, with the offset of its data identifier.
    pub fn parse(data: &[u8]) -> Result<Option<Self>, Gs1Error> {
        parse_at(data, 0)
    }

    /// Writes the code's data.
    pub fn to_data(&self) -> Vec<u8> {
        let mut data = HEAD[..HEAD.len() - 1].to_vec();
        for field in &self.fields {
            data.push(super::GS);
            data.extend_from_slice(field.di.as_bytes());
            data.extend_from_slice(field.value.as_bytes());
        }
        data.extend_from_slice(&[RS, EOT]);
        data
    }

    /// All fields, in scanned order.
    pub fn fields(&self) -> &[DataField] {
        &self.fields
    }

    /// The Pharmacy Product Number (9N): agency code, national number, two check digits.
    pub fn number(&self) -> &str {
        self.get("9N").unwrap_or_default()
    }

    /// The PZN in it, eight digits, if the agency is the German one.
    pub fn pzn(&self) -> Option<&str> {
        pzn_of(self.number())
    }

    /// The NTIN that stands for the PZN: the GTIN `04150` + PZN + check digit (IFA and GS1 Germany).
    pub fn ntin(&self) -> Option<Gtin> {
        Gtin::with_check_digit(format!("04150{}", self.pzn()?).as_bytes()).ok()
    }

    /// The GTIN (8P), if the code holds one beside its PPN.
    pub fn gtin(&self) -> Option<Gtin> {
        self.get("8P")?.parse().ok()
    }

    /// The batch (1T).
    pub fn lot(&self) -> Option<&str> {
        self.get("1T")
    }

    /// The serial number (S).
    pub fn serial(&self) -> Option<&str> {
        self.get("S")
    }

    /// The expiry date (D) seen from `today`; day 00 is the last of the month.
    pub fn expiry(&self, today: Date) -> Option<Date> {
        date::from_yymmdd(self.get("D")?, today)
    }

    fn get(&self, di: &str) -> Option<&str> {
        self.fields.iter().find(|field| field.di == di).map(|field| field.value.as_str())
    }
}

fn pzn_of(number: &str) -> Option<&str> {
    number.strip_prefix(PRA_CODE_GERMANY)?.get(..number.len() - 4)
}

/// As [`Ppn::parse`], where `data` begin `base` bytes into the scan.
pub(super) fn parse_at(data: &[u8], base: usize) -> Result<Option<Ppn>, Gs1Error> {
    let Some(body) = data.strip_prefix(HEAD) else { return Ok(None) };
    let body = body.split(|byte| *byte == RS).next().unwrap_or_default();
    let body = body.strip_suffix(&[EOT]).unwrap_or(body);
    let body = body.strip_suffix(&[super::GS]).unwrap_or(body);
    if !body.split(|byte| *byte == super::GS).any(|field| field.starts_with(b"9N")) {
        return Ok(None);
    }
    let mut fields: Vec<DataField> = Vec::new();
    let mut at = base + HEAD.len();
    for text in body.split(|byte| *byte == super::GS) {
        let field = data_field(text, at)?;
        if let Err(wrong) = check_field(&field, &fields) {
            return Err(Gs1Error::Ppn { at, di: field.di, wrong });
        }
        fields.push(field);
        at += text.len() + 1;
    }
    Ok(Some(Ppn { fields }))
}

fn data_field(text: &[u8], at: usize) -> Result<DataField, Gs1Error> {
    let digits = text.iter().take(4).take_while(|byte| byte.is_ascii_digit()).count();
    let letter = text.get(digits).is_some_and(u8::is_ascii_uppercase);
    if digits > 3 || !letter || !text.iter().all(u8::is_ascii_graphic) {
        let di = text.iter().take(4).flat_map(|byte| byte.escape_ascii()).map(char::from).collect();
        return Err(Gs1Error::Ppn { at, di, wrong: PpnWrong::NoIdentifier });
    }
    let (di, value) = text.split_at(digits + 1);
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    Ok(DataField { di: text(di), value: text(value) })
}

fn check_field(field: &DataField, earlier: &[DataField]) -> Result<(), PpnWrong> {
    if earlier.iter().any(|before| before.di == field.di) {
        return Err(PpnWrong::Twice);
    }
    let value = field.value.as_bytes();
    let holds = |good, wrong| if good { Ok(()) } else { Err(wrong) };
    match field.di.as_str() {
        "9N" => check_number(&field.value),
        "1T" | "S" => holds((1..=TEXT_MAX).contains(&value.len()), PpnWrong::Text),
        "D" => holds(value.len() == 6 && date::check_yymmdd(value, true).is_ok(), PpnWrong::Date),
        "16D" => holds(value.len() == 8 && date::check_yyyymmdd(value).is_ok(), PpnWrong::Date),
        "8P" => holds(Gtin::from_digits(value).is_ok(), PpnWrong::Gtin),
        _ => Ok(()),
    }
}

fn check_number(number: &str) -> Result<(), PpnWrong> {
    let bytes = number.as_bytes();
    let characters = bytes.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    let Some((body, found)) =
        bytes.split_last_chunk::<2>().filter(|_| characters && (4..=22).contains(&bytes.len()))
    else {
        return Err(PpnWrong::Number);
    };
    if !found.iter().all(u8::is_ascii_digit) {
        return Err(PpnWrong::Number);
    }
    if *found != check::ppn_check_digits(body) {
        return Err(PpnWrong::NumberCheck);
    }
    match pzn_of(number).map(str::as_bytes) {
        None => Ok(()),
        Some([body @ .., last]) if body.len() == 7 && check::pzn_check_digit(body) == Some(*last) => Ok(()),
        Some(_) => Err(PpnWrong::Pzn),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::date;

    /// `{` stands for RS, `^` for GS, `}` for EOT.
    fn parse(text: &str) -> Result<Option<Ppn>, Gs1Error> {
        Ppn::parse(text.replace('{', "\u{1E}").replace('^', "\u{1D}").replace('}', "\u{4}").as_bytes())
    }

    fn at(text: &str) -> Option<usize> {
        parse(text).err().map(|error| error.at())
    }

    #[test]
    fn a_securpharm_code_gives_its_pzn_lot_serial_and_expiry() {
        let ppn = parse("[)>{06^9N110375286414^1T12345ABCD^D250600^S12345ABCDEF98765{}").ok().flatten();
        let ppn = ppn.expect("a PPN");
        assert_eq!(ppn.number(), "110375286414");
        assert_eq!(ppn.pzn(), Some("03752864"));
        assert_eq!(ppn.lot(), Some("12345ABCD"));
        assert_eq!(ppn.serial(), Some("12345ABCDEF98765"));
        assert_eq!(ppn.expiry(date!(2024 - 01 - 01)), Some(date!(2025 - 06 - 30)));
        assert_eq!(ppn.ntin().map(|gtin| gtin.to_string()), Some("04150037528643".into()));
        assert_eq!(ppn.gtin(), None);
    }

    #[test]
    fn reading_what_was_written_gives_the_code() {
        let ppn = parse("[)>{06^S7^9N110375286414^D280100").ok().flatten().expect("a PPN");
        assert_eq!(Ppn::parse(&ppn.to_data()), Ok(Some(ppn)));
    }

    #[test]
    fn other_data_are_no_ppn() {
        for text in ["", "9N110375286414", "[)>{05^0109520123456788{}", "[)>{06^1PABC^S1{}"] {
            assert_eq!(parse(text), Ok(None), "{text}");
        }
    }

    #[test]
    fn a_wrong_field_is_refused_where_it_stands() {
        assert_eq!(at("[)>{06^9N110375286415{}"), Some(7));
        assert_eq!(at("[)>{06^9N110375286402{}"), Some(7));
        assert_eq!(at("[)>{06^9N110375286414^D251300{}"), Some(22));
        assert_eq!(at("[)>{06^9N110375286414^1T{}"), Some(22));
        assert_eq!(at("[)>{06^9N110375286414^^S1{}"), Some(22));
        assert_eq!(at("[)>{06^9N110375286414^S1^S2{}"), Some(25));
        assert_eq!(at("[)>{06^9N110375286414^8P4150037528640{}"), Some(22));
        assert_eq!(at("[)>{06^9N1{}"), Some(7));
    }
}
