//! A label printer.

use std::time::Duration;

use pestle_domain::document::{Block, Document, Style};
use pestle_drivers::{
    device::{DeviceEvent, DeviceName},
    line::{LineAddress, serial::SerialSettings},
    printer::{
        Calibration, DrawerOutcome, NotPrinted, Outcome, PrintJob, PrintReport, Printer as _, PrinterEvent,
        PrinterHandle, PrinterStatus, Unknown,
        driver::PrinterTimeouts,
        render::Artwork,
        status::Trouble,
        trouble::{LabelTrouble, Notice},
        zpl::{
            self, ZplSettings, compose,
            model::{LabelStock, ZplModels},
        },
    },
    sim::zebra::SimZebra,
};
use tokio::sync::mpsc;

use crate::soon;

struct Bench {
    device: SimZebra,
    printer: PrinterHandle,
    events: mpsc::Receiver<PrinterEvent>,
    settings: ZplSettings,
    _folder: Option<tempfile::TempDir>,
}

const QUICK: PrinterTimeouts = PrinterTimeouts {
    answer: Duration::from_millis(300),
    send: Duration::from_millis(1_000),
    confirm: Duration::from_millis(3_000),
    poll: Duration::from_millis(300),
};

fn settings(address: LineAddress, model: &str) -> ZplSettings {
    let stock = LabelStock { darkness: Some(12), ..LabelStock::new("70x35".parse().unwrap()) };
    let model = ZplModels::built_in().unwrap().get(model).unwrap().clone();
    ZplSettings { name: DeviceName::new("labels-1"), address, model, stock, timeouts: QUICK }
}

impl Bench {
    async fn with(model: &str) -> Bench {
        let device = SimZebra::listen("127.0.0.1:0".parse().unwrap(), 203, 832).unwrap();
        let settings = settings(LineAddress::Tcp(device.address().unwrap()), model);
        Bench::attached(device, settings, None).await
    }

    async fn on_a_cable() -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("labels");
        let device = SimZebra::plug_in(&path, 203, 832).unwrap();
        let address = LineAddress::Serial(SerialSettings::new(path, 115_200).unwrap());
        Bench::attached(device, settings(address, "zebra-zd421-203"), Some(folder)).await
    }

    async fn attached(device: SimZebra, settings: ZplSettings, folder: Option<tempfile::TempDir>) -> Bench {
        let (printer, events) = zpl::start(settings.clone(), Artwork::default()).unwrap();
        let mut bench = Bench { device, printer, events, settings, _folder: folder };
        bench.until(PrinterEvent::Device(DeviceEvent::Attached)).await;
        bench
    }

    async fn event(&mut self) -> PrinterEvent {
        soon(self.events.recv()).await.expect("the driver runs")
    }

    async fn until(&mut self, wanted: PrinterEvent) {
        while self.event().await != wanted {}
    }

    async fn report(&self, document: Document) -> PrintReport {
        soon(self.printer.print(PrintJob { document, open_drawer: false })).await
    }

    async fn print(&self, text: &str) -> Outcome {
        self.report(label(text)).await.outcome
    }

    async fn status(&self, is: impl FnMut(&PrinterStatus) -> bool) -> PrinterStatus {
        soon(self.printer.status().wait_for(is)).await.unwrap().clone()
    }

    /// The label that should have come out.
    fn check_label(&self, at: usize, text: &str) {
        let drawn = compose::compose(&label(text), self.settings.face(), &Artwork::default()).unwrap();
        assert_eq!(
            self.device.view().counts.unknown_commands,
            0,
            "the printer understands all that it is sent"
        );
        assert!(self.device.labels()[at] == drawn.pictures[0], "label {at} is not what was drawn");
    }
}

fn label(text: &str) -> Document {
    let mut document = Document::new(text);
    let text = |text: &str| Block::Text { text: text.into(), style: Style::default() };
    document.blocks =
        vec![text(&document.title), text("Take ONE three times a day"), text("Old Town Pharmacy")];
    document
}

fn trouble(trouble: LabelTrouble) -> Outcome {
    Outcome::NotPrinted { reason: NotPrinted::Trouble(Trouble::Label(trouble)) }
}

fn held(trouble: LabelTrouble) -> Outcome {
    Outcome::Unknown { reason: Unknown::Held(Trouble::Label(trouble)) }
}

#[tokio::test]
async fn a_label_comes_out_as_it_was_drawn_over_the_network() {
    let bench = Bench::with("zebra-zd421-203").await;
    assert_eq!(bench.print("Amoxicillin").await, Outcome::Printed);
    bench.check_label(0, "Amoxicillin");
    assert_eq!(bench.device.view().darkness, 12);
}

#[tokio::test]
async fn a_label_comes_out_as_it_was_drawn_over_a_serial_cable() {
    let bench = Bench::on_a_cable().await;
    for (at, text) in ["Amoxicillin", "Ibuprofen", "Codeine"].into_iter().enumerate() {
        assert_eq!(bench.print(text).await, Outcome::Printed);
        bench.check_label(at, text);
    }
}

#[tokio::test]
async fn a_job_is_not_said_to_be_printed_before_its_label_is_out() {
    let bench = Bench::with("zebra-zd421-203").await;
    bench.device.set_label_time(Duration::from_millis(900));
    assert_eq!(bench.print("Amoxicillin").await, Outcome::Printed);
    assert_eq!(bench.device.view().counts.labels, 1);
}

#[tokio::test]
async fn a_label_printer_has_no_drawer() {
    let bench = Bench::with("zebra-zd421-203").await;
    assert!(!bench.printer.has_drawer());
    let report =
        soon(bench.printer.print(PrintJob { document: label("Amoxicillin"), open_drawer: true })).await;
    assert_eq!((report.outcome, report.drawer), (Outcome::Printed, Some(DrawerOutcome::NotKicked)));
    assert_eq!(soon(bench.printer.open_drawer()).await, DrawerOutcome::NotKicked);
}

#[tokio::test]
async fn what_is_wrong_at_the_printer_is_said_before_anything_is_sent() {
    let bench = Bench::with("zebra-zd421-203").await;
    bench.device.control(|controls| controls.head_open = true);
    assert_eq!(bench.print("a").await, trouble(LabelTrouble::HeadOpen));
    bench.device.control(|controls| (controls.head_open, controls.media_out) = (false, true));
    assert_eq!(bench.print("b").await, trouble(LabelTrouble::NoLabels));
    bench.device.control(|controls| (controls.media_out, controls.ribbon_out) = (false, true));
    assert_eq!(bench.print("c").await, trouble(LabelTrouble::RibbonOut));
    bench.device.control(|controls| (controls.ribbon_out, controls.paused) = (false, true));
    assert_eq!(bench.print("d").await, trouble(LabelTrouble::Paused));
    bench.device.control(|controls| (controls.paused, controls.cutter_jammed) = (false, true));
    assert_eq!(bench.print("e").await, trouble(LabelTrouble::Cutter));
    bench.device.control(|controls| controls.cutter_jammed = false);
    assert_eq!(bench.print("f").await, Outcome::Printed);
    assert_eq!(bench.device.labels().len(), 1);
    bench.check_label(0, "f");
}

#[tokio::test]
async fn a_printer_that_is_silent_in_trouble_says_why_when_asked_for_its_errors() {
    let bench = Bench::with("zebra-zd421-203").await;
    bench.device.control(|controls| (controls.head_open, controls.silent_in_trouble) = (true, true));
    let status = bench.status(|status| status.ready().is_err()).await;
    let said = status.ready().unwrap_err().to_string();
    assert!(said.contains("head is open: close it"), "{said}");
    assert_eq!(bench.print("a").await, trouble(LabelTrouble::HeadOpen));
    bench.device.control(|controls| controls.head_open = false);
    bench.status(|status| status.ready().is_ok()).await;
    assert_eq!(bench.print("b").await, Outcome::Printed);
    bench.check_label(0, "b");
}

#[tokio::test]
async fn a_clone_that_is_silent_in_trouble_is_away_with_what_to_look_at() {
    let mut bench = Bench::with("generic-zpl-203").await;
    bench.device.control(|controls| (controls.media_out, controls.silent_in_trouble) = (true, true));
    let PrinterEvent::Device(DeviceEvent::Lost { reason }) = bench.event().await else { panic!() };
    assert!(reason.contains("close its head, put labels and ribbon in"), "{reason}");
    bench.device.control(|controls| controls.media_out = false);
    bench.until(PrinterEvent::Device(DeviceEvent::Attached)).await;
    bench.status(|status| status.ready().is_ok()).await;
    assert_eq!(bench.print("a").await, Outcome::Printed);
}

#[tokio::test]
async fn a_head_that_stays_open_in_the_middle_holds_the_label_which_comes_out_once() {
    let bench = Bench::with("zebra-zd421-203").await;
    bench.device.set_label_time(Duration::from_millis(400));
    let opened = async {
        bench.device.wait_until(|view| view.queued == 1).await;
        bench.device.control(|controls| controls.head_open = true);
    };
    let (outcome, ()) = tokio::join!(bench.print("a"), soon(opened));
    assert_eq!(outcome, held(LabelTrouble::HeadOpen));
    assert_eq!(bench.print("b").await, trouble(LabelTrouble::HeadOpen));
    bench.device.control(|controls| controls.head_open = false);
    bench.status(|status| status.ready().is_ok()).await;
    assert_eq!(bench.print("c").await, Outcome::Printed);
    assert_eq!(bench.device.labels().len(), 2);
    bench.check_label(0, "a");
    bench.check_label(1, "c");
}

#[tokio::test]
async fn a_head_that_was_open_for_a_moment_leaves_it_to_a_person() {
    let bench = Bench::with("zebra-zd421-203").await;
    bench.device.set_label_time(Duration::from_millis(500));
    bench.device.control(|controls| controls.paused = false);
    let opened = async {
        bench.device.wait_until(|view| view.queued == 1).await;
        let bytes = bench.device.view().counts.bytes;
        bench.device.control(|controls| controls.head_open = true);
        // Long enough for the driver to have asked, and no longer.
        bench.device.wait_until(|view| view.counts.bytes > bytes).await;
        bench.device.control(|controls| controls.head_open = false);
    };
    let (outcome, ()) = tokio::join!(bench.print("a"), soon(opened));
    let interrupted = Unknown::Interrupted(Trouble::Label(LabelTrouble::HeadOpen));
    assert_eq!(outcome, Outcome::Unknown { reason: interrupted });
    bench.check_label(0, "a");
}

#[tokio::test]
async fn labels_that_end_in_the_middle_of_a_job_hold_the_rest() {
    let bench = Bench::with("zebra-zd421-203").await;
    bench.device.end_labels_after(1);
    let mut long = label("Amoxicillin");
    let line = "one two three four five six seven eight nine ten eleven twelve";
    long.blocks.extend((0..30).map(|_| Block::Text { text: line.into(), style: Style::default() }));
    let labels = compose::compose(&long, bench.settings.face(), &Artwork::default()).unwrap().pictures.len();
    assert!(labels > 1);
    assert_eq!(bench.report(long).await.outcome, held(LabelTrouble::NoLabels));
    bench.device.control(|controls| controls.media_out = false);
    soon(bench.device.wait_until(|view| view.queued == 0)).await;
    assert_eq!(bench.device.labels().len(), labels);
}

#[tokio::test]
async fn a_printer_that_vanishes_in_the_middle_leaves_an_unknown_outcome_and_prints_nothing_twice() {
    let mut bench = Bench::with("zebra-zd421-203").await;
    bench.device.vanish_after(400);
    let outcome = bench.print("a").await;
    assert!(matches!(outcome, Outcome::Unknown { reason: Unknown::Vanished { .. } }), "{outcome:?}");
    assert!(matches!(bench.event().await, PrinterEvent::Device(DeviceEvent::Lost { .. })));
    let away = bench.print("b").await;
    assert!(matches!(away, Outcome::NotPrinted { reason: NotPrinted::Away(_) }), "{away:?}");
    bench.device.power_on().await.unwrap();
    bench.until(PrinterEvent::Device(DeviceEvent::Attached)).await;
    assert_eq!(bench.print("c").await, Outcome::Printed);
    assert_eq!(bench.device.labels().len(), 1);
    bench.check_label(0, "c");
}

#[tokio::test]
async fn a_label_after_one_whose_cable_was_pulled_in_the_middle_stands_alone() {
    for model in ["zebra-zd421-203", "generic-zpl-203", "one-way-zpl-203"] {
        let mut bench = Bench::with(model).await;
        bench.device.unplug_after(400);
        let outcome = bench.print("a").await;
        assert!(matches!(outcome, Outcome::Unknown { .. }), "{outcome:?}");
        // One that is never asked is noticed as gone all the same.
        bench.until(PrinterEvent::Device(DeviceEvent::Attached)).await;
        bench.print("b").await;
        soon(bench.device.wait_until(|view| view.counts.labels == 1)).await;
        bench.check_label(0, "b");
    }
}

#[tokio::test]
async fn a_label_printer_at_9600_baud_confirms_what_is_still_on_its_way_when_the_system_has_taken_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("labels");
    let device = SimZebra::plug_in_at(&path, 203, 832, 9_600).unwrap();
    let address = LineAddress::Serial(SerialSettings::new(path, 9_600).unwrap());
    let bench = Bench::attached(device, settings(address, "zebra-zd421-203"), Some(folder)).await;
    assert_eq!(bench.print("Amoxicillin").await, Outcome::Printed);
    bench.check_label(0, "Amoxicillin");
}

#[tokio::test]
async fn a_length_that_no_label_has_does_no_harm() {
    let bench = Bench::with("zebra-zd421-203").await;
    bench.device.set_roll(4_294_967_295);
    let calibration = soon(bench.printer.calibrate()).await;
    assert!(matches!(calibration, Calibration::Done { .. }), "{calibration:?}");
    assert_eq!(bench.print("a").await, Outcome::Printed);
}

#[tokio::test]
async fn a_power_cut_while_the_label_runs_leaves_an_unknown_outcome() {
    let bench = Bench::with("zebra-zd421-203").await;
    bench.device.set_label_time(Duration::from_secs(60));
    let cut = async {
        bench.device.wait_until(|view| view.queued == 1).await;
        bench.device.power_off();
    };
    let (outcome, ()) = tokio::join!(bench.print("a"), soon(cut));
    assert!(matches!(outcome, Outcome::Unknown { .. }), "{outcome:?}");
    assert_eq!(bench.device.view().counts.spoiled, 1);
}

#[tokio::test]
async fn a_printer_that_hangs_is_away_and_comes_back_by_itself() {
    let mut bench = Bench::with("zebra-zd421-203").await;
    bench.device.control(|controls| controls.hung = true);
    let away = bench.print("a").await;
    assert!(matches!(away, Outcome::NotPrinted { reason: NotPrinted::Away(_) }), "{away:?}");
    bench.device.control(|controls| controls.hung = false);
    bench.until(PrinterEvent::Device(DeviceEvent::Attached)).await;
    bench.status(|status| status.ready().is_ok()).await;
    assert_eq!(bench.print("b").await, Outcome::Printed);
}

#[tokio::test]
async fn garbage_on_the_line_confirms_nothing_and_does_no_harm() {
    let bench = Bench::with("zebra-zd421-203").await;
    bench.device.make_noise(b"\xff\x02\x02,,\x03\x021,2\x03\x00\x03garbage");
    assert_eq!(bench.print("a").await, Outcome::Printed);
    bench.check_label(0, "a");
}

#[tokio::test]
async fn a_calibration_finds_the_gap_and_says_how_long_the_labels_are() {
    let bench = Bench::with("zebra-zd421-203").await;
    bench.device.control(|controls| controls.gap_lost = true);
    bench.device.set_roll(304);
    assert_eq!(bench.print("a").await, trouble(LabelTrouble::NoLabels));
    // 304 dots at 203 dpi are 38 mm.
    assert_eq!(soon(bench.printer.calibrate()).await, Calibration::Done { label_tenths_mm: 380 });
    assert_eq!(bench.device.view().counts.calibrations, 1);
    assert_eq!(bench.print("b").await, Outcome::Printed);
}

#[tokio::test]
async fn a_calibration_without_labels_says_so() {
    let bench = Bench::with("zebra-zd421-203").await;
    bench.device.control(|controls| controls.media_out = true);
    let failed = Calibration::Failed(NotPrinted::Trouble(Trouble::Label(LabelTrouble::NoLabels)));
    assert_eq!(soon(bench.printer.calibrate()).await, failed);
}

#[tokio::test]
async fn what_the_printer_would_like_to_have_is_a_notice_and_it_prints() {
    let bench = Bench::with("zebra-zd421-203").await;
    bench.device.control(|controls| controls.head_dirty = true);
    let dirty = PrinterStatus::Reports { trouble: None, notice: Some(Notice::CleanHead) };
    let status = bench.status(|status| *status == dirty).await;
    assert_eq!(status.notice().as_deref(), Some("the label printer's head is dirty: clean it"));
    assert_eq!(bench.print("a").await, Outcome::Printed);
}

#[tokio::test]
async fn a_printer_without_a_way_back_never_claims_to_know() {
    let bench = Bench::with("one-way-zpl-203").await;
    assert_eq!(bench.print("a").await, Outcome::Unknown { reason: Unknown::CannotTell });
    soon(bench.device.wait_until(|view| view.counts.labels == 1)).await;
    bench.check_label(0, "a");
}
