//! Made-up models against llama.cpp, the judge of what a model file of a format holds.

use engine::{ModelInfo, ModelOptions, inspect};
use genmodel::{Format, Shape, Spec};

use super::support::TestModel;
use crate::support::quantised::{Format as FileType, Quantised};

fn look(path: impl Into<std::path::PathBuf>) -> ModelInfo {
    inspect(&ModelOptions::new(path)).unwrap()
}

/// Each tensor type with its tensors and bytes: what memory and speed depend on.
#[test]
fn a_generated_file_has_the_types_that_the_quantiser_gives() {
    // Every layer is like the others, and F32 files are large.
    let one_layer = |shape: Shape| Shape { layers: 1, ..shape };
    let untied = Shape {
        tied: false,
        ..Shape::demo()
    };
    let shapes = [
        ("demo", Shape::demo()),
        ("demo, untied", untied),
        ("stories15M", one_layer(Shape::stories15m())),
        ("SmolLM2-135M", one_layer(Shape::smollm2_135m())),
    ];
    for (name, shape) in shapes {
        let source = TestModel::new(&Spec::new(shape, Format::F32));
        let formats = [
            (Format::Q8_0, FileType::Q8_0),
            (Format::Q4_0, FileType::Q4_0),
            (Format::Q4_0_PURE, FileType::Q4_0Pure),
            (Format::Q4_K_M, FileType::Q4KM),
        ];
        for (format, file_type) in formats {
            let made = TestModel::new(&Spec::new(shape, format));
            let expected = look(Quantised::of(&source.path(), file_type).path());
            let made = look(made.path());
            assert_eq!(
                made.tensor_types, expected.tensor_types,
                "{name}: {format:?}"
            );
            // The quantiser orders and pads keys in its own way.
            let difference = made.file_bytes.abs_diff(expected.file_bytes);
            assert!(difference < 1_024, "{name}: {format:?}, {difference} bytes");
        }
    }
}
