//! The private PostgreSQL: a cluster of our own, started from the installed server programs.
//!
//! In reading order: [`programs`] finds `initdb` and `postgres`; [`account`] says whose processes they are;
//! [`layout`] says where files are, the socket's length limit among it; [`settings`] is how the server is set;
//! [`cluster`] creates, watches and stops it, [`server`] is one process of it.
//!
//! The cluster has no TCP port. Everybody who connects does so through a socket in a folder of its own and with a
//! generated password (SCRAM). A postmaster that outlived a killed gateway is stopped before the next start.

pub mod account;
pub mod cluster;
pub mod layout;
pub mod programs;
mod server;
pub mod settings;

pub use cluster::{ClusterError, PrivateCluster};
pub use layout::Layout;
