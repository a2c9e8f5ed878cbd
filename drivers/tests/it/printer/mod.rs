//! An ESC/POS printer with its drawer.

mod broken_off;
mod held_back;

use std::time::Duration;

use pestle_domain::document::{Block, Document, Size, Style};
use pestle_drivers::{
    device::{DeviceEvent, DeviceName},
    line::{
        LineAddress,
        serial::{FlowControl, Parity, RawSerialSettings, SerialSettings},
    },
    printer::{
        DrawerOutcome, NotPrinted, Outcome, PrintJob, PrintReport, Printer as _, PrinterEvent, PrinterHandle,
        PrinterStatus, Unknown,
        driver::{self, EscPosSettings, PrinterTimeouts},
        model::{PrinterModel, PrinterModels},
        render::Artwork,
        status::{Paper, PrinterError, Trouble},
    },
    sim::printer::{Receipt, SimPrinter, receipt::ReceiptEnd},
};
use tokio::sync::mpsc;

use crate::soon;

struct Till {
    device: SimPrinter,
    printer: PrinterHandle,
    events: mpsc::Receiver<PrinterEvent>,
    _folder: Option<tempfile::TempDir>,
}

const QUICK: PrinterTimeouts = PrinterTimeouts {
    answer: Duration::from_millis(400),
    send: Duration::from_millis(500),
    confirm: Duration::from_millis(800),
    poll: Duration::from_millis(100),
};

fn start(address: LineAddress, model: &str) -> (PrinterHandle, mpsc::Receiver<PrinterEvent>) {
    let model = PrinterModels::built_in().unwrap().get(model).unwrap().clone();
    start_model(address, model)
}

fn start_model(address: LineAddress, model: PrinterModel) -> (PrinterHandle, mpsc::Receiver<PrinterEvent>) {
    let settings = EscPosSettings { name: DeviceName::new("printer-1"), address, model, timeouts: QUICK };
    driver::start(settings, Artwork::default())
}

impl Till {
    async fn with(model: &str) -> Till {
        let device = SimPrinter::listen("127.0.0.1:0".parse().unwrap(), 576).unwrap();
        let (printer, events) = start(LineAddress::Tcp(device.address().unwrap()), model);
        Till::attached(device, printer, events, None).await
    }

    async fn on_a_cable() -> Till {
        Till::on_a_cable_with(FlowControl::None, "epson-tm-t20").await
    }

    async fn on_a_cable_with(flow: FlowControl, model: &str) -> Till {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("printer");
        let device = SimPrinter::plug_in(&path, 576).unwrap();
        let raw = RawSerialSettings { path, baud: 460_800, parity: Parity::None, stop_bits: 1, flow };
        let (printer, events) = start(LineAddress::Serial(raw.try_into().unwrap()), model);
        Till::attached(device, printer, events, Some(folder)).await
    }

    async fn attached(
        device: SimPrinter,
        printer: PrinterHandle,
        events: mpsc::Receiver<PrinterEvent>,
        folder: Option<tempfile::TempDir>,
    ) -> Till {
        let mut till = Till { device, printer, events, _folder: folder };
        assert_eq!(till.event().await, PrinterEvent::Device(DeviceEvent::Attached));
        till
    }

    async fn event(&mut self) -> PrinterEvent {
        soon(self.events.recv()).await.expect("the driver runs")
    }

    async fn until_attached(&mut self) {
        while self.event().await != PrinterEvent::Device(DeviceEvent::Attached) {}
    }

    async fn print(&self, document: Document) -> PrintReport {
        soon(self.printer.print(PrintJob { document, open_drawer: false })).await
    }

    async fn status(&self, is: impl FnMut(&PrinterStatus) -> bool) -> PrinterStatus {
        soon(self.printer.status().wait_for(is)).await.unwrap().clone()
    }

    /// All that came out, after a check that the driver made no mistake that a real printer would show.
    fn receipts(&self) -> Vec<Receipt> {
        let counts = self.device.view().counts;
        assert_eq!((counts.real_time_inside_data, counts.unknown_commands), (0, 0));
        self.device.receipts()
    }

    fn texts(&self) -> Vec<String> {
        self.receipts().iter().map(Receipt::text).collect()
    }
}

fn text(text: &str) -> Block {
    Block::Text { text: text.into(), style: Style::default() }
}

fn receipt(number: u32) -> Document {
    let mut document = Document::new(format!("Receipt {number}"));
    document.blocks = vec![
        Block::Heading { text: "Pestle Pharmacy".into() },
        text(&format!("Receipt {number}")),
        Block::Rule,
        Block::Item {
            name: "Paracetamol 500 mg".into(),
            quantity: Some("2 × 1.60".into()),
            amount: "3.20 A".into(),
            details: vec!["Lot A1, expires 12/2027".into()],
        },
        Block::Total { label: "Total".into(), amount: "3.20 €".into(), strong: true },
        Block::Qr { data: "0192f0c1-act".into() },
        Block::Ean13 { data: "9521234543213".into() },
        Block::Code128 { data: "T1-{7}".into() },
        Block::Feed { lines: 1 },
        Block::Cut,
    ];
    document
}

fn not_printed(trouble: Trouble) -> Outcome {
    Outcome::NotPrinted { reason: NotPrinted::Trouble(trouble) }
}

fn check_receipt(printed: &Receipt, number: u32) {
    let rule = "─".repeat(48);
    let expected = [
        "Pestle Pharmacy".to_owned(),
        format!("Receipt {number}"),
        rule,
        "Paracetamol 500 mg".to_owned(),
        format!("  2 × 1.60{}3.20 A", " ".repeat(48 - 10 - 6)),
        "  Lot A1, expires 12/2027".to_owned(),
        format!("Total{}3.20 €", " ".repeat(48 - 5 - 6)),
    ];
    assert_eq!(printed.lines(), expected);
    assert_eq!(printed.end, ReceiptEnd::PartialCut);
    assert_eq!(printed.qr_codes(), ["0192f0c1-act"]);
    assert_eq!(printed.barcodes(), ["9521234543213", "T1-{7}"]);
    assert!(printed.png().unwrap().starts_with(b"\x89PNG"));
}

#[tokio::test]
async fn a_receipt_comes_out_as_it_was_written_over_the_network() {
    let till = Till::with("epson-tm-t20").await;
    let report = till.print(receipt(7)).await;
    assert_eq!((report.outcome, report.replaced, report.drawer), (Outcome::Printed, vec![], None));
    check_receipt(&till.receipts()[0], 7);
}

#[tokio::test]
async fn a_receipt_comes_out_as_it_was_written_over_a_serial_cable() {
    let till = Till::on_a_cable().await;
    for number in 1..=3 {
        assert_eq!(till.print(receipt(number)).await.outcome, Outcome::Printed);
        check_receipt(&till.receipts()[usize::try_from(number).unwrap() - 1], number);
    }
}

#[tokio::test]
async fn a_printer_that_vanishes_in_the_middle_leaves_an_unknown_outcome_and_prints_nothing_twice() {
    let mut till = Till::with("epson-tm-t20").await;
    till.device.vanish_after(120);
    let report = till.print(receipt(7)).await;
    assert!(matches!(report.outcome, Outcome::Unknown { reason: Unknown::Vanished { .. } }), "{report:?}");
    assert!(matches!(till.event().await, PrinterEvent::Device(DeviceEvent::Lost { .. })));
    let away = till.print(receipt(8)).await.outcome;
    assert!(matches!(away, Outcome::NotPrinted { reason: NotPrinted::Away(_) }), "{away:?}");
    till.device.power_on().await.unwrap();
    till.until_attached().await;
    assert_eq!(till.print(receipt(9)).await.outcome, Outcome::Printed);
    let receipts = till.receipts();
    assert_eq!(receipts.len(), 2);
    assert_eq!(
        (receipts[0].end, receipts[0].lines().len()),
        (ReceiptEnd::TornOff, 3),
        "{:?}",
        receipts[0].lines()
    );
    check_receipt(&receipts[1], 9);
}

#[tokio::test]
async fn a_serial_printer_that_vanishes_in_the_middle_leaves_an_unknown_outcome_too() {
    let mut till = Till::on_a_cable().await;
    till.device.vanish_after(120);
    let report = till.print(receipt(7)).await;
    assert!(matches!(report.outcome, Outcome::Unknown { .. }), "{report:?}");
    till.device.power_on().await.unwrap();
    till.until_attached().await;
    assert_eq!(till.print(receipt(8)).await.outcome, Outcome::Printed);
    check_receipt(&till.receipts()[1], 8);
}

#[tokio::test]
async fn paper_out_is_seen_before_a_sale_and_refuses_the_job_untouched() {
    let till = Till::with("epson-tm-t20").await;
    till.device.set_paper(Paper::Out);
    let status =
        till.status(|status| matches!(status, PrinterStatus::Here(c) if c.paper == Paper::Out)).await;
    assert_eq!(status.ready().unwrap_err().to_string(), "the printer is out of paper: put in a new roll");
    assert_eq!(till.print(receipt(7)).await.outcome, not_printed(Trouble::PaperOut));
    till.device.set_paper(Paper::NearEnd);
    assert_eq!(till.print(receipt(8)).await.outcome, Outcome::Printed);
    assert_eq!(till.receipts().len(), 1);
}

#[tokio::test]
async fn paper_that_ends_in_the_middle_holds_the_receipt_which_is_finished_late_and_once() {
    let mut till = Till::with("epson-tm-t20").await;
    till.device.end_paper_after(3);
    let report = till.print(receipt(7)).await;
    assert_eq!(report.outcome, Outcome::Unknown { reason: Unknown::Held(Trouble::PaperOut) });
    assert_eq!(till.device.hanging().lines().len(), 3);
    assert_eq!(till.print(receipt(8)).await.outcome, not_printed(Trouble::PaperOut));
    till.device.set_paper(Paper::Enough);
    assert_eq!(till.event().await, PrinterEvent::FinishedLate(report.process.unwrap()));
    check_receipt(&till.receipts()[0], 7);
    assert_eq!(till.receipts().len(), 1);
}

async fn check_trouble(set: impl Fn(&SimPrinter, bool), expected: Trouble) {
    let till = Till::with("epson-tm-t20").await;
    set(&till.device, true);
    assert_eq!(till.print(receipt(7)).await.outcome, not_printed(expected));
    set(&till.device, false);
    assert_eq!(till.print(receipt(8)).await.outcome, Outcome::Printed);
    assert_eq!(till.receipts().len(), 1);
}

#[tokio::test]
async fn whatever_keeps_a_printer_from_printing_is_named() {
    check_trouble(SimPrinter::set_cover_open, Trouble::CoverOpen).await;
    check_trouble(SimPrinter::set_cutter_jammed, Trouble::Error(PrinterError::Cutter)).await;
    check_trouble(SimPrinter::set_offline, Trouble::Offline).await;
}

#[tokio::test]
async fn a_printer_that_hangs_is_away_and_not_waited_for() {
    let mut till = Till::with("epson-tm-t20").await;
    till.device.set_hung(true);
    let outcome = till.print(receipt(7)).await.outcome;
    assert!(matches!(outcome, Outcome::NotPrinted { reason: NotPrinted::Away(_) }), "{outcome:?}");
    till.status(|status| matches!(status, PrinterStatus::Away { .. })).await;
    till.device.set_hung(false);
    till.until_attached().await;
    assert_eq!(till.print(receipt(8)).await.outcome, Outcome::Printed);
}

#[tokio::test]
async fn a_printer_that_is_not_there_is_a_fault_with_its_address() {
    let device = SimPrinter::listen("127.0.0.1:0".parse().unwrap(), 576).unwrap();
    let address = device.address().unwrap();
    device.power_off();
    let (printer, mut events) = start(LineAddress::Tcp(address), "epson-tm-t20");
    let Some(PrinterEvent::Device(DeviceEvent::Fault { reason })) = soon(events.recv()).await else {
        panic!("expected a fault");
    };
    assert!(reason.starts_with(&address.to_string()) && reason.contains("check the port"), "{reason}");
    let mut status = printer.status();
    let away = soon(status.wait_for(|status| matches!(status, PrinterStatus::Away { .. }))).await.unwrap();
    assert!(away.ready().is_err());
}

#[tokio::test]
async fn a_printer_without_process_ids_confirms_by_its_queued_status() {
    let till = Till::with("generic-80").await;
    assert_eq!(till.print(receipt(7)).await.outcome, Outcome::Printed);
    assert_eq!(till.print(receipt(8)).await.outcome, Outcome::Printed);
    till.device.end_paper_after(2);
    let held = till.print(receipt(9)).await.outcome;
    assert_eq!(held, Outcome::Unknown { reason: Unknown::Held(Trouble::PaperOut) });
}

#[tokio::test]
async fn a_printer_that_cannot_answer_is_never_said_to_have_printed() {
    let till = Till::with("one-way-80").await;
    let report = till.print(receipt(7)).await;
    assert_eq!(report.outcome, Outcome::Unknown { reason: Unknown::CannotTell });
    soon(till.device.wait_until(|view| view.counts.receipts == 1)).await;
    // Its code page has neither × nor €: the two lines are drawn, as are the codes.
    assert_eq!(report.replaced, []);
    let printed = &till.receipts()[0];
    assert!(!printed.text().contains("1.60") && !printed.text().contains("3.20"), "{}", printed.text());
    assert_eq!(printed.images().iter().filter(|image| image.width() == 576).count(), 2);
}

#[tokio::test]
async fn the_drawer_opens_with_a_job_and_its_sensor_says_so() {
    let till = Till::with("epson-tm-t20").await;
    let job = || PrintJob { document: receipt(7), open_drawer: true };
    let drawer = async || soon(till.printer.print(job())).await.drawer;
    assert_eq!(drawer().await, Some(DrawerOutcome::Opened));
    assert_eq!(drawer().await, Some(DrawerOutcome::AlreadyOpen));
    till.device.set_drawer_open(false);
    till.device.set_drawer_locked(true);
    assert_eq!(drawer().await, Some(DrawerOutcome::NotOpened));
    assert_eq!(till.device.view().counts.kicks, 3);
}

#[tokio::test]
async fn the_drawer_opens_without_a_receipt() {
    let till = Till::with("epson-tm-t20").await;
    assert_eq!(soon(till.printer.open_drawer()).await, DrawerOutcome::Opened);
    let unseen = Till::with("generic-80").await;
    assert_eq!(soon(unseen.printer.open_drawer()).await, DrawerOutcome::KickedUnseen);
    soon(unseen.device.wait_until(|view| view.controls.drawer_open)).await;
    assert!(till.receipts().is_empty());
}

#[tokio::test]
async fn the_drawer_opens_without_paper_where_the_model_takes_kicks_in_real_time() {
    let till = Till::with("epson-tm-t20").await;
    for trouble in [
        |device: &SimPrinter| device.set_paper(Paper::Out),
        |device: &SimPrinter| {
            device.set_cover_open(true);
        },
    ] {
        trouble(&till.device);
        assert_eq!(soon(till.printer.open_drawer()).await, DrawerOutcome::Opened);
        till.device.set_drawer_open(false);
    }
    till.device.set_drawer_locked(true);
    assert_eq!(soon(till.printer.open_drawer()).await, DrawerOutcome::NotOpened);
    till.device.set_cover_open(false);
    till.device.set_paper(Paper::Enough);
    till.print(receipt(7)).await;
    assert_eq!(till.device.view().counts.kicks, 3, "none of them waited for the paper");
    assert_eq!(till.receipts().len(), 1);
}

#[tokio::test]
async fn a_drawer_that_cannot_be_kicked_without_paper_is_said_not_to_be() {
    let till = Till::with("generic-80").await;
    till.device.set_paper(Paper::Out);
    assert_eq!(soon(till.printer.open_drawer()).await, DrawerOutcome::NotKicked);
    till.device.set_paper(Paper::Enough);
    till.print(receipt(7)).await;
    assert_eq!(till.device.view().counts.kicks, 0, "it does not open at some later time");
}

#[tokio::test]
async fn a_stray_byte_confirms_no_later_job() {
    let mut till = Till::with("generic-80").await;
    till.device.make_noise(b"\x00");
    till.until_attached().await;
    till.device.end_paper_after(2);
    let held = till.print(receipt(7)).await.outcome;
    assert_eq!(held, Outcome::Unknown { reason: Unknown::Held(Trouble::PaperOut) });
    till.device.make_noise(b"\x40\x20");
    till.device.set_paper(Paper::Enough);
    soon(till.device.wait_until(|view| view.counts.receipts == 1)).await;
}

#[tokio::test]
async fn a_reprint_says_copy_above_and_below() {
    let till = Till::with("epson-tm-t20").await;
    till.print(receipt(7).as_copy("of receipt 7")).await;
    let lines = till.receipts()[0].lines();
    assert_eq!(lines[..2], ["COPY", "of receipt 7"]);
    assert_eq!(lines[lines.len() - 2..], ["COPY", "of receipt 7"]);
}

#[tokio::test]
async fn a_gs1_datamatrix_is_drawn_and_can_be_read_again() {
    let till = Till::with("epson-tm-t20").await;
    let data = "010952123454321317261231\u{1d}10A1\u{1d}217";
    let document =
        Document { blocks: vec![Block::DataMatrix { data: data.into() }, Block::Cut], ..Document::new("t") };
    assert_eq!(till.print(document).await.outcome, Outcome::Printed);
    let receipts = till.receipts();
    let image = receipts[0].images()[0];
    // Four dots a module, and a quiet module all around.
    let size = image.height() / 4 - 2;
    let places = (0..size).flat_map(|y| (0..size).map(move |x| (x, y)));
    let modules: Vec<bool> = places.map(|(x, y)| image.get((x + 1) * 4 + 1, (y + 1) * 4 + 1)).collect();
    assert_eq!(datamatrix::DataMatrix::decode(&modules, size).unwrap(), data.as_bytes());
}

#[tokio::test]
async fn a_document_that_cannot_be_printed_is_refused_with_the_reason() {
    let till = Till::with("epson-tm-t20").await;
    let bad = Document { blocks: vec![Block::Ean13 { data: "123".into() }], ..Document::new("t") };
    let outcome = till.print(bad).await.outcome;
    let Outcome::NotPrinted { reason: NotPrinted::BadDocument(reason) } = outcome else {
        panic!("{outcome:?}")
    };
    assert!(reason.contains("thirteen digits"), "{reason}");
}

#[tokio::test]
async fn a_printer_that_takes_no_more_in_the_middle_of_a_job_is_not_waited_for_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("printer");
    let device = SimPrinter::plug_in(&path, 576).unwrap();
    let address = LineAddress::Serial(SerialSettings::new(path, 460_800).unwrap());
    let (printer, events) = start(address, "epson-tm-t20");
    let mut till = Till::attached(device, printer, events, Some(folder)).await;
    till.device.end_paper_after(3);
    // More than the printer's buffer and the cable's hold.
    let mut document = receipt(7);
    document.blocks.insert(0, text(&"Thank you for your visit. ".repeat(3_500)));
    let outcome = till.print(document).await.outcome;
    let Outcome::Unknown { reason: Unknown::CutShort { trouble: Trouble::PaperOut, sent, length } } = outcome
    else {
        panic!("{outcome:?}")
    };
    assert!(0 < sent && sent < length, "{sent} of {length}");
    till.device.set_paper(Paper::Enough);
    till.until_attached().await;
    assert_eq!(till.print(receipt(8)).await.outcome, Outcome::Printed);
    assert!(till.texts()[0].ends_with("3.20 €"));
}

#[tokio::test]
async fn a_very_long_document_is_printed_whole() {
    let till = Till::with("epson-tm-t20").await;
    let mut report = Document::new("Z report");
    let style = Style { size: Size::Tall, ..Style::default() };
    report.blocks.extend((0..2_000).map(|n| Block::Text { text: format!("Line {n}"), style }));
    report.blocks.push(Block::Cut);
    assert_eq!(till.print(report).await.outcome, Outcome::Printed);
    let lines = till.receipts()[0].lines();
    assert_eq!((lines.len(), lines[1_999].as_str()), (2_000, "Line 1999"));
}
