//! How the private server is set.

/// What the cluster is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The centre's data: everything that was acknowledged survives a power cut.
    Serve,
    /// Throw-away data of tests: nothing is flushed.
    Test,
}

/// Connections beyond the pools': administration commands and people.
const CONNECTIONS_MAX: u32 = 64;

/// Command-line settings, `-c name=value` each.
pub fn settings(purpose: Purpose) -> Vec<(&'static str, String)> {
    let mut settings = vec![
        ("listen_addresses", String::new()),
        ("unix_socket_permissions", "0700".into()),
        ("password_encryption", "scram-sha-256".into()),
        ("max_connections", CONNECTIONS_MAX.to_string()),
        // A branch chain's hot set (stock, heads, sessions) is small; the rest is the page cache's work.
        ("shared_buffers", "128MB".into()),
        ("work_mem", "8MB".into()),
        ("maintenance_work_mem", "64MB".into()),
        // Bulk catch-up after an outage writes steadily: fewer, longer checkpoints.
        ("max_wal_size", "2GB".into()),
        ("checkpoint_timeout", "15min".into()),
        ("wal_compression", "on".into()),
        ("jit", "off".into()),
        ("timezone", "UTC".into()),
        ("log_timezone", "UTC".into()),
        ("log_line_prefix", "%m [%p] ".into()),
        // A client that vanished inside a transaction must not hold its locks for ever.
        ("idle_in_transaction_session_timeout", "60s".into()),
    ];
    let durable = if purpose == Purpose::Serve { "on" } else { "off" };
    for name in ["fsync", "synchronous_commit", "full_page_writes"] {
        settings.push((name, durable.into()));
    }
    if purpose == Purpose::Test {
        settings.push(("autovacuum", "off".into()));
        settings.retain(|(name, _)| *name != "max_connections");
        settings.push(("max_connections", "200".into()));
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_centre_s_data_is_always_flushed() {
        let settings = settings(Purpose::Serve);
        for name in ["fsync", "synchronous_commit", "full_page_writes"] {
            assert!(settings.contains(&(name, "on".into())), "{name}");
        }
        assert!(settings.contains(&("listen_addresses", String::new())));
    }
}
