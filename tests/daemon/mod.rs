//! The whole program on real images with the demo model: what a user drops, and what comes back.
//! The host is mtools, the judge of the volume is `fsck.fat`.

mod answer;
mod errors;
mod faults;
mod idle;
mod kill;
mod serve;
mod texts;

use std::path::PathBuf;

use crate::support::gguf::{Kind, Spec};

/// The model that is in the repository.
pub fn demo_model() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../image/model/promptstick-demo-q8_0.gguf")
        .canonicalize()
        .expect("the demo model is in the repository")
}

/// A question that the demo model has an answer to, and a part of that answer.
pub const QUESTION: &str = "How do I use this stick?";
pub const PART_OF_ITS_ANSWER: &str = ".response.txt";

/// A model that goes on until somebody stops it, slowly enough to be caught at it: some seconds
/// for what fits its context. The folder goes with the test.
pub fn endless_model() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("endless.gguf");
    let spec = Spec {
        layers: 12,
        embedding: 384,
        feed_forward: 1_024,
        heads: 6,
        kv_heads: 6,
        context_tokens: 4_096,
        kind: Kind::Q8_0,
        ..Spec::tiny()
    };
    spec.write(&path).expect("room for a model");
    (folder, path)
}
