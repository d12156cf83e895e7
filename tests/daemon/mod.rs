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

use genmodel::Spec;

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

/// [`Spec::endless`] in a file. The folder goes with the test.
pub fn endless_model() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("endless.gguf");
    Spec::endless().write(&path).expect("room for a model");
    (folder, path)
}
