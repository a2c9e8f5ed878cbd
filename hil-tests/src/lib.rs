//! Rigs, the demo and its workbench, and the tests of the whole.
//!
//! In reading order: [`world`] starts the real programs with simulated devices; [`network`] is the cable between them,
//! [`processes`] how a program is started and never left behind, [`waiting`] how anything is waited for, and [`ending`] how Ctrl-C is heard;
//! [`demo_data`] is what the shelves hold; [`counter`] and [`centre`] speak to the pages as a browser would;
//! [`workbench`] is the page on which a person plays with the devices; [`check`] is the demo without a person;
//! [`chaos`] kills programs at random; [`disk`] is a disk that can be cut off and fail, and [`power_cuts`] what is proved on
//! it; [`rig`] are benches for hardware, real or played; [`simulation`] is the whole in one thread, with everything that can go wrong; [`seeded`] is chance that can be
//! repeated; [`bench`] measures the figures.

pub mod world;

pub mod ending;
pub mod network;
pub mod processes;
pub mod seeded;
pub mod waiting;

pub mod demo_data;

pub mod centre;
pub mod counter;

pub mod chaos;
pub mod check;
pub mod workbench;

pub mod bench;

pub mod disk;
pub mod power_cuts;
pub mod rig;

pub mod simulation;
