//! What the plugin counted, and what it makes of a token. Pure. The format is that of
//! `crates/armcost/src/report.rs`.

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};

use super::plan::{GENERATED_TOKENS, PROMPT_TOKENS, Run};

/// The format that is read here.
const FORMAT: u32 = 1;
/// The core's clock: a cycle is a nanosecond.
const CYCLES_PER_MS: f64 = 1e6;
/// Cycles of a line from the second-level cache, and of one from memory: 32 bytes in 60 ns are
/// 533 MB/s. Fitted, see docs/PERFORMANCE.md.
const SECOND_CYCLES: f64 = 20.0;
const MEMORY_CYCLES: f64 = 60.0;
/// Functions of a measurement that are kept, the most expensive ones.
const FUNCTIONS: usize = 12;

/// What the plugin counts of a region or a function.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub struct Counts {
    instructions: u64,
    core_cycles: u64,
    load_second: u64,
    load_memory: u64,
    prefetch_second: u64,
    prefetch_memory: u64,
    fetch_second: u64,
    fetch_memory: u64,
    unknown_prefetches: u64,
}

#[derive(Debug, Deserialize)]
struct Function {
    symbol: String,
    #[serde(flatten)]
    counts: Counts,
}

/// What the plugin counted between two marks.
#[derive(Debug, Deserialize)]
pub struct Region {
    format: u32,
    region: String,
    index: u32,
    #[serde(flatten)]
    counts: Counts,
    functions: Vec<Function>,
}

/// What is measured of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// One generated token, without choosing it.
    Decode,
    /// A token of a prompt.
    Prefill,
    /// Choosing a token, greedily.
    Sample,
    /// Loading the model: llama.cpp's part, packing included.
    Load,
}

/// A function's part of a token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// Its symbol.
    pub symbol: String,
    /// Instructions.
    pub instructions: f64,
    /// Cycles of the core.
    pub core_cycles: f64,
}

/// What a token, or loading, costs: all figures are for one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// The model's shape.
    pub model: String,
    /// The format of its file.
    pub format: String,
    /// What computed.
    pub backend: String,
    /// What was done.
    pub phase: Phase,
    /// Tokens before it.
    pub position: u32,
    /// Instructions.
    pub instructions: f64,
    /// Cycles of the core when each access hits the first-level caches.
    pub core_cycles: f64,
    /// Lines that came from beyond the first level, prefetched ones included.
    pub l1_misses: f64,
    /// Lines that came from memory.
    pub l2_misses: f64,
    /// Of all these, lines that a prefetch brought.
    pub prefetched: f64,
    /// Milliseconds at 1 GHz when loads overlap perfectly with computing.
    pub least_ms: f64,
    /// Milliseconds at 1 GHz when they do not overlap at all.
    pub most_ms: f64,
    /// Prefetches that the model could not follow.
    pub unknown_prefetches: f64,
    /// The most expensive functions.
    pub functions: Vec<Part>,
}

/// What a run measured, from what the plugin wrote.
///
/// # Errors
/// Another format, or a region is missing.
pub fn measurements(run: &Run, regions: &[Region]) -> anyhow::Result<Vec<Measurement>> {
    ensure!(
        regions.iter().all(|region| region.format == FORMAT),
        "the plugin is of another version: build it again"
    );
    let last = GENERATED_TOKENS - 1;
    let wanted = [
        (Phase::Decode, "decode", last, 1),
        (Phase::Prefill, "prefill", 0, PROMPT_TOKENS),
        (Phase::Sample, "sample", last, 1),
        (Phase::Load, "load", 0, 1),
    ];
    let each = wanted.map(|(phase, name, index, tokens)| {
        let found = regions
            .iter()
            .find(|region| region.region == name && region.index == index);
        let region = found.with_context(|| format!("{run}: the program has no mark {name}"))?;
        Ok(Measurement::new(run, phase, region, tokens.into()))
    });
    each.into_iter().collect()
}

impl Measurement {
    #[allow(clippy::cast_precision_loss, reason = "counts are below 2^53")]
    fn new(run: &Run, phase: Phase, region: &Region, tokens: f64) -> Self {
        let counts = &region.counts;
        let each = |count: u64| count as f64 / tokens;
        let second = each(counts.load_second + counts.prefetch_second);
        let memory = each(counts.load_memory + counts.prefetch_memory);
        let (code_second, code_memory) = (each(counts.fetch_second), each(counts.fetch_memory));
        let core = each(counts.core_cycles);
        // Nothing hides what the core waits for to be executed.
        let fetching = code_second * SECOND_CYCLES + code_memory * MEMORY_CYCLES;
        let loading = second * SECOND_CYCLES + memory * MEMORY_CYCLES;
        let bandwidth = (memory + code_memory) * MEMORY_CYCLES;
        let parts = region.functions.iter().take(FUNCTIONS);
        Self {
            model: run.subject.shape.to_owned(),
            format: run.subject.format.to_owned(),
            backend: run.backend_name().to_owned(),
            phase,
            position: run.position,
            instructions: each(counts.instructions),
            core_cycles: core,
            l1_misses: second + memory + code_second + code_memory,
            l2_misses: memory + code_memory,
            prefetched: each(counts.prefetch_second + counts.prefetch_memory),
            least_ms: (core + fetching).max(bandwidth) / CYCLES_PER_MS,
            most_ms: (core + fetching + loading) / CYCLES_PER_MS,
            unknown_prefetches: each(counts.unknown_prefetches),
            functions: parts
                .map(|part| Part {
                    symbol: part.symbol.clone(),
                    instructions: each(part.counts.instructions),
                    core_cycles: each(part.counts.core_cycles),
                })
                .collect(),
        }
    }

    /// Whether both are of the same token.
    pub fn is_like(&self, other: &Self) -> bool {
        (&self.model, &self.format, self.phase, self.position)
            == (&other.model, &other.format, other.phase, other.position)
    }
}

#[cfg(test)]
pub mod tests {
    use super::super::options::Bench;
    use super::super::plan;
    use super::*;

    /// A run of a small model, and what the plugin might have written of it.
    pub fn example(backend: &'static str, instructions: u64) -> Vec<Measurement> {
        let bench = Bench {
            quick: true,
            ..Bench::default()
        };
        let runs = plan::runs(&bench, &[Some(backend)]);
        let region = |name: &str, index: u32| {
            format!(
                r#"{{"format":1,"region":"{name}","index":{index},"instructions":{instructions},
                "core_cycles":2000000,"branch_cycles":0,"loads":9,"stores":9,"load_second":1000,
                "load_memory":20000,"prefetch_second":0,"prefetch_memory":20000,"fetch_second":0,
                "fetch_memory":100,"store_misses":0,"unknown_prefetches":0,"functions":
                [{{"symbol":"ggml_vec_dot","instructions":1,"core_cycles":2,"load_second":0,
                "load_memory":0,"prefetch_second":0,"prefetch_memory":0,"fetch_second":0,
                "fetch_memory":0,"unknown_prefetches":0}}]}}"#
            )
        };
        let all =
            ["prefill", "sample", "decode", "load"].map(|name| [region(name, 0), region(name, 1)]);
        let text = format!("[{}]", all.concat().join(","));
        let regions: Vec<Region> = serde_json::from_str(&text).expect("right");
        let of = |run: &Run| measurements(run, &regions).expect("complete");
        runs.iter().flat_map(of).collect()
    }

    #[test]
    fn time_lies_between_two_extremes() {
        let decode = &example("cpu", 1_000_000)[0];
        assert_eq!(decode.phase, Phase::Decode);
        // 40,100 lines at 60 ns are more than 2.006 ms of computing.
        assert!(
            (decode.least_ms - 2.406).abs() < 1e-9,
            "{}",
            decode.least_ms
        );
        assert!((decode.most_ms - 4.426).abs() < 1e-9, "{}", decode.most_ms);
        assert!((decode.l1_misses - 41_100.0).abs() < 1e-9);
    }

    #[test]
    fn a_prompt_is_counted_by_token() {
        let prefill = &example("cpu", 1_000_000)[1];
        assert_eq!(prefill.phase, Phase::Prefill);
        assert!((prefill.instructions - 125_000.0).abs() < 1e-9);
        assert_eq!(prefill.functions[0].symbol, "ggml_vec_dot");
    }
}
