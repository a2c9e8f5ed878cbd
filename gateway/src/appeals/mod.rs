//! Forks, from the centre's side: a box whose records cannot be joined appeals, a person decides, the box is told.
//!
//! In reading order: [`rules`] says what stands against each other and what each choice does, purely; [`store`] is the SQL;
//! [`rule`] decides once and gives the number; [`device`] answers boxes, [`api`] people.

pub mod api;
pub mod device;
pub mod rule;
pub mod rules;
pub mod store;
