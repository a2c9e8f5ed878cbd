//! A receipt of python-escpos, printed on our simulated printer.

use pestle_drivers::sim::printer::{SimPrinter, receipt::ReceiptEnd};

use super::{codes_in, python};
use crate::soon;

#[tokio::test]
async fn our_printer_prints_what_python_escpos_sends() {
    let device = SimPrinter::listen("127.0.0.1:0".parse().unwrap(), 576).unwrap();
    let address = device.address().unwrap();
    python("print_receipt.py", &["127.0.0.1", &address.port().to_string()]).await;
    soon(device.wait_until(|view| view.counts.receipts == 1)).await;
    let printed = device.last_receipt().unwrap();
    assert_eq!(printed.lines(), ["Old Town Pharmacy", "Crème 3.20 €", "Аптека", "Łódź", "underlined"]);
    assert_eq!(printed.end, ReceiptEnd::PartialCut);
    assert_eq!(device.view().counts.unknown_commands, 0);
    let code = |identifier: &str, data: &str| (identifier.to_owned(), data.to_owned());
    let expected = [
        code("]Q1", "act-0192f0c1"),
        code("]Q1", "by raster"),
        code("]Q1", "by graphics"),
        code("]E0", "9521234543213"),
        code("]C0", "T1-1042"),
    ];
    assert_eq!(codes_in(&[printed.png().unwrap()]).await, [expected]);
}
