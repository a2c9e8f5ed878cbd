//! What the appliance's own system says to the agent: what of it failed (`images/root/usr/lib/pestle/trouble` writes a file for each
//! part). Elsewhere there is no such folder.

use std::{fs, io, path::Path};

/// Where the files lie.
const FOLDER: &str = "/run/pestle-trouble";

/// Each part that failed in a sentence or two, by its name.
pub fn troubles() -> Vec<String> {
    troubles_in(Path::new(FOLDER))
}

fn troubles_in(folder: &Path) -> Vec<String> {
    let unreadable = |what: &Path, error: &io::Error| {
        format!("A part of the system failed; what it said cannot be read ({}: {error}).", what.display())
    };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => return vec![unreadable(folder, &error)],
    };
    let files: io::Result<Vec<_>> = entries.map(|entry| Ok(entry?.path())).collect();
    let mut files = match files {
        Ok(files) => files,
        Err(error) => return vec![unreadable(folder, &error)],
    };
    files.sort();
    let told = |file: &Path| match fs::read_to_string(file) {
        Ok(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        // It works again.
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => Some(unreadable(file, &error)),
    };
    files.iter().filter_map(|file| told(file)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_that_failed_is_said_in_its_words_and_no_folder_is_no_trouble() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("trouble");
        assert_eq!(troubles_in(&place), Vec::<String>::new());
        fs::create_dir(&place).unwrap();
        fs::write(place.join("systemd-timesyncd.service"), "The clock is not set.\n").unwrap();
        fs::write(place.join("nftables.service"), "The firewall did not start.\n").unwrap();
        // Being written.
        fs::write(place.join("pestle-name.service"), "").unwrap();
        assert_eq!(troubles_in(&place), ["The firewall did not start.", "The clock is not set."]);
    }

    #[test]
    fn what_cannot_be_read_is_a_trouble_too() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("nftables.service")).unwrap();
        let said = troubles_in(folder.path());
        assert!(said.len() == 1 && said[0].contains("nftables.service"), "{said:?}");
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(troubles_in(&file)[0].contains("cannot be read"));
    }
}
