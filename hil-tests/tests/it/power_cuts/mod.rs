//! What was told survives a power cut, and the harness that says so is tried itself.

mod journal;
