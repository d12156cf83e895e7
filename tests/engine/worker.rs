//! The life of the child: resident, killed, cancelled, replaced, orphaned, idle.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use engine::error::ChildEnd;
use engine::{EngineError, Event, Failure, Finish, ModelOptions, Worker, WorkerOptions};
use genmodel::Spec;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::AsyncReadExt;

use super::support::{Answer, TestModel, ask, collect, greedy, run, worker, worker_options};

fn signal(worker: &Worker, signal: Signal) {
    let id = i32::try_from(worker.process_id().unwrap()).unwrap();
    kill(Pid::from_raw(id), signal).unwrap();
}

/// Whether a process is gone or a zombie.
fn has_ended(process_id: i32) -> bool {
    let proc = format!("/proc/{process_id}");
    let stat = fs::read_to_string(format!("{proc}/stat")).unwrap_or_default();
    let state = stat
        .rsplit_once(')')
        .map_or("", |(_, rest)| rest.trim_start());
    // The first thread can be a zombie before the others have ended; only then can it be reaped.
    let others = fs::read_dir(format!("{proc}/task")).map_or(0, |tasks| tasks.count());
    state.is_empty() || (others <= 1 && state.starts_with(['Z', 'X']))
}

async fn until_text(worker: &mut Worker) {
    loop {
        match worker.event().await {
            Event::Text(_) => return,
            Event::Finished(_) | Event::Failed(_) => panic!("it ended without a text"),
            _ => {}
        }
    }
}

/// A worker that does not give up on a child that was told to stop as long as the test runs.
fn patient_worker() -> Worker {
    Worker::new(WorkerOptions {
        cancel_grace: Duration::from_secs(600),
        ..worker_options()
    })
}

/// Processor time that the child has used, in ticks: what it has done, however busy the machine.
fn worked_ticks(worker: &Worker) -> u64 {
    let process_id = worker.process_id().unwrap();
    let stat = fs::read_to_string(format!("/proc/{process_id}/stat")).unwrap();
    let (_, after_name) = stat.rsplit_once(')').unwrap();
    // User and system time are the fields 14 and 15 of all; the first after the name is the 3rd.
    let times = after_name.split_whitespace().skip(14 - 3).take(2);
    times.map(|ticks| ticks.parse::<u64>().unwrap()).sum()
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
    let model = TestModel::new(&Spec::endless());
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
    let model = TestModel::new(&Spec::endless());
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
    let model = TestModel::new(&Spec::endless());
    run(async {
        let mut worker = patient_worker();
        let expected = ask(&mut worker, &model.options(), greedy("b", 3)).await;
        let child = worker.process_id();
        let before = worked_ticks(&worker);
        ask(&mut worker, &model.options(), greedy("a", 100)).await;
        let a_tenth = worked_ticks(&worker) - before;
        worker.start(&model.options(), greedy("a", 1_000)).unwrap();
        until_text(&mut worker).await;
        let before = worked_ticks(&worker);
        worker.cancel().await;
        assert!(worker.is_idle());
        assert_eq!(worker.process_id(), child, "it was not killed");
        let after = worked_ticks(&worker) - before;
        assert!(
            after < a_tenth,
            "{after} of 10 x {a_tenth} ticks: it went on"
        );
        let next = ask(&mut worker, &model.options(), greedy("b", 3)).await;
        assert_eq!(next.text, expected.text);
    });
}

#[test]
fn a_cancel_in_the_prefill_is_as_quick() {
    let model = TestModel::new(&Spec::endless());
    // The whole prompt in one step, so that only a cancel within the step saves work.
    let options = ModelOptions {
        batch_tokens: 2_048,
        ..model.options()
    };
    run(async {
        let mut worker = patient_worker();
        let expected = ask(&mut worker, &options, greedy("b", 3)).await;
        let child = worker.process_id();
        let long = greedy(&"word ".repeat(300), 1);
        let before = worked_ticks(&worker);
        ask(&mut worker, &options, long.clone()).await.summary();
        let whole = worked_ticks(&worker) - before;
        let before = worked_ticks(&worker);
        worker.start(&options, long).unwrap();
        assert!(matches!(
            worker.event().await,
            Event::Started {
                prompt_tokens: 1_000..
            }
        ));
        worker.cancel().await;
        assert_eq!(worker.process_id(), child, "it was not killed");
        let after = worked_ticks(&worker) - before;
        assert!(after < whole / 2, "{after} of {whole} ticks: it went on");
        let next = ask(&mut worker, &options, greedy("b", 3)).await;
        assert_eq!(next.text, expected.text);
    });
}

#[test]
fn a_cancel_while_loading_ends_the_child() {
    let model = TestModel::new(&Spec::endless());
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
    let model = TestModel::new(&Spec::endless());
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
    let model = TestModel::new(&Spec::tiny());
    run(async {
        // Long enough to load a tiny model on a busy machine.
        let silence_limit = Duration::from_secs(5);
        let mut worker = Worker::new(WorkerOptions {
            silence_limit,
            ..worker_options()
        });
        ask(&mut worker, &model.options(), greedy("a", 1))
            .await
            .summary();
        signal(&worker, Signal::SIGSTOP);
        let answer = ask(&mut worker, &model.options(), greedy("a", 100)).await;
        assert_eq!(answer.failure(), &Failure::Stuck { seconds: 5 });
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
    let model = TestModel::new(&Spec::endless());
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

/// A child that closes its pipe and stays is ended, and is not said to have run out of memory.
#[test]
fn a_child_that_closes_its_pipe_and_stays_is_ended() {
    let model = TestModel::new(&Spec::tiny());
    run(async {
        let args = ["-c", "exec 1>&-; exec sleep 1000"].map(Into::into);
        let mut worker = Worker::new(WorkerOptions {
            program: "/bin/sh".into(),
            args: args.to_vec(),
            ..worker_options()
        });
        let answer = ask(&mut worker, &model.options(), greedy("a", 1)).await;
        let how = ChildEnd::ClosedPipe;
        assert_eq!(answer.failure(), &Failure::Crashed { how });
        assert_eq!(worker.process_id(), None);
    });
}

/// Ctrl-C and the end of a service reach the whole group; the parent decides.
#[test]
fn signals_to_the_group_leave_the_child_alone() {
    let model = TestModel::new(&Spec::endless());
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
    let model = TestModel::new(&Spec::endless());
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
    let model = TestModel::new(&Spec::endless());
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
        // The last frame is written before the child blocks again, later on a busy machine.
        let mut before = switches(&worker);
        loop {
            let pause = Duration::from_millis(200);
            assert!(tokio::time::timeout(pause, worker.event()).await.is_err());
            let now = switches(&worker);
            if std::mem::replace(&mut before, now.clone()) == now {
                break;
            }
        }
        let quiet = Duration::from_secs(3);
        assert!(tokio::time::timeout(quiet, worker.event()).await.is_err());
        assert_eq!(switches(&worker), before);
    });
}
