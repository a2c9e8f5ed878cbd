//! The virtual machine's disk: the image's own parts, with a data partition that was filled here.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use crate::processes::{build_folder, project, tool};

/// Where `make image` puts what it builds: beside what cargo builds.
pub fn image() -> PathBuf {
    let built = build_folder();
    built.parent().unwrap_or(&built).join("image")
}

/// As large as the smallest disk that a box is sold with; the shipped image is smaller.
const SHIPPED_ON: u64 = 8 * 1024 * 1024 * 1024;

/// Makes `disk` a new one of 8 GiB onto which the shipped image was copied.
///
/// # Errors
/// The image is not built, or there is no room.
pub async fn shipped(image: &Path, disk: &Path) -> Result<()> {
    let whole = image.join("pestle.img");
    fs::metadata(&whole)
        .with_context(|| format!("{} is not there: run `make image` first", whole.display()))?;
    let names = [whole, disk.to_owned()].map(|path| path.display().to_string());
    tool(Path::new("/bin/cp"), &["--sparse=always", &names[0], &names[1]], "").await?;
    Ok(fs::OpenOptions::new().write(true).open(disk)?.set_len(SHIPPED_ON)?)
}

/// Makes `disk` of what `make image` left in `image`, with the folder `data` as its data partition.
///
/// # Errors
/// The image is not built, or a tool refuses.
pub async fn make(image: &Path, data: &Path, disk: &Path) -> Result<()> {
    let part = |name: &str| -> Result<String> {
        let path = image.join(name);
        fs::metadata(&path)
            .with_context(|| format!("{} is not there: run `make image` first", path.display()))?;
        Ok(path.display().to_string())
    };
    // The agent's user reads what lies there, whoever filled it.
    for folder in ["agent", "etc", "timesync", "log"] {
        fs::create_dir_all(data.join(folder))?;
    }
    fs::set_permissions(data, fs::Permissions::from_mode(0o755))?;
    let (root, kernel, loader) = (part("root.erofs")?, part("pestle-a.efi")?, part("loader.efi")?);
    let (data, disk) = (data.display().to_string(), disk.display().to_string());
    tool(&project().join("images/disk.sh"), &[&root, &kernel, &loader, &data, &disk], "").await?;
    Ok(())
}
