//! The log: to standard error, at a level that `RUST_LOG` overrides (in the syntax of
//! `tracing_subscriber::EnvFilter`), in colour only on a terminal.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::EnvFilter;

use crate::wall_clock::LogTime;

/// Starts it; `default` is the level where `RUST_LOG` says nothing.
pub fn start(default: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stderr)
        .with_ansi(stderr().is_terminal())
        .with_target(false)
        .with_timer(LogTime)
        .init();
}
