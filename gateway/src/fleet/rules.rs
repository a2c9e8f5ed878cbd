//! Birth and death, as Sparkplug 3.0 (5.4) has them: a will carries the same session as the birth, so a late death
//! never ends a newer session, and any later word of a box corrects a stale death.

use pestle_domain::{ids::ConnectionId, wire::message::Presence};

/// Whether a box is there.
///
/// ```text
/// Gone ── a word of a session ──► Here(session) ── death of that session ──► Gone
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Standing {
    /// Never heard of, or its last session has died.
    #[default]
    Gone,
    /// In this session.
    Here(ConnectionId),
}

impl Standing {
    /// What is so after the box (or the broker in its name) said `state` in `session`.
    #[must_use]
    pub fn after(self, session: ConnectionId, state: Presence) -> Self {
        match (self, state) {
            // Gone | Here => Here
            (_, Presence::Online) => Self::Here(session),
            // Here(session) => Gone
            (Self::Here(current), Presence::Offline) if current == session => Self::Gone,
            // A death of another session changes nothing.
            (standing, Presence::Offline) => standing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn a_late_death_never_ends_a_newer_session() {
        let (old, new) = (ConnectionId(Uuid::from_u128(1)), ConnectionId(Uuid::from_u128(2)));
        let standing = Standing::default().after(old, Presence::Online).after(new, Presence::Online);
        assert_eq!(standing.after(old, Presence::Offline), Standing::Here(new));
        assert_eq!(standing.after(new, Presence::Offline), Standing::Gone);
    }

    #[test]
    fn a_word_after_a_death_brings_a_box_back() {
        let session = ConnectionId(Uuid::from_u128(1));
        let gone = Standing::Here(session).after(session, Presence::Offline);
        assert_eq!(gone.after(session, Presence::Online), Standing::Here(session));
    }
}
