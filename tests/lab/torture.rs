//! Cuts of the power: a few of those that `cargo xtask torture` makes by the hundred.

use std::time::Duration;

use genmodel::{Format, Shape, Spec};
use lab::Series;
use lab::guest;
use lab::torture::Torture;

const CUTS: u32 = 5;

#[test]
fn torture_6_12() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let model = folder.path().join("model.gguf");
    let shape = Shape::named("tiny").expect("a shape");
    let format = Format::named("q8_0").expect("a format");
    Spec::new(shape, format).write(&model).expect("room");
    let promptstick = env!("CARGO_BIN_EXE_promptstick").as_ref();
    let programs = guest::programs(promptstick, &model).unwrap_or_else(|error| panic!("{error}"));
    let torture = Torture {
        cuts: CUTS,
        seed: 1,
        series: Series::V6_12,
    };
    let cuts = torture.run(&programs, &mut |cut| println!("{cut:?}"));
    let cuts = cuts.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(cuts.len(), CUTS as usize);
    assert!(cuts.iter().all(|cut| cut.losses.is_empty()), "{cuts:#?}");
    assert!(cuts.iter().all(|cut| cut.wall > Duration::ZERO));
}
