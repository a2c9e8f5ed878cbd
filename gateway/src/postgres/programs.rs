//! Where the server programs are.

use std::path::{Path, PathBuf};

/// Debian keeps each major version under `/usr/lib/postgresql/<major>/bin`.
const DEBIAN_ROOT: &str = "/usr/lib/postgresql";

/// No usable server programs.
#[derive(Debug, thiserror::Error)]
pub enum NoPrograms {
    /// The configured folder has none.
    #[error("{} has no initdb and postgres: write the folder with the PostgreSQL server programs as database.program_dir", .0.display())]
    NotThere(PathBuf),
    /// Nothing is installed.
    #[error(
        "PostgreSQL is not installed (looked for {DEBIAN_ROOT}/*/bin): install the package \"postgresql\", or write database.dsn to use another server"
    )]
    NotInstalled,
}

/// The folder with `initdb` and `postgres`: the configured one, else the newest installed.
///
/// # Errors
/// [`NoPrograms`].
pub fn find(configured: Option<&Path>) -> Result<PathBuf, NoPrograms> {
    let complete = |folder: &Path| folder.join("initdb").is_file() && folder.join("postgres").is_file();
    if let Some(folder) = configured {
        return if complete(folder) {
            Ok(folder.to_owned())
        } else {
            Err(NoPrograms::NotThere(folder.to_owned()))
        };
    }
    let mut found: Vec<(u32, PathBuf)> = std::fs::read_dir(DEBIAN_ROOT)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .filter(|(_, folder): &(u32, PathBuf)| complete(folder))
        .collect();
    found.sort();
    found.pop().map(|(_, folder)| folder).ok_or(NoPrograms::NotInstalled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_the_programs_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let said = find(Some(folder.path())).unwrap_err().to_string();
        assert!(said.contains(folder.path().to_str().unwrap()), "{said}");
        assert!(said.contains("database.program_dir"), "{said}");
    }
}
