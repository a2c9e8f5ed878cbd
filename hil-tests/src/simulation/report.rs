//! A life in words.

use pestle_domain::wire::message::Answer;

/// An answer of the centre in words.
pub fn word(answer: &Answer) -> String {
    match answer {
        Answer::Committed(ack) => format!(
            "{} {} is committed up to {} (incarnation {})",
            ack.stream.lane.as_str(),
            ack.stream.epoch,
            ack.head.seq,
            ack.incarnation
        ),
        Answer::Rewind { stream, head, .. } => {
            format!("{} {} is to be sent from behind {}", stream.lane.as_str(), stream.epoch, head.seq)
        }
        Answer::Refused { reason, message, .. } => format!("refused, {reason:?}: {message}"),
        Answer::Busy { retry_ms, .. } => format!("busy for {retry_ms} ms"),
    }
}
