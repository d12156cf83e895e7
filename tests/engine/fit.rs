//! The estimate of memory against what a real child uses.

use std::fs;

use engine::{Failure, ModelOptions, Worker, WorkerOptions, inspect, memory};
use genmodel::{Format, Shape, Spec};

use super::support::{TestModel, ask, greedy, options, run, worker_options};

const MIB: u64 = 1 << 20;

/// A line of `/proc/PID/status` in bytes.
fn status_bytes(process_id: u32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process_id}/status")).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .unwrap();
    line.trim_matches([':', ' ', '\t', 'k', 'B'])
        .parse::<u64>()
        .unwrap()
        * 1024
}

/// The child's peak of resident memory with a full prompt, and the estimate for it.
fn measure(spec: &Spec, context_tokens: u32) -> (u64, u64) {
    let model = TestModel::new(spec);
    let options = ModelOptions {
        context_tokens,
        ..options(&model.path())
    };
    let estimate = inspect(&options).unwrap().needed_bytes;
    let peak = run(async {
        let mut worker = Worker::new(worker_options());
        let answer = ask(&mut worker, &options, greedy(&"a b ".repeat(40), 4)).await;
        answer.summary();
        status_bytes(worker.process_id().unwrap(), "VmHWM")
    });
    (estimate, peak)
}

#[test]
fn the_estimate_covers_the_peak_and_is_not_far_above() {
    let stories = Spec::new(Shape::stories15m(), Format::Q8_0);
    let smollm2 = Spec::new(Shape::smollm2_135m(), Format::Q4_0);
    for (name, spec, context_tokens) in [
        ("tiny", Spec::tiny(), 256),
        ("stories15M Q8_0", stories, 256),
        ("SmolLM2-135M Q4_0", smollm2, 512),
        ("SmolLM2-135M Q4_0", smollm2, 2048),
    ] {
        let (estimate, peak) = measure(&spec, context_tokens);
        let figures = format!(
            "{name}, {context_tokens} tokens: estimate {} KiB, peak {} KiB",
            estimate / 1024,
            peak / 1024
        );
        println!("{figures}");
        assert!(peak <= estimate, "{figures}");
        assert!(estimate <= peak + peak / 2 + 16 * MIB, "{figures}");
    }
}

#[test]
fn a_model_that_does_not_fit_is_refused_with_the_numbers() {
    let model = TestModel::new(&Spec::tiny());
    let needed_bytes = inspect(&model.options()).unwrap().needed_bytes;
    let dir = tempfile::tempdir().unwrap();
    let meminfo = dir.path().join("meminfo");
    fs::write(
        &meminfo,
        format!("MemAvailable: {} kB\n", needed_bytes / 1024 - 1),
    )
    .unwrap();
    let available_bytes = (needed_bytes / 1024 - 1) * 1024;
    let refusal = Failure::DoesNotFit {
        needed_bytes,
        available_bytes,
    };

    let by_machine = WorkerOptions {
        memory: memory::Sources {
            meminfo,
            ..memory::Sources::default()
        },
        ..worker_options()
    };
    let by_worker = WorkerOptions {
        memory_limit_bytes: Some(available_bytes),
        ..worker_options()
    };
    for options in [by_machine, by_worker] {
        run(async {
            let mut worker = Worker::new(options);
            let answer = ask(&mut worker, &model.options(), greedy("x", 1)).await;
            assert_eq!(answer.failure(), &refusal);
            assert_eq!(worker.process_id(), None);
            assert!(worker.is_idle());
        });
    }
}

#[test]
fn a_limit_that_just_fits_is_enough() {
    let model = TestModel::new(&Spec::new(Shape::stories15m(), Format::Q8_0));
    let needed_bytes = inspect(&model.options()).unwrap().needed_bytes;
    let options = WorkerOptions {
        memory_limit_bytes: Some(needed_bytes),
        ..worker_options()
    };
    run(async {
        let mut worker = Worker::new(options);
        let answer = ask(&mut worker, &model.options(), greedy("some words", 8)).await;
        assert_eq!(answer.summary().response_tokens, 8);
    });
}
