//! The second drive, ANSWERS: what lies on it. Read-only for the host, and the device's own.
//!
//! | Module | What |
//! |---|---|
//! | [`image`] | the image file: made, added to, replaced when it is full |
//! | [`status`] | the text that says what the stick is doing |
//! | [`progress`] | a response that is not complete yet |
//!
//! The image is made from the mailbox at each power-on, so nothing on it is worth a sync, and a
//! crash costs nothing. Which drive is inserted when is `medium`'s business, not decided here.
//! Used by the gadget's loop.

pub mod image;
mod progress;
mod status;

pub use image::{Answer, AnswersImage, Append, fresh_serial, name_of, path_beside};
pub use progress::partial;
pub use status::{Model, Running, Stage, Status, Trouble, last_number, status_name};
