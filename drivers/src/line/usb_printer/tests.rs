use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

/// The driver's end of a line, and the printer's: a pair of sockets that keeps packets apart, as USB does. Unlike a
/// stream it can carry an empty packet, and a read of 0 bytes does not mean that the other end has gone.
fn line() -> (UsbPrinterLine, OwnedFd) {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let (ours, printer) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
    (UsbPrinterLine::over(ours).unwrap(), printer)
}

#[tokio::test]
async fn what_is_written_arrives_and_what_the_printer_answers_is_read() {
    let (mut line, printer) = line();
    line.write_all(b"\x10\x04\x01").await.unwrap();
    line.flush().await.unwrap();
    let mut got = [0u8; 16];
    assert_eq!(recv(&printer, &mut got, RecvFlags::empty()).unwrap().0, 3);
    send(&printer, b"\x12", SendFlags::empty()).unwrap();
    let mut answer = [0u8; 8];
    assert_eq!(line.read(&mut answer).await.unwrap(), 1);
    assert_eq!(answer[0], 0x12);
}

#[tokio::test]
async fn an_empty_packet_is_not_the_end_of_the_line() {
    let (mut line, printer) = line();
    send(&printer, b"", SendFlags::empty()).unwrap();
    send(&printer, b"", SendFlags::empty()).unwrap();
    send(&printer, b"\x16", SendFlags::empty()).unwrap();
    let mut answer = [0u8; 8];
    assert_eq!(line.read(&mut answer).await.unwrap(), 1);
    assert_eq!(answer[0], 0x16);
}

#[tokio::test]
async fn flushing_waits_while_the_printer_takes_nothing_and_ends_when_it_does() {
    let (mut line, printer) = line();
    let block = [0u8; 4_096];
    while let Ok(written) = rustix::io::write(line.file.get_ref(), &block) {
        assert_eq!(written, block.len());
    }
    let patience = Duration::from_millis(50);
    assert!(tokio::time::timeout(patience, line.flush()).await.is_err(), "nothing was taken yet");
    let mut taken = [0u8; 4_096];
    while recv(&printer, &mut taken, RecvFlags::empty()).is_ok() {}
    tokio::time::timeout(Duration::from_secs(20), line.flush()).await.expect("it was taken").unwrap();
}

#[tokio::test]
async fn a_printer_that_goes_is_an_error_for_who_writes_and_who_flushes() {
    let (mut line, printer) = line();
    drop(printer);
    assert!(line.write_all(b"x").await.is_err());
    assert!(line.flush().await.unwrap_err().to_string().contains("unplugged"));
    assert!(told(Errno::NODEV).to_string().contains("unplugged or switched off"));
}

#[tokio::test]
async fn what_is_no_printer_s_file_is_refused_with_what_to_write() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lp0");
    let error = UsbPrinterLine::open(&file).unwrap_err();
    assert!(error.to_string().contains("plugged in and switched on"), "{error}");
    std::fs::write(&file, "").unwrap();
    let error = UsbPrinterLine::open(&file).unwrap_err();
    assert!(matches!(error, UsbPrinterError::NoDevice { .. }), "{error}");
    assert!(matches!(explain(&file, Errno::BUSY.into()), UsbPrinterError::Busy { .. }));
    assert!(matches!(explain(&file, Errno::NODEV.into()), UsbPrinterError::Missing { .. }));
}
