//! Lines that are slow, that the printer holds, or that never fall silent.

use std::sync::Arc;

use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
};

use super::*;

/// Some kilobytes of text: more than the printer reads at once, less than a line's buffer holds.
fn long(number: u32) -> Document {
    let mut document = Document::new(format!("Receipt {number}"));
    document.blocks =
        (0..60).map(|line| text(&format!("Receipt {number}, line {line:02}, {}", "·".repeat(24)))).collect();
    document.blocks.push(Block::Cut);
    document
}

fn check_long(printed: &Receipt, number: u32) {
    let lines = printed.lines();
    assert_eq!(lines.len(), 60, "{lines:?}");
    for (at, line) in lines.iter().enumerate() {
        assert!(line.starts_with(&format!("Receipt {number}, line {at:02}, ")), "{line}");
    }
}

#[tokio::test]
async fn a_printer_at_9600_baud_is_attached_and_confirms_what_is_still_on_its_way_when_the_system_has_taken_it()
 {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("printer");
    let device = SimPrinter::plug_in_at(&path, 576, 9_600).unwrap();
    let (printer, events) =
        start(LineAddress::Serial(SerialSettings::new(path, 9_600).unwrap()), "epson-tm-t20");
    let till = Till::attached(device, printer, events, Some(folder)).await;
    assert!(till.device.view().counts.bytes > 4_000, "half a command of an earlier run was ended first");
    assert_eq!(till.print(long(7)).await.outcome, Outcome::Printed);
    check_long(&till.receipts()[0], 7);
}

/// A till whose printer holds its line while it cannot print, and whose cover is opened in the third line.
async fn held_in_the_third_line(model: &str) -> (Till, PrintReport) {
    let till = Till::on_a_cable_with(FlowControl::Hardware, model).await;
    till.device.set_busy_when_offline(true);
    till.device.open_cover_after(3);
    let report = till.print(long(7)).await;
    assert_eq!(report.outcome, Outcome::Unknown { reason: Unknown::Held(Trouble::CoverOpen) });
    (till, report)
}

#[tokio::test]
async fn a_printer_that_holds_its_line_with_its_cover_open_is_said_to_be_open_and_finishes_the_receipt_late()
{
    let (mut till, report) = held_in_the_third_line("epson-tm-t20").await;
    let patience = 3 * (QUICK.answer + QUICK.poll);
    assert!(tokio::time::timeout(patience, till.event()).await.is_err(), "the line is not given up");
    assert_eq!(till.print(receipt(8)).await.outcome, not_printed(Trouble::CoverOpen));
    assert_eq!(soon(till.printer.open_drawer()).await, DrawerOutcome::NotKicked);
    till.device.set_cover_open(false);
    assert_eq!(till.event().await, PrinterEvent::FinishedLate(report.process.unwrap()));
    check_long(&till.receipts()[0], 7);
    assert_eq!(till.print(receipt(9)).await.outcome, Outcome::Printed);
    assert_eq!((till.receipts().len(), till.device.view().counts.kicks), (2, 0));
}

#[tokio::test]
async fn a_printer_that_was_switched_off_while_it_held_its_line_is_not_believed_to_have_printed_all() {
    let (mut till, _report) = held_in_the_third_line("epson-tm-t20").await;
    till.device.forget_all();
    till.device.set_cover_open(false);
    let event = till.event().await;
    assert!(matches!(event, PrinterEvent::Device(DeviceEvent::Lost { .. })), "{event:?}");
    till.until_attached().await;
    assert_eq!(till.print(receipt(8)).await.outcome, Outcome::Printed);
}

#[tokio::test]
async fn a_receipt_after_one_that_was_held_in_an_image_when_the_cable_was_pulled_is_whole() {
    let mut till = Till::on_a_cable_with(FlowControl::Hardware, "epson-tm-t20").await;
    till.device.set_busy_when_offline(true);
    till.device.open_cover_after(1);
    let mut document = Document::new("Receipt 7");
    document.blocks = vec![text("Receipt 7"), text("阿莫西林胶囊"), Block::Cut];
    let report = till.print(document).await;
    assert_eq!(report.outcome, Outcome::Unknown { reason: Unknown::Held(Trouble::CoverOpen) });
    till.device.unplug();
    assert!(matches!(till.event().await, PrinterEvent::Device(DeviceEvent::Lost { .. })));
    till.device.set_cover_open(false);
    till.device.replug().await.unwrap();
    till.until_attached().await;
    assert_eq!(till.print(long(8)).await.outcome, Outcome::Printed);
    let printed = till.receipts();
    let lines = printed[0].lines();
    assert_eq!((printed.len(), lines.len(), lines[0].as_str()), (1, 61, "Receipt 7"));
    assert!(lines[1].starts_with("Receipt 8, line 00, ") && lines[60].starts_with("Receipt 8, line 59, "));
}

#[tokio::test]
async fn a_printer_that_holds_its_line_from_the_start_is_said_to_perhaps_be_open() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("printer");
    let device = SimPrinter::plug_in(&path, 576).unwrap();
    device.set_busy_when_offline(true);
    device.set_paper(Paper::Out);
    let raw = RawSerialSettings {
        path,
        baud: 460_800,
        parity: Parity::None,
        stop_bits: 1,
        flow: FlowControl::Hardware,
    };
    let (printer, mut events) = start(LineAddress::Serial(raw.try_into().unwrap()), "epson-tm-t20");
    let event = soon(events.recv()).await.unwrap();
    let PrinterEvent::Device(DeviceEvent::Fault { reason }) = event else { panic!("{event:?}") };
    assert!(reason.contains("half a receipt") || reason.contains("holds its line"), "{reason}");
    device.set_paper(Paper::Enough);
    let mut till = Till { device, printer, events, _folder: Some(folder) };
    till.until_attached().await;
}

/// A printer with a contact so bad that it never falls silent.
async fn flood(mut stream: TcpStream) {
    while stream.write_all(&[0xff; 64 * 1_024]).await.is_ok() {}
}

#[tokio::test]
async fn a_printer_that_never_falls_silent_is_given_up_in_time() {
    for (model, words) in [("epson-tm-t20", "makes no sense"), ("one-way-80", "")] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = LineAddress::Tcp(listener.local_addr().unwrap());
        let flooding = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(flood(stream));
            }
        });
        let (printer, mut events) = start(address, model);
        let printer = Arc::new(printer);
        let event = soon(events.recv()).await.unwrap();
        match event {
            PrinterEvent::Device(DeviceEvent::Fault { reason }) => {
                assert!(reason.contains(words), "{reason}")
            }
            PrinterEvent::Device(DeviceEvent::Attached) => {
                let job = PrintJob { document: receipt(7), open_drawer: false };
                let outcome = soon(printer.print(job)).await.outcome;
                assert!(matches!(outcome, Outcome::Unknown { .. }), "{outcome:?}");
            }
            event => panic!("{event:?}"),
        }
        flooding.abort();
    }
}
