//! Epochs that were set aside ([`super::carry`]): their acts stand in another one once more. What they say of their store and
//! their chain still tells whether the facts that the centre has under their number are this box's.

use std::path::Path;

use pestle_domain::{
    ids::StoreId,
    journal::{Head, Parent},
};

use super::{
    Journal,
    load::numbered,
    manifest::{Begun, EpochManifest, Sealed, file, parse_epoch_folder, parse_generation_folder},
    mark,
};
use crate::durable_file::{self, FileError};

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    /// Its number.
    pub epoch: u32,
    /// Its store.
    pub store: StoreId,
    /// The life before it.
    pub parent: Option<Parent>,
    /// Chain values that were written down besides its acts.
    pub heads: Vec<Head>,
}

impl Journal {
    /// Those of this lane. One that cannot be described is left out, and told. Blocks on the disk.
    ///
    /// # Errors
    /// [`FileError::Disk`].
    pub fn set_aside(&self) -> Result<Vec<SetAside>, FileError> {
        let aside = self.folder().join(file::ASIDE);
        let mut found = Vec::new();
        for (_, before) in numbered(&aside, |name| name.strip_prefix("before-")?.parse::<u32>().ok())? {
            for (epoch, folder) in numbered(&before, parse_epoch_folder)? {
                match read::<EpochManifest>(&folder.join(file::EPOCH))? {
                    Some(manifest) => found.push(SetAside {
                        epoch,
                        store: manifest.store,
                        parent: manifest.parent,
                        heads: heads(&folder)?,
                    }),
                    None => tracing::warn!(
                        folder = %folder.display(),
                        "an epoch that was set aside has no description that can be read"
                    ),
                }
            }
        }
        found.sort_by_key(|one| one.epoch);
        Ok(found)
    }
}

fn heads(epoch: &Path) -> Result<Vec<Head>, FileError> {
    let mut heads = Vec::new();
    for (first, folder) in numbered(epoch, parse_generation_folder)? {
        let begun = read::<Begun>(&folder.join(file::BEGUN))?.map(|begun| begun.before);
        heads.extend(begun.filter(|before| before.seq + 1 == first));
        heads.extend(read::<Sealed>(&folder.join(file::SEALED))?.map(|sealed| sealed.last));
    }
    heads.extend(mark::read(&epoch.join(file::MARK)).map(|mark| mark.acknowledged));
    heads.retain(|head| head.seq > 0);
    Ok(heads)
}

/// What cannot be read says nothing.
fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>, FileError> {
    match durable_file::read_json(path) {
        Err(FileError::Damaged { .. }) => Ok(None),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, fs};

    use pestle_domain::signature::Hash;

    use super::*;
    use crate::journal::{
        Limits, Settings, carry,
        testing::{act, stamp, stream},
    };

    #[test]
    fn an_epoch_that_was_set_aside_still_says_which_store_wrote_it_and_where_its_chain_was() {
        let folder = tempfile::tempdir().unwrap();
        let limits = Limits { generation_facts: 6, ..Limits::default() };
        let settings = || Settings { folder: folder.path().to_owned(), stream: stream(), limits };
        let open = || Journal::open(settings(), &stamp()).unwrap().0;
        let journal = open();
        for number in 1..=9 {
            journal.append_blocking(act(number, 3).into()).unwrap();
        }
        let old = journal.epochs().pop().unwrap();
        let value = |seq| Some((seq, journal.hash_at(1, seq).unwrap()?));
        let values: HashMap<u64, Hash> = (1..=old.head.seq).filter_map(value).collect();
        assert_eq!(journal.set_aside().unwrap(), []);
        for number in [4, 9] {
            let journal = if number == 4 { journal.clone() } else { open() };
            let built = carry::build(&journal, number, &stamp()).unwrap();
            journal.close_blocking();
            carry::swap(folder.path(), number, &built.epochs).unwrap();
        }
        let journal = open();
        let found = journal.set_aside().unwrap();
        let [one, four] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!((one.epoch, one.store, &one.parent), (1, old.store, &None));
        assert_eq!(
            (four.epoch, &four.parent),
            (
                4,
                &journal.epochs()[0].parent.clone().map(|_| Parent {
                    epoch: 1,
                    head: old.head,
                    store: old.store,
                })
            )
        );
        assert!(one.heads.len() > 2, "{:?}", one.heads);
        assert_eq!(one.heads.iter().find(|head| values.get(&head.seq) != Some(&head.hash)), None);

        // A description that is damaged hides only its own.
        let damaged = folder.path().join("aside/before-00004/epoch-00001/epoch.json");
        fs::write(&damaged, b"{").unwrap();
        assert_eq!(journal.set_aside().unwrap(), std::slice::from_ref(four));
        journal.close_blocking();
    }
}
