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
