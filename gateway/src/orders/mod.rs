//! Orders: the second log. The centre writes what a branch is to do, the branch answers with facts.
//!
//! In reading order: [`rules`] says what may be ordered and what a state means; [`issue`] writes orders into the logs of
//! branches; [`answer`] finds what a box is to be sent that states where it stands; [`book`] gathers what facts say of
//! orders; [`store`] is the SQL that writes, [`read`] what lists and pages read; [`api`] is the REST interface.
//!
//! No gateway keeps anything of its own: a box states its head every half minute and after each nudge, and any gateway
//! answers from the database. Whatever is lost on the way is asked for again.

pub mod answer;
pub mod api;
pub mod book;
pub mod issue;
pub mod read;
pub mod rules;
pub mod store;
