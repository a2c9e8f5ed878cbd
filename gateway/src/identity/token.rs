//! Tokens: JWT (RFC 7519) signed with ES256 under a key that signs nothing else.

use std::{fmt, time::Duration};

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use moka::future::Cache;
use pestle_domain::{ids::TenantId, staff::Role};
use rcgen::KeyPair;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

/// How long a token lasts. The console renews it while somebody works.
pub const LIFE: Duration = Duration::from_secs(3600);
const ISSUER: &str = "pestle-gateway";
/// Tokens that were ended early and are remembered until they are over.
const ENDED_MAX: u64 = 100_000;

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    iss: String,
    /// The user.
    pub sub: Uuid,
    /// Of which chain.
    pub tenant: TenantId,
    /// What they are.
    pub role: Role,
    /// As pages greet them.
    pub name: String,
    /// Names this token.
    pub jti: Uuid,
    /// Given at, seconds since 1970.
    pub iat: i64,
    /// Over at, seconds since 1970.
    pub exp: i64,
}

/// The token is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadToken {
    /// Over, or ended by signing out.
    #[error("your sign-in is over: sign in again")]
    Over,
    /// Not ours, or changed.
    #[error("this token is not valid: sign in again")]
    Invalid,
}

/// When a token was made, in milliseconds since 1970: its name (a UUIDv7) says it finer than its claim `iat`.
pub fn made_at_ms(token_id: Uuid) -> i128 {
    token_id.get_timestamp().map_or(0, |at| {
        let (seconds, nanos) = at.to_unix();
        i128::from(seconds) * 1_000 + i128::from(nanos / 1_000_000)
    })
}

/// Tokens cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("a token cannot be signed")]
pub struct TokenError(#[from] jsonwebtoken::errors::Error);

/// Makes and reads tokens.
pub struct Tokens {
    sign: EncodingKey,
    verify: DecodingKey,
    validation: Validation,
    ended: Cache<Uuid, ()>,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Tokens")
    }
}

impl Tokens {
    /// With this P-256 key.
    pub fn new(key: &KeyPair) -> Self {
        let mut validation = Validation::new(Algorithm::ES256);
        // The library's default accepts tokens that ended a minute ago.
        validation.leeway = 0;
        validation.set_issuer(&[ISSUER]);
        validation.set_required_spec_claims(&["exp", "iss", "sub"]);
        Self {
            sign: EncodingKey::from_ec_der(key.serialized_der()),
            verify: DecodingKey::from_ec_der(key.public_key_raw()),
            validation,
            ended: Cache::builder().max_capacity(ENDED_MAX).time_to_live(LIFE).build(),
        }
    }

    /// A token for somebody who has just proved who they are.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn issue(
        &self,
        user: Uuid,
        tenant: &TenantId,
        role: Role,
        name: &str,
        now: OffsetDateTime,
    ) -> Result<(String, Claims), TokenError> {
        let iat = now.unix_timestamp();
        let claims = Claims {
            iss: ISSUER.into(),
            sub: user,
            tenant: tenant.clone(),
            role,
            name: name.into(),
            jti: Uuid::now_v7(),
            iat,
            exp: iat.saturating_add_unsigned(LIFE.as_secs()),
        };
        Ok((encode(&Header::new(Algorithm::ES256), &claims, &self.sign)?, claims))
    }

    /// Reads a token.
    ///
    /// # Errors
    /// [`BadToken`].
    pub fn read(&self, token: &str) -> Result<Claims, BadToken> {
        use jsonwebtoken::errors::ErrorKind;
        let claims = decode::<Claims>(token, &self.verify, &self.validation)
            .map_err(|error| match error.kind() {
                ErrorKind::ExpiredSignature => BadToken::Over,
                _ => BadToken::Invalid,
            })?
            .claims;
        if self.is_ended(claims.jti) { Err(BadToken::Over) } else { Ok(claims) }
    }

    /// Whether that token was ended before its time.
    pub fn is_ended(&self, token_id: Uuid) -> bool {
        self.ended.contains_key(&token_id)
    }

    /// Ends a token before its time.
    pub async fn end(&self, token_id: Uuid) {
        self.ended.insert(token_id, ()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens() -> Tokens {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        Tokens::new(&KeyPair::generate().unwrap())
    }

    fn issue(tokens: &Tokens, now: OffsetDateTime) -> (String, Claims) {
        tokens.issue(Uuid::now_v7(), &"demo".parse().unwrap(), Role::Manager, "Max", now).unwrap()
    }

    #[tokio::test]
    async fn a_token_is_read_as_it_was_issued_and_ends_when_it_is_ended() {
        let tokens = tokens();
        let (text, claims) = issue(&tokens, OffsetDateTime::now_utc());
        assert_eq!(tokens.read(&text), Ok(claims.clone()));
        tokens.end(claims.jti).await;
        assert_eq!(tokens.read(&text), Err(BadToken::Over));
    }

    #[test]
    fn a_token_that_ended_a_moment_ago_is_refused() {
        let tokens = tokens();
        let (text, _) = issue(&tokens, OffsetDateTime::now_utc() - LIFE - Duration::from_secs(2));
        assert_eq!(tokens.read(&text), Err(BadToken::Over));
    }

    #[test]
    fn a_token_of_another_key_or_with_another_letter_is_refused() {
        let (ours, theirs) = (tokens(), tokens());
        let (text, _) = issue(&theirs, OffsetDateTime::now_utc());
        assert_eq!(ours.read(&text), Err(BadToken::Invalid));
        let (header, rest) = text.split_once('.').unwrap();
        assert_eq!(theirs.read(&format!("{header}.A{rest}")), Err(BadToken::Invalid));
        assert_eq!(ours.read(""), Err(BadToken::Invalid));
    }
}
