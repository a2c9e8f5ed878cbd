//! Keeps other sites and other browsers out: where a request may come from, which browser it is, and what a page may
//! load.

use aws_lc_rs::rand;
use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::actions::refusal;
use crate::counter::command::{Refused, StationId, Why};

/// Names the cookie of a browser.
const COOKIE: &str = "pestle_station";
/// Bytes of a station's name: nobody guesses 128 bits.
const STATION_BYTES: usize = 16;

/// What a page may do: load from this box alone, run no inline script, be framed by nobody.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// How the pages are reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Through TLS: cookies are for HTTPS alone.
    Https,
    /// On loopback.
    PlainOnLoopback,
}

/// Lets a request through if it comes from this box's own pages (or from no browser), names its station, and puts the
/// headers on every answer.
pub async fn guard(State(transport): State<Transport>, mut request: Request, next: Next) -> Response {
    if request.method() != Method::GET
        && request.method() != Method::HEAD
        && !same_origin(request.headers(), request.uri())
    {
        let text = "This request comes from another site and was not carried out. Open the counter page of this box.";
        return with_headers(refusal(&Refused::new(Why::Authorization, text)));
    }
    let known = station_of(request.headers());
    let station = match &known {
        Some(station) => station.clone(),
        None => match draw_station() {
            Some(station) => station,
            None => {
                let text = "The box has no random numbers just now. Try again; call support if it stays so.";
                return with_headers(refusal(&Refused::new(Why::Unavailable, text)));
            }
        },
    };
    request.extensions_mut().insert(station.clone());
    let mut response = with_headers(next.run(request).await);
    if known.is_none()
        && let Ok(cookie) = HeaderValue::from_str(&cookie(&station, transport))
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

fn station_of(headers: &HeaderMap) -> Option<StationId> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    cookies
        .flat_map(|value| value.split(';'))
        .filter_map(|cookie| cookie.trim().split_once('='))
        .find(|(name, value)| {
            *name == COOKIE
                && value.len() == 2 * STATION_BYTES
                && value.bytes().all(|byte| byte.is_ascii_hexdigit())
        })
        .map(|(_, value)| StationId(value.into()))
}

fn draw_station() -> Option<StationId> {
    let mut bytes = [0; STATION_BYTES];
    rand::fill(&mut bytes).ok()?;
    Some(StationId(hex::encode(bytes).into()))
}

fn cookie(station: &StationId, transport: Transport) -> String {
    let secure = match transport {
        Transport::Https => "; Secure",
        Transport::PlainOnLoopback => "",
    };
    format!("{COOKIE}={}; Path=/; HttpOnly; SameSite=Strict{secure}", station.0)
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
    fn a_station_is_known_by_its_cookie_and_by_nothing_that_looks_like_it() {
        let station = draw_station().unwrap();
        let value = cookie(&station, Transport::Https);
        assert!(value.ends_with("; HttpOnly; SameSite=Strict; Secure"), "{value}");
        let mut sent = HeaderMap::new();
        let pair = value.split(';').next().unwrap();
        sent.insert(header::COOKIE, HeaderValue::from_str(&format!("a=b; {pair}")).unwrap());
        assert_eq!(station_of(&sent), Some(station));
        assert_eq!(station_of(&headers(&[("cookie", "pestle_station=short")])), None);
    }
}
