//! `pestle-agent decode`: scanned strings from standard input, one a line; what each means, one line of JSON each.

use std::io::{self, BufRead, Write};

/// The longest line that is looked at whole. A longer one is cut here; its rest is skipped and its answer says "too long".
const LINE_BYTES_MAX: usize = 1024 * 1024;

/// Decodes until the input ends. Answers are flushed whenever no more input is waiting, so that a person or a program at
/// the other end gets each answer at once.
///
/// # Errors
/// When reading or writing fails; a reader that went away is no error.
pub fn decode(input: impl io::Read, output: impl Write) -> io::Result<()> {
    match lines(input, output) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

fn lines(input: impl io::Read, output: impl Write) -> io::Result<()> {
    let mut input = io::BufReader::with_capacity(64 * 1024, input);
    let mut output = io::BufWriter::with_capacity(64 * 1024, output);
    let mut line = Vec::new();
    while read_line(&mut input, &mut line)? {
        output.write_all(pestle_domain::gs1::decode::line(&line).as_bytes())?;
        output.write_all(b"\n")?;
        if !input.buffer().contains(&b'\n') {
            output.flush()?;
        }
    }
    output.flush()
}

/// The next line without its end (LF or CR LF); false at the end of the input.
fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let mut any = false;
    loop {
        let waiting = input.fill_buf()?;
        if waiting.is_empty() {
            return Ok(any);
        }
        any = true;
        let end = waiting.iter().position(|byte| *byte == b'\n');
        let part = &waiting[..end.unwrap_or(waiting.len())];
        let room = LINE_BYTES_MAX.saturating_sub(line.len()).min(part.len());
        line.extend_from_slice(&part[..room]);
        let used = part.len() + usize::from(end.is_some());
        input.consume(used);
        if end.is_some() {
            if line.last() == Some(&b'\r') {
                line.pop();
            }
            return Ok(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(input: &[u8]) -> Vec<String> {
        let mut output = Vec::new();
        decode(input, &mut output).unwrap();
        String::from_utf8(output).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn each_line_has_one_answer_whatever_its_end_and_its_bytes() {
        let lines = run(b"]d2010952012345678810A1\x1d2107\r\n\nnonsense\xff\x00\n]d20109520123456788");
        assert_eq!(lines.len(), 4);
        assert!(
            lines[0].contains(r#""ok":true"#) && lines[0].contains(r#""ai":"21","value":"07""#),
            "{}",
            lines[0]
        );
        assert!(lines[1].contains(r#""ok":false"#));
        assert!(lines[2].contains(r#""ok":false"#));
        assert!(lines[3].contains(r#""ok":true"#), "{}", lines[3]);
        assert!(run(b"").is_empty());
    }

    #[test]
    fn an_endless_line_costs_bounded_memory_and_has_one_answer() {
        let mut input = vec![b'1'; 3 * LINE_BYTES_MAX];
        input.extend_from_slice(b"\n]d20109520123456788\n");
        let lines = run(&input);
        assert_eq!(lines.len(), 2);
        assert!(lines[0].contains(r#""ok":false"#) && lines[1].contains(r#""ok":true"#));
    }
}
