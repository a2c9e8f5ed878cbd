//! Money in integer minor units with its currency, and the tax inside a retail price (invariant I6).

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A currency by its ISO 4217 letters, of those that a branch may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Currency {
    /// Pound sterling.
    GBP,
    /// Euro.
    EUR,
    /// US dollar.
    USD,
    /// Swiss franc.
    CHF,
    /// Danish krone.
    DKK,
    /// Norwegian krone.
    NOK,
    /// Swedish krona.
    SEK,
    /// Polish zloty.
    PLN,
    /// Czech koruna.
    CZK,
    /// Japanese yen: no minor unit.
    JPY,
    /// Kuwaiti dinar: three decimals.
    KWD,
}

impl Currency {
    const ALL: [Self; 11] = [
        Self::GBP,
        Self::EUR,
        Self::USD,
        Self::CHF,
        Self::DKK,
        Self::NOK,
        Self::SEK,
        Self::PLN,
        Self::CZK,
        Self::JPY,
        Self::KWD,
    ];

    /// The ISO 4217 alphabetic code.
    pub fn code(self) -> &'static str {
        match self {
            Self::GBP => "GBP",
            Self::EUR => "EUR",
            Self::USD => "USD",
            Self::CHF => "CHF",
            Self::DKK => "DKK",
            Self::NOK => "NOK",
            Self::SEK => "SEK",
            Self::PLN => "PLN",
            Self::CZK => "CZK",
            Self::JPY => "JPY",
            Self::KWD => "KWD",
        }
    }

    /// Digits of the minor unit (ISO 4217, column "Minor unit").
    pub fn decimals(self) -> u32 {
        match self {
            Self::JPY => 0,
            Self::KWD => 3,
            _ => 2,
        }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.code())
    }
}

impl FromStr for Currency {
    type Err = MoneyError;
    fn from_str(text: &str) -> Result<Self, MoneyError> {
        Self::ALL
            .into_iter()
            .find(|currency| currency.code() == text)
            .ok_or_else(|| MoneyError::UnknownCurrency { text: text.chars().take(12).collect() })
    }
}

/// What is wrong with an amount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Not an ISO 4217 code that we know.
    #[error("\"{text}\" is no currency that this version knows: write GBP, EUR or another ISO 4217 code")]
    UnknownCurrency {
        /// As it was given.
        text: String,
    },
    /// Not a number with at most the currency's decimals.
    #[error("\"{text}\" is no amount of {currency}: write it like {}", Money::new(1250, *.currency).plain())]
    BadAmount {
        /// As it was given.
        text: String,
        /// In which currency it was read.
        currency: Currency,
    },
    /// Two currencies in one sum.
    #[error("an amount of {0} cannot be added to one of {1}")]
    Mixed(Currency, Currency),
    /// Past 64 bits.
    #[error("the amount is too large")]
    Overflow,
}

/// An amount in minor units (cents, pence) of its currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Money {
    /// Minor units; negative for what goes out.
    pub minor: i64,
    /// ISO 4217.
    pub currency: Currency,
}

#[allow(clippy::should_implement_trait, reason = "the operators cannot fail; money of two currencies can")]
impl Money {
    /// `minor` units of `currency`.
    pub const fn new(minor: i64, currency: Currency) -> Self {
        Self { minor, currency }
    }

    /// Nothing, in `currency`.
    pub const fn zero(currency: Currency) -> Self {
        Self::new(0, currency)
    }

    /// The sum.
    ///
    /// # Errors
    /// [`MoneyError::Mixed`] for two currencies, [`MoneyError::Overflow`] past 64 bits.
    pub fn add(self, other: Self) -> Result<Self, MoneyError> {
        if self.currency != other.currency {
            return Err(MoneyError::Mixed(other.currency, self.currency));
        }
        let minor = self.minor.checked_add(other.minor).ok_or(MoneyError::Overflow)?;
        Ok(Self { minor, ..self })
    }

    /// The difference.
    ///
    /// # Errors
    /// As [`Money::add`].
    pub fn sub(self, other: Self) -> Result<Self, MoneyError> {
        let minor = other.minor.checked_neg().ok_or(MoneyError::Overflow)?;
        self.add(Self { minor, ..other })
    }

    /// `quantity` times this.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`] past 64 bits.
    pub fn times(self, quantity: i64) -> Result<Self, MoneyError> {
        let minor = self.minor.checked_mul(quantity).ok_or(MoneyError::Overflow)?;
        Ok(Self { minor, ..self })
    }

    /// Reads what a person types: `12.50`, `12,50`, `12`, `.50`; an optional sign.
    ///
    /// # Errors
    /// [`MoneyError::BadAmount`] for anything else, more decimals than the currency has among it.
    pub fn parse(text: &str, currency: Currency) -> Result<Self, MoneyError> {
        let bad = || MoneyError::BadAmount { text: text.chars().take(40).collect(), currency };
        let trimmed = text.trim();
        let (negative, digits) = match trimmed.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, trimmed),
        };
        let (whole, part) = digits.split_once(['.', ',']).unwrap_or((digits, ""));
        let decimals = currency.decimals() as usize;
        let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.len() + part.len() == 0 || part.len() > decimals || !all_digits(whole) || !all_digits(part) {
            return Err(bad());
        }
        let minor: i64 = format!("{whole}{part:0<decimals$}").parse().map_err(|_| bad())?;
        Ok(Self::new(if negative { -minor } else { minor }, currency))
    }

    /// The number alone, with the currency's decimals: `12.50`.
    pub fn plain(self) -> String {
        let unit = 10u64.pow(self.currency.decimals());
        let (sign, magnitude) = (if self.minor < 0 { "-" } else { "" }, self.minor.unsigned_abs());
        match self.currency.decimals() {
            0 => format!("{sign}{magnitude}"),
            decimals => {
                format!("{sign}{}.{:0width$}", magnitude / unit, magnitude % unit, width = decimals as usize)
            }
        }
    }
}

impl fmt::Display for Money {
    /// `GBP 12.50`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.currency, self.plain())
    }
}

/// A tax rate in hundredths of a per cent: 2000 is 20 %.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BasisPoints(pub u32);

impl fmt::Display for BasisPoints {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 % 100 {
            0 => write!(formatter, "{}%", self.0 / 100),
            part => write!(formatter, "{}.{part:02}%", self.0 / 100),
        }
    }
}

impl BasisPoints {
    /// The tax inside a gross amount: `gross × rate / (1 + rate)`, rounded half away from zero to the minor unit.
    ///
    /// It is computed once per rate on the receipt's total at that rate, never per line and summed, so that the
    /// summary on the receipt can be checked by hand.
    pub fn tax_inside(self, gross: Money) -> Money {
        let rate = i128::from(self.0);
        let divisor = 10_000 + rate;
        let doubled = 2 * i128::from(gross.minor) * rate;
        let rounded = (doubled + divisor * doubled.signum()) / (2 * divisor);
        // |tax| < |gross|, which fits.
        Money { minor: i64::try_from(rounded).unwrap_or(gross.minor), ..gross }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn amounts_are_read_as_people_type_them() {
        for (text, minor) in
            [("12.50", 1250), ("12,5", 1250), ("12", 1200), (".5", 50), (" 0.01 ", 1), ("-3.00", -300)]
        {
            assert_eq!(Money::parse(text, Currency::GBP).unwrap().minor, minor, "{text}");
        }
        assert_eq!(Money::parse("500", Currency::JPY).unwrap().minor, 500);
        for bad in ["", ".", "-", "1.234", "1 2", "1.2.3", "abc", "--1", "99999999999999999999"] {
            assert!(Money::parse(bad, Currency::GBP).is_err(), "{bad}");
        }
        assert!(Money::parse("5.0", Currency::JPY).is_err());
    }

    #[test]
    fn tax_inside_a_price_is_rounded_half_away_from_zero() {
        let gross = |minor| Money::new(minor, Currency::GBP);
        for (minor, rate, tax) in
            [(1200, 2000, 200), (100, 2000, 17), (3, 2000, 1), (-3, 2000, -1), (500, 0, 0), (105, 500, 5)]
        {
            assert_eq!(BasisPoints(rate).tax_inside(gross(minor)).minor, tax, "{minor} at {rate}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(minor in any::<i32>()) {
            for currency in Currency::ALL {
                let money = Money::new(minor.into(), currency);
                prop_assert_eq!(Money::parse(&money.plain(), currency).unwrap(), money);
            }
        }

        #[test]
        fn tax_never_exceeds_its_gross(minor in any::<i64>(), rate in 0u32..20_000) {
            let gross = Money::new(minor, Currency::EUR);
            prop_assert!(BasisPoints(rate).tax_inside(gross).minor.unsigned_abs() <= minor.unsigned_abs());
        }
    }
}
