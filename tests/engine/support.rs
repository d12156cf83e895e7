//! Models, requests and the loop that collects a response.

use std::path::{Path, PathBuf};

use engine::{
    Event, Failure, ModelInfo, ModelOptions, Request, Sampling, StderrPolicy, Summary, Worker,
    WorkerOptions,
};
use genmodel::Spec;
use tempfile::TempDir;

/// A model file that goes away with it.
pub struct TestModel {
    dir: TempDir,
}

impl TestModel {
    pub fn new(spec: &Spec) -> Self {
        Self::from_bytes(&spec.bytes().expect("a shape that can be"))
    }

    pub fn from_bytes(bytes: &[u8]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("model.gguf"), bytes).unwrap();
        Self { dir }
    }

    pub fn path(&self) -> PathBuf {
        self.dir.path().join("model.gguf")
    }

    pub fn options(&self) -> ModelOptions {
        options(&self.path())
    }
}

pub fn options(path: &Path) -> ModelOptions {
    ModelOptions {
        threads: 1,
        ..ModelOptions::new(path)
    }
}

pub fn worker_options() -> WorkerOptions {
    WorkerOptions {
        program: env!("CARGO_BIN_EXE_promptstick").into(),
        stderr: StderrPolicy::Log,
        nice: 0,
        ..WorkerOptions::this_program().unwrap()
    }
}

pub fn worker() -> Worker {
    Worker::new(worker_options())
}

pub fn greedy(prompt: &str, max_tokens: u32) -> Request {
    Request {
        sampling: Sampling::greedy(),
        max_tokens,
        ..Request::new(prompt)
    }
}

/// What one request came to.
#[derive(Debug, Default)]
pub struct Answer {
    pub text: String,
    pub loaded: Option<ModelInfo>,
    pub prompt_tokens: Option<u32>,
    pub end: Option<Result<Summary, Failure>>,
}

impl Answer {
    pub fn summary(&self) -> &Summary {
        self.end
            .as_ref()
            .expect("it ended")
            .as_ref()
            .expect("it finished")
    }

    pub fn failure(&self) -> &Failure {
        self.end
            .as_ref()
            .expect("it ended")
            .as_ref()
            .expect_err("it failed")
    }

    /// Takes an event; whether it was the last.
    pub fn take(&mut self, event: Event) -> bool {
        match event {
            Event::Loaded(info) => self.loaded = Some(info),
            Event::Started { prompt_tokens } => self.prompt_tokens = Some(prompt_tokens),
            Event::Text(text) => self.text.push_str(&text),
            Event::Finished(summary) => self.end = Some(Ok(summary)),
            Event::Failed(failure) => self.end = Some(Err(failure)),
            _ => {}
        }
        self.end.is_some()
    }
}

pub async fn ask(worker: &mut Worker, model: &ModelOptions, request: Request) -> Answer {
    worker.start(model, request).unwrap();
    collect(worker).await
}

pub async fn collect(worker: &mut Worker) -> Answer {
    let mut answer = Answer::default();
    while !answer.take(worker.event().await) {}
    answer
}

/// Runs a test as the daemon runs: one thread.
pub fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let limit = std::time::Duration::from_secs(60);
    runtime.block_on(async { tokio::time::timeout(limit, test).await.expect("it hangs") })
}
