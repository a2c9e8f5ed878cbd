//! The kernel's input events as bytes: `struct input_event` of `linux/input.h` on a 64-bit machine, 24 bytes. Pure, both
//! ways. A file that was recorded with `cat /dev/input/eventN` is a row of these.

/// Bytes of one event: seconds and microseconds (8 each), type and code (2 each), value (4); little-endian on all
/// machines that Pestle runs on.
pub const RECORD_BYTES: usize = 24;

/// `EV_SYN`: the end of a report, or a loss.
pub const EV_SYN: u16 = 0x00;
/// `EV_KEY`: a key went up or down.
pub const EV_KEY: u16 = 0x01;
/// `EV_MSC`: what a USB keyboard tells beside each key (`MSC_SCAN`, 4: its own code).
pub const EV_MSC: u16 = 0x04;
/// `SYN_REPORT`: all events since the last one belong together.
pub const SYN_REPORT: u16 = 0;
/// `SYN_DROPPED`: the reader was too slow, events are lost (kernel documentation, `input/event-codes.rst`).
pub const SYN_DROPPED: u16 = 3;

/// One event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyRecord {
    /// When the kernel saw it, in microseconds.
    pub at_us: u64,
    /// `EV_…`.
    pub kind: u16,
    /// A key, or `SYN_…`.
    pub code: u16,
    /// Of a key: 0 up, 1 down, 2 still down.
    pub value: i32,
}

impl KeyRecord {
    /// As the kernel writes it.
    #[must_use]
    pub fn to_bytes(self) -> [u8; RECORD_BYTES] {
        let mut bytes = [0; RECORD_BYTES];
        bytes[..8].copy_from_slice(&(self.at_us / 1_000_000).to_le_bytes());
        bytes[8..16].copy_from_slice(&(self.at_us % 1_000_000).to_le_bytes());
        bytes[16..18].copy_from_slice(&self.kind.to_le_bytes());
        bytes[18..20].copy_from_slice(&self.code.to_le_bytes());
        bytes[20..].copy_from_slice(&self.value.to_le_bytes());
        bytes
    }

    /// Reads one; any 24 bytes are one.
    #[must_use]
    pub fn from_bytes(bytes: [u8; RECORD_BYTES]) -> KeyRecord {
        let [s0, s1, s2, s3, s4, s5, s6, s7, u0, u1, u2, u3, u4, u5, u6, u7, k0, k1, c0, c1, v0, v1, v2, v3] =
            bytes;
        let seconds = u64::from_le_bytes([s0, s1, s2, s3, s4, s5, s6, s7]);
        let micros = u64::from_le_bytes([u0, u1, u2, u3, u4, u5, u6, u7]);
        KeyRecord {
            at_us: seconds.wrapping_mul(1_000_000).wrapping_add(micros),
            kind: u16::from_le_bytes([k0, k1]),
            code: u16::from_le_bytes([c0, c1]),
            value: i32::from_le_bytes([v0, v1, v2, v3]),
        }
    }
}

/// Cuts a stream of bytes into records; a device gives whole ones, a socket need not.
#[derive(Debug, Default)]
pub struct RecordCutter {
    rest: Vec<u8>,
}

impl RecordCutter {
    /// Takes bytes; returns the records that are complete.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<KeyRecord> {
        self.rest.extend_from_slice(bytes);
        let (whole, rest) = self.rest.as_chunks::<RECORD_BYTES>();
        let records = whole.iter().map(|bytes| KeyRecord::from_bytes(*bytes)).collect();
        self.rest = rest.to_vec();
        records
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_laid_out_as_the_kernel_s_structure() {
        let record = KeyRecord { at_us: 1_700_000_000_000_007, kind: EV_KEY, code: 30, value: 1 };
        let bytes = record.to_bytes();
        assert_eq!(bytes[..8], 1_700_000_000u64.to_le_bytes());
        assert_eq!(bytes[8..], [7, 0, 0, 0, 0, 0, 0, 0, 1, 0, 30, 0, 1, 0, 0, 0]);
        assert_eq!(KeyRecord::from_bytes(bytes), record);
    }

    #[test]
    fn records_that_arrive_in_pieces_are_put_together() {
        let records: Vec<_> =
            (0..5).map(|n| KeyRecord { at_us: n, kind: EV_KEY, code: 30, value: 0 }).collect();
        let bytes: Vec<u8> = records.iter().flat_map(|record| record.to_bytes()).collect();
        for size in 1..=bytes.len() {
            let mut cutter = RecordCutter::default();
            let cut: Vec<_> = bytes.chunks(size).flat_map(|piece| cutter.push(piece)).collect();
            assert_eq!(cut, records, "{size}");
        }
    }
}
