//! What goes wrong where addresses, lengths or times have 32 bits: each of these tests has numbers
//! that do not fit. Both builds are tried where the C library has a say: musl's and glibc's traps
//! are not the same.

use std::path::{Path, PathBuf};
use std::process::Command;

use genmodel::Spec;
use tempfile::TempDir;

use super::board::Board;
use crate::support::image::Image;
use crate::support::program;

mod counters;
mod files;
mod image;
mod models;
mod sparse;
mod time;

/// For [`Quick`].
const PROMPT: &str = "+++\nmax_tokens = 8\n+++\nhello";

/// A small model with random weights: an answer is quick, and what it says is that of no other.
struct Quick {
    folder: TempDir,
}

impl Quick {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let quick = Self { folder };
        Spec::tiny().write(&quick.path()).unwrap();
        quick
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("model.gguf")
    }

    /// `answer` on the board.
    fn answer(&self, board: &Board, image: &Path) -> Command {
        let mut command = board.promptstick(["answer"]);
        command.arg(image).arg("--model").arg(self.path());
        command
    }

    /// What the program on this machine answers to [`PROMPT`].
    fn response_here(&self) -> String {
        let image = Image::usual();
        image.put("prompt.txt", PROMPT);
        program::answer_as_the_board(&image.path(), &self.path());
        image.text("prompt.response.txt")
    }
}
