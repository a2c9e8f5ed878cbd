//! What `pestle-agent` does besides running: each a file.

pub mod check;
pub mod decode;
pub mod devices;
pub mod export;
pub mod show;
pub mod stock_open;
pub mod verify;
