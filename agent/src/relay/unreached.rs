//! Why the centre is not reached, in a sentence that says what a person in the branch can do. Pure.
//!
//! What the system, TLS or the broker said in their own words stands in the log beside it.

use std::{fmt, io};

use pestle_domain::causes::with_causes;
use rumqttc::{
    TlsError,
    v5::{
        ConnectionError, StateError,
        mqttbytes::v5::{ConnectReturnCode, DisconnectReasonCode},
    },
};
use rustls::{AlertDescription, CertificateError, Error as Tls};
use rustls_pki_types::UnixTime;
use time::OffsetDateTime;

/// Where the centre was looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CentreAddress {
    /// Its name, or its address.
    pub host: String,
    /// The broker's port.
    pub port: u16,
}

impl fmt::Display for CentreAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// What became of the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Unreached {
    /// The machine answers, and nothing on it takes the call.
    Refused,
    /// No way leads there.
    NoWay,
    /// The name means nothing here.
    NoSuchName,
    /// No answer in time.
    NoAnswer,
    /// It was connected, or nearly.
    BrokenOff,
    /// The certificate of what answers is another one's.
    Stranger(&'static str),
    /// The certificate of what answers is not valid at the time that this box believes.
    WrongTime(Option<Dates>),
    /// This box's own certificate is not taken, or the box itself.
    NotLetIn(&'static str),
    /// The centre has no room for it now.
    Busy,
    /// Anything else, in its own words.
    Other(String),
}

/// What a certificate's time is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dates {
    RanOut { now: UnixTime, on: UnixTime },
    NotBefore { now: UnixTime, on: UnixTime },
}

/// The sentence for `error`, of a connection to `centre`.
pub fn sentence(error: &ConnectionError, centre: &CentreAddress) -> String {
    Unreached::of(error).sentence(centre)
}

/// The sentence for a connection that the broker ended with `code`.
pub fn ended(code: DisconnectReasonCode, centre: &CentreAddress) -> String {
    Unreached::of_end(code).sentence(centre)
}

impl Unreached {
    fn of(error: &ConnectionError) -> Unreached {
        match error {
            ConnectionError::Io(error)
            | ConnectionError::Tls(TlsError::Io(error))
            | ConnectionError::MqttState(StateError::Io(error)) => Self::of_io(error),
            ConnectionError::Tls(TlsError::TLS(error)) => Self::of_tls(error),
            ConnectionError::Timeout(_) => Unreached::NoAnswer,
            ConnectionError::MqttState(StateError::AwaitPingResp | StateError::ConnectionAborted) => {
                Unreached::BrokenOff
            }
            ConnectionError::ConnectionRefused(code) => Self::of_answer(*code),
            ConnectionError::MqttState(StateError::ServerDisconnect { reason_code, .. }) => {
                Self::of_end(*reason_code)
            }
            other => Unreached::Other(with_causes(other)),
        }
    }

    fn of_io(error: &io::Error) -> Unreached {
        use io::ErrorKind as Kind;
        if let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<Tls>()) {
            return Self::of_tls(tls);
        }
        match error.kind() {
            Kind::ConnectionRefused => Unreached::Refused,
            Kind::HostUnreachable | Kind::NetworkUnreachable | Kind::NetworkDown | Kind::AddrNotAvailable => {
                Unreached::NoWay
            }
            Kind::TimedOut => Unreached::NoAnswer,
            Kind::ConnectionReset | Kind::ConnectionAborted | Kind::BrokenPipe | Kind::UnexpectedEof => {
                Unreached::BrokenOff
            }
            // std has no kind for a name that is not found: this is how it begins (library/std/src/sys/net).
            _ if error.to_string().starts_with("failed to lookup address") => Unreached::NoSuchName,
            _ => Unreached::Other(with_causes(error)),
        }
    }

    fn of_tls(error: &Tls) -> Unreached {
        match error {
            Tls::InvalidCertificate(error) => match error {
                CertificateError::Expired | CertificateError::NotValidYet => Unreached::WrongTime(None),
                CertificateError::ExpiredContext { time, not_after } => {
                    Unreached::WrongTime(Some(Dates::RanOut { now: *time, on: *not_after }))
                }
                CertificateError::NotValidYetContext { time, not_before } => {
                    Unreached::WrongTime(Some(Dates::NotBefore { now: *time, on: *not_before }))
                }
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                    Unreached::Stranger("its certificate is for another name")
                }
                CertificateError::UnknownIssuer => {
                    Unreached::Stranger("its certificate was not issued by the chain")
                }
                _ => Unreached::Stranger("its certificate does not hold"),
            },
            Tls::AlertReceived(AlertDescription::CertificateExpired) => {
                Unreached::NotLetIn("its certificate has run out")
            }
            Tls::AlertReceived(AlertDescription::CertificateRevoked | AlertDescription::AccessDenied) => {
                Unreached::NotLetIn("its certificate was withdrawn")
            }
            Tls::AlertReceived(
                AlertDescription::BadCertificate
                | AlertDescription::CertificateRequired
                | AlertDescription::CertificateUnknown
                | AlertDescription::DecryptError
                | AlertDescription::UnknownCA
                | AlertDescription::UnsupportedCertificate,
            ) => Unreached::NotLetIn("its certificate is not one of this centre's"),
            other => Unreached::Other(with_causes(other)),
        }
    }

    fn of_answer(code: ConnectReturnCode) -> Unreached {
        use ConnectReturnCode as Code;
        match code {
            Code::NotAuthorized
            | Code::BadUserNamePassword
            | Code::BadAuthenticationMethod
            | Code::BadClientId
            | Code::ClientIdentifierNotValid
            | Code::Banned => Unreached::NotLetIn("it was withdrawn or replaced, or its rights are wrong"),
            Code::ServerBusy
            | Code::ServerUnavailable
            | Code::ServiceUnavailable
            | Code::QuotaExceeded
            | Code::ConnectionRateExceeded => Unreached::Busy,
            other => Unreached::Other(format!("the broker answered {other:?}")),
        }
    }

    fn of_end(code: DisconnectReasonCode) -> Unreached {
        use DisconnectReasonCode as Code;
        match code {
            Code::ServerShuttingDown
            | Code::ServerBusy
            | Code::QuotaExceeded
            | Code::ConnectionRateExceeded => Unreached::Busy,
            Code::KeepAliveTimeout | Code::MaximumConnectTime => Unreached::BrokenOff,
            Code::NotAuthorized | Code::AdministrativeAction => {
                Unreached::NotLetIn("it was withdrawn or replaced, or its rights are wrong")
            }
            other => Unreached::Other(format!("the broker ended it with {other:?}")),
        }
    }

    fn sentence(self, centre: &CentreAddress) -> String {
        const AGAIN: &str = "The box tries again by itself; call support if it lasts an hour";
        match self {
            Unreached::Refused => format!(
                "the centre's machine answers, and its service does not ({centre}): it is being restarted, or a firewall keeps this box out. {AGAIN}"
            ),
            Unreached::NoWay => format!(
                "no way leads to the centre ({centre}): check the box's network cable, the branch's router and its line"
            ),
            Unreached::NoSuchName => format!(
                "the centre's name {} is not found: check the branch's router and its line. If other pages open here, call support: the name is wrong, or the router's name service",
                centre.host
            ),
            Unreached::NoAnswer => format!(
                "the centre ({centre}) does not answer in time: check the branch's line, and that its firewall lets port {} out",
                centre.port
            ),
            Unreached::BrokenOff => format!(
                "the connection to the centre ({centre}) broke off. The box connects again by itself; have the branch's line looked at if it happens often"
            ),
            Unreached::Stranger(why) => format!(
                "what answers at {centre} is not the centre ({why}), and nothing was sent to it: a firewall may look into connections, or the address is wrong. Call support"
            ),
            Unreached::WrongTime(dates) => wrong_time(dates),
            Unreached::NotLetIn(why) => {
                format!("the centre does not let this box in ({why}). What is sold is kept. Call support")
            }
            Unreached::Busy => {
                format!("the centre has no room for this box now, or is being restarted. {AGAIN}")
            }
            Unreached::Other(words) => {
                format!("the connection to the centre ({centre}) failed: {words}. {AGAIN}")
            }
        }
    }
}

fn wrong_time(dates: Option<Dates>) -> String {
    let (certificate, now) = match dates {
        Some(Dates::RanOut { now, on }) => (format!("ran out on {}", day(on)), day(now)),
        Some(Dates::NotBefore { now, on }) => (format!("begins on {}", day(on)), day(now)),
        None => ("is not valid today".to_owned(), "another day".to_owned()),
    };
    format!(
        "the centre's certificate {certificate}, and this box's clock says {now}. If that is not today, the clock is wrong: check that the branch's firewall lets time (NTP, UDP port 123) through, and restart the box. If it is today, call support"
    )
}

/// As people write it where dates are sorted: `2026-11-22`, in UTC.
fn day(at: UnixTime) -> String {
    let at = i64::try_from(at.as_secs()).ok().and_then(|secs| OffsetDateTime::from_unix_timestamp(secs).ok());
    at.map_or_else(|| "a day far away".to_owned(), |at| at.date().to_string())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn centre() -> CentreAddress {
        CentreAddress { host: "centre.example".into(), port: 8883 }
    }

    /// What is said of `error` has all of `parts`.
    #[track_caller]
    fn says(error: &ConnectionError, parts: &[&str]) {
        let said = sentence(error, &centre());
        for part in parts {
            assert!(said.contains(part), "\"{part}\" in: {said}");
        }
        for raw in ["os error", "I/O", "Io(", "{", "InvalidCertificate", "AlertReceived"] {
            assert!(!said.contains(raw), "\"{raw}\" is no word for a person: {said}");
        }
    }

    fn io(kind: io::ErrorKind) -> ConnectionError {
        ConnectionError::Io(kind.into())
    }

    /// As tokio-rustls hands a failure of TLS on.
    fn tls(error: Tls) -> ConnectionError {
        ConnectionError::Tls(TlsError::Io(io::Error::new(io::ErrorKind::InvalidData, error)))
    }

    fn at(secs: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(secs))
    }

    #[test]
    fn each_usual_failure_of_the_network_says_what_to_check() {
        // As the system says it: the words that stood on a box's screen before.
        says(
            &ConnectionError::Io(io::Error::from_raw_os_error(111)),
            &["its service does not", "centre.example:8883"],
        );
        says(&io(io::ErrorKind::HostUnreachable), &["no way leads", "cable", "router"]);
        says(&io(io::ErrorKind::NetworkUnreachable), &["no way leads", "cable", "router"]);
        says(&io(io::ErrorKind::TimedOut), &["does not answer in time", "port 8883"]);
        for kind in [io::ErrorKind::ConnectionReset, io::ErrorKind::UnexpectedEof, io::ErrorKind::BrokenPipe]
        {
            says(&io(kind), &["broke off", "by itself"]);
            says(&ConnectionError::MqttState(StateError::Io(kind.into())), &["broke off"]);
        }
        says(&ConnectionError::MqttState(StateError::AwaitPingResp), &["broke off"]);
    }

    #[tokio::test]
    async fn a_name_that_is_not_found_is_told_from_a_line_that_is_dead() {
        // RFC 6761, 6.4: no name below it ever resolves.
        let error = tokio::net::lookup_host("centre.invalid:8883").await.map(drop).unwrap_err();
        says(&ConnectionError::Io(error), &["name centre.example is not found", "router"]);
        let elapsed = tokio::time::timeout(Duration::ZERO, std::future::pending::<()>()).await.unwrap_err();
        says(&ConnectionError::Timeout(elapsed), &["does not answer in time"]);
    }

    #[test]
    fn a_certificate_that_is_not_the_centre_s_is_not_called_a_bad_line() {
        says(&tls(CertificateError::UnknownIssuer.into()), &["is not the centre", "Call support"]);
        says(&tls(CertificateError::NotValidForName.into()), &["another name", "nothing was sent"]);
        says(
            &ConnectionError::Tls(TlsError::TLS(CertificateError::BadSignature.into())),
            &["is not the centre"],
        );
    }

    #[test]
    fn a_certificate_of_another_time_tells_both_days_and_to_look_at_the_clock() {
        // 2026-11-22 and 1970-01-02.
        let not_yet =
            CertificateError::NotValidYetContext { time: at(86_400), not_before: at(1_795_305_600) };
        says(&tls(not_yet.into()), &["begins on 2026-11-22", "clock says 1970-01-02", "NTP"]);
        let ran_out = CertificateError::ExpiredContext { time: at(1_795_305_600), not_after: at(86_400) };
        says(&tls(ran_out.into()), &["ran out on 1970-01-02", "clock says 2026-11-22", "call support"]);
        says(&tls(CertificateError::Expired.into()), &["clock"]);
    }

    #[test]
    fn a_box_that_is_not_let_in_is_told_so_whoever_says_it() {
        let alert = |alert| tls(Tls::AlertReceived(alert));
        says(&alert(AlertDescription::CertificateRevoked), &["does not let this box in", "withdrawn"]);
        says(&alert(AlertDescription::CertificateExpired), &["does not let this box in", "run out"]);
        says(&alert(AlertDescription::UnknownCA), &["does not let this box in", "Call support"]);
        // In TLS 1.3 a client hears of it with its first read.
        let late =
            io::Error::new(io::ErrorKind::InvalidData, Tls::AlertReceived(AlertDescription::UnknownCA));
        says(&ConnectionError::MqttState(StateError::Io(late)), &["does not let this box in"]);
        says(
            &ConnectionError::ConnectionRefused(ConnectReturnCode::NotAuthorized),
            &["does not let this box in"],
        );
        says(&ConnectionError::ConnectionRefused(ConnectReturnCode::ServerBusy), &["no room", "by itself"]);
        let bye = |reason_code| {
            ConnectionError::MqttState(StateError::ServerDisconnect { reason_code, reason_string: None })
        };
        says(&bye(DisconnectReasonCode::NotAuthorized), &["does not let this box in"]);
        says(&bye(DisconnectReasonCode::ServerShuttingDown), &["no room", "by itself"]);
        assert!(ended(DisconnectReasonCode::KeepAliveTimeout, &centre()).contains("broke off"));
    }

    #[test]
    fn what_nobody_foresaw_is_told_in_its_own_words_and_with_what_to_do() {
        says(&ConnectionError::RequestsDone, &["Requests done", "call support"]);
    }
}
