//! The estimate of memory against what a real child uses.

use std::fs;

use engine::{Backend, Failure, ModelOptions, Worker, WorkerOptions, inspect, memory};
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

/// What a real child uses with a full prompt, and the estimate for it.
///
/// With the CPU backend that is the peak of resident memory. Pages of the file from which a matrix
/// was packed are cache, but a kernel that has the file in large pieces counts a whole piece as
/// resident for one number that is read from it; with the other backend, private memory is
/// compared.
fn measure(spec: &Spec, context_tokens: u32, backend: Backend) -> (u64, u64) {
    let model = TestModel::new(spec);
    let options = ModelOptions {
        context_tokens,
        backend,
        ..options(&model.path())
    };
    let need = inspect(&options).unwrap().need;
    // The portable kernels are slow.
    let (estimate, line, words) = match backend {
        Backend::Cpu => (need.total_bytes(), "VmHWM", 40),
        Backend::Armv6 => (need.private_bytes(), "RssAnon", 4),
    };
    let used = run(async {
        let mut worker = Worker::new(worker_options());
        let answer = ask(&mut worker, &options, greedy(&"a b ".repeat(words), 4)).await;
        answer.summary();
        status_bytes(worker.process_id().unwrap(), line)
    });
    (estimate, used)
}

#[test]
fn the_estimate_covers_the_use_and_is_not_far_above() {
    let stories = Spec::new(Shape::stories15m(), Format::Q8_0);
    let smollm2 = Spec::new(Shape::smollm2_135m(), Format::Q4_0);
    let (cpu, armv6) = (Backend::Cpu, Backend::Armv6);
    for (name, spec, context_tokens, backend) in [
        ("tiny", Spec::tiny(), 256, cpu),
        ("tiny", Spec::tiny(), 256, armv6),
        ("stories15M Q8_0", stories, 256, cpu),
        ("stories15M Q8_0", stories, 256, armv6),
        ("SmolLM2-135M Q4_0", smollm2, 512, cpu),
        ("SmolLM2-135M Q4_0", smollm2, 512, armv6),
        ("SmolLM2-135M Q4_0", smollm2, 2048, cpu),
    ] {
        let (estimate, used) = measure(&spec, context_tokens, backend);
        let figures = format!(
            "{name}, {context_tokens} tokens, {backend}: estimate {} KiB, used {} KiB",
            estimate / 1024,
            used / 1024
        );
        println!("{figures}");
        assert!(used <= estimate, "{figures}");
        assert!(estimate <= used + used / 2 + 16 * MIB, "{figures}");
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
    for backend in [Backend::Cpu, Backend::Armv6] {
        let model_options = ModelOptions {
            backend,
            ..model.options()
        };
        let needed_bytes = inspect(&model_options).unwrap().needed_bytes;
        let options = WorkerOptions {
            memory_limit_bytes: Some(needed_bytes),
            ..worker_options()
        };
        run(async {
            let mut worker = Worker::new(options);
            let answer = ask(&mut worker, &model_options, greedy("some words", 8)).await;
            assert_eq!(answer.summary().response_tokens, 8);
        });
    }
}
