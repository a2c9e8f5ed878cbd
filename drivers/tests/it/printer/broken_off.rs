//! Jobs that break off in the middle: the outcome says so, nothing is printed twice, and the next receipt is whole.

use pestle_drivers::printer::{bitmap::Bitmap, model::Buzzer};

use super::*;

/// A receipt that is mostly an image: codes, and lines of scripts that no code page has.
fn drawn(number: u32) -> Document {
    let mut document = Document::new(format!("Receipt {number}"));
    document.blocks = vec![text(&format!("Receipt {number}"))];
    for line in 0..30 {
        let others: String = (0..8).filter_map(|at| char::from_u32(0x4e00 + line * 37 + at)).collect();
        document.blocks.push(text(&format!("阿莫西林胶囊 {others} أموكسيسيلين")));
    }
    document.blocks.push(Block::DataMatrix { data: "0109521234543213".into() });
    document.blocks.push(Block::Cut);
    document
}

fn dots(receipt: &Receipt) -> Vec<Bitmap> {
    receipt.images().into_iter().cloned().collect()
}

/// What `document` looks like when nothing happens.
async fn undisturbed(document: Document) -> Vec<Bitmap> {
    let till = Till::with("epson-tm-t20").await;
    assert_eq!(till.print(document).await.outcome, Outcome::Printed);
    dots(&till.receipts()[0])
}

#[tokio::test]
async fn a_cover_that_is_opened_in_the_middle_holds_the_receipt_which_is_finished_late_and_once() {
    for mut till in [Till::with("epson-tm-t20").await, Till::on_a_cable().await] {
        till.device.open_cover_after(3);
        let report = till.print(receipt(7)).await;
        assert_eq!(report.outcome, Outcome::Unknown { reason: Unknown::Held(Trouble::CoverOpen) });
        assert_eq!(till.device.hanging().lines().len(), 3);
        assert_eq!(till.print(receipt(8)).await.outcome, not_printed(Trouble::CoverOpen));
        till.device.set_cover_open(false);
        assert_eq!(till.event().await, PrinterEvent::FinishedLate(report.process.unwrap()));
        check_receipt(&till.receipts()[0], 7);
        assert_eq!(till.receipts().len(), 1);
    }
}

#[tokio::test]
async fn paper_that_ends_in_the_middle_holds_the_receipt_on_a_cable_too() {
    let mut till = Till::on_a_cable().await;
    till.device.end_paper_after(3);
    let report = till.print(receipt(7)).await;
    assert_eq!(report.outcome, Outcome::Unknown { reason: Unknown::Held(Trouble::PaperOut) });
    till.device.set_paper(Paper::Enough);
    assert_eq!(till.event().await, PrinterEvent::FinishedLate(report.process.unwrap()));
    check_receipt(&till.receipts()[0], 7);
}

/// The cable is pulled in the middle of an image while the printer keeps its power: it waits for the rest of it, and would
/// take the next receipt for that.
async fn check_unplugged(mut till: Till, after: usize) {
    let whole = undisturbed(drawn(8)).await;
    till.device.unplug_after(after);
    let report = till.print(drawn(7)).await;
    assert!(matches!(report.outcome, Outcome::Unknown { reason: Unknown::Vanished { .. } }), "{report:?}");
    assert!(matches!(till.event().await, PrinterEvent::Device(DeviceEvent::Lost { .. })));
    till.device.replug().await.unwrap();
    till.until_attached().await;
    assert_eq!(till.print(drawn(8)).await.outcome, Outcome::Printed);
    let printed = till.receipts();
    assert_eq!(printed.len(), 1, "half of the first, and all of the second, on one piece of paper");
    assert_eq!(printed[0].lines(), ["Receipt 7", "Receipt 8"]);
    let images = dots(&printed[0]);
    assert!(images.ends_with(&whole), "the second is whole");
    assert!(images.len() < 2 * whole.len(), "the first is not printed again");
}

#[tokio::test]
async fn a_receipt_after_one_whose_cable_was_pulled_in_an_image_is_whole() {
    for after in [2_000, 5_003, 20_011] {
        check_unplugged(Till::with("epson-tm-t20").await, after).await;
        check_unplugged(Till::with("generic-80").await, after).await;
        check_unplugged(Till::on_a_cable().await, after).await;
    }
}

#[tokio::test]
async fn a_receipt_after_a_power_loss_in_an_image_is_whole() {
    let whole = undisturbed(drawn(8)).await;
    for mut till in [Till::with("generic-80").await, Till::on_a_cable().await] {
        till.device.vanish_after(5_003);
        let report = till.print(drawn(7)).await;
        assert!(matches!(report.outcome, Outcome::Unknown { .. }), "{report:?}");
        till.device.power_on().await.unwrap();
        till.until_attached().await;
        assert_eq!(till.print(drawn(8)).await.outcome, Outcome::Printed);
        let printed = till.receipts();
        assert_eq!((printed.len(), printed[0].end), (2, ReceiptEnd::TornOff));
        assert_eq!(dots(&printed[1]), whole);
    }
}

#[tokio::test]
async fn a_printer_that_says_xoff_in_an_image_is_waited_for_and_gets_every_dot() {
    let whole = undisturbed(drawn(7)).await;
    let bytes = |bitmap: &Bitmap| bitmap.bytes().to_vec();
    let all: Vec<u8> = whole.iter().flat_map(bytes).collect();
    assert!(all.contains(&0x11) && all.contains(&0x13), "there are XON and XOFF among the dots");
    let till = Till::on_a_cable_with(FlowControl::Software, "epson-tm-t20").await;
    till.device.send_xoff_after(6_000);
    let going_on = async {
        // All that was on its way has come, and nothing more comes.
        soon(till.device.wait_until(|view| view.counts.bytes >= 6_000)).await;
        till.device.send_xon();
    };
    let (report, ()) = tokio::join!(till.print(drawn(7)), going_on);
    assert_eq!(report.outcome, Outcome::Printed);
    assert!(dots(&till.receipts()[0]) == whole, "every dot is as without XOFF");
}

#[tokio::test]
async fn a_printer_that_never_says_xon_is_not_waited_for_for_ever() {
    let till = Till::on_a_cable_with(FlowControl::Software, "epson-tm-t20").await;
    till.device.send_xoff_after(6_000);
    let report = till.print(drawn(7)).await;
    assert!(matches!(report.outcome, Outcome::Unknown { reason: Unknown::Unconfirmed { .. } }), "{report:?}");
    assert!(till.device.receipts().is_empty());
}

#[tokio::test]
async fn a_printer_that_holds_its_line_is_not_waited_for_for_ever_and_its_next_receipt_is_whole() {
    for flow in [FlowControl::Hardware, FlowControl::None] {
        let mut till = Till::on_a_cable_with(flow, "generic-80").await;
        let device = till.device.clone();
        let busy = async {
            soon(device.wait_until(|view| view.counts.bytes >= 10_000)).await;
            device.set_busy(true);
        };
        let (report, ()) = tokio::join!(till.print(drawn(7)), busy);
        assert!(matches!(report.outcome, Outcome::Unknown { .. }), "{report:?}");
        till.device.set_busy(false);
        till.until_attached().await;
        assert_eq!(till.print(drawn(8)).await.outcome, Outcome::Printed);
        assert!(dots(till.receipts().last().unwrap()).ends_with(&undisturbed(drawn(8)).await));
    }
}

#[tokio::test]
async fn a_printer_beeps_where_its_model_says_how() {
    let device = SimPrinter::listen("127.0.0.1:0".parse().unwrap(), 576).unwrap();
    let mut model = PrinterModels::built_in().unwrap().get("generic-80").unwrap().clone();
    model.buzzer = Some(Buzzer::EscB { times: 2, duration: 3 });
    let (printer, events) = start_model(LineAddress::Tcp(device.address().unwrap()), model);
    let till = Till::attached(device, printer, events, None).await;
    assert_eq!(soon(till.printer.beep()).await, Ok(()));
    soon(till.device.wait_until(|view| view.counts.beeps == 1)).await;
    till.device.set_paper(Paper::Out);
    assert_eq!(soon(till.printer.beep()).await, Err(NotPrinted::Trouble(Trouble::PaperOut)));
    let silent = Till::with("generic-80").await;
    assert_eq!(soon(silent.printer.beep()).await, Err(NotPrinted::NoBuzzer));
}
