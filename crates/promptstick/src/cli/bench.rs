//! `promptstick bench`: how fast a model computes on this machine. In this process, so that a
//! profiler or an emulator sees one program; the model file is the user's own choice.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::session::{Model, Session};
use engine::{Backend, ModelOptions, Request, inspect};
use serde::Serialize;

use crate::output;

/// Measure a model on this machine.
#[derive(Debug, clap::Args)]
pub struct Bench {
    /// The GGUF file.
    #[arg(long, value_name = "FILE")]
    model: PathBuf,
    /// Prompt tokens: arbitrary ones.
    #[arg(short, default_value_t = 32)]
    p: u32,
    /// This prompt in the place of arbitrary tokens.
    #[arg(long, value_name = "TEXT", conflicts_with = "p")]
    prompt: Option<String>,
    /// Tokens to generate, going on past any end of text.
    #[arg(short, default_value_t = 32)]
    n: u32,
    /// Measure as if so many tokens came before the prompt; they are not computed, so it starts at
    /// once, and what is generated means nothing.
    #[arg(long, value_name = "N", default_value_t = 0)]
    position: u32,
    /// Threads that compute, at most 64; 0 means one.
    #[arg(long, default_value_t = 0)]
    threads: u32,
    /// Context in tokens; 0 means just enough, or with --prompt the model's own, up to a limit.
    #[arg(long, default_value_t = 0)]
    context: u32,
    /// Prompt tokens in one step; 0 means the default.
    #[arg(long, default_value_t = 0)]
    batch: u32,
    /// What computes: cpu or armv6.
    #[arg(long, value_name = "NAME", default_value_t)]
    backend: Backend,
    /// Print the figures as JSON, and the numbers of the generated tokens.
    #[arg(long)]
    json: bool,
}

/// What is printed.
#[derive(Debug, Serialize)]
struct Figures {
    model: String,
    quantisation: String,
    parameters: u64,
    threads: u32,
    backend: Backend,
    load_ms: f64,
    position: u32,
    prompt_tokens: u32,
    prefill_ms: f64,
    prefill_tokens_per_s: f64,
    response_tokens: u32,
    decode_ms: f64,
    decode_tokens_per_s: f64,
    generated: Vec<i32>,
}

impl Bench {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let enough = [self.p.max(1), self.n, self.position]
            .into_iter()
            .fold(0, u32::saturating_add);
        let options = ModelOptions {
            context_tokens: match (self.context, &self.prompt) {
                (0, None) => enough,
                (context, _) => context,
            },
            threads: self.threads,
            batch_tokens: self.batch,
            backend: self.backend,
            ..ModelOptions::new(&self.model)
        };
        let info = inspect(&options)?;
        let began = Instant::now();
        let model = Model::load(&options)?;
        let mut session = Session::new(&model, &options, Arc::default())?;
        let load = began.elapsed();
        let prompt = match &self.prompt {
            None => session.arbitrary_tokens(self.p.max(1)),
            Some(text) => session.compose(&Request::new(text)).tokens,
        };
        let prompt_tokens = u32::try_from(prompt.len())?;
        let benched = session.bench(self.position, &prompt, self.n)?;
        let figures = Figures {
            model: info.name,
            quantisation: info.quantisation,
            parameters: info.parameters,
            threads: options.effective_threads(),
            backend: session.backend(),
            load_ms: milliseconds(load),
            position: self.position,
            prompt_tokens,
            prefill_ms: milliseconds(benched.prefill),
            prefill_tokens_per_s: per_second(prompt_tokens, benched.prefill),
            response_tokens: self.n,
            decode_ms: milliseconds(benched.decode),
            decode_tokens_per_s: per_second(self.n, benched.decode),
            generated: benched.generated,
        };
        let mut text = if self.json {
            serde_json::to_string(&figures)?
        } else {
            figures.text()
        };
        text.push('\n');
        output::print(&text)?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Figures {
    fn text(&self) -> String {
        format!(
            "{} {}, {} parameters, {} threads, backend {}, loaded in {:.0} ms\n\
             prefill {:6} tokens {:10.1} ms {:8.2} tokens/s\n\
             decode  {:6} tokens {:10.1} ms {:8.2} tokens/s",
            self.model,
            self.quantisation,
            self.parameters,
            self.threads,
            self.backend,
            self.load_ms,
            self.prompt_tokens,
            self.prefill_ms,
            self.prefill_tokens_per_s,
            self.response_tokens,
            self.decode_ms,
            self.decode_tokens_per_s,
        )
    }
}

fn milliseconds(duration: Duration) -> f64 {
    const MS_PER_SECOND: f64 = 1_000.0;
    duration.as_secs_f64() * MS_PER_SECOND
}

fn per_second(count: u32, duration: Duration) -> f64 {
    if duration.is_zero() {
        0.0
    } else {
        f64::from(count) / duration.as_secs_f64()
    }
}
