//! Whatever comes instead of an answer, in whatever pieces: no panic, and no number that no right frame holds.

use proptest::{collection::vec, prelude::*};
use tokio::io::{AsyncWriteExt as _, DuplexStream};

use super::*;
use crate::sensor::answer::with_crc;

const SLAVE: u8 = 7;

fn manners(framing: Framing) -> Manners {
    Manners { framing, character: timing::character(9_600), device: Duration::from_millis(200) }
}

/// A question, then what comes: bytes in pieces, and whether the line is dead behind them. By a clock that runs by itself.
fn ask(
    framing: Framing,
    question: Question,
    pieces: Vec<Vec<u8>>,
    dead_behind: bool,
) -> Result<Vec<u16>, Failure> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let (ours, theirs) = tokio::io::duplex(4_096);
        let mut wire = Wire::new(Box::new(ours), manners(framing));
        let peer = tokio::spawn(speak(theirs, pieces, dead_behind));
        let answer = wire.ask(SLAVE, question).await;
        drop(peer);
        answer
    })
}

async fn speak(mut line: DuplexStream, pieces: Vec<Vec<u8>>, dead_behind: bool) -> DuplexStream {
    let mut question = [0u8; 12];
    let heard = line.read(&mut question).await.unwrap();
    assert!([8, 12].contains(&heard), "a question is one write");
    for piece in pieces {
        // Whoever asked may have given up: what is said then is said to nobody.
        let _nobody = line.write_all(&piece).await;
        time::sleep(Duration::from_millis(1)).await;
    }
    if dead_behind {
        let _nobody = line.shutdown().await;
    }
    time::sleep(Duration::from_secs(60)).await;
    line
}

/// What a right answer looks like around its data.
fn frame(framing: Framing, question: &Question, data: &[u8]) -> Vec<u8> {
    let length = u8::try_from(data.len()).unwrap();
    let body = [&[SLAVE, question.function.code(), length][..], data].concat();
    match framing {
        Framing::Rtu => with_crc(&body),
        // The first transaction of a connection is number 0.
        Framing::Tcp => [&[0, 0, 0, 0, 0, length + 3][..], &body].concat(),
    }
}

/// Does a right frame that holds these words stand in `bytes`?
fn stands_in(framing: Framing, question: &Question, words: &[u16], bytes: &[u8]) -> bool {
    let count = usize::from(question.count);
    bytes.windows(frame(framing, question, &vec![0; question.data_bytes()]).len()).any(|window| {
        let before = if framing == Framing::Rtu { 3 } else { TCP_BEFORE_DATA };
        let data = &window[before..before + question.data_bytes()];
        let told: Vec<u16> = if question.function.is_bits() {
            (0..count).map(|at| u16::from(data[at / 8] >> (at % 8) & 1)).collect()
        } else {
            data.chunks(2).map(|word| u16::from_be_bytes([word[0], word[1]])).collect()
        };
        told == words && window == frame(framing, question, data)
    })
}

fn questions() -> impl Strategy<Value = Question> {
    let function = prop_oneof![
        Just(Function::Coils),
        Just(Function::DiscreteInputs),
        Just(Function::Holding),
        Just(Function::Input)
    ];
    (function, any::<u16>(), 1..=2u16).prop_map(|(function, register, count)| Question {
        function,
        register,
        count,
    })
}

fn framings() -> impl Strategy<Value = Framing> {
    prop_oneof![Just(Framing::Rtu), Just(Framing::Tcp)]
}

/// Where bytes are cut into pieces.
fn cut(bytes: &[u8], at: &[prop::sample::Index]) -> Vec<Vec<u8>> {
    let mut places: Vec<usize> = at.iter().map(|index| index.index(bytes.len() + 1)).collect();
    places.extend([0, bytes.len()]);
    places.sort_unstable();
    places.windows(2).map(|pair| bytes[pair[0]..pair[1]].to_vec()).filter(|piece| !piece.is_empty()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_in_any_pieces_give_no_number_that_is_not_in_a_right_frame(
        framing in framings(),
        question in questions(),
        bytes in vec(any::<u8>(), 0..300),
        at in vec(any::<prop::sample::Index>(), 0..6),
        dead_behind in any::<bool>(),
    ) {
        if let Ok(words) = ask(framing, question, cut(&bytes, &at), dead_behind) {
            prop_assert!(stands_in(framing, &question, &words, &bytes), "{words:04x?} out of {bytes:02x?}");
        }
    }

    #[test]
    fn a_right_answer_arrives_in_whatever_pieces(
        framing in framings(),
        question in questions(),
        data in vec(any::<u8>(), 4),
        at in vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let bytes = frame(framing, &question, &data[..question.data_bytes()]);
        let words = ask(framing, question, cut(&bytes, &at), false);
        prop_assert!(words.as_ref().is_ok_and(|words| stands_in(framing, &question, words, &bytes)), "{words:?}");
    }

    #[test]
    fn a_damaged_answer_gives_no_number_that_is_not_in_a_right_frame(
        framing in framings(),
        question in questions(),
        data in vec(any::<u8>(), 4),
        noise in vec(any::<u8>(), 0..4),
        flips in vec(any::<prop::sample::Index>(), 1..4),
        keep in any::<prop::sample::Index>(),
        at in vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let mut bytes = [noise, frame(framing, &question, &data[..question.data_bytes()])].concat();
        for flip in flips {
            let bit = flip.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        bytes.truncate(bytes.len() - keep.index(3));
        if let Ok(words) = ask(framing, question, cut(&bytes, &at), false) {
            prop_assert!(stands_in(framing, &question, &words, &bytes), "{words:04x?} out of {bytes:02x?}");
        }
    }
}

const TEMPERATURE: Question = Question { function: Function::Input, register: 1, count: 1 };

#[test]
fn each_kind_of_answer_is_what_it_is() {
    let answer = |framing, bytes: &[u8]| ask(framing, TEMPERATURE, vec![bytes.to_vec()], false);
    let broken = |why| Err(Failure::Broken(why));
    assert_eq!(answer(Framing::Rtu, &with_crc(&[7, 4, 2, 0, 42])), Ok(vec![42]));
    assert_eq!(answer(Framing::Rtu, &[]), broken(NoData::Timeout));
    assert_eq!(answer(Framing::Rtu, &[7, 4, 2, 0, 42, 9, 9]), broken(NoData::Crc));
    assert_eq!(answer(Framing::Rtu, &with_crc(&[8, 4, 2, 0, 42])), broken(NoData::Garbled), "another slave");
    assert_eq!(
        answer(Framing::Rtu, &with_crc(&[7, 3, 2, 0, 42])),
        broken(NoData::Garbled),
        "another function"
    );
    assert_eq!(
        answer(Framing::Rtu, &with_crc(&[7, 4, 4, 0, 42, 0, 43])),
        broken(NoData::Garbled),
        "two words"
    );
    let refused = Err(Failure::Refused(NoData::Exception(2)));
    assert_eq!(answer(Framing::Rtu, &with_crc(&[7, 0x84, 2])), refused);
    assert_eq!(answer(Framing::Tcp, &[0, 0, 0, 0, 0, 3, 7, 0x84, 2]), refused);
    assert_eq!(answer(Framing::Tcp, &[0, 0, 0, 0, 0, 5, 7, 4, 2, 0, 42]), Ok(vec![42]));
    assert_eq!(answer(Framing::Tcp, &[]), broken(NoData::Timeout));
    assert_eq!(
        answer(Framing::Tcp, &[0, 1, 0, 0, 0, 5, 7, 4, 2, 0, 42]),
        broken(NoData::Garbled),
        "another transaction"
    );
    assert_eq!(
        answer(Framing::Tcp, &[0, 0, 0, 0, 0, 5, 8, 4, 2, 0, 42]),
        broken(NoData::Garbled),
        "another unit"
    );
    assert_eq!(
        answer(Framing::Tcp, &[0, 0, 0, 0, 0, 6, 7, 4, 2, 0, 42, 0]),
        broken(NoData::Garbled),
        "one more byte"
    );
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_on_a_connection_that_was_kept_has_another_transaction_s_number() {
    // The owner throws a connection away after a failure. Were it kept, the number alone would still save the reading.
    let (ours, mut theirs) = tokio::io::duplex(256);
    let mut wire = Wire::new(Box::new(ours), manners(Framing::Tcp));
    assert_eq!(wire.ask(SLAVE, TEMPERATURE).await, Err(Failure::Broken(NoData::Timeout)));
    theirs.write_all(&[0, 0, 0, 0, 0, 5, 7, 4, 2, 0, 42]).await.unwrap();
    assert_eq!(wire.ask(SLAVE, TEMPERATURE).await, Err(Failure::Broken(NoData::Garbled)));
}

#[tokio::test(start_paused = true)]
async fn what_was_said_before_a_question_is_thrown_away_and_a_line_that_never_stops_is_nonsense() {
    let (ours, mut theirs) = tokio::io::duplex(64 * 1024);
    let mut wire = Wire::new(Box::new(ours), manners(Framing::Rtu));
    // An answer that nobody asked for, then the question, then the right one.
    theirs.write_all(&with_crc(&[7, 4, 2, 0, 99])).await.unwrap();
    let peer = tokio::spawn(async move {
        theirs.read_exact(&mut [0u8; 8]).await.unwrap();
        theirs.write_all(&with_crc(&[7, 4, 2, 0, 42])).await.unwrap();
        theirs
    });
    assert_eq!(wire.ask(SLAVE, TEMPERATURE).await, Ok(vec![42]));
    let mut theirs = peer.await.unwrap();
    let chatter = tokio::spawn(async move {
        while theirs.write_all(&[0x55]).await.is_ok() {
            time::sleep(Duration::from_millis(2)).await;
        }
    });
    assert_eq!(wire.ask(SLAVE, TEMPERATURE).await, Err(Failure::Broken(NoData::Garbled)));
    chatter.abort();
}
