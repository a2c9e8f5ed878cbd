//! The two North American coupon codes.
//!
//! Sources: GS1 US, "North American Coupon Application Guideline Using GS1 DataBar Expanded Symbols" for (8110);
//! "GS1 AI (8112) Coupon Data Specification" for (8112). Both are digits alone: fields, many of them behind a digit
//! that says how long they are.

use super::content::{Misfit, Wrong};
use super::date;

/// Checks the value of (8110).
///
/// # Errors
/// Where the first field is wrong, and its name.
pub fn check_coupon(text: &[u8]) -> Result<(), Misfit> {
    let mut fields = Fields::of(text)?;
    fields.counted("company prefix", b'0'..=b'6', 6)?;
    fields.take("offer code", 6)?;
    fields.counted("save value", b'1'..=b'5', 0)?;
    fields.purchase()?;
    if fields.next_is(b'1') {
        fields.one_of("additional purchase rules code", b"0123")?;
        fields.purchase()?;
        fields.company_prefix_or_none()?;
    }
    if fields.next_is(b'2') {
        fields.purchase()?;
        fields.company_prefix_or_none()?;
    }
    let mut expiry = None;
    if fields.next_is(b'3') {
        expiry = Some(fields.date("expiration date")?);
    }
    if fields.next_is(b'4') {
        let at = fields.at;
        let start = fields.date("start date")?;
        // GS1 compares the two as they are written, YYMMDD.
        if expiry.is_some_and(|expiry| start > expiry) {
            return Err(Misfit {
                offset: at,
                wrong: Wrong::Coupon("start date (after the expiration date)"),
            });
        }
    }
    if fields.next_is(b'5') {
        fields.counted("serial number", b'0'..=b'9', 6)?;
    }
    if fields.next_is(b'6') {
        fields.counted("retailer's company prefix or GLN", b'1'..=b'7', 6)?;
    }
    if fields.next_is(b'9') {
        fields.one_of("save value code", b"01256")?;
        fields.one_of("save value applies to item", b"012")?;
        fields.one_of("store coupon flag", b"0123456789")?;
        fields.one_of("don't multiply flag", b"01")?;
    }
    fields.end()
}

/// Checks the value of (8112).
///
/// # Errors
/// Where the first field is wrong, and its name.
pub fn check_positive_offer(text: &[u8]) -> Result<(), Misfit> {
    let mut fields = Fields::of(text)?;
    fields.one_of("format code", b"01")?;
    fields.counted("funder id", b'0'..=b'6', 6)?;
    fields.take("offer code", 6)?;
    fields.counted("serial number", b'0'..=b'9', 6)?;
    fields.end()
}

/// The digits that are still to be read.
struct Fields<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Fields<'a> {
    fn of(text: &'a [u8]) -> Result<Self, Misfit> {
        match text.iter().position(|byte| !byte.is_ascii_digit()) {
            Some(offset) => Err(Misfit { offset, wrong: Wrong::Coupon("digit") }),
            None => Ok(Self { text, at: 0 }),
        }
    }

    fn misfit<T>(&self, name: &'static str) -> Result<T, Misfit> {
        Err(Misfit { offset: self.at, wrong: Wrong::Coupon(name) })
    }

    fn take(&mut self, name: &'static str, len: usize) -> Result<&'a [u8], Misfit> {
        match self.text.get(self.at..self.at + len) {
            Some(field) => {
                self.at += len;
                Ok(field)
            }
            None => self.misfit(name),
        }
    }

    fn one_of(&mut self, name: &'static str, allowed: &[u8]) -> Result<u8, Misfit> {
        match self.text.get(self.at) {
            Some(digit) if allowed.contains(digit) => {
                self.at += 1;
                Ok(*digit)
            }
            _ => self.misfit(name),
        }
    }

    /// A field behind a digit that gives its length, less `base`.
    fn counted(
        &mut self,
        name: &'static str,
        counts: std::ops::RangeInclusive<u8>,
        base: usize,
    ) -> Result<(), Misfit> {
        match self.text.get(self.at) {
            Some(count) if counts.contains(count) => {
                self.at += 1;
                self.take(name, usize::from(count - b'0') + base).map(drop)
            }
            _ => self.misfit(name),
        }
    }

    fn purchase(&mut self) -> Result<(), Misfit> {
        self.counted("purchase requirement", b'1'..=b'5', 0)?;
        self.one_of("purchase requirement code", b"012349")?;
        self.take("purchase family code", 3).map(drop)
    }

    /// A company prefix, or 9 for "the same as the first".
    fn company_prefix_or_none(&mut self) -> Result<(), Misfit> {
        if self.next_is(b'9') { Ok(()) } else { self.counted("company prefix of a purchase", b'0'..=b'6', 6) }
    }

    fn date(&mut self, name: &'static str) -> Result<&'a [u8], Misfit> {
        let at = self.at;
        let field = self.take(name, 6)?;
        match date::check_yymmdd(field, false) {
            Ok(()) => Ok(field),
            Err(_) => Err(Misfit { offset: at, wrong: Wrong::Coupon(name) }),
        }
    }

    /// Steps over the next digit if it is this one.
    fn next_is(&mut self, digit: u8) -> bool {
        let found = self.text.get(self.at) == Some(&digit);
        self.at += usize::from(found);
        found
    }

    fn end(&self) -> Result<(), Misfit> {
        if self.at == self.text.len() { Ok(()) } else { self.misfit("end (data follow)") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(coupon: impl Fn(&[u8]) -> Result<(), Misfit>, good: &[&str], bad: &[&str]) {
        for text in good {
            assert_eq!(coupon(text.as_bytes()), Ok(()), "{text}");
        }
        for text in bad {
            assert!(coupon(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn coupon_codes_are_read_field_by_field() {
        check(
            check_coupon,
            &[
                "012345612345611110123",
                "012345612345611110123101101230123456",
                "012345612345611110123101101239",
                "01234561234561111012333006074300607",
                "01234561234561111012390000",
            ],
            &[
                "",
                "012345",
                "71234567890123",
                "0123456123456",
                "01234561234560",
                "012345612345611115",
                "01234561234561111012314",
                "0123456123456111101233200010",
                "01234561234561111012335006064500607",
                "0123456123456111101239000",
                "012345612345611110123900000",
                "01234561234561111012a",
            ],
        );
    }

    #[test]
    fn positive_offer_codes_are_read_field_by_field() {
        check(
            check_positive_offer,
            &["001234561234560123456", "101234561234560123456", "061234567890121234569123456789012345"],
            &["", "201234561234560123456", "0", "07", "00123456", "00123456123456", "0012345612345601234567"],
        );
    }
}
