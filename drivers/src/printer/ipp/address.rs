//! Where an office printer is: `ipp://` or `ipps://`, as its own page or its label says. Pure.

use std::{fmt, str::FromStr};

use serde::Deserialize;

/// The port of both schemes (RFC 8010 and RFC 7472).
const PORT: u16 = 631;

/// The address of an office printer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct IppAddress {
    /// A name or an IP address.
    pub host: String,
    /// 631 where the address names none.
    pub port: u16,
    /// From the slash on; `/ipp/print` for every IPP Everywhere printer (PWG 5100.14, 4.2.3).
    pub path: String,
    /// `ipps`: through TLS.
    pub secure: bool,
}

impl FromStr for IppAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<IppAddress, String> {
        let usage = || format!("address is \"{text}\": write \"ipp://192.0.2.9/ipp/print\" or \"ipps://…\"");
        let (secure, rest) = match (text.strip_prefix("ipp://"), text.strip_prefix("ipps://")) {
            (Some(rest), _) => (false, rest),
            (None, Some(rest)) => (true, rest),
            (None, None) => return Err(usage()),
        };
        let (authority, path) = rest.find('/').map_or((rest, "/ipp/print"), |at| rest.split_at(at));
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().map_err(|_| usage())?),
            _ => (authority, PORT),
        };
        let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '@' | '?' | '#');
        if host.is_empty() || !host.chars().all(plain) || !path.chars().all(plain) {
            return Err(usage());
        }
        Ok(IppAddress { host: host.to_owned(), port, path: path.to_owned(), secure })
    }
}

impl TryFrom<String> for IppAddress {
    type Error = String;

    fn try_from(text: String) -> Result<IppAddress, String> {
        text.parse()
    }
}

impl IppAddress {
    /// The host as a name to connect to: an IPv6 address without its brackets.
    #[must_use]
    pub fn host_name(&self) -> &str {
        self.host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(&self.host)
    }

    /// Host and port for the `Host` header.
    #[must_use]
    pub fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

impl fmt::Display for IppAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "ipps" } else { "ipp" };
        write!(f, "{scheme}://{}:{}{}", self.host, self.port, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(text.parse::<IppAddress>().unwrap().to_string(), expected);
    }

    #[test]
    fn an_address_is_completed_with_the_usual_port_and_path() {
        check("ipp://printer.local", "ipp://printer.local:631/ipp/print");
        check("ipps://192.0.2.9/ipp/print", "ipps://192.0.2.9:631/ipp/print");
        check("ipp://192.0.2.9:8631/printers/office", "ipp://192.0.2.9:8631/printers/office");
        check("ipp://[2001:db8::9]:8631", "ipp://[2001:db8::9]:8631/ipp/print");
        check("ipp://[2001:db8::9]", "ipp://[2001:db8::9]:631/ipp/print");
        assert_eq!("ipp://[2001:db8::9]".parse::<IppAddress>().unwrap().host_name(), "2001:db8::9");
    }

    #[test]
    fn anything_else_is_answered_with_how_to_write_it() {
        for wrong in [
            "192.0.2.9",
            "http://printer/ipp",
            "ipp://",
            "ipp://a b/",
            "ipp://me@printer/",
            "ipp://printer:port/",
        ] {
            let error = wrong.parse::<IppAddress>().unwrap_err();
            assert!(error.contains("write \"ipp://192.0.2.9/ipp/print\""), "{wrong}: {error}");
        }
    }
}
