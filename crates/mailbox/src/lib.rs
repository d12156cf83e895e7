//! What is a prompt, its name and encoding, and what has been answered.
pub mod complaint;
pub mod digest;
pub mod files;
pub mod limits;
pub mod name;
pub mod prompt;
pub mod settings;
pub mod text;
pub struct Mailbox;
