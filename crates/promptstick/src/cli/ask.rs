//! `promptstick ask`: one prompt, answered on the terminal. Text goes to stdout as it comes,
//! everything else to stderr; Ctrl-C stops the answer and ends with status 130.

use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use engine::cancel::CancelFlag;
use engine::session::{Model, Outcome, Progress, Session};
use engine::{
    Backend, Event, Finish, ModelOptions, PromptStyle, Request, Sampling, Summary, Worker,
    WorkerOptions,
};

use tokio::signal::unix::{SignalKind, signal};

use crate::output::{self, Reader, remark};

/// What a shell expects of a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;
/// Of the only request of this process; numbers begin at 1.
const REQUEST_ID: u64 = 1;
/// Longest prompt that is read from stdin.
const MAX_PROMPT_BYTES: u64 = 1 << 20;

/// Answer one prompt on the terminal.
#[derive(Debug, clap::Args)]
pub struct Ask {
    /// The GGUF file.
    #[arg(long, value_name = "FILE")]
    model: PathBuf,
    /// The prompt; `-` or nothing reads it from stdin.
    prompt: Option<String>,
    /// Instructions before the prompt.
    #[arg(long)]
    system: Option<String>,
    /// Most tokens in the response.
    #[arg(long, default_value_t = Request::DEFAULT_MAX_TOKENS)]
    max_tokens: u32,
    #[command(flatten)]
    sampling: SamplingArgs,
    /// The response ends before this text; may be given several times.
    #[arg(long, value_name = "TEXT")]
    stop: Vec<String>,
    /// The response is one JSON value.
    #[arg(long)]
    json: bool,
    /// Context in tokens; 0 means the model's own, up to a limit.
    #[arg(long, default_value_t = 0)]
    context: u32,
    /// Threads that compute, at most 64; 0 means one.
    #[arg(long, default_value_t = 0)]
    threads: u32,
    /// What computes: cpu or armv6.
    #[arg(long, value_name = "NAME", default_value_t)]
    backend: Backend,
    /// Most memory in MiB, the model included; never more than the machine has available.
    #[arg(long, value_name = "MIB")]
    memory_limit: Option<u64>,
    /// Compute in this process instead of a child: for debuggers and profilers.
    #[arg(long)]
    in_process: bool,
}

/// How tokens are chosen.
#[derive(Debug, clap::Args)]
struct SamplingArgs {
    /// 0 takes the most probable token; higher is more varied.
    #[arg(long, default_value_t = Sampling::default().temperature)]
    temperature: f32,
    /// Only this many of the most probable tokens; 0 means all.
    #[arg(long, default_value_t = Sampling::default().top_k)]
    top_k: u32,
    /// Only the most probable tokens with this total probability; 1 means all.
    #[arg(long, default_value_t = Sampling::default().top_p)]
    top_p: f32,
    /// Only tokens with this share of the best one's probability; 0 means all.
    #[arg(long, default_value_t = Sampling::default().min_p)]
    min_p: f32,
    /// How much less probable a recent token becomes; 1 means not at all.
    #[arg(long, default_value_t = Sampling::default().repeat_penalty)]
    repeat_penalty: f32,
    /// The same seed gives the same response.
    #[arg(long, default_value_t = Sampling::default().seed)]
    seed: u32,
}

impl Ask {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let request = self.request()?;
        let options = ModelOptions {
            context_tokens: self.context,
            threads: self.threads,
            backend: self.backend,
            ..ModelOptions::new(&self.model)
        };
        if self.in_process {
            return ask_in_process(&options, &request);
        }
        let mut worker = WorkerOptions::this_program().context("this program's own path")?;
        worker.memory_limit_bytes = self.memory_limit.map(|mib| mib.saturating_mul(1 << 20));
        worker.nice = 0;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(ask(worker, &options, request))
    }

    fn request(&self) -> anyhow::Result<Request> {
        let prompt = match self.prompt.as_deref() {
            Some(text) if text != "-" => text.to_owned(),
            _ => {
                let mut bytes = Vec::new();
                std::io::stdin()
                    .take(MAX_PROMPT_BYTES)
                    .read_to_end(&mut bytes)?;
                String::from_utf8(bytes).context("the prompt is not UTF-8")?
            }
        };
        let sampling = &self.sampling;
        Ok(Request {
            prompt,
            system: self.system.clone(),
            sampling: Sampling {
                temperature: sampling.temperature,
                top_k: sampling.top_k,
                top_p: sampling.top_p,
                min_p: sampling.min_p,
                repeat_penalty: sampling.repeat_penalty,
                seed: sampling.seed,
            },
            max_tokens: self.max_tokens,
            stop: self.stop.clone(),
            json: self.json,
        })
    }
}

async fn ask(
    options: WorkerOptions,
    model: &ModelOptions,
    request: Request,
) -> anyhow::Result<ExitCode> {
    let json = request.json;
    // Before the child starts, so that no Ctrl-C falls between.
    let mut interrupts = signal(SignalKind::interrupt())?;
    let mut worker = Worker::new(options);
    worker.start(model, request)?;
    loop {
        let event = tokio::select! {
            event = worker.event() => event,
            _ = interrupts.recv() => {
                worker.cancel().await;
                remark("\nstopped");
                return Ok(ExitCode::from(INTERRUPTED));
            }
        };
        match event {
            Event::Loading { file_bytes, .. } => {
                tracing::info!(file_bytes, "loading the model");
            }
            Event::Loaded(info) => {
                say_backend(info.backend, model.backend);
                say_style(info.prompt_style);
            }
            Event::Text(text) => match output::print(&text)? {
                Reader::There => {}
                Reader::Gone => {
                    worker.stop().await;
                    return Ok(ExitCode::SUCCESS);
                }
            },
            Event::Finished(summary) => return finish(&summary, json),
            Event::Failed(failure) => anyhow::bail!(failure),
            _ => {}
        }
    }
}

fn ask_in_process(options: &ModelOptions, request: &Request) -> anyhow::Result<ExitCode> {
    let model = Model::load(options)?;
    let cancel = Arc::<CancelFlag>::default();
    let mut session = Session::new(&model, options, cancel.clone())?;
    say_backend(session.backend(), options.backend);
    say_style(session.prompt_style());
    let mut shown = Ok(Reader::There);
    let outcome = session.run(REQUEST_ID, request, &mut |progress| {
        if let (Progress::Text(text), Ok(Reader::There)) = (&progress, &shown) {
            shown = output::print(text);
            if !matches!(shown, Ok(Reader::There)) {
                cancel.cancel(REQUEST_ID);
            }
        }
    })?;
    match (shown?, outcome) {
        (Reader::There, Outcome::Finished(summary)) => finish(&summary, request.json),
        _ => Ok(ExitCode::SUCCESS),
    }
}

fn say_backend(computes: Backend, asked: Backend) {
    if computes == asked {
        remark(&format!("(backend: {computes})"));
    } else {
        remark(&format!(
            "(backend: {computes}, since {asked} cannot be had)"
        ));
    }
}

fn say_style(style: PromptStyle) {
    match style {
        PromptStyle::Chat => {}
        PromptStyle::Plain => remark("(no chat template: the model goes on with the text)"),
        PromptStyle::PlainUnknownTemplate => {
            remark("(unknown chat template: the model goes on with the text)");
        }
    }
}

fn finish(summary: &Summary, json: bool) -> anyhow::Result<ExitCode> {
    output::print("\n")?;
    let cut = match summary.finish {
        Finish::EndOfText | Finish::Stop => "",
        Finish::MaxTokens => ", cut at max_tokens",
        Finish::ContextFull => ", cut where the context is full",
    };
    remark(&format!(
        "{} prompt tokens in {:.0} ms, {} tokens in {:.0} ms ({:.2} a second){cut}",
        summary.prompt_tokens,
        summary.prefill_ms,
        summary.response_tokens,
        summary.decode_ms,
        summary.tokens_per_second(),
    ));
    if json && !cut.is_empty() {
        remark("the JSON value is not complete; allow more tokens");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}
