//! Which models are measured where. Pure.

use std::fmt;

use genmodel::{Format, Shape, Spec};

use super::options::Bench;

/// Tokens before the one that is measured.
const POSITIONS: [u32; 3] = [0, 100, 500];
/// Where models and formats are compared.
const QUICK_POSITION: u32 = 100;
/// Tokens that are computed together for the figure of a prompt. llama.cpp computes the output
/// matrix for the last one only, so per token, more would make it a little less.
pub const PROMPT_TOKENS: u32 = 8;
/// Of the generated tokens the last is measured: the first has llama.cpp make the graph anew.
pub const GENERATED_TOKENS: u32 = 2;

/// A model of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subject {
    /// Its shape's name, as `genmodel` and people have it.
    pub shape: &'static str,
    /// Its format's name.
    pub format: &'static str,
    /// How much of it is measured.
    extent: Extent,
}

/// How much of a model is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// All positions; and it is quick enough for a check of each change.
    Small,
    /// All positions.
    Large,
    /// One position, to compare its format with another.
    Compared,
}

/// The models, as published files of these names have them; and a file whose output matrix has 4
/// bits too, which is what `llama-quantize --pure` makes.
const SUBJECTS: [Subject; 7] = [
    Subject::new("demo", "q8_0", Extent::Small),
    Subject::new("stories15m", "q4_0", Extent::Small),
    Subject::new("stories15m", "q4_0-pure", Extent::Compared),
    Subject::new("stories15m", "q8_0", Extent::Small),
    Subject::new("smollm2-135m", "q4_0", Extent::Large),
    Subject::new("smollm2-135m", "q4_0-pure", Extent::Compared),
    Subject::new("smollm2-135m", "q4_k_m", Extent::Large),
];

impl Subject {
    const fn new(shape: &'static str, format: &'static str, extent: Extent) -> Self {
        Self {
            shape,
            format,
            extent,
        }
    }

    /// The model file to make; none for a name that `genmodel` does not have.
    pub fn spec(&self) -> Option<Spec> {
        Some(Spec::new(
            Shape::named(self.shape)?,
            Format::named(self.format)?,
        ))
    }

    fn is_measured_at(&self, position: u32) -> bool {
        let reaches = |spec: Spec| position < spec.shape.context_tokens;
        (self.extent != Extent::Compared || position == QUICK_POSITION)
            && self.spec().is_some_and(reaches)
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.shape, self.format)
    }
}

/// One run of the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The model.
    pub subject: Subject,
    /// Tokens before the last generated one.
    pub position: u32,
    /// What computes; none where the program does not offer a choice.
    pub backend: Option<&'static str>,
}

impl Run {
    /// Tokens that are in the cache before the prompt.
    pub fn cached_tokens(&self) -> u32 {
        let computed = PROMPT_TOKENS + GENERATED_TOKENS - 1;
        self.position.saturating_sub(computed)
    }

    /// The backend's name.
    pub fn backend_name(&self) -> &'static str {
        self.backend.unwrap_or("cpu")
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (subject, position) = (self.subject, self.position);
        write!(f, "{subject}, position {position}, {}", self.backend_name())
    }
}

/// All runs, those of a model one after the other.
pub fn runs(bench: &Bench, backends: &[Option<&'static str>]) -> Vec<Run> {
    let positions = if bench.quick {
        &[QUICK_POSITION][..]
    } else {
        &POSITIONS
    };
    let is_wanted = |subject: &&Subject| {
        let name = subject.to_string();
        (subject.extent == Extent::Small || !bench.quick)
            && bench.only.as_ref().is_none_or(|part| name.contains(part))
    };
    let mut runs = Vec::new();
    for subject in SUBJECTS.iter().filter(is_wanted) {
        for &position in positions
            .iter()
            .filter(|&&place| subject.is_measured_at(place))
        {
            runs.extend(backends.iter().map(|&backend| Run {
                subject: *subject,
                position,
                backend,
            }));
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_subject_can_be_made() {
        for subject in SUBJECTS {
            assert!(subject.spec().is_some(), "{subject}");
        }
    }

    #[test]
    fn a_model_is_measured_as_far_as_its_context_reaches() {
        let runs = runs(&Bench::default(), &[Some("cpu"), Some("armv6")]);
        let farthest = |shape: &str| {
            let of = runs.iter().filter(|run| run.subject.shape == shape);
            of.map(|run| run.position).max()
        };
        assert_eq!(farthest("stories15m"), Some(100));
        assert_eq!(farthest("demo"), Some(500));
        assert_eq!(runs.len(), 2 * (3 + 2 * 2 + 2 * 3 + 2));
        assert_eq!(runs[2].cached_tokens(), 91);
        assert_eq!(runs[0].cached_tokens(), 0);
    }

    #[test]
    fn the_quick_ones_are_small() {
        let bench = Bench {
            quick: true,
            ..Bench::default()
        };
        let runs = runs(&bench, &[None]);
        assert_eq!(runs.len(), 3);
        assert!(runs.iter().all(|run| run.subject.shape != "smollm2-135m"));
    }
}
