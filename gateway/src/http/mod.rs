//! HTTP: the port that pages, REST and boxes share.
//!
//! In reading order: [`serve`] is TLS, limits and graceful end; [`gate`] counts connections; [`peer`] is who connected; [`envelope`] and [`error`]
//! are the shapes of every answer; [`extract`] reads bodies and parameters with errors in that shape; [`answer`] gives
//! each request its number and each error its body; [`routes`] puts the modules' routes together; [`health`] and
//! [`metrics`] are for machines that watch.

pub mod answer;
pub mod envelope;
pub mod error;
pub mod extract;
pub mod gate;
pub mod health;
pub mod metrics;
pub mod peer;
pub mod routes;
pub mod serve;
