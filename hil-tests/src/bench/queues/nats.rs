//! A NATS JetStream leaf node in the branch and a hub at the centre, as "JetStream on Leaf Nodes" (docs.nats.io) sets it up.
//!
//! Settings: a JetStream domain each, with file storage, and the server's defaults for everything else; in the branch a stream that
//! keeps what is published, at the centre a stream that has it as its source. The server syncs its files every two minutes
//! (`sync_interval`; 2.9 has no setting to sync before it answers). The program pulls with acknowledgements one by one.

use std::{net::SocketAddr, path::Path};

use anyhow::Result;
use serde_json::json;

use super::{
    super::place::Cores,
    broker::{Broker, Settings},
    nats_client::{ANSWERS, Connection},
};
use crate::world::mosquitto::free_ports;

/// The stream's name at both ends.
const STREAM: &str = "FACTS";
/// The program's place in the centre's stream.
const DURABLE: &str = "program";
const SUBJECT: &str = "facts.north";
/// Published and not yet answered.
const IN_FLIGHT: usize = 256;
/// Of one request for messages.
pub const PULLED: usize = 1000;

/// Leaf and hub.
#[derive(Debug)]
pub struct Pair {
    /// The leaf.
    pub branch: Broker,
    /// The hub.
    pub centre: Broker,
}

impl Pair {
    /// New ones in `folder`. Nothing runs yet.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn new(folder: &Path, cores: Cores) -> Result<Self> {
        let ([branch, centre], [leaves, _]) = (free_ports()?, free_ports()?);
        let server = |name: &str, at: SocketAddr, core, leafnodes: String| {
            let folder = folder.join(name);
            let config = format!(
                "listen: \"{at}\"\nserver_name: {name}\njetstream {{ store_dir: {:?}, domain: {name} }}\n\
                 leafnodes {{ {leafnodes} }}\n",
                folder.join("store")
            );
            let path = program();
            Broker::prepare(Settings { name, path, folder: &folder, config, at, core })
        };
        Ok(Self {
            branch: server(
                "branch",
                branch,
                cores.branch,
                format!("remotes: [ {{ url: \"nats-leaf://{leaves}\" }} ]"),
            )?,
            centre: server("centre", centre, cores.centre, format!("listen: \"{leaves}\""))?,
        })
    }
}

/// Publishes each line in the branch, and hands back how many the server said it has.
///
/// # Errors
/// When it refuses one.
pub async fn load(branch: SocketAddr, lines: &[Vec<u8>]) -> Result<u64> {
    let mut connection = Connection::open(branch).await?;
    let kept = json!({ "name": STREAM, "subjects": ["facts.>"], "storage": "file", "retention": "limits" });
    connection.ask(&format!("$JS.API.STREAM.CREATE.{STREAM}"), &kept).await?;
    let mut told = 0;
    for some in lines.chunks(IN_FLIGHT) {
        for line in some {
            connection.publish(SUBJECT, Some(ANSWERS), line).await?;
        }
        connection.flush().await?;
        for _ in some {
            connection.answer().await?;
            told += 1;
        }
    }
    Ok(told)
}

/// Makes the centre's stream, with the branch's as its source, and the program's place in it, where they are not there.
///
/// # Errors
/// When the server refuses.
pub async fn prepare_centre(connection: &mut Connection) -> Result<()> {
    let source = json!({ "name": STREAM, "external": { "api": "$JS.branch.API", "deliver": "" } });
    let drawn = json!({ "name": STREAM, "sources": [source], "storage": "file", "retention": "limits" });
    connection.ask(&format!("$JS.API.STREAM.CREATE.{STREAM}"), &drawn).await?;
    let config = json!({
        "durable_name": DURABLE, "ack_policy": "explicit", "deliver_policy": "all"
    });
    let program = json!({ "stream_name": STREAM, "config": config });
    connection.ask(&format!("$JS.API.CONSUMER.DURABLE.CREATE.{STREAM}.{DURABLE}"), &program).await?;
    Ok(())
}

/// Asks for the next messages, which come as [`super::nats_client::Message`]s with a subject to acknowledge them.
///
/// # Errors
/// When the connection ended.
pub async fn pull(connection: &mut Connection) -> Result<()> {
    let wanted = json!({ "batch": PULLED, "expires": 1_000_000_000u64 });
    let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{STREAM}.{DURABLE}");
    connection.publish(&subject, Some(ANSWERS), wanted.to_string().as_bytes()).await?;
    connection.flush().await
}

/// Where Debian puts it, or whoever builds it.
fn program() -> std::path::PathBuf {
    let places = ["/usr/sbin/nats-server", "/usr/local/bin/nats-server"];
    places.into_iter().map(Path::new).find(|path| path.exists()).unwrap_or(Path::new(places[0])).to_owned()
}
