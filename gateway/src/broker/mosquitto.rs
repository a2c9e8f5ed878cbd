//! A Mosquitto in place of the built-in broker: its configuration, with the same rights.
//!
//! Boxes and gateways get a listener each. On that of the boxes the client id is the certificate's name, since Mosquitto
//! has no rule on client ids and one box could else throw another off (MQTT 5, 3.1.4-3); gateways have several
//! connections each, so that theirs stays their own.

use std::{net::SocketAddr, path::Path};

use super::{PACKET_BYTES_MAX, builtin::QUEUE_LENGTH_MAX, client::RECEIVE_MAX};
use crate::authority::Credentials;

/// A `mosquitto.conf` (mosquitto.conf(5), 2.0) that trusts the authority `ca_file` alone and reads its rights from
/// `acl_file`.
pub fn configuration(
    boxes: SocketAddr,
    gateways: SocketAddr,
    server: &Credentials,
    ca_file: &Path,
    acl_file: &Path,
) -> String {
    let listener = |at: SocketAddr| {
        format!(
            "listener {} {}\ncafile {}\ncertfile {}\nkeyfile {}\nrequire_certificate true\nuse_identity_as_username true\n",
            at.port(),
            at.ip(),
            ca_file.display(),
            server.chain_file.display(),
            server.key_file.display(),
        )
    };
    format!(
        "# Written by `pestle-gateway admin mosquitto`. Restart Mosquitto when the certificate was renewed.\n\
         per_listener_settings false\n\
         allow_anonymous false\n\
         acl_file {}\n\
         max_packet_size {PACKET_BYTES_MAX}\n\
         max_inflight_messages {RECEIVE_MAX}\n\
         max_queued_messages {QUEUE_LENGTH_MAX}\n\n\
         {}use_username_as_clientid true\n\n\
         {}",
        acl_file.display(),
        listener(boxes),
        listener(gateways),
    )
}
