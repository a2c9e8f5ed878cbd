//! Where a private cluster keeps its files.

use std::path::{Path, PathBuf};

use aws_lc_rs::digest;

/// `sockaddr_un.sun_path` holds 108 bytes with the final zero (unix(7)).
const SOCKET_PATH_MAX: usize = 107;
/// PostgreSQL's file name inside the socket folder.
const SOCKET_NAME: &str = ".s.PGSQL.5432";

/// Paths of one cluster.
#[derive(Debug, Clone)]
pub struct Layout {
    /// The whole.
    pub root: PathBuf,
    /// `PGDATA`.
    pub data: PathBuf,
    /// `PGDATA` while `initdb` works; what is left there is thrown away.
    pub data_unfinished: PathBuf,
    /// The folder of the socket.
    pub socket: PathBuf,
    /// What the server says.
    pub log: PathBuf,
    /// Password of the superuser.
    pub root_secret: PathBuf,
    /// Password of the serving role.
    pub serve_secret: PathBuf,
}

impl Layout {
    /// The layout under `root`. A root that is too long for a socket gets its socket folder under `/tmp`, named
    /// after the root.
    pub fn under(root: &Path) -> Self {
        let inside = root.join("socket");
        let fits = inside.as_os_str().len() + 1 + SOCKET_NAME.len() <= SOCKET_PATH_MAX;
        let socket = if fits {
            inside
        } else {
            let hash = digest::digest(&digest::SHA256, root.as_os_str().as_encoded_bytes());
            std::env::temp_dir().join(format!("pestle-pg-{}", hex::encode(&hash.as_ref()[..8])))
        };
        Self {
            data: root.join("data"),
            data_unfinished: root.join("data.new"),
            log: root.join("postgres.log"),
            root_secret: root.join("root.secret"),
            serve_secret: root.join("serve.secret"),
            socket,
            root: root.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_path_gets_a_short_socket_folder_of_its_own() {
        let short = Layout::under(Path::new("/var/lib/pestle-gateway/postgres"));
        assert_eq!(short.socket, Path::new("/var/lib/pestle-gateway/postgres/socket"));
        let (one, other) =
            (PathBuf::from("/srv").join("a".repeat(100)), PathBuf::from("/srv").join("b".repeat(100)));
        let (one, other) = (Layout::under(&one), Layout::under(&other));
        assert!(one.socket.as_os_str().len() + 1 + SOCKET_NAME.len() <= SOCKET_PATH_MAX);
        assert_ne!(one.socket, other.socket);
    }
}
