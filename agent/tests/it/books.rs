//! The books across restarts: checkpoints, what is recorded behind them, and what the ledger may let go.

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use pestle_agent::{
    counter::{
        checkpoint,
        earlier::EarlierAct,
        fold::{EarlierFacts, Folded, Nowhere},
        keep::Keep,
    },
    journal::{Journal, JournalError, Limits, NewAct, Place},
};
use pestle_domain::{
    fact::{
        Act, Actor, BoxBooksIncomplete, BoxFactsFetched, DrawerCause, DrawerOpened, LotIn, LotMove,
        Provenance, ReceiptNumber, Stamp, StockOpened, StockSold,
    },
    ids::{ActId, FactId},
    journal::Head,
    signature::Hash,
    units::Quantity,
    wire::facts::{FACTS_VERSION, PageHeader, build},
};
use uuid::Uuid;

use crate::journal::{ack, generations, open, open_well, stamp};

/// A generation is full after a hundred acts of two facts.
fn limits() -> Limits {
    Limits { generation_facts: 200, generation_bytes: 1024 * 1024, ..Limits::default() }
}

fn id(number: u64) -> ActId {
    ActId(Uuid::from_u128(number.into()))
}

pub(crate) fn act(number: u64, bodies: Vec<pestle_domain::fact::FactBody>) -> NewAct {
    let mut next = u128::from(number) << 16;
    Act::new(id(number), &Actor::Machine, &stamp(), bodies, || {
        next += 1;
        FactId(Uuid::from_u128(next))
    })
    .into()
}

/// The opening stock, with the number 0.
fn opening() -> NewAct {
    let line = LotIn {
        product: "p-1".parse().unwrap(),
        lot: Some("A".into()),
        expiry: Some("2029-01-01".parse().unwrap()),
        quantity: Quantity(1_000_000),
    };
    act(0, vec![StockOpened { lines: vec![line] }.into()])
}

/// A pack leaves, and the drawer opens without a sale: one act that the books count, know by its serial and by its id.
pub(crate) fn sold(number: u64) -> NewAct {
    let till = "till-1".parse::<pestle_domain::ids::TillId>().unwrap();
    let one = LotMove {
        product: "p-1".parse().unwrap(),
        lot: Some("A".into()),
        provenance: Provenance::Scanned,
        quantity: Quantity(1),
        serials: vec![format!("S{number}").into()],
    };
    let receipt = ReceiptNumber { till: till.clone(), epoch: 1, number };
    let bodies = vec![
        StockSold { receipt, moves: vec![one] }.into(),
        DrawerOpened { till, cause: DrawerCause::NoSale }.into(),
    ];
    act(number, bodies)
}

/// A box's ledger and its counter's files.
pub(crate) struct Store {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) ledger: Journal,
    pub(crate) keep: Keep,
}

impl Store {
    pub(crate) fn new() -> Self {
        let new = Self::open(tempfile::tempdir().unwrap());
        new.ledger.append_blocking(opening()).unwrap();
        new
    }

    pub(crate) fn open(folder: tempfile::TempDir) -> Self {
        let ledger = open_well(&folder.path().join("ledger"), limits());
        let keep = Keep::new(folder.path().join("counter")).unwrap();
        Self { folder, ledger, keep }
    }

    pub(crate) fn restart(self) -> Self {
        let Self { folder, ledger, .. } = self;
        ledger.close_blocking();
        drop(ledger);
        Self::open(folder)
    }

    pub(crate) fn sell(&self, numbers: std::ops::RangeInclusive<u64>) {
        for number in numbers {
            self.ledger.append_blocking(sold(number)).unwrap();
        }
    }

    pub(crate) fn fold(&self) -> Folded {
        self.keep.fold(&self.ledger, &Nowhere).unwrap()
    }

    /// Folds, and keeps a checkpoint of it.
    pub(crate) fn checkpoint(&self) -> Place {
        let folded = self.fold();
        let turn = self.keep.next_turn();
        let mut bytes = Vec::new();
        checkpoint::encode(turn, &folded.at, &folded.books, &mut bytes).unwrap();
        self.keep.keep_books(turn, &folded.at, &bytes[..]).unwrap();
        folded.at.place
    }

    /// All is acknowledged, and the retention time is over: what goes is what the checkpoints let go.
    pub(crate) fn prune(&self) -> usize {
        static DAYS: AtomicU64 = AtomicU64::new(0);
        self.ledger.acknowledge(&ack(&self.ledger, self.ledger.head())).unwrap();
        let safe = *self.keep.watch_safe().borrow();
        // Retention counts from the acknowledgement, which is dated when somebody looks.
        let in_days = |days: u64| Stamp { mono_ms: days * 86_400_000, ..stamp() };
        let today = DAYS.fetch_add(72, Relaxed);
        let gone = [today, today + 36].map(|days| self.ledger.prune(&in_days(days), safe).unwrap());
        gone.iter().sum()
    }

    pub(crate) fn first_kept(&self) -> u64 {
        self.ledger.epochs()[0].first_kept
    }

    pub(crate) fn checkpoints(&self) -> Vec<std::path::PathBuf> {
        let files = fs::read_dir(self.folder.path().join("counter")).unwrap();
        files
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().unwrap() == "checkpoint")
            .collect()
    }
}

/// What must be known of packs 1 to `last`, and of none behind.
#[track_caller]
pub(crate) fn knows(folded: &Folded, first: u64, last: u64) {
    let product = "p-1".parse().unwrap();
    assert_eq!(folded.books.ledger.on_hand(&product), Quantity(1_000_000 - i64::try_from(last).unwrap()));
    for number in first..=last {
        assert_eq!(folded.books.sold(&product, &format!("S{number}")).unwrap().number, number);
        assert!(folded.books.done(id(number)).is_some(), "act {number}");
    }
    assert_eq!(folded.books.sold(&product, &format!("S{}", last + 1)), None);
    assert!(folded.books.has_opened_stock(id(0)));
}

#[test]
fn books_from_a_checkpoint_and_what_came_after_it_are_the_books_of_the_whole_journal() {
    let one = Store::new();
    one.sell(1..=150);
    one.checkpoint();
    one.sell(151..=320);
    let one = one.restart();
    let from_checkpoint = one.fold();
    assert_eq!(from_checkpoint.kept.seq, 302, "epoch.opened, the opening, 150 times two facts");
    for file in one.checkpoints() {
        fs::remove_file(file).unwrap();
    }
    let whole = one.fold();
    assert_eq!(whole.kept, Place::START);
    assert_eq!(whole.books, from_checkpoint.books);
    assert_eq!((whole.at, whole.missing), (from_checkpoint.at, vec![]));
    knows(&from_checkpoint, 1, 320);
    one.ledger.close_blocking();
}

#[test]
fn the_ledger_goes_up_to_the_older_of_two_checkpoints_and_the_books_stay_whole() {
    let one = Store::new();
    one.sell(1..=250);
    assert_eq!(one.prune(), 0, "no checkpoint");
    let first = one.checkpoint();
    assert_eq!(one.prune(), 0, "one alone lets nothing go");
    one.sell(251..=520);
    one.checkpoint();
    assert_eq!(one.prune(), 2, "what the older one has");
    assert!((300..=first.seq).contains(&one.first_kept()), "{}", one.first_kept());
    let one = one.restart();
    knows(&one.fold(), 1, 520);
    // And with the newest one lost the one before it is enough.
    let newest =
        one.checkpoints().into_iter().max_by_key(|path| fs::metadata(path).unwrap().modified().unwrap());
    fs::remove_file(newest.unwrap()).unwrap();
    let folded = one.fold();
    assert_eq!(folded.kept, first);
    knows(&folded, 1, 520);
    assert_eq!(folded.missing, []);
    assert_eq!(one.keep.watch_safe().borrow().seq, 0, "what one alone has is not let go");
    one.ledger.close_blocking();
}

#[test]
fn a_checkpoint_right_before_the_first_fact_that_is_left_is_enough() {
    let one = Store::new();
    // The generation's last fact is the checkpoint's.
    one.sell(1..=99);
    for _ in 0..2 {
        one.checkpoint();
    }
    assert_eq!(one.ledger.head().seq, 200);
    one.sell(100..=120);
    assert_eq!(one.prune(), 1);
    assert_eq!(one.first_kept(), 201);
    let one = one.restart();
    let folded = one.fold();
    assert_eq!((folded.kept.seq, folded.missing.len()), (200, 0));
    knows(&folded, 1, 120);
    one.ledger.close_blocking();
}

/// What was fetched back, whole.
struct Kept(Vec<NewAct>);

impl EarlierFacts for Kept {
    fn kept(&self, fetched: &BoxFactsFetched) -> Option<Vec<EarlierAct>> {
        // The first fact of all is the epoch's.
        let (mut acts, mut next) = (Vec::new(), 2);
        for act in &self.0 {
            let first = Place { epoch: 1, seq: next };
            let facts = (next..).zip(act.act.facts.clone()).collect();
            next += act.act.facts.len() as u64;
            if fetched.from < next && first.seq <= fetched.to {
                acts.push(EarlierAct { first, facts, again: false });
            }
        }
        Some(acts)
    }
}

/// A store whose first facts have left it, whose checkpoints are gone, and what its books lack now.
fn without_both_checkpoints() -> (Store, BoxBooksIncomplete) {
    let one = Store::new();
    one.sell(1..=250);
    one.checkpoint();
    one.checkpoint();
    assert_eq!(one.prune(), 2);
    for file in one.checkpoints() {
        fs::remove_file(file).unwrap();
    }
    let one = one.restart();
    let lost = BoxBooksIncomplete { epoch: 1, from: 1, to: one.first_kept() - 1 };
    (one, lost)
}

#[test]
fn when_both_checkpoints_are_lost_what_left_the_box_is_named_and_can_be_had_from_elsewhere() {
    let (one, lost) = without_both_checkpoints();
    let folded = one.fold();
    assert_eq!(folded.missing, std::slice::from_ref(&lost));
    assert!(!folded.books.has_opened_stock(id(0)));
    assert!(folded.books.done(id(250)).is_some(), "what is left is booked");

    // Once a fact tells it, it is known and not told again.
    one.ledger.append_blocking(act(900, vec![lost.clone().into()])).unwrap();
    let again = one.fold();
    assert_eq!((again.missing, again.books.missing()), (vec![], std::slice::from_ref(&lost)));

    // It is fetched back in two parts, each told by a fact; what one start takes in, the next takes in as well.
    let all = Kept(std::iter::once(opening()).chain((1..=250).map(sold)).collect());
    for (number, from, to) in [(901, 1, 100), (902, 101, lost.to)] {
        let fetched = BoxFactsFetched { epoch: 1, from, to, hash: Hash([0; 32]) };
        one.ledger.append_blocking(act(number, vec![fetched.into()])).unwrap();
    }
    for _ in 0..2 {
        let fetched = one.keep.fold(&one.ledger, &all).unwrap();
        knows(&fetched, 1, 250);
        assert_eq!((fetched.missing, fetched.books.missing()), (vec![], &[][..]));
    }
    // What is not kept any more, and in no checkpoint, is missing again; it is known, and fetched again.
    let again = one.fold();
    assert_eq!((again.missing, again.books.missing()), (vec![], &[lost][..]));
    one.ledger.close_blocking();
}

/// What it is, and its bytes.
pub(crate) type Page = (BoxFactsFetched, Vec<u8>);

/// A page of these facts, as the centre would send it.
pub(crate) fn page(one: &Store, first: u64, last: u64) -> Page {
    let mut lines: Vec<Vec<u8>> = Vec::new();
    let whole = one.ledger.for_each(Place::START, |_, act| -> Result<(), JournalError> {
        lines.extend(act.lines().map(<[u8]>::to_vec));
        Ok(())
    });
    whole.unwrap();
    let head = |seq: u64| {
        let lines = lines[..usize::try_from(seq).unwrap()].iter().map(Vec::as_slice);
        Head::EMPTY.after_all(one.ledger.stream(), lines)
    };
    let header = PageHeader {
        facts: FACTS_VERSION,
        first,
        count: last + 1 - first,
        previous: head(first - 1).hash,
        last,
        again: Vec::new(),
        acknowledgement: ack(&one.ledger, head(last)),
    };
    let (from, to) = (usize::try_from(first - 1).unwrap(), usize::try_from(last).unwrap());
    let message = build(&header, lines[from..to].iter().map(Vec::as_slice)).unwrap();
    (BoxFactsFetched { epoch: 1, from: first, to: last, hash: head(last).hash }, message)
}

#[test]
fn a_fetched_page_is_in_the_books_from_the_act_on_that_names_it_whatever_is_cut_off_before_or_after() {
    let one = Store::new();
    one.sell(1..=250);
    let pages = [page(&one, 1, 100), page(&one, 101, 400)];
    one.checkpoint();
    one.checkpoint();
    assert_eq!((one.prune(), one.first_kept()), (2, 401));
    for file in one.checkpoints() {
        fs::remove_file(file).unwrap();
    }
    let one = one.restart();
    let range = |from, to| BoxBooksIncomplete { epoch: 1, from, to };
    one.ledger.append_blocking(act(900, vec![range(1, 400).into()])).unwrap();
    let fold = |one: &Store| one.keep.fold(&one.ledger, one.keep.fetched()).unwrap();
    let missing = |one: &Store| fold(one).books.missing().to_vec();

    // The power goes before the act: the page lies there, and is in nobody's books.
    one.keep.fetched().keep(&pages[0].0, &pages[0].1).unwrap();
    let one = one.restart();
    assert_eq!(missing(&one), [range(1, 400)]);
    // And behind it: each start takes it in, in its place.
    one.ledger.append_blocking(act(901, vec![pages[0].0.clone().into()])).unwrap();
    let one = one.restart();
    assert_eq!(missing(&one), [range(101, 400)]);
    // One changed byte, and it is fetched again.
    let file = one.folder.path().join("counter/fetched/1-1-100.page");
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, bytes).unwrap();
    assert_eq!(missing(&one), [range(1, 400)]);
    for (number, (fetched, message)) in (902..).zip(&pages) {
        one.keep.fetched().keep(fetched, message).unwrap();
        one.ledger.append_blocking(act(number, vec![fetched.clone().into()])).unwrap();
    }
    let one = one.restart();
    let folded = fold(&one);
    knows(&folded, 1, 250);
    assert_eq!((folded.books.missing(), folded.books.fetched()), (&[][..], &[range(1, 400)][..]));
    // Two checkpoints have it: the pages may go.
    for _ in 0..2 {
        let turn = one.keep.next_turn();
        let mut bytes = Vec::new();
        checkpoint::encode(turn, &folded.at, &folded.books, &mut bytes).unwrap();
        one.keep.keep_books(turn, &folded.at, bytes.as_slice()).unwrap();
    }
    for page in one.keep.fetched().ranges().unwrap() {
        one.keep.fetched().remove(&page).unwrap();
    }
    let one = one.restart();
    knows(&one.fold(), 1, 250);
    one.ledger.close_blocking();
}

#[test]
fn what_could_not_be_named_is_named_by_a_later_start_though_a_checkpoint_knows_it() {
    let (one, lost) = without_both_checkpoints();
    // The disk took the checkpoint, and not the act before it.
    one.checkpoint();
    let one = one.restart();
    let folded = one.fold();
    assert!(folded.kept > Place::START);
    assert_eq!((&folded.missing[..], folded.books.missing()), (&[lost.clone()][..], &[lost.clone()][..]));
    one.ledger.append_blocking(act(900, vec![lost.clone().into()])).unwrap();
    one.checkpoint();
    let again = one.restart().fold();
    assert_eq!((again.missing, again.books.missing()), (vec![], &[lost][..]));
}

#[test]
fn what_cannot_be_read_behind_the_checkpoint_is_named_and_comes_back() {
    let one = Store::new();
    one.sell(1..=20);
    one.checkpoint();
    one.sell(21..=250);
    let (fetched, message) = page(&one, 201, 400);
    let Store { folder, ledger, .. } = one;
    ledger.close_blocking();
    drop(ledger);
    let lane = folder.path().join("ledger");
    fs::remove_dir_all(&generations(&lane)[1]).unwrap();
    let (ledger, report) = open(&lane, limits());
    assert_eq!(report.findings.len(), 1, "{:?}", report.findings);
    let keep = Keep::new(folder.path().join("counter")).unwrap();
    let one = Store { folder, ledger, keep };

    let lost = BoxBooksIncomplete { epoch: 1, from: 201, to: 400 };
    let folded = one.fold();
    assert_eq!((folded.kept.seq, folded.missing), (42, vec![lost.clone()]));
    assert!(folded.books.done(id(250)).is_some(), "what lies behind it is booked");
    one.ledger.append_blocking(act(900, vec![lost.clone().into()])).unwrap();
    let again = one.fold();
    assert_eq!((again.missing, again.books.missing()), (vec![], &[lost][..]));
    one.keep.fetched().keep(&fetched, &message).unwrap();
    one.ledger.append_blocking(act(901, vec![fetched.into()])).unwrap();
    let whole = one.keep.fold(&one.ledger, one.keep.fetched()).unwrap();
    knows(&whole, 1, 250);
    assert_eq!((whole.missing, whole.books.missing()), (vec![], &[][..]));
    one.ledger.close_blocking();
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).unwrap()),
        }
    }
}

#[test]
fn a_checkpoint_that_is_ahead_of_a_restored_journal_or_of_another_fork_is_not_believed() {
    let one = Store::new();
    one.sell(1..=20);
    let Store { folder, ledger, .. } = one;
    ledger.close_blocking();
    drop(ledger);
    copy(&folder.path().join("ledger"), &folder.path().join("copy"));
    let one = Store::open(folder);
    one.sell(21..=60);
    one.checkpoint();
    one.checkpoint();
    let Store { folder, ledger, .. } = one;
    ledger.close_blocking();
    drop(ledger);
    fs::remove_dir_all(folder.path().join("ledger")).unwrap();
    fs::rename(folder.path().join("copy"), folder.path().join("ledger")).unwrap();

    let one = Store::open(folder);
    let folded = one.fold();
    assert_eq!(folded.kept, Place::START, "ahead");
    knows(&folded, 1, 20);
    // As far as the checkpoint, and past it, with other facts.
    for number in 1_001..=1_060 {
        one.ledger.append_blocking(sold(number)).unwrap();
    }
    let folded = one.fold();
    assert_eq!(folded.kept, Place::START, "the same numbers, another head");
    assert!(folded.books.done(id(21)).is_none());
    assert!(folded.books.done(id(1_001)).is_some());
    one.ledger.close_blocking();
}

#[test]
fn a_checkpoint_of_another_box_is_not_believed() {
    let (one, other) = (Store::new(), Store::new());
    other.sell(1..=30);
    other.checkpoint();
    one.sell(1..=30);
    for file in other.checkpoints() {
        fs::copy(&file, one.folder.path().join("counter").join(file.file_name().unwrap())).unwrap();
    }
    let folded = one.fold();
    assert_eq!(folded.kept, Place::START);
    knows(&folded, 1, 30);
    one.ledger.close_blocking();
    other.ledger.close_blocking();
}

#[test]
fn the_books_of_an_agent_before_the_checkpoints_are_not_believed_and_go_once_there_are_two() {
    let one = Store::new();
    one.sell(1..=30);
    let store = one.ledger.epochs()[0].store;
    // That agent knew no orders, nor which acts opened the stock; the ledger that it left is whole.
    let file = serde_json::json!({"form": 2, "store": store, "place": {"epoch": 1, "seq": 22}, "books": {}});
    let path = one.folder.path().join("counter/books.json");
    pestle_agent::durable_file::write_json(&path, &file).unwrap();
    let folded = one.fold();
    assert_eq!(folded.kept, Place::START);
    knows(&folded, 1, 30);
    one.checkpoint();
    assert!(path.exists(), "one checkpoint may be lost");
    one.checkpoint();
    assert!(!path.exists());
    knows(&one.fold(), 1, 30);
    one.ledger.close_blocking();
}

#[test]
fn pruning_that_ends_between_two_generations_leaves_books_that_are_whole() {
    let one = Store::new();
    one.sell(1..=350);
    one.checkpoint();
    one.checkpoint();
    one.ledger.acknowledge(&ack(&one.ledger, one.ledger.head())).unwrap();
    let one = one.restart();
    // The power went when the first of the three was moved away, and again when it was gone.
    let oldest = generations(&one.folder.path().join("ledger"))[0].clone();
    let Store { folder, ledger, .. } = one;
    ledger.close_blocking();
    drop(ledger);
    fs::rename(&oldest, oldest.with_extension("removed")).unwrap();
    let one = Store::open(folder);
    let folded = one.fold();
    assert_eq!((folded.missing.len(), folded.kept.seq > 0), (0, true));
    knows(&folded, 1, 350);
    assert!(one.prune() > 0);
    knows(&one.restart().fold(), 1, 350);
}

#[test]
fn read_facts_of_the_ledger_begin_where_it_was_pruned() {
    let one = Store::new();
    one.sell(1..=250);
    one.checkpoint();
    one.checkpoint();
    one.prune();
    let mut first = None;
    let read = one.ledger.for_each(Place::START, |place, _| -> Result<(), JournalError> {
        first.get_or_insert(place.seq);
        Ok(())
    });
    read.unwrap();
    assert_eq!(first, Some(one.first_kept()));
    one.ledger.close_blocking();
}
