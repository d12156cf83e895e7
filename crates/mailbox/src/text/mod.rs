//! From a file's bytes to text and back, in whatever encoding and line ends the user's editor has.
//!
//! Pure, and total over host bytes. The daemon decodes prompts with it and encodes answers.

mod decode;
mod encode;
mod form;
mod kind;
mod legacy;

pub use decode::{Decoded, NotText, decode};
pub use encode::encode;
pub use form::{LineEnd, TextForm};
pub use kind::Kind;
