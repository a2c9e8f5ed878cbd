//! Where a world keeps its state, and which ports it has.

use std::fs::{self, File};
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pestle_domain::signature::Hash;
use pestle_drivers::sim::ports;
use serde::{Deserialize, Serialize};

use super::{WorldError, gateway, hold};
use crate::processes::Kept;

/// Where the private PostgreSQL of a world lies when we are root: its programs refuse root, and the user that they run as
/// instead cannot enter root's folders.
const CLUSTERS: &str = "/var/lib/pestle-demo";

/// Beside a cluster that lies there: the folder of its world.
const OWNER: &str = "place";

/// The file that says that a folder is a world's, and may be removed with all that is in it. Who works there holds it.
const MARK: &str = ".pestle-world";

/// A world's folders, held by this program alone for as long as any clone of this lives.
#[derive(Debug, Clone)]
pub struct Place {
    folder: PathBuf,
    cluster: PathBuf,
    hold: Arc<File>,
}

impl Place {
    /// The world that lives in `folder`, whether it exists yet or not.
    ///
    /// # Errors
    /// When the folder cannot be made, has somebody else's files in it, or another program works there.
    pub fn at(folder: &Path) -> Result<Self, WorldError> {
        let folder = claim(folder)?;
        let hold = Arc::new(hold::take(&folder.join(MARK), &folder)?);
        let place = Self { cluster: Self::cluster_of(&folder), folder, hold };
        place.sign_cluster().map_err(WorldError::disk("write beside", &place.cluster))?;
        sweep(Path::new(CLUSTERS));
        Ok(place)
    }

    /// Where the private PostgreSQL of the world in `folder` lives; an absolute path without links.
    pub fn cluster_of(folder: &Path) -> PathBuf {
        if rustix::process::geteuid().is_root() {
            let name = hex::encode(&Hash::of(folder.as_os_str().as_encoded_bytes()).0[..8]);
            Path::new(CLUSTERS).join(name)
        } else {
            folder.join("gateway/postgres")
        }
    }

    /// Says beside a cluster that lies apart whose it is, so that nobody's is found once the place is gone.
    fn sign_cluster(&self) -> io::Result<()> {
        if self.cluster.starts_with(&self.folder) {
            return Ok(());
        }
        fs::create_dir_all(CLUSTERS)?;
        fs::write(self.cluster.with_extension(OWNER), self.folder.as_os_str().as_encoded_bytes())
    }

    /// Where the demo lives: `PESTLE_DEMO_DIR`, or `.demo` in the work tree.
    ///
    /// # Errors
    /// When the folder cannot be made, or another program works there.
    pub fn of_the_demo() -> Result<Self, WorldError> {
        Self::at(&Self::folder_of_the_demo()?)
    }

    /// The folder of [`Place::of_the_demo`], for those who do not work in it themselves.
    ///
    /// # Errors
    /// When it cannot be made, or has somebody else's files in it.
    pub fn folder_of_the_demo() -> Result<PathBuf, WorldError> {
        let folder = std::env::var_os("PESTLE_DEMO_DIR").map(PathBuf::from).unwrap_or_else(|| {
            let tree = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
            tree.filter(|tree| tree.exists()).unwrap_or(Path::new(".")).join(".demo")
        });
        claim(&folder)
    }

    /// What a keeper has to know, with its own share of the hold.
    ///
    /// # Errors
    /// When the system has no more files to give.
    pub fn kept(&self) -> Result<Kept, WorldError> {
        let hold = self.hold.try_clone().map_err(WorldError::disk("hold", &self.folder))?;
        Ok(Kept { folder: self.folder.clone(), cluster: self.cluster.clone(), hold })
    }

    /// The whole world's folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The private PostgreSQL's folder.
    pub fn cluster(&self) -> &Path {
        &self.cluster
    }

    /// The gateway's data.
    pub fn gateway(&self) -> PathBuf {
        self.folder.join("gateway")
    }

    /// One branch's data.
    pub fn branch(&self, slug: &str) -> PathBuf {
        self.folder.join("branches").join(slug)
    }

    /// A program's log.
    pub fn log(&self, name: &str) -> PathBuf {
        self.folder.join("logs").join(format!("{name}.log"))
    }

    /// Whether a world was completed here before.
    pub fn is_inhabited(&self) -> bool {
        self.folder.join("world.json").exists()
    }

    /// Forgets everything, and begins anew in the same place. What lies inside and is a world of its own stays.
    ///
    /// # Errors
    /// When a folder cannot be removed or made.
    pub fn begin_anew(&self) -> Result<(), WorldError> {
        remove_all(&self.cluster).map_err(WorldError::disk("remove", &self.cluster))?;
        let entries = fs::read_dir(&self.folder).map_err(WorldError::disk("look into", &self.folder))?;
        for entry in entries.filter_map(Result::ok) {
            let path = entry.path();
            if entry.file_name() == MARK || path.join(MARK).exists() {
                continue;
            }
            let removed = if path.is_dir() && !path.is_symlink() {
                fs::remove_dir_all(&path)
            } else {
                fs::remove_file(&path)
            };
            removed.map_err(WorldError::disk("remove", &path))?;
        }
        Ok(())
    }

    /// Forgets everything. What lies inside and is a world of its own stays, and the place with it.
    ///
    /// # Errors
    /// When a folder cannot be removed.
    pub fn remove(&self) -> Result<(), WorldError> {
        if !self.folder.exists() {
            return Ok(());
        }
        self.begin_anew()?;
        let mark = self.folder.join(MARK);
        let is_empty = fs::read_dir(&self.folder).is_ok_and(|entries| entries.count() <= 1);
        if is_empty {
            let _ = fs::remove_file(self.cluster.with_extension(OWNER));
            fs::remove_file(&mark).map_err(WorldError::disk("remove", &mark))?;
            fs::remove_dir(&self.folder).map_err(WorldError::disk("remove", &self.folder))?;
        }
        // Only if this was the last world: a folder with others in it stays.
        let _ = fs::remove_dir(CLUSTERS);
        Ok(())
    }

    /// What is remembered from one start to the next, or new.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn remembered(&self) -> Result<Remembered, WorldError> {
        let path = self.folder.join("world.json");
        match fs::read(&path) {
            Ok(text) => {
                let known: Remembered = serde_json::from_slice(&text)
                    .map_err(|error| WorldError::disk("understand", &path)(io::Error::other(error)))?;
                known.where_taken_another().map_err(WorldError::disk("find free ports for", &path))
            }
            Err(_) => Remembered::with_free_ports().map_err(WorldError::disk("find free ports for", &path)),
        }
    }

    /// Remembers for the next start; called when the world is complete.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn remember(&self, what: &Remembered) -> Result<(), WorldError> {
        let path = self.folder.join("world.json");
        let text = serde_json::to_vec_pretty(what)
            .map_err(|error| WorldError::disk("write", &path)(io::Error::other(error)))?;
        fs::write(&path, text).map_err(WorldError::disk("write", &path))
    }
}

/// Makes `folder` a world's, unless it is somebody else's. Who works there is not asked.
fn claim(folder: &Path) -> Result<PathBuf, WorldError> {
    fs::create_dir_all(folder).map_err(WorldError::disk("create", folder))?;
    let folder = fs::canonicalize(folder).map_err(WorldError::disk("find", folder))?;
    let mark = folder.join(MARK);
    if !mark.exists() {
        let mut entries = fs::read_dir(&folder).map_err(WorldError::disk("look into", &folder))?;
        if entries.next().is_some() {
            return Err(WorldError::NotOurs { folder });
        }
        fs::write(&mark, "").map_err(WorldError::disk("write", &mark))?;
    }
    Ok(folder)
}

fn remove_all(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Removes clusters of worlds whose folders are gone, as after a test that was killed, unless a PostgreSQL still runs in
/// them: then a keeper is at work. What cannot be removed is somebody else's, or stays for the next time.
fn sweep(clusters: &Path) {
    let Ok(entries) = fs::read_dir(clusters) else { return };
    for signed in entries.filter_map(Result::ok).map(|entry| entry.path()) {
        if signed.extension().is_none_or(|extension| extension != OWNER) {
            continue;
        }
        let Ok(folder) = fs::read_to_string(&signed) else { continue };
        let cluster = signed.with_extension("");
        if !Path::new(&folder).join(MARK).exists() && !gateway::has_postmaster(&cluster) {
            let _ = remove_all(&cluster);
            let _ = fs::remove_file(&signed);
        }
    }
}

/// A keeper's last duty, once the programs of its world have ended: the database that a killed gateway left behind, and
/// the cluster of a world whose folder is gone (a test's that failed). `hold` is the keeper's share of the place.
///
/// # Errors
/// When the cluster cannot be removed.
pub fn leave(folder: &Path, cluster: &Path, hold: impl std::os::fd::AsFd) -> io::Result<()> {
    let mark = folder.join(MARK);
    if hold::is_at(hold, &mark) {
        gateway::stop_postmaster_in(cluster);
    } else if !mark.exists() {
        gateway::stop_postmaster_in(cluster);
        remove_all(cluster)?;
        let _ = fs::remove_file(cluster.with_extension(OWNER));
        let _ = fs::remove_dir(CLUSTERS);
    }
    // Else somebody has made a new world here: it is theirs.
    Ok(())
}

/// What a world remembers: the ports, so that bookmarks and enrolled boxes find the same addresses again.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Remembered {
    /// The gateway's HTTPS.
    pub https: u16,
    /// The gateway's broker.
    pub mqtt: u16,
    /// The workbench.
    pub workbench: u16,
    /// The counters, in the order of the branches.
    pub counters: Vec<u16>,
}

impl Remembered {
    fn with_free_ports() -> io::Result<Self> {
        let [https, mqtt, workbench, counters @ ..]: [u16; 5] = ports::free()?;
        Ok(Self { https, mqtt, workbench, counters: counters.to_vec() })
    }

    /// The same ports, but for those that something else has taken since.
    fn where_taken_another(mut self) -> io::Result<Self> {
        let all = [&mut self.https, &mut self.mqtt, &mut self.workbench];
        for port in all.into_iter().chain(&mut self.counters) {
            if TcpListener::bind(("127.0.0.1", *port)).is_err() {
                [*port] = ports::free()?;
            }
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clusters_of_worlds_that_are_gone_are_swept_and_those_of_others_stay() {
        let clusters = tempfile::tempdir().unwrap();
        let lives = tempfile::tempdir().unwrap();
        fs::write(lives.path().join(MARK), "").unwrap();
        let cluster = |name: &str, folder: &Path| {
            let cluster = clusters.path().join(name);
            fs::create_dir_all(cluster.join("data")).unwrap();
            fs::write(cluster.with_extension(OWNER), folder.to_str().unwrap()).unwrap();
            cluster
        };
        let (kept, gone) = (cluster("a1", lives.path()), cluster("b2", &lives.path().join("gone")));
        let unsigned = clusters.path().join("c3");
        fs::create_dir(&unsigned).unwrap();
        sweep(clusters.path());
        assert!(kept.exists() && unsigned.exists());
        assert!(!gone.exists() && !gone.with_extension(OWNER).exists());
    }
}
