//! One model, one context, one request at a time: the loop that computes.
//!
//! Runs in the child process ([`crate::worker`]); `promptstick bench` and `ask --in-process` run it
//! in their own. Blocking; cancelled through the shared [`CancelFlag`], within one operation of a
//! computation step.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::backend::Backend;
use crate::cancel::CancelFlag;
use crate::error::Failure;
use crate::llama::{Context, DecodeEnd};
use crate::mark;
use crate::options::ModelOptions;
use crate::report::{Finish, PromptStyle, Summary};
use crate::request::{MIN_RESPONSE_TOKENS, Request, Sampling};
use crate::response::Response;
use crate::sampling::Sampler;
use crate::template::{Message, Prompt, compose};

pub use crate::llama::Model;

/// What a running request reports.
#[derive(Debug, Clone, PartialEq)]
pub enum Progress {
    /// The prompt fits: its length in tokens.
    Started(u32),
    /// So many tokens of it have been computed.
    Prefilled(u32),
    /// More of the response; not empty.
    Text(String),
}

/// How a request ended that did not fail.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// With a response.
    Finished(Summary),
    /// By the cancel flag.
    Cancelled,
}

/// What [`Session::bench`] measured and computed.
#[derive(Debug, Clone, PartialEq)]
pub struct Benched {
    /// Time for the prompt.
    pub prefill: Duration,
    /// Time for all generated tokens.
    pub decode: Duration,
    /// The generated tokens: to compare two machines, exact where texts are not.
    pub generated: Vec<i32>,
}

/// See the module.
#[derive(Debug)]
pub struct Session<'model> {
    model: &'model Model,
    context: Context<'model>,
    cancel: Arc<CancelFlag>,
}

impl<'model> Session<'model> {
    /// Makes the context of a loaded model. One session of a model at a time.
    ///
    /// # Errors
    /// [`Failure::OutOfMemory`] or [`Failure::Compute`].
    pub fn new(
        model: &'model Model,
        options: &ModelOptions,
        cancel: Arc<CancelFlag>,
    ) -> Result<Self, Failure> {
        let context = Context::new(model, options, cancel.clone())?;
        Ok(Self {
            model,
            context,
            cancel,
        })
    }

    /// Most tokens of prompt and response together.
    #[must_use]
    pub fn context_tokens(&self) -> u32 {
        self.context.context_tokens()
    }

    /// What computes.
    #[must_use]
    pub fn backend(&self) -> Backend {
        self.model.backend()
    }

    /// How prompts are put to this model.
    #[must_use]
    pub fn prompt_style(&self) -> PromptStyle {
        if !self.model.has_chat_template() {
            return PromptStyle::Plain;
        }
        let probe = [Message {
            role: "user",
            content: "?".into(),
        }];
        match self.model.render(&probe) {
            Some(_) => PromptStyle::Chat,
            None => PromptStyle::PlainUnknownTemplate,
        }
    }

    /// The tokens of a prompt as they would be computed.
    #[must_use]
    pub fn compose(&self, request: &Request) -> Prompt {
        let render = |messages: &[Message]| self.model.render(messages);
        compose(
            self.model,
            render,
            request.system.as_deref(),
            &request.prompt,
        )
    }

    /// Answers a request; `id` is what [`CancelFlag::cancel`] names.
    ///
    /// # Errors
    /// Any [`Failure`] about a prompt or a computation. The session can be used again afterwards.
    pub fn run(
        &mut self,
        id: u64,
        request: &Request,
        report: &mut dyn FnMut(Progress),
    ) -> Result<Outcome, Failure> {
        self.cancel.begin(id);
        request.validate()?;
        let prompt = self.compose(request);
        let prompt_tokens = self.check_length(&prompt)?;
        let mut sampler = Sampler::new(self.model, &request.sampling, request.json)?;
        let mut response = Response::new(request, prompt.is_chat);
        report(Progress::Started(prompt_tokens));

        self.context.clear();
        let began = Instant::now();
        if self.prefill(&prompt.tokens, report)? == DecodeEnd::Cancelled {
            return Ok(Outcome::Cancelled);
        }
        let prefill = began.elapsed();
        let began = Instant::now();
        let Some(finish) = self.generate(&mut sampler, &mut response, report)? else {
            return Ok(Outcome::Cancelled);
        };
        Ok(Outcome::Finished(Summary {
            finish,
            prompt_tokens,
            response_tokens: response.tokens(),
            prefill_ms: milliseconds(prefill),
            decode_ms: milliseconds(began.elapsed()),
            load_ms: 0.0,
        }))
    }

    /// Computes a prompt, then generates `response_tokens` greedily, going on past any end of text.
    /// Each step is a region of its own for instruments ([`mark`]). With a `position` other than
    /// 0, as many tokens seem to come before the prompt: they are not computed, and what is
    /// generated means nothing.
    ///
    /// # Errors
    /// [`Failure::EmptyPrompt`] without a token, [`Failure::TooLong`] when prompt and response do
    /// not fit the context, or a failed computation.
    pub fn bench(
        &mut self,
        position: u32,
        prompt: &[i32],
        response_tokens: u32,
    ) -> Result<Benched, Failure> {
        if prompt.is_empty() {
            return Err(Failure::EmptyPrompt);
        }
        let limit_tokens = self.context.context_tokens();
        let prompt_tokens = u32::try_from(prompt.len()).unwrap_or(u32::MAX);
        let tokens = [position, prompt_tokens, response_tokens]
            .into_iter()
            .fold(0, u32::saturating_add);
        if tokens > limit_tokens {
            return Err(Failure::TooLong {
                tokens,
                limit_tokens,
            });
        }
        let mut sampler = Sampler::new(self.model, &Sampling::greedy(), false)?;
        self.context.clear();
        self.pretend(position)?;
        mark::promptstick_mark_prefill();
        let began = Instant::now();
        self.prefill(prompt, &mut |_| {})?;
        let prefill = began.elapsed();
        mark::promptstick_mark_end();
        let began = Instant::now();
        let response = Response::new(&Request::new(""), false);
        let mut generated = Vec::new();
        for _ in 0..response_tokens {
            mark::promptstick_mark_sample();
            let picked = sampler.pick(&self.context, self.model, response.decoder())?;
            let token = picked.map_or(0, |token| token.0);
            mark::promptstick_mark_decode();
            self.context.decode(&[token])?;
            mark::promptstick_mark_end();
            generated.push(token);
        }
        Ok(Benched {
            prefill,
            decode: began.elapsed(),
            generated,
        })
    }

    /// Fills the cache as if so many tokens had been computed.
    fn pretend(&mut self, position: u32) -> Result<(), Failure> {
        /// Real ones that the others are made of.
        const REAL_TOKENS: u32 = 2;
        if position == 0 {
            return Ok(());
        }
        let tokens = self.arbitrary_tokens(position.min(REAL_TOKENS));
        self.prefill(&tokens, &mut |_| {})?;
        self.context.repeat_to(position)
    }

    /// The logits after a prompt, and after each of `then`, which are computed one by one: for
    /// comparing two ways to compute.
    ///
    /// # Errors
    /// As [`Self::bench`].
    pub fn logits(&mut self, prompt: &[i32], then: &[i32]) -> Result<Vec<Vec<f32>>, Failure> {
        if prompt.is_empty() {
            return Err(Failure::EmptyPrompt);
        }
        self.context.clear();
        self.prefill(prompt, &mut |_| {})?;
        let mut all = vec![self.context.logits()?.to_vec()];
        for &token in then {
            self.context.decode(&[token])?;
            all.push(self.context.logits()?.to_vec());
        }
        Ok(all)
    }

    /// Different tokens spread over the vocabulary, the same ones each time.
    #[must_use]
    pub fn arbitrary_tokens(&self, count: u32) -> Vec<i32> {
        const STRIDE: u64 = 7_919;
        let vocabulary = self.model.vocabulary_tokens().max(1) as u64;
        (1..=u64::from(count))
            .map(|i| i32::try_from(i * STRIDE % vocabulary).unwrap_or(0))
            .collect()
    }

    fn check_length(&self, prompt: &Prompt) -> Result<u32, Failure> {
        let context = self.context.context_tokens();
        // A quarter at most, so that a tiny context still takes prompts.
        let limit_tokens = context - MIN_RESPONSE_TOKENS.min(context / 4);
        let tokens = u32::try_from(prompt.tokens.len()).unwrap_or(u32::MAX);
        match tokens {
            0 => Err(Failure::EmptyPrompt),
            _ if tokens > limit_tokens => Err(Failure::TooLong {
                tokens,
                limit_tokens,
            }),
            _ => Ok(tokens),
        }
    }

    fn prefill(
        &mut self,
        tokens: &[i32],
        report: &mut dyn FnMut(Progress),
    ) -> Result<DecodeEnd, Failure> {
        let mut done = 0;
        let step = usize::try_from(self.context.batch_tokens()).unwrap_or(1);
        for batch in tokens.chunks(step) {
            if self.context.decode(batch)? == DecodeEnd::Cancelled {
                return Ok(DecodeEnd::Cancelled);
            }
            done += batch.len();
            report(Progress::Prefilled(u32::try_from(done).unwrap_or(u32::MAX)));
        }
        Ok(DecodeEnd::Done)
    }

    /// Generates until the end; `None` when cancelled.
    fn generate(
        &mut self,
        sampler: &mut Sampler,
        response: &mut Response,
        report: &mut dyn FnMut(Progress),
    ) -> Result<Option<Finish>, Failure> {
        loop {
            if self.context.is_cancelled() {
                return Ok(None);
            }
            let picked = sampler.pick(&self.context, self.model, response.decoder())?;
            let token = picked.filter(|&token| !self.model.is_end(token));
            let mut step = match token {
                None => response.end(Finish::EndOfText),
                Some(token) => response.push(&self.model.token_bytes(token)),
            };
            if step.finish.is_none() && self.context.free_tokens() == 0 {
                let end = response.end(Finish::ContextFull);
                step.text.push_str(&end.text);
                step.finish = end.finish;
            }
            if !step.text.is_empty() {
                report(Progress::Text(step.text));
            }
            let (None, Some(token)) = (step.finish, token) else {
                let finish = step.finish.unwrap_or(Finish::EndOfText);
                response.check(finish)?;
                return Ok(Some(finish));
            };
            if self.context.decode(&[token.0])? == DecodeEnd::Cancelled {
                return Ok(None);
            }
        }
    }
}

fn milliseconds(duration: Duration) -> f64 {
    const MS_PER_SECOND: f64 = 1_000.0;
    duration.as_secs_f64() * MS_PER_SECOND
}
