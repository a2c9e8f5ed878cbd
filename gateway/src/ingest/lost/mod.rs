//! What a box has lost, or can no longer read, and the centre has: given back page by page, as it was hashed.
//!
//! [`page`] cuts stored facts into a page that splits no act (pure), [`store`] is the SQL, [`api`] what boxes ask over HTTPS.

pub mod api;
pub mod page;
pub mod store;
