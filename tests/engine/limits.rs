//! What the child takes from itself, and what it costs when memory runs out.

use std::fs;
use std::path::Path;

use engine::worker::limits::data_limit_bytes;
use engine::{Failure, ModelOptions, Worker, WorkerOptions, inspect, memory};
use genmodel::{Shape, Spec};

use super::support::{TestModel, ask, greedy, run, worker_options};

/// The machine has just what the model needs, and nobody set a limit: a request that takes more (a
/// long prompt as it is tokenised) costs an answer.
#[test]
fn without_a_limit_the_machine_is_the_limit() {
    let model = TestModel::new(&Spec::tiny());
    let needed_bytes = inspect(&model.options()).unwrap().needed_bytes;
    let available_bytes = needed_bytes.next_multiple_of(1_024);
    let dir = tempfile::tempdir().unwrap();
    let meminfo = dir.path().join("meminfo");
    let text = format!("MemAvailable: {} kB\n", available_bytes / 1_024);
    fs::write(&meminfo, text).unwrap();
    for memory_limit_bytes in [None, Some(u64::MAX)] {
        run(async {
            let mut worker = Worker::new(WorkerOptions {
                memory_limit_bytes,
                memory: memory::Sources {
                    meminfo: meminfo.clone(),
                    ..memory::Sources::default()
                },
                ..worker_options()
            });
            let first = ask(&mut worker, &model.options(), greedy("a", 3)).await;
            let limit = process_limit(&worker, "Max data size");
            assert_eq!(limit, data_limit(&model, available_bytes));
            let huge = greedy(&"x".repeat(3 << 20), 1);
            let answer = ask(&mut worker, &model.options(), huge).await;
            assert!(
                matches!(
                    answer.failure(),
                    Failure::OutOfMemory | Failure::Crashed { .. }
                ),
                "{:?}",
                answer.failure()
            );
            let next = ask(&mut worker, &model.options(), greedy("a", 3)).await;
            assert_eq!(next.text, first.text);
        });
    }
}

/// `RLIMIT_DATA` for a memory limit, as the kernel prints it.
fn data_limit(model: &TestModel, memory_limit_bytes: u64) -> String {
    let file_bytes = fs::metadata(model.path()).unwrap().len();
    data_limit_bytes(memory_limit_bytes, file_bytes, 1).to_string()
}

/// A limit of the child as the kernel prints it.
fn process_limit(worker: &Worker, name: &str) -> String {
    let path = format!("/proc/{}/limits", worker.process_id().unwrap());
    let limits = fs::read_to_string(path).unwrap();
    let values = limits.lines().find_map(|line| line.strip_prefix(name));
    values.unwrap().split_whitespace().next().unwrap().into()
}

/// A limit below what the fit check knew of: the child runs out of memory, the parent does not.
#[test]
fn memory_that_runs_out_costs_one_answer() {
    let large = TestModel::new(&Spec {
        shape: Shape {
            context_tokens: 1 << 18,
            ..Shape::tiny()
        },
        ..Spec::tiny()
    });
    let large_options = ModelOptions {
        context_tokens: 1 << 18,
        ..large.options()
    };
    let small = TestModel::new(&Spec::tiny());
    run(async {
        let script = "ulimit -d 40000 && exec \"$0\" worker";
        let program = env!("CARGO_BIN_EXE_promptstick");
        let args = ["-c", script, program].map(Into::into).to_vec();
        let options = WorkerOptions {
            program: "/bin/sh".into(),
            args,
            ..worker_options()
        };
        let mut worker = Worker::new(options);
        let answer = ask(&mut worker, &large_options, greedy("a", 1)).await;
        assert_eq!(answer.failure(), &Failure::OutOfMemory);
        let next = ask(&mut worker, &small.options(), greedy("a", 3)).await;
        assert_eq!(next.summary().response_tokens, 3);
    });
}

/// What the child has taken from itself.
#[test]
fn the_child_is_limited() {
    let model = TestModel::new(&Spec::tiny());
    run(async {
        let options = WorkerOptions {
            nice: 5,
            memory_limit_bytes: Some(64 << 20),
            ..worker_options()
        };
        let mut worker = Worker::new(options);
        ask(&mut worker, &model.options(), greedy("a", 1))
            .await
            .summary();
        let proc = format!("/proc/{}", worker.process_id().unwrap());
        let proc = Path::new(&proc);
        let status = fs::read_to_string(proc.join("status")).unwrap();
        assert!(status.contains("NoNewPrivs:\t1"), "{status}");
        assert_eq!(process_limit(&worker, "Max core file size"), "0");
        let data = data_limit(&model, 64 << 20);
        assert_eq!(process_limit(&worker, "Max data size"), data);
        // Whoever runs the tests may have lowered their priority further already.
        let own = niceness(Path::new("/proc/self"));
        assert_eq!(niceness(proc), own.max(5));
        let stdout = fs::read_link(proc.join("fd/1")).unwrap();
        assert_eq!(stdout, fs::read_link(proc.join("fd/2")).unwrap());
    });
}

/// Field 19 of `proc_pid_stat(5)`; the name in field 2 may hold blanks and ends with the bracket.
fn niceness(proc: &Path) -> i32 {
    let stat = fs::read_to_string(proc.join("stat")).unwrap();
    let (_, after_name) = stat.rsplit_once(')').unwrap();
    let field = after_name.split_whitespace().nth(16).unwrap();
    field.parse().unwrap()
}

#[test]
fn inherited_descriptors_are_closed() {
    let model = TestModel::new(&Spec::tiny());
    run(async {
        let script = "exec 9</dev/null && exec \"$0\" worker";
        let program = env!("CARGO_BIN_EXE_promptstick");
        let args = ["-c", script, program].map(Into::into).to_vec();
        let options = WorkerOptions {
            program: "/bin/sh".into(),
            args,
            ..worker_options()
        };
        let mut worker = Worker::new(options);
        ask(&mut worker, &model.options(), greedy("a", 1))
            .await
            .summary();
        let nine = format!("/proc/{}/fd/9", worker.process_id().unwrap());
        assert!(!Path::new(&nine).exists());
    });
}
