//! `SETTINGS.TOML` and the `+++` block of a prompt: strict parsing, clear errors, what is in force.
//!
//! Pure. The daemon feeds the file's bytes to [`Mailbox`](crate::Mailbox), which keeps the last
//! good ones; the engine's request is filled from [`Settings`].

mod error;
mod model;
mod parse;
mod state;

pub use error::{Problem, SettingsError};
pub use model::{
    Format, MAX_TOKENS_MAX, MIN_P_MAX, REPEAT_PENALTY_MAX, REPEAT_PENALTY_MIN, SEED_MAX, STOP_MAX,
    STOP_TEXT_LIMIT_BYTES, SYSTEM_LIMIT_BYTES, Settings, TEMPERATURE_MAX, TOP_K_MAX, TOP_P_MAX,
    is_model_name,
};
pub use parse::KEYS;
pub use state::{Feedback, SettingsFile, SettingsState};
