//! What is a prompt, its name and encoding, and what has been answered.
pub mod digest;
pub mod limits;
pub mod name;
pub mod text;
pub struct Mailbox;
