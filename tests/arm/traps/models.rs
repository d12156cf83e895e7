//! Models that are longer than 2 and 4 GiB, and one that a process of 32 bits can just map.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::Command;

use engine::{Backend, ModelInfo, ModelOptions, inspect};
use genmodel::{Format, Shape, Spec};
use tempfile::TempDir;

use crate::arm::answers::generated;
use crate::arm::board::Board;
use crate::daemon::QUESTION;
use crate::support::image::Image;
use crate::support::{program, tool};

const GIB: u64 = 1 << 30;
const MIB: u64 = 1 << 20;

/// Llama 2 with 7 billion weights.
const LLAMA_7B: Shape = Shape {
    layers: 32,
    embedding: 4_096,
    feed_forward: 11_008,
    heads: 32,
    kv_heads: 32,
    vocabulary: 32_000,
    context_tokens: 4_096,
    tied: false,
    ..Shape::tiny()
};

/// A model file that goes away with it.
struct Model {
    folder: TempDir,
}

impl Model {
    fn new(write: impl FnOnce(&Path)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let model = Self { folder };
        write(&model.path());
        model
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("model.gguf")
    }

    fn info(&self) -> ModelInfo {
        let options = ModelOptions {
            backend: Backend::PI_ZERO_W,
            ..ModelOptions::new(self.path())
        };
        inspect(&options).unwrap()
    }

    /// What a refusal begins with.
    fn needs(&self) -> String {
        let needed = self.info().needed_bytes.div_ceil(MIB);
        format!("the model needs {needed} MiB of memory and ")
    }
}

/// Without weights: all of them are a hole in the file.
fn hollow(format: Format) -> Model {
    Model::new(|path| Spec::new(LLAMA_7B, format).write_hollow(path).unwrap())
}

/// A small model, with a hole behind it.
fn with_tail(spec: Spec, file_bytes: u64) -> Model {
    Model::new(|path| {
        spec.write(path).unwrap();
        let file = OpenOptions::new().write(true).open(path).unwrap();
        file.set_len(file_bytes).unwrap();
    })
}

fn fails(command: &mut Command) -> String {
    let output = tool::output(command, b"");
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn large_models_are_described_in_the_right_numbers() {
    for (format, least_bytes) in [(Format::Q4_0, 2 * GIB), (Format::Q8_0, 4 * GIB)] {
        let model = hollow(format);
        let path = model.path();
        assert!(path.metadata().unwrap().len() > least_bytes);
        let arguments = ["model", "inspect", "--json", path.to_str().unwrap()];
        let here = program::succeed(arguments);
        let figures: serde_json::Value = serde_json::from_str(&here).unwrap();
        assert_eq!(figures["file_bytes"], path.metadata().unwrap().len());
        assert_eq!(figures["parameters"], 6_738_415_616_u64);
        for board in Board::both() {
            assert_eq!(tool::printed(&mut board.promptstick(arguments)), here);
            let text = ["model", "inspect", path.to_str().unwrap()];
            let text = tool::printed(&mut board.promptstick(text));
            assert!(text.contains("it does not fit"), "{text}");
        }
    }
}

/// The last one is a small model whose file, without its upper 32 bits, has a length that can be
/// mapped.
#[test]
fn what_cannot_be_mapped_is_refused_with_the_numbers() {
    let models = [
        hollow(Format::Q4_0),
        hollow(Format::Q8_0),
        with_tail(Spec::tiny(), 2 * GIB + MIB),
        with_tail(Spec::tiny(), 4 * GIB + 64 * MIB),
    ];
    for board in Board::both() {
        for model in &models {
            for command in [
                &["ask", QUESTION][..],
                &["ask", "--in-process", QUESTION],
                &["bench"],
            ] {
                let mut command = board.promptstick(command);
                let said = fails(command.arg("--model").arg(model.path()));
                assert!(said.starts_with("promptstick: the model needs "), "{said}");
                assert!(
                    said.ends_with("choose a smaller model or a smaller context\n"),
                    "{said}"
                );
            }
            let said = fails(board.promptstick(["ask", "x", "--model"]).arg(model.path()));
            assert!(said.contains(&model.needs()), "{said}");
        }
    }
}

#[test]
fn a_prompt_for_a_model_that_cannot_be_mapped_is_told_so() {
    let model = hollow(Format::Q8_0);
    for board in Board::both() {
        let image = Image::usual();
        image.put("prompt.txt", QUESTION);
        let mut answer = board.promptstick(["answer"]);
        tool::printed(answer.arg(image.path()).arg("--model").arg(model.path()));
        let said = image.text("prompt.error.txt");
        let needed = model.info().needed_bytes / MIB;
        assert!(said.contains(&format!("it needs {needed}.")), "{said}");
        image.assert_clean();
    }
}

/// Tensors lie 64 MiB apart, up to 1.2 GiB from the beginning, and a hole behind them makes the
/// mapping as long as the fit check allows.
#[test]
fn a_model_that_can_just_be_mapped_answers_as_here() {
    let spec = Spec {
        alignment_bytes: 64 << 20,
        ..Spec::tiny()
    };
    let model = with_tail(spec, 1_760 * MIB);
    let expected = generated(
        program::promptstick(["bench", "--backend", "armv6"]),
        &model.path(),
        &["-p", "32"],
    );
    let usual = Model::new(|path| Spec::tiny().write(path).unwrap());
    let unpadded = generated(
        program::promptstick(["bench", "--backend", "armv6"]),
        &usual.path(),
        &["-p", "32"],
    );
    assert_eq!(expected, unpadded, "the same weights");
    for board in Board::both() {
        let there = generated(board.promptstick(["bench"]), &model.path(), &["-p", "32"]);
        assert_eq!(there, expected);
        let ask = ["ask", "--max-tokens", "4", "hello", "--model"];
        let answered = tool::printed(board.promptstick(ask).arg(model.path()));
        assert!(!answered.trim().is_empty());
    }
}
