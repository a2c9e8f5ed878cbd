//! Keeps other sites and other browsers out: under which name the box is called, where a request may come from, which
//! browser it is, and what a page may load.

use std::net::{IpAddr, SocketAddr};

use aws_lc_rs::rand;
use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};
use rustls::{client::verify_server_name, server::ParsedCertificate};
use rustls_pki_types::{CertificateDer, ServerName};

use super::actions::refusal;
use crate::counter::command::{Refused, StationId, Why};

/// Bytes of a station's name: nobody guesses 128 bits.
const STATION_BYTES: usize = 16;

/// What a page may do: load from this box alone, run no inline script, be framed by nobody.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// How the pages are reached, and under which names.
#[derive(Debug, Clone)]
pub struct Gate {
    bound: SocketAddr,
    /// Of the pages' TLS; `None` on loopback without it.
    certificate: Option<CertificateDer<'static>>,
}

impl Gate {
    /// Through TLS with this certificate: its names are the box's names, and cookies are for HTTPS alone.
    pub fn https(bound: SocketAddr, certificate: CertificateDer<'static>) -> Self {
        Self { bound, certificate: Some(certificate) }
    }

    /// On loopback.
    pub fn plain(bound: SocketAddr) -> Self {
        Self { bound, certificate: None }
    }

    /// Whether `host` (without its port) is a name of this box. Another site that lets its own name point here (DNS
    /// rebinding) speaks to us under that name, with a page that the browser takes for ours.
    fn is_called(&self, host: &str) -> bool {
        if host.eq_ignore_ascii_case("localhost") {
            return true;
        }
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        if let Ok(ip) = bare.parse::<IpAddr>() {
            // No name leads to a bare address. Where the box listens on all of its own, each of them is its name.
            return ip.is_loopback() || self.bound.ip().is_unspecified() || ip == self.bound.ip();
        }
        let Some(certificate) = &self.certificate else { return false };
        match (ParsedCertificate::try_from(certificate), ServerName::try_from(bare)) {
            (Ok(certificate), Ok(name)) => verify_server_name(&certificate, &name).is_ok(),
            _ => false,
        }
    }

    /// The cookie of a till's station. Each till has its own, so that a new one at a sign-in takes none from another
    /// till in the same browser. `__Host-` keeps other hosts and plain HTTP from setting it; cookies do not know ports,
    /// so on loopback the port stands in the name.
    fn cookie_name(&self, till: &str) -> String {
        match self.certificate {
            Some(_) => format!("__Host-pestle-{till}"),
            None => format!("pestle-{}-{till}", self.bound.port()),
        }
    }

    fn cookie(&self, till: &str, station: &StationId) -> String {
        let secure = if self.certificate.is_some() { "; Secure" } else { "" };
        format!("{}={}; Path=/; HttpOnly; SameSite=Strict{secure}", self.cookie_name(till), station.0)
    }

    fn station_of(&self, headers: &HeaderMap, till: &str) -> Option<StationId> {
        let name = self.cookie_name(till);
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        cookies
            .flat_map(|value| value.split(';'))
            .filter_map(|cookie| cookie.trim().split_once('='))
            .find(|(found, value)| {
                *found == name
                    && value.len() == 2 * STATION_BYTES
                    && value.bytes().all(|byte| byte.is_ascii_hexdigit())
            })
            .map(|(_, value)| StationId(value.into()))
    }
}

/// Lets a request through if it is meant for this box and comes from its own pages (or from no browser), names its
/// station, and puts the headers on every answer. A station is drawn at each sign-in and is worth something only once
/// that has gone well: one that was there before, or was put there by somebody else, never becomes a person's.
pub async fn guard(State(gate): State<Gate>, mut request: Request, next: Next) -> Response {
    if !host_of(request.headers(), request.uri()).is_some_and(|host| gate.is_called(&host)) {
        let text =
            "This box has another name. Open the counter page under the address that it was set up with.";
        return with_headers(refusal(&Refused::new(Why::Misdirected, text)));
    }
    let sends = request.method() != Method::GET && request.method() != Method::HEAD;
    if sends && !same_origin(request.headers(), request.uri()) {
        let text = "This request comes from another site and was not carried out. Open the counter page of this box.";
        return with_headers(refusal(&Refused::new(Why::Authorization, text)));
    }
    let till = till_of(request.uri().path()).map(str::to_owned);
    let signs_in = sends && request.uri().path().ends_with("/sign-in");
    let known = till.as_deref().and_then(|till| gate.station_of(request.headers(), till));
    let station = match known.filter(|_| !signs_in).or_else(draw_station) {
        Some(station) => station,
        None => {
            let text = "The box has no random numbers just now. Try again; call support if it stays so.";
            return with_headers(refusal(&Refused::new(Why::Unavailable, text)));
        }
    };
    request.extensions_mut().insert(station.clone());
    let mut response = with_headers(next.run(request).await);
    if signs_in
        && response.status().is_success()
        && let Some(till) = till
        && let Ok(cookie) = HeaderValue::from_str(&gate.cookie(&till, &station))
    {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

fn with_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response.into_response()
}

/// The till of `/till/{till}/…`.
fn till_of(path: &str) -> Option<&str> {
    path.strip_prefix("/till/")?.split('/').next().filter(|till| !till.is_empty())
}

/// Under which name the box was called: HTTP/1.1 says it in a header, HTTP/2 in the address.
fn host_of(headers: &HeaderMap, uri: &Uri) -> Option<String> {
    let named = headers.get(header::HOST).and_then(|value| value.to_str().ok());
    match named {
        Some(named) => named.parse::<Authority>().ok().map(|authority| authority.host().to_owned()),
        None => uri.host().map(str::to_owned),
    }
}

/// Browsers name the origin of everything that is not a plain visit; what names none is no browser, and has no cookie
/// of ours to misuse.
fn same_origin(headers: &HeaderMap, uri: &Uri) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    if text("sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none") {
        return false;
    }
    let Some(origin) = text("origin") else { return true };
    let host = text("host").or_else(|| uri.authority().map(|authority| authority.as_str()));
    let named = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
    named.is_some() && named == host
}

fn draw_station() -> Option<StationId> {
    let mut bytes = [0; STATION_BYTES];
    rand::fill(&mut bytes).ok()?;
    Some(StationId(hex::encode(bytes).into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    fn https(bound: &str, names: &[&str]) -> Gate {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
        Gate::https(bound.parse().unwrap(), certificate.der().clone())
    }

    #[test]
    fn only_this_boxs_own_pages_may_send_anything() {
        let uri = Uri::from_static("/till/till-1/pay");
        for (pairs, good) in [
            (&[][..], true),
            (&[("host", "box.local"), ("origin", "https://box.local")], true),
            (&[("host", "box.local"), ("origin", "https://evil.example")], false),
            (&[("host", "box.local"), ("origin", "null")], false),
            (&[("host", "box.local:8443"), ("origin", "https://box.local")], false),
            (&[("host", "box.local"), ("sec-fetch-site", "cross-site")], false),
            (&[("host", "box.local"), ("sec-fetch-site", "same-origin")], true),
        ] {
            assert_eq!(same_origin(&headers(pairs), &uri), good, "{pairs:?}");
        }
    }

    #[test]
    fn the_box_answers_to_its_own_names_alone() {
        let check = |gate: &Gate, host: &'static str, good: bool| {
            let host = host_of(&headers(&[("host", host)]), &Uri::from_static("/"));
            assert_eq!(host.is_some_and(|host| gate.is_called(&host)), good, "{gate:?}");
        };
        let plain = Gate::plain("127.0.0.1:8080".parse().unwrap());
        check(&plain, "127.0.0.1:8080", true);
        check(&plain, "[::1]:8080", true);
        check(&plain, "LOCALHOST:8080", true);
        check(&plain, "evil.example:8080", false);
        check(&plain, "192.0.2.7", false);
        check(&plain, "not a host", false);
        let open = https("0.0.0.0:8443", &["box-1.acme.example"]);
        check(&open, "box-1.acme.example:8443", true);
        check(&open, "192.0.2.7:8443", true);
        check(&open, "evil.example:8443", false);
        check(&https("192.0.2.7:8443", &["box-1.acme.example"]), "192.0.2.8:8443", false);
        assert_eq!(host_of(&headers(&[]), &Uri::from_static("/")), None);
        let http2 = Uri::from_static("https://localhost:8443/till/till-1");
        assert_eq!(host_of(&headers(&[]), &http2).as_deref(), Some("localhost"));
    }

    #[test]
    fn a_station_is_known_by_its_own_tills_cookie_and_by_nothing_that_looks_like_it() {
        let gate = https("127.0.0.1:8443", &["box.local"]);
        let station = draw_station().unwrap();
        let value = gate.cookie("till-1", &station);
        assert!(value.starts_with("__Host-pestle-till-1="), "{value}");
        assert!(value.ends_with("; Path=/; HttpOnly; SameSite=Strict; Secure"), "{value}");
        let mut sent = HeaderMap::new();
        let pair = value.split(';').next().unwrap();
        sent.insert(header::COOKIE, HeaderValue::from_str(&format!("a=b; {pair}")).unwrap());
        assert_eq!(gate.station_of(&sent, "till-1"), Some(station));
        assert_eq!(gate.station_of(&sent, "till-2"), None);
        let short = headers(&[("cookie", "__Host-pestle-till-1=short")]);
        assert_eq!(gate.station_of(&short, "till-1"), None);
        let plain = Gate::plain("127.0.0.1:8080".parse().unwrap());
        assert!(plain.cookie_name("till-1").contains("8080"), "two boxes on one machine do not share it");
    }
}
