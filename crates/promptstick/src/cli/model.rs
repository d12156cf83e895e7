//! `promptstick model`: what a model file holds. Reads the header with our own bounded parser;
//! never gives the file to llama.cpp, so any file may be looked at.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use engine::fit::{PI_ZERO_W_BYTES, PI_ZERO_W_SYSTEM_BYTES};
use engine::{Backend, ModelInfo, ModelOptions, PromptStyle, inspect};
use serde::Serialize;

use crate::output;

/// Look into model files.
#[derive(Debug, clap::Args)]
pub struct Model {
    #[command(subcommand)]
    command: ModelCommand,
}

#[derive(Debug, clap::Subcommand)]
enum ModelCommand {
    Inspect(Inspect),
}

/// Print what a model is, what memory it needs and whether it fits a Pi Zero W.
#[derive(Debug, clap::Args)]
struct Inspect {
    /// The GGUF file.
    file: PathBuf,
    /// Context in tokens; 0 means the model's own, up to a limit.
    #[arg(long, default_value_t = 0)]
    context: u32,
    /// What computes, cpu or armv6: it decides what memory the weights need.
    #[arg(long, value_name = "NAME", default_value_t = Backend::PI_ZERO_W)]
    backend: Backend,
    /// Print it as JSON.
    #[arg(long)]
    json: bool,
}

/// What is printed.
#[derive(Debug, Serialize)]
struct Report {
    #[serde(flatten)]
    info: ModelInfo,
    pi_zero_w_available_bytes: u64,
    fits_pi_zero_w: bool,
}

impl Model {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            ModelCommand::Inspect(inspect) => inspect.run(),
        }
    }
}

impl Inspect {
    fn run(self) -> anyhow::Result<ExitCode> {
        let options = ModelOptions {
            context_tokens: self.context,
            backend: self.backend,
            ..ModelOptions::new(&self.file)
        };
        let info = inspect(&options)?;
        let pi_zero_w_available_bytes = PI_ZERO_W_BYTES - PI_ZERO_W_SYSTEM_BYTES;
        let fits_pi_zero_w = info.need.check(pi_zero_w_available_bytes).is_ok();
        let report = Report {
            info,
            pi_zero_w_available_bytes,
            fits_pi_zero_w,
        };
        let text = if self.json {
            serde_json::to_string_pretty(&report)? + "\n"
        } else {
            report.text()?
        };
        output::print(&text)?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Report {
    fn text(&self) -> Result<String, std::fmt::Error> {
        let info = &self.info;
        let need = &info.need;
        let mut text = String::new();
        let out = &mut text;
        writeln!(out, "name           {}", info.name)?;
        writeln!(out, "architecture   {}", info.architecture)?;
        writeln!(
            out,
            "parameters     {:.1} million",
            millions(info.parameters)
        )?;
        writeln!(out, "file           {} MiB", mebibytes(info.file_bytes))?;
        writeln!(out, "quantisation   {}", info.quantisation)?;
        for used in &info.tensor_types {
            let (size, count) = (mebibytes(used.bytes), used.tensors);
            writeln!(
                out,
                "               {:8} {size:>8} MiB in {count} tensors",
                used.name
            )?;
        }
        writeln!(out, "vocabulary     {} tokens", info.vocabulary_tokens)?;
        let trained = info.train_context_tokens;
        writeln!(
            out,
            "context        {} tokens (trained on {trained})",
            info.context_tokens
        )?;
        let template = match info.prompt_style {
            PromptStyle::Chat => "yes",
            _ => "none: the model goes on with the text",
        };
        writeln!(out, "chat template  {template}")?;
        writeln!(
            out,
            "memory needed  {:>8} MiB",
            mebibytes(info.needed_bytes)
        )?;
        writeln!(
            out,
            "  mapped file  {:>8} MiB",
            mebibytes(need.weights_bytes)
        )?;
        writeln!(
            out,
            "  packed       {:>8} MiB (backend {})",
            mebibytes(need.packed_bytes),
            info.backend
        )?;
        writeln!(out, "  key/values   {:>8} MiB", mebibytes(need.kv_bytes))?;
        writeln!(
            out,
            "  buffers      {:>8} MiB",
            mebibytes(need.buffers_bytes)
        )?;
        writeln!(
            out,
            "  overhead     {:>8} MiB",
            mebibytes(need.overhead_bytes)
        )?;
        let available = mebibytes(self.pi_zero_w_available_bytes);
        let fits = if self.fits_pi_zero_w {
            "it fits"
        } else {
            "it does not fit"
        };
        writeln!(out, "Pi Zero W      {fits} ({available} MiB for a model)")?;
        Ok(text)
    }
}

#[expect(clippy::cast_precision_loss, reason = "for reading, to one decimal")]
fn millions(count: u64) -> f64 {
    count as f64 / 1e6
}

#[expect(clippy::cast_precision_loss, reason = "for reading, to one decimal")]
fn mebibytes(bytes: u64) -> String {
    const BYTES_PER_MEBIBYTE: f64 = 1_048_576.0;
    format!("{:.1}", bytes as f64 / BYTES_PER_MEBIBYTE)
}
