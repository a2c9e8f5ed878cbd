//! A patient from the counter to the centre and out of the world again, on real processes.

use std::fs;
use std::path::Path;
use std::time::Duration;

use pestle_domain::ids::ActId;
use pestle_hil_tests::centre::Centre;
use pestle_hil_tests::counter::Counter;
use pestle_hil_tests::network::Weather;
use pestle_hil_tests::waiting::until;
use pestle_hil_tests::world::{PEOPLE, Place, World, gateway};
use serde_json::json;

use crate::whole_product;

const NAME: &str = "Zebedee Quillfeather";
/// What would be readable of them anywhere.
const READABLE: [&str; 3] = ["Zebedee", "Quillfeather", "Wisteria Passage"];
/// From the line's return to the centre's page, with the pauses that grew meanwhile.
const SOON: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_patient_who_is_registered_offline_is_read_at_the_centre_and_nothing_of_them_is_left_once_they_are_erased()
 {
    let _alone = whole_product().await;
    let folder = tempfile::tempdir().unwrap();
    let place = Place::at(&folder.path().canonicalize().unwrap().join("patients")).unwrap();
    gateway::stop_left_postmaster(&place);
    place.begin_anew().unwrap();
    let world = World::start(place.clone(), &|line| println!("{line}")).await.unwrap();
    let cluster = place.cluster().to_owned();
    story(&world).await;
    world.stop().await;
    // Every file of the box, of the centre, of its PostgreSQL with what it has not cleaned up yet, and every log.
    for folder in [place.folder(), &cluster] {
        let found = files_with(folder, &READABLE);
        assert_eq!(found, Vec::<String>::new(), "readable in these files");
        assert!(!files_with(folder, &["patient.registered"]).is_empty(), "the search finds what is there");
    }
    drop(world);
    place.remove().unwrap();
}

async fn story(world: &World) {
    let north = world.branch("north").unwrap();
    let counter = Counter::open(north).unwrap();
    counter.shows("the sign-in", |till| till.phase == "sign_in").await.unwrap();
    north.set_line(Weather::Reset);
    // A technician, with the centre away.
    counter.sign_in(&PEOPLE[1]).await.unwrap();
    let details = json!({ "name": NAME, "address": "3 Wisteria Passage" });
    let told = counter.register_patient(ActId(uuid::Uuid::now_v7()), &details).await.unwrap();
    let person = told["person"].as_str().unwrap().to_owned();
    // A power cut before anything could be sent.
    north.pull_the_plug().await;
    let key = key_of(world, &person);
    assert!(key.exists(), "the key is on the disk: somebody was told");
    north.set_line(Weather::FAIR);
    north.start().await.unwrap();

    let centre = Centre::of(world).await.unwrap();
    let read = until("the patient at the centre", SOON, || async {
        let (status, said) = centre.patient(&person).await.map_err(|error| format!("{error:#}"))?;
        if status == 200 { Ok(said) } else { Err(format!("{status} {said}")) }
    });
    let read = read.await.unwrap();
    assert_eq!((&read["data"]["name"], &read["data"]["branch"]), (&json!(NAME), &json!("north")));

    assert_eq!(centre.erase_patient(&person).await.unwrap(), 200);
    assert_eq!(centre.patient(&person).await.unwrap().0, 404);
    // The box hears of it: at its start, and once a minute.
    north.stop().await;
    north.start().await.unwrap();
    let gone = until("the key's end in the branch", SOON, || {
        std::future::ready(if key.exists() { Err("it is still there".to_owned()) } else { Ok(()) })
    });
    gone.await.unwrap();

    // A sale of after it, and both ends prove the whole history.
    let counter = Counter::open(north).unwrap();
    counter.shows("the sign-in", |till| till.phase == "sign_in").await.unwrap();
    counter.sign_in(&PEOPLE[1]).await.unwrap();
    counter.open_till(ActId(uuid::Uuid::now_v7()), "100.00").await.unwrap();
    let head = counter.ledger_head().await.unwrap().seq;
    north.stop().await;
    let verified = north.verify().await.unwrap();
    assert!(verified.contains(&format!("facts 1 to {head} are whole")), "{verified}");
    let export = north.export().await.unwrap();
    let exported = fs::read_to_string(&export).unwrap();
    assert!(
        exported.contains("patient.registered") && exported.contains(&person),
        "the fact is in the export"
    );
    assert!(READABLE.iter().all(|word| !exported.contains(word)));
    let compared = world.gateway.lock().await.audit("north", &export).await.unwrap();
    assert!(compared.contains("byte for byte"), "{compared}");
}

fn key_of(world: &World, person: &str) -> std::path::PathBuf {
    world.place.branch("north").join(format!("personal/{person}.json"))
}

/// The files below `folder` in which one of `words` stands as it is, or as hexadecimal.
fn files_with(folder: &Path, words: &[&str]) -> Vec<String> {
    let mut needles: Vec<Vec<u8>> = Vec::new();
    for word in words {
        needles.push(word.as_bytes().to_vec());
        needles.push(hex(word).into_bytes());
    }
    let mut found = Vec::new();
    collect(folder, &needles, &mut found);
    found
}

fn hex(word: &str) -> String {
    word.bytes().map(|byte| format!("{byte:02x}")).collect()
}

fn collect(folder: &Path, needles: &[Vec<u8>], found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        // A link may lead anywhere, a device or a socket has no bytes of its own.
        let kind = fs::symlink_metadata(&path).unwrap().file_type();
        if kind.is_dir() {
            collect(&path, needles, found);
        } else if kind.is_file() {
            let bytes = fs::read(&path).unwrap();
            if needles.iter().any(|needle| holds(&bytes, needle)) {
                found.push(path.display().to_string());
            }
        }
    }
}

fn holds(bytes: &[u8], needle: &[u8]) -> bool {
    let Some((first, rest)) = needle.split_first() else { return true };
    let starts = bytes.iter().enumerate().filter(|(_, byte)| *byte == first);
    let mut starts = starts.map(|(at, _)| &bytes[at + 1..]);
    starts.any(|behind| behind.starts_with(rest))
}

#[test]
fn the_search_finds_a_word_in_whatever_form_it_lies_there() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("below")).unwrap();
    for (name, text) in
        [("plain", "xxZebedeexx".to_owned()), ("below/hex", hex("Zebedee")), ("none", "Zebede".to_owned())]
    {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let mut found = files_with(folder.path(), &["Zebedee"]);
    found.sort();
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].ends_with("below/hex") && found[1].ends_with("plain"), "{found:?}");
}
