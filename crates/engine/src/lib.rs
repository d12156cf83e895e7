//! A model in memory that answers prompts: fit check, chat template, sampling, constrained output,
//! streaming, and the child process that all of it runs in.
//!
//! Who uses what:
//! - the daemon and `promptstick ask` use [`Worker`]: the parent's side of the child process, made
//!   of futures that may be dropped at any await;
//! - `promptstick worker` is [`worker::run`]: the child's side. Only it gives a model file to
//!   llama.cpp, so that a hostile file, an abort or a lack of memory costs one answer;
//! - `promptstick model inspect` uses [`inspect`], which reads the file with a bounded parser of
//!   our own ([`gguf`]) and can run in any process;
//! - `promptstick bench` and `ask --in-process` use [`session::Session`] directly.
//!
//! Nothing here knows of volumes, mailboxes or files of prompts.

pub mod backend;
pub mod cancel;
pub mod error;
pub mod fit;
pub mod gguf;
pub mod grammar;
mod llama;
pub mod mark;
pub mod memory;
pub mod options;
pub mod report;
pub mod request;
mod response;
pub mod sampling;
pub mod session;
pub mod stop;
pub mod template;
pub mod utf8;
pub mod wire;
pub mod worker;

pub use backend::Backend;
pub use error::{ChildEnd, EngineError, Failure};
pub use fit::{MemoryNeed, inspect};
pub use options::ModelOptions;
pub use report::{Event, Finish, ModelInfo, PromptStyle, Summary, TensorTypeUse};
pub use request::{Request, Sampling};
pub use worker::{StderrPolicy, Worker, WorkerOptions};
