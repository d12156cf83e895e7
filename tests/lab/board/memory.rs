//! How much memory the daemon and a model take on the board, for models of three shapes.

use genmodel::{Format, Shape, Spec};
use lab::guest::{Boot, Report};
use lab::programs::Programs;
use lab::{Board, Series};

use super::super::{pass_with, programs};

/// What must be left while a model of 135 million weights answers: 250 MB.
const LEAST_LEFT_KIB: u64 = 250_000_000 / 1_024;

const KIB_PER_MIB: f64 = 1_024.0;

/// What the scenario reports, in the order of docs/BOARD.md's table.
const FIGURES: [&str; 9] = [
    "total",
    "available_before",
    "available_least",
    "beside_model_least",
    "daemon_peak",
    "daemon_anonymous",
    "model_peak",
    "model_anonymous",
    "model_file",
];

#[test]
fn memory_demo() {
    answer("demo", programs(Board::PiZero));
}

#[test]
fn memory_stories15m() {
    answer_of("stories15m", Shape::stories15m());
}

#[test]
fn memory_smollm2_135m() {
    let report = answer_of("smollm2-135m", Shape::smollm2_135m());
    for name in ["available_least", "beside_model_least"] {
        let left_kib = report.memory_kib(name).expect("it was reported");
        assert!(
            left_kib >= LEAST_LEFT_KIB,
            "{name}: {left_kib} KiB\n{report}"
        );
    }
}

/// With a model of this shape in `Q4_0` and random weights.
fn answer_of(name: &str, shape: Shape) -> Report {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let model = folder.path().join("model.gguf");
    Spec::new(shape, Format::Q4_0)
        .write(&model)
        .expect("room for a model");
    let programs = Programs {
        model,
        ..programs(Board::PiZero).clone()
    };
    answer(name, &programs)
}

fn answer(name: &str, programs: &Programs) -> Report {
    let parameters = [("lab.model", name.to_owned())];
    let mut boot = Boot::on(Board::PiZero, "board_memory", Series::V6_12);
    boot.parameters = &parameters;
    let report = pass_with(&boot, programs);
    let mib = FIGURES.map(|figure| {
        let kib = report.memory_kib(figure).expect("it was reported");
        format!("{figure} {:.1}", kib as f64 / KIB_PER_MIB)
    });
    println!("{name}, MiB: {}", mib.join(", "));
    report
}
