//! Counters of 64 bits that two threads share: on this core they need instructions of their own
//! (`ldrexd`, `strexd`). The child's cancel flag has two, numbers of requests.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use engine::wire::{FrameBuffer, FromWorker, ToWorker, encode};
use engine::{ModelOptions, Request, Sampling};
use genmodel::{Shape, Spec};

use crate::arm::board::Board;

const WRAP: u64 = 1 << 32;

/// A child to talk to; killed when it is dropped.
struct Worker {
    child: Child,
    input: ChildStdin,
    output: ChildStdout,
    frames: FrameBuffer,
}

impl Worker {
    fn start(board: &Board) -> Self {
        let mut command = board.promptstick(["worker"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        Self {
            input: child.stdin.take().unwrap(),
            output: child.stdout.take().unwrap(),
            child,
            frames: FrameBuffer::default(),
        }
    }

    fn say(&mut self, frame: &ToWorker) {
        self.input.write_all(&encode(frame).unwrap()).unwrap();
    }

    fn hear(&mut self) -> FromWorker {
        loop {
            if let Some(frame) = self.frames.take().unwrap() {
                return frame;
            }
            let mut piece = [0; 4_096];
            let count = self.output.read(&mut piece).unwrap();
            assert!(count > 0, "the child has ended");
            self.frames.push(&piece[..count]);
        }
    }

    /// The last frame of the request that runs.
    fn end(&mut self) -> FromWorker {
        loop {
            match self.hear() {
                FromWorker::Started { .. } | FromWorker::Prefilled { .. } => {}
                FromWorker::Text { .. } => {}
                end => return end,
            }
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn run(id: u64, max_tokens: u32) -> ToWorker {
    let request = Request {
        max_tokens,
        sampling: Sampling::greedy(),
        ..Request::new("hello")
    };
    ToWorker::Run { id, request }
}

#[test]
fn requests_are_told_apart_by_all_64_bits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    let shape = Shape {
        context_tokens: 4_096,
        ..Shape::tiny()
    };
    let spec = Spec {
        shape,
        ..Spec::tiny()
    };
    spec.write(&path).unwrap();
    let mut worker = Worker::start(&Board::arm1176());
    worker.say(&ToWorker::Load {
        parent_pid: std::process::id(),
        nice: 0,
        memory_limit_bytes: 1 << 30,
        model: ModelOptions {
            context_tokens: 4_096,
            ..ModelOptions::new(&path)
        },
    });
    let loaded = worker.hear();
    assert!(matches!(loaded, FromWorker::Loaded { .. }), "{loaded:?}");

    // A late cancel of an earlier request, whose lower half is the greater one.
    let (first, second) = (WRAP + 5, 2 * WRAP + 1);
    worker.say(&run(first, 24));
    worker.say(&ToWorker::Cancel { id: 7 });
    let end = worker.end();
    assert!(
        matches!(end, FromWorker::Finished { id, .. } if id == first),
        "{end:?}"
    );

    worker.say(&run(second, 4_000));
    while !matches!(worker.hear(), FromWorker::Text { .. }) {}
    worker.say(&ToWorker::Cancel { id: second });
    assert_eq!(worker.end(), FromWorker::Cancelled { id: second });
}
