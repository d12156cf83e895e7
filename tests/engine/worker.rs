//! The life of the child: resident, killed, cancelled, replaced, orphaned, idle.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use engine::error::ChildEnd;
use engine::{EngineError, Event, Failure, Finish, ModelOptions, Worker, WorkerOptions};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::AsyncReadExt;

use super::support::{Answer, TestModel, ask, collect, greedy, run, worker, worker_options};
use crate::support::gguf::{Kind, Spec};

/// Slow enough (tens of milliseconds a token) to be caught in the middle.
fn slow() -> Spec {
    Spec {
        context_tokens: 2_048,
        ..Spec::stories15m(Kind::F32)
    }
}

fn signal(worker: &Worker, signal: Signal) {
    let id = i32::try_from(worker.process_id().unwrap()).unwrap();
    kill(Pid::from_raw(id), signal).unwrap();
}

/// Whether a process is gone or a zombie.
fn has_ended(process_id: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process_id}/stat")).unwrap_or_default();
    let state = stat
        .rsplit_once(')')
        .map_or("", |(_, rest)| rest.trim_start());
    state.is_empty() || state.starts_with('Z') || state.starts_with('X')
}

async fn until_text(worker: &mut Worker) {
    while !matches!(worker.event().await, Event::Text(_)) {}
}

#[test]
fn a_prompt_is_answered_and_the_model_stays() {
    let model = TestModel::new(&Spec::tiny());
    run(async {
        let mut worker = worker();
        let first = ask(
            &mut worker,
            &model.options(),
            greedy("Once upon a time", 20),
        )
        .await;
        assert_eq!(first.summary().finish, Finish::MaxTokens, "{first:?}");
        assert_eq!(first.summary().response_tokens, 20);
        assert!(first.summary().load_ms > 0.0);
        assert!(first.loaded.is_some());
        let child = worker.process_id();
        let second = ask(
            &mut worker,
            &model.options(),
            greedy("Once upon a time", 20),
        )
        .await;
        assert_eq!(second.text, first.text);
        assert!(second.loaded.is_none());
        assert!(second.summary().load_ms.abs() < f64::EPSILON);
        assert_eq!(worker.process_id(), child);
        assert!(worker.model().is_some());
        worker.stop().await;
        assert_eq!(worker.process_id(), None);
        assert!(worker.model().is_none());
    });
}

#[test]
fn another_model_gets_another_child() {
    let one = TestModel::new(&Spec::tiny());
    let two = TestModel::new(&Spec {
        seed: 2,
        ..Spec::tiny()
    });
    run(async {
        let mut worker = worker();
        let from_one = ask(&mut worker, &one.options(), greedy("hello", 12)).await;
        let child = worker.process_id();
        let from_two = ask(&mut worker, &two.options(), greedy("hello", 12)).await;
        assert_ne!(from_two.text, from_one.text);
        assert_ne!(worker.process_id(), child);
        let again = ask(&mut worker, &one.options(), greedy("hello", 12)).await;
        assert_eq!(again.text, from_one.text);
    });
}

#[test]
fn one_request_at_a_time() {
    let model = TestModel::new(&Spec::tiny());
    run(async {
        let mut worker = worker();
        worker.start(&model.options(), greedy("a", 5)).unwrap();
        let refused = worker.start(&model.options(), greedy("b", 5));
        assert!(matches!(refused, Err(EngineError::Busy)));
        collect(&mut worker).await.summary();
        assert!(worker.is_idle());
    });
}

#[test]
fn a_child_killed_in_mid_answer_costs_that_answer() {
    let model = TestModel::new(&slow());
    run(async {
        let mut worker = worker();
        worker.start(&model.options(), greedy("a", 1_000)).unwrap();
        until_text(&mut worker).await;
        signal(&worker, Signal::SIGKILL);
        let answer = collect(&mut worker).await;
        assert_eq!(
            answer.failure(),
            &Failure::Crashed {
                how: ChildEnd::Signal(9)
            }
        );
        assert!(worker.model().is_none());
        let next = ask(&mut worker, &model.options(), greedy("a", 2)).await;
        assert_eq!(next.summary().response_tokens, 2);
    });
}

#[test]
fn a_crash_in_mid_answer_is_named() {
    let model = TestModel::new(&slow());
    run(async {
        let mut worker = worker();
        worker.start(&model.options(), greedy("a", 1_000)).unwrap();
        until_text(&mut worker).await;
        signal(&worker, Signal::SIGABRT);
        let answer = collect(&mut worker).await;
        assert_eq!(
            answer.failure(),
            &Failure::Crashed {
                how: ChildEnd::Signal(6)
            }
        );
    });
}

#[test]
fn a_child_that_dies_while_idle_costs_nothing() {
    let model = TestModel::new(&Spec::tiny());
    run(async {
        let mut worker = worker();
        let first = ask(&mut worker, &model.options(), greedy("a", 5)).await;
        let child = i32::try_from(worker.process_id().unwrap()).unwrap();
        signal(&worker, Signal::SIGKILL);
        while !has_ended(child) {
            tokio::task::yield_now().await;
        }
        let second = ask(&mut worker, &model.options(), greedy("a", 5)).await;
        assert_eq!(second.text, first.text);
        assert!(second.loaded.is_some());
    });
}

#[test]
fn a_cancel_in_the_response_leaves_the_model_loaded() {
    let model = TestModel::new(&slow());
    run(async {
        let mut worker = worker();
        let expected = ask(&mut worker, &model.options(), greedy("b", 3)).await;
        let child = worker.process_id();
        worker.start(&model.options(), greedy("a", 1_000)).unwrap();
        until_text(&mut worker).await;
        worker.cancel().await;
        assert!(worker.is_idle());
        assert_eq!(worker.process_id(), child, "the soft cancel worked");
        let next = ask(&mut worker, &model.options(), greedy("b", 3)).await;
        assert_eq!(next.text, expected.text);
    });
}

#[test]
fn a_cancel_in_the_prefill_is_as_quick() {
    let model = TestModel::new(&slow());
    run(async {
        let mut worker = worker();
        let expected = ask(&mut worker, &model.options(), greedy("b", 3)).await;
        let child = worker.process_id();
        let long = greedy(&"word ".repeat(300), 1);
        worker.start(&model.options(), long).unwrap();
        assert!(matches!(
            worker.event().await,
            Event::Started {
                prompt_tokens: 1_000..
            }
        ));
        worker.cancel().await;
        assert_eq!(worker.process_id(), child, "the soft cancel worked");
        let next = ask(&mut worker, &model.options(), greedy("b", 3)).await;
        assert_eq!(next.text, expected.text);
    });
}

#[test]
fn a_cancel_while_loading_ends_the_child() {
    let model = TestModel::new(&slow());
    run(async {
        let mut worker = worker();
        worker.start(&model.options(), greedy("a", 1_000)).unwrap();
        assert!(matches!(worker.event().await, Event::Loading { .. }));
        worker.cancel().await;
        assert_eq!(worker.process_id(), None);
        let next = ask(&mut worker, &model.options(), greedy("b", 3)).await;
        assert_eq!(next.summary().response_tokens, 3);
    });
}

#[test]
fn a_child_that_does_not_obey_is_killed() {
    let model = TestModel::new(&slow());
    run(async {
        let mut worker = worker();
        worker.start(&model.options(), greedy("a", 1_000)).unwrap();
        until_text(&mut worker).await;
        signal(&worker, Signal::SIGSTOP);
        worker.cancel().await;
        assert_eq!(worker.process_id(), None);
        let next = ask(&mut worker, &model.options(), greedy("b", 3)).await;
        assert_eq!(next.summary().response_tokens, 3);
    });
}

/// A hostile file may make llama.cpp hang; the daemon must not wait for ever.
#[test]
fn a_child_that_hangs_is_given_up() {
    let model = TestModel::new(&slow());
    run(async {
        let silence_limit = Duration::from_millis(1_500);
        let mut worker = Worker::new(WorkerOptions {
            silence_limit,
            ..worker_options()
        });
        worker.start(&model.options(), greedy("a", 1_000)).unwrap();
        until_text(&mut worker).await;
        signal(&worker, Signal::SIGSTOP);
        let answer = collect(&mut worker).await;
        assert_eq!(answer.failure(), &Failure::Stuck { seconds: 1 });
        let next = ask(&mut worker, &model.options(), greedy("b", 3)).await;
        assert_eq!(next.summary().response_tokens, 3);
    });
}

#[test]
fn a_model_file_that_is_replaced_is_loaded_again() {
    let model = TestModel::new(&Spec::tiny());
    run(async {
        let mut worker = worker();
        let first = ask(&mut worker, &model.options(), greedy("hello", 12)).await;
        let other = model.path().with_extension("new");
        Spec {
            seed: 2,
            ..Spec::tiny()
        }
        .write(&other)
        .unwrap();
        fs::rename(&other, model.path()).unwrap();
        let second = ask(&mut worker, &model.options(), greedy("hello", 12)).await;
        assert!(second.loaded.is_some());
        assert_ne!(second.text, first.text);
    });
}

#[test]
fn progress_of_a_long_prompt_is_reported() {
    let model = TestModel::new(&Spec::tiny());
    run(async {
        let mut worker = worker();
        worker
            .start(&model.options(), greedy(&"x".repeat(98), 1))
            .unwrap();
        let mut seen = Vec::new();
        loop {
            match worker.event().await {
                Event::Prefilled { tokens } => seen.push(tokens),
                Event::Finished(summary) => break assert_eq!(summary.prompt_tokens, 100),
                Event::Failed(failure) => panic!("{failure}"),
                _ => {}
            }
        }
        assert_eq!(seen, [32, 64, 96, 100]);
    });
}

#[test]
fn futures_may_be_dropped_anywhere() {
    let model = TestModel::new(&Spec::tiny());
    run(async {
        let mut worker = worker();
        let expected = ask(&mut worker, &model.options(), greedy("hello", 40)).await;
        // A new child, so that loading is interrupted too.
        worker.stop().await;
        worker.start(&model.options(), greedy("hello", 40)).unwrap();
        let mut answer = Answer::default();
        loop {
            let event = tokio::select! {
                biased;
                event = worker.event() => event,
                () = tokio::task::yield_now() => continue,
            };
            if answer.take(event) {
                break;
            }
        }
        assert_eq!(answer.text, expected.text);
    });
}

#[test]
fn a_cancel_that_is_dropped_is_done_all_the_same() {
    let model = TestModel::new(&slow());
    run(async {
        let mut worker = worker();
        worker.start(&model.options(), greedy("a", 1_000)).unwrap();
        until_text(&mut worker).await;
        tokio::select! {
            biased;
            () = worker.cancel() => {}
            () = std::future::ready(()) => {}
        }
        let next = ask(&mut worker, &model.options(), greedy("b", 3)).await;
        assert_eq!(next.summary().response_tokens, 3);
        assert_eq!(next.prompt_tokens, Some(next.summary().prompt_tokens));
    });
}

#[test]
fn a_missing_program_and_a_missing_model_are_failures() {
    let model = TestModel::new(&Spec::tiny());
    run(async {
        let program = model.path().with_extension("none");
        let mut broken = Worker::new(WorkerOptions {
            program,
            ..worker_options()
        });
        let answer = ask(&mut broken, &model.options(), greedy("a", 1)).await;
        assert!(
            matches!(answer.failure(), Failure::Worker { .. }),
            "{answer:?}"
        );

        let path = model.path().with_extension("missing");
        let options = ModelOptions::new(&path);
        let answer = ask(&mut worker(), &options, greedy("a", 1)).await;
        assert_eq!(answer.failure(), &Failure::ModelMissing { path });
    });
}

#[test]
fn a_program_that_is_no_worker_is_a_failure() {
    let model = TestModel::new(&Spec::tiny());
    for (program, args) in [
        ("/bin/true", ""),
        ("/bin/echo", "not a frame at all"),
        ("/bin/cat", ""),
    ] {
        run(async {
            let args = vec![args.into()];
            let options = WorkerOptions {
                program: program.into(),
                args,
                ..worker_options()
            };
            let mut worker = Worker::new(options);
            let answer = ask(&mut worker, &model.options(), greedy("a", 1)).await;
            answer.failure();
            assert!(worker.is_idle());
        });
    }
}

/// A limit below what the fit check knew of: the child runs out of memory, the parent does not.
#[test]
fn memory_that_runs_out_costs_one_answer() {
    let large = TestModel::new(&Spec {
        context_tokens: 1 << 18,
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

/// Ctrl-C and the end of a service reach the whole group; the parent decides.
#[test]
fn signals_to_the_group_leave_the_child_alone() {
    let model = TestModel::new(&slow());
    run(async {
        let mut worker = worker();
        worker.start(&model.options(), greedy("a", 40)).unwrap();
        until_text(&mut worker).await;
        for group_signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
            signal(&worker, group_signal);
        }
        assert_eq!(collect(&mut worker).await.summary().response_tokens, 40);
    });
}

#[test]
fn no_child_outlives_the_parent() {
    let model = TestModel::new(&slow());
    run(async {
        let mut parent = tokio::process::Command::new(env!("CARGO_BIN_EXE_promptstick"))
            .args(["ask", "--max-tokens", "2000", "--model"])
            .arg(model.path())
            .arg("hello")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut byte = [0];
        parent
            .stdout
            .as_mut()
            .unwrap()
            .read_exact(&mut byte)
            .await
            .unwrap();
        let child = only_child(parent.id().unwrap());
        parent.start_kill().unwrap();
        parent.wait().await.unwrap();
        while !has_ended(child) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
}

#[test]
fn a_dropped_worker_leaves_no_child() {
    let model = TestModel::new(&slow());
    run(async {
        let mut worker = worker();
        worker.start(&model.options(), greedy("a", 1_000)).unwrap();
        until_text(&mut worker).await;
        let child = i32::try_from(worker.process_id().unwrap()).unwrap();
        drop(worker);
        while !has_ended(child) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
}

fn only_child(process_id: u32) -> i32 {
    let tasks = fs::read_dir(format!("/proc/{process_id}/task")).unwrap();
    let children: String = tasks
        .flatten()
        .map(|task| fs::read_to_string(task.path().join("children")).unwrap_or_default())
        .collect();
    children.split_whitespace().next().unwrap().parse().unwrap()
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
        let limits = fs::read_to_string(proc.join("limits")).unwrap();
        let limit = |name: &str| {
            let line = limits.lines().find(|line| line.starts_with(name)).unwrap();
            line[name.len()..]
                .split_whitespace()
                .next()
                .unwrap()
                .to_owned()
        };
        assert_eq!(limit("Max core file size"), "0");
        let file_bytes = fs::metadata(model.path()).unwrap().len();
        let data = engine::worker::limits::data_limit_bytes(64 << 20, file_bytes, 1);
        assert_eq!(limit("Max data size"), data.to_string());
        let stat = fs::read_to_string(proc.join("stat")).unwrap();
        let nice = stat
            .rsplit_once(')')
            .unwrap()
            .1
            .split_whitespace()
            .nth(16)
            .unwrap();
        assert_eq!(nice, "5");
        let stdout = fs::read_link(proc.join("fd/1")).unwrap();
        assert_eq!(stdout, fs::read_link(proc.join("fd/2")).unwrap());
    });
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

/// Idle, neither side runs: no context switch in the child, no wake-up of the parent's future.
#[test]
fn idle_costs_nothing() {
    let model = TestModel::new(&Spec::tiny());
    run(async {
        let mut worker = worker();
        ask(&mut worker, &model.options(), greedy("a", 5))
            .await
            .summary();
        let switches = |worker: &Worker| {
            let tasks = format!("/proc/{}/task", worker.process_id().unwrap());
            let status =
                |task: fs::DirEntry| fs::read_to_string(task.path().join("status")).unwrap();
            let all: String = fs::read_dir(tasks).unwrap().flatten().map(status).collect();
            let lines = all.lines().filter(|line| line.contains("ctxt_switches"));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        // The last frame was written before the child blocks again.
        let quiet = Duration::from_millis(300);
        assert!(tokio::time::timeout(quiet, worker.event()).await.is_err());
        let before = switches(&worker);
        assert!(tokio::time::timeout(quiet, worker.event()).await.is_err());
        assert_eq!(switches(&worker), before);
    });
}
