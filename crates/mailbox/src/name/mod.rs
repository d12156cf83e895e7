//! Names on the volume: which file is a prompt, and what its response is called.
//!
//! Pure. The daemon calls [`role()`] for each entry it lists and [`Mailbox`](crate::Mailbox) calls
//! the naming. Paths use `/`, have no leading separator, and the root is `""`.

mod fold;
mod path;
mod placeholder;
mod response;
mod role;

pub use fold::fold;
pub use path::{FOLDERS, join, question_in_name, split_path};
pub use response::{OutcomeKind, error_path, response_path};
pub(crate) use response::{candidate, parse_ours};
pub use role::{EntryFacts, NotOurs, Role, role};
