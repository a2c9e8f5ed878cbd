//! A serial scanner.

use std::time::{Duration, Instant};

use pestle_drivers::{
    device::{DeviceEvent, DeviceName},
    line::{LineAddress, serial::SerialSettings},
    scanner::{
        Scanner as _, ScannerEvent,
        framing::{FramingRules, Rejection},
        over_line::{Answer, SetUpLine},
        serial::{SerialScanner, SerialScannerSettings},
    },
    sim::scanner::SimScanner,
};

use crate::soon;

struct Counter {
    _folder: tempfile::TempDir,
    device: SimScanner,
    scanner: SerialScanner,
}

impl Counter {
    async fn with(framing: FramingRules) -> Counter {
        let folder = tempfile::tempdir().unwrap();
        let device = SimScanner::plug_in(folder.path().join("scanner")).unwrap();
        let scanner = start(&device, framing);
        let mut counter = Counter { _folder: folder, device, scanner };
        assert_eq!(counter.device_event().await, DeviceEvent::Attached);
        counter
    }

    async fn event(&mut self) -> ScannerEvent {
        soon(self.scanner.next()).await.expect("the driver runs")
    }

    async fn device_event(&mut self) -> DeviceEvent {
        match self.event().await {
            ScannerEvent::Device { event, .. } => event,
            other => panic!("expected the scanner to come or go, got {other:?}"),
        }
    }

    async fn scan(&mut self) -> Vec<u8> {
        match self.event().await {
            ScannerEvent::Scan(scan) => scan.bytes,
            other => panic!("expected a scan, got {other:?}"),
        }
    }

    async fn rejection(&mut self) -> Rejection {
        match self.event().await {
            ScannerEvent::Rejected { rejection, .. } => rejection,
            other => panic!("expected a refusal, got {other:?}"),
        }
    }
}

fn start(device: &SimScanner, framing: FramingRules) -> SerialScanner {
    SerialScanner::start(SerialScannerSettings {
        name: DeviceName::new("scanner-1"),
        line: LineAddress::Serial(SerialSettings::new(device.path(), 9_600).unwrap()),
        framing,
        proved: true,
        learned: None,
    })
}

#[tokio::test]
async fn a_datamatrix_arrives_with_its_group_separator() {
    let mut counter = Counter::with(FramingRules::default()).await;
    let sent = b"]d20109521234543213172612311 0A1\x1d2112345";
    counter.device.scan(sent).await.unwrap();
    let ScannerEvent::Scan(scan) = counter.event().await else { panic!("expected a scan") };
    assert_eq!((scan.bytes.as_slice(), scan.source.as_str(), scan.proved), (&sent[..], "scanner-1", true));
}

#[tokio::test]
async fn a_scan_with_a_suffix_does_not_wait_for_the_gap() {
    // A gap so long that only the suffix can have ended the scan.
    let framing = FramingRules { idle_gap: Duration::from_secs(3_600), ..FramingRules::default() };
    let mut counter = Counter::with(framing).await;
    let sent_at = Instant::now();
    counter.device.scan(b"4006381333931").await.unwrap();
    assert_eq!(counter.scan().await, b"4006381333931");
    // Tenths of a millisecond in truth; the bound is for machines that are busy with other tests.
    assert!(sent_at.elapsed() < Duration::from_secs(2), "{:?}", sent_at.elapsed());
}

#[tokio::test]
async fn a_scan_whose_suffix_is_missing_ends_with_the_gap() {
    let mut counter = Counter::with(FramingRules::default()).await;
    counter.device.set_suffix(b"").await;
    counter.device.scan(b"96385074").await.unwrap();
    let ScannerEvent::Scan(scan) = counter.event().await else { panic!("expected a scan") };
    assert_eq!((scan.bytes.as_slice(), scan.proved), (&b"96385074"[..], false), "its end may be missing");
}

#[tokio::test]
async fn a_scan_that_stalls_on_a_line_with_a_suffix_is_cut_off_and_no_part_of_it_is_taken() {
    let framing = FramingRules { needs_suffix: true, ..FramingRules::default() };
    let mut counter = Counter::with(framing).await;
    counter.device.type_raw(b"]d2010952123454321310A1").await.unwrap();
    assert_eq!(counter.rejection().await, Rejection::CutOff { bytes: 23 });
    counter.device.type_raw(b"2345\r").await.unwrap();
    assert_eq!(counter.rejection().await, Rejection::CutOff { bytes: 4 });
    counter.device.scan(b"4006381333931").await.unwrap();
    assert_eq!(counter.scan().await, b"4006381333931");
}

#[tokio::test]
async fn a_damaged_barcode_is_refused_and_the_next_one_is_read() {
    let mut counter = Counter::with(FramingRules::default()).await;
    counter.device.scan(b"40063\x0081333931").await.unwrap();
    assert!(matches!(counter.rejection().await, Rejection::Garbage { byte: 0, at: 5, .. }));
    counter.device.scan(b"4006381333931").await.unwrap();
    assert_eq!(counter.scan().await, b"4006381333931");
}

#[tokio::test]
async fn an_over_long_barcode_is_refused_and_the_next_one_is_read() {
    let mut counter = Counter::with(FramingRules::default()).await;
    counter.device.scan(&[b'7'; 3_000]).await.unwrap();
    assert_eq!(counter.rejection().await, Rejection::TooLong { longest: 2_335, bytes: 3_001 });
    counter.device.scan(b"4006381333931").await.unwrap();
    assert_eq!(counter.scan().await, b"4006381333931");
}

#[tokio::test]
async fn a_hundred_scans_in_a_row_arrive_in_order() {
    let mut counter = Counter::with(FramingRules::default()).await;
    for number in 0..100 {
        counter.device.scan(format!("{number:013}").as_bytes()).await.unwrap();
    }
    for number in 0..100 {
        assert_eq!(counter.scan().await, format!("{number:013}").as_bytes());
    }
}

#[tokio::test]
async fn a_scanner_that_is_unplugged_and_plugged_in_again_is_back_by_itself() {
    let mut counter = Counter::with(FramingRules::default()).await;
    for _ in 0..2 {
        counter.device.unplug().await;
        assert!(matches!(counter.device_event().await, DeviceEvent::Lost { .. }));
        counter.device.replug().await.unwrap();
        // Told once or not at all, depending on whether the driver looked in between.
        let mut event = counter.device_event().await;
        if let DeviceEvent::Fault { reason } = &event {
            assert!(reason.contains("does not exist: check that the device is plugged in"), "{reason}");
            event = counter.device_event().await;
        }
        assert_eq!(event, DeviceEvent::Attached);
        counter.device.scan(b"96385074").await.unwrap();
        assert_eq!(counter.scan().await, b"96385074");
    }
}

#[tokio::test]
async fn half_a_scan_at_the_moment_of_unplugging_is_no_scan() {
    let framing = FramingRules { idle_gap: Duration::from_secs(3_600), ..FramingRules::default() };
    let mut counter = Counter::with(framing).await;
    counter.device.type_raw(b"9638\r50").await.unwrap();
    assert_eq!(counter.scan().await, b"9638");
    counter.device.unplug().await;
    assert!(matches!(counter.device_event().await, DeviceEvent::Lost { .. }));
}

#[tokio::test]
async fn a_scanner_that_is_not_there_is_a_fault_with_its_path_and_is_used_when_it_comes() {
    let mut counter = Counter::with(FramingRules::default()).await;
    counter.device.unplug().await;
    counter.scanner = start(&counter.device, FramingRules::default());
    let DeviceEvent::Fault { reason } = counter.device_event().await else { panic!("expected a fault") };
    assert!(reason.starts_with(&counter.device.path().display().to_string()), "{reason}");
    counter.device.replug().await.unwrap();
    assert_eq!(counter.device_event().await, DeviceEvent::Attached);
}

#[tokio::test]
async fn a_line_that_another_program_holds_is_said_to_be_busy() {
    let mut counter = Counter::with(FramingRules::default()).await;
    let mut second = start(&counter.device, FramingRules::default());
    let Some(ScannerEvent::Device { event: DeviceEvent::Fault { reason }, .. }) = soon(second.next()).await
    else {
        panic!("expected a fault");
    };
    assert!(reason.contains("in use by another program"), "{reason}");
    counter.device.scan(b"96385074").await.unwrap();
    assert_eq!(counter.scan().await, b"96385074");
}

#[tokio::test]
async fn what_was_being_sent_while_the_line_was_opened_is_no_scan() {
    let folder = tempfile::tempdir().unwrap();
    let device = SimScanner::plug_in(folder.path().join("scanner")).unwrap();
    // So long that the line is open and what is sent below is within it on a machine that is busy.
    let framing = FramingRules { idle_gap: Duration::from_secs(1), ..FramingRules::default() };
    let scanner = start(&device, framing);
    let mut counter = Counter { _folder: folder, device, scanner };
    let opened = async {
        // What comes before it is open is thrown away by the opening itself.
        while let Err(_nobody) = tokio::time::timeout(Duration::from_millis(20), counter.scanner.next()).await
        {
            counter.device.type_raw(b"81333931\r").await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_millis(400), opened).await.unwrap_err();
    assert!(matches!(counter.rejection().await, Rejection::CutOff { .. }));
    assert_eq!(counter.device_event().await, DeviceEvent::Attached);
    counter.device.scan(b"4006381333931").await.unwrap();
    assert_eq!(counter.scan().await, b"4006381333931");
}

const COMMAND: &str = "\u{16}M\rVSUFCR.";

/// What the driver says of a scanner that answers so.
async fn answer_to_a_command(says: &[u8]) -> Answer {
    let folder = tempfile::tempdir().unwrap();
    let device = SimScanner::plug_in(folder.path().join("scanner")).unwrap();
    let line = LineAddress::Serial(SerialSettings::new(device.path(), 9_600).unwrap());
    let line = SetUpLine::open(&line).await.unwrap();
    let (told, answer) = tokio::join!(device.is_told(COMMAND.len(), says), line.send(COMMAND));
    assert_eq!(told.unwrap(), COMMAND.as_bytes());
    answer
}

#[tokio::test]
async fn a_scanner_is_set_up_over_its_line_and_says_whether_it_took_that() {
    assert_eq!(answer_to_a_command(b"VSUFCR\x06.").await, Answer::Taken);
    assert_eq!(answer_to_a_command(b"VSUFCR\x05.").await, Answer::Unknown);
    assert_eq!(answer_to_a_command(b"VSUFCR\x15.").await, Answer::Refused);
}

#[tokio::test]
async fn what_is_no_answer_is_told_as_it_is_and_silence_as_silence() {
    assert_eq!(answer_to_a_command(b"").await, Answer::Silent);
    let scan = b"4006381333931\r";
    assert_eq!(answer_to_a_command(scan).await, Answer::Other(scan.to_vec()));
}

#[tokio::test]
async fn a_line_is_free_for_a_command_as_soon_as_its_driver_is_dropped_and_sells_again_afterwards() {
    let Counter { _folder, device, scanner } = Counter::with(FramingRules::default()).await;
    drop(scanner);
    let line = LineAddress::Serial(SerialSettings::new(device.path(), 9_600).unwrap());
    let line = SetUpLine::open(&line).await.unwrap();
    let (told, answer) = tokio::join!(device.is_told(COMMAND.len(), b"VSUFCR\x06."), line.send(COMMAND));
    assert_eq!((told.unwrap().as_slice(), answer), (COMMAND.as_bytes(), Answer::Taken));
    let scanner = start(&device, FramingRules::default());
    let mut counter = Counter { _folder, device, scanner };
    assert_eq!(counter.device_event().await, DeviceEvent::Attached);
    counter.device.scan(b"4006381333931").await.unwrap();
    assert_eq!(counter.scan().await, b"4006381333931");
}

#[tokio::test]
async fn a_line_that_goes_away_with_the_command_and_one_that_is_not_there_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let device = SimScanner::plug_in(folder.path().join("scanner")).unwrap();
    let address = LineAddress::Serial(SerialSettings::new(device.path(), 9_600).unwrap());
    let line = SetUpLine::open(&address).await.unwrap();
    let goes = async {
        device.is_told(COMMAND.len(), b"").await.unwrap();
        device.unplug().await;
    };
    let ((), answer) = tokio::join!(goes, line.send(COMMAND));
    assert!(matches!(answer, Answer::Gone(_)), "{answer:?}");
    assert!(SetUpLine::open(&address).await.unwrap_err().contains("does not exist"));
}
