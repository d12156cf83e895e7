//! The daemon with its drive, and a Linux host that behaves in one way or another. In all of them:
//! what the host has flushed stays, and each prompt has one answer (`tests/lab/judge.rs`).
//!
//! | Module | What the host does |
//! |---|---|
//! | [`let_go`] | unmounts, ejects, powers off, or never mounts |
//! | [`kept`] | keeps the volume mounted, and writes |
//! | [`prompts`] | more than one prompt, or one that changes |
//! | [`viewer`] | reads answers on the other drives, and keeps them open |
//! | [`led`] | looks at the LED |
//! | [`media`] | has a partitioned or a full volume |
//! | [`disk`] | meets a stick whose own disk is full |

pub mod disk;
pub mod kept;
pub mod led;
pub mod let_go;
pub mod media;
pub mod prompts;
pub mod viewer;
