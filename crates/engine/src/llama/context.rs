//! A context: the key/value cache and buffers of one model, for one sequence of tokens.
//!
//! Invariants: at most one output row (the last token of a batch) is ever kept; a computation ends
//! early, within one operation of the graph, once the cancel flag is set.

use std::ffi::c_void;
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::Arc;

use llama_cpp_2::token::LlamaToken;
use llama_cpp_2::token::data::LlamaTokenData;
use llama_cpp_2::token::data_array::LlamaTokenDataArray;

use super::backend::choose;
use super::fill;
use super::log::take_error;
use super::model::{Model, is_out_of_memory};
use crate::backend::Backend;
use crate::cancel::CancelFlag;
use crate::error::Failure;
use crate::options::ModelOptions;

/// `llama_decode` was stopped by the abort callback.
const DECODE_ABORTED: i32 = 2;
/// `llama_decode` found no room in the cache.
const DECODE_NO_ROOM: i32 = 1;

/// How a computation ended, other than by failing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecodeEnd {
    /// The logits of the last token are there.
    Done,
    /// The cancel flag was set.
    Cancelled,
}

/// See the module.
#[derive(Debug)]
pub struct Context<'model> {
    context: NonNull<llama_cpp_sys_2::llama_context>,
    /// llama.cpp holds a pointer to the flag inside.
    cancel: Arc<CancelFlag>,
    vocabulary_tokens: usize,
    context_tokens: u32,
    batch_tokens: u32,
    /// Tokens in the cache.
    used_tokens: u32,
    model: PhantomData<&'model Model>,
}

impl<'model> Context<'model> {
    /// Makes the cache and the buffers.
    ///
    /// # Errors
    /// [`Failure::OutOfMemory`] or [`Failure::Compute`].
    pub fn new(
        model: &'model Model,
        options: &ModelOptions,
        cancel: Arc<CancelFlag>,
    ) -> Result<Self, Failure> {
        let context_tokens = options.effective_context_tokens(model.train_context_tokens());
        let batch_tokens = options.effective_batch_tokens(context_tokens);
        let threads = i32::try_from(options.effective_threads()).unwrap_or(1);
        // SAFETY: returns plain data.
        let mut params = unsafe { llama_cpp_sys_2::llama_context_default_params() };
        params.n_ctx = context_tokens;
        params.n_batch = batch_tokens;
        params.n_ubatch = batch_tokens;
        params.n_seq_max = 1;
        params.n_outputs_max = 1;
        params.n_threads = threads;
        params.n_threads_batch = threads;
        params.no_perf = true;
        if model.backend() == Backend::Armv6 {
            // By itself llama.cpp turns it off when another backend than the layer's computes it.
            params.flash_attn_type = llama_cpp_sys_2::LLAMA_FLASH_ATTN_TYPE_ENABLED;
        }
        // A context cannot go to another thread, so this is the one that computes.
        ggml_armv6::flush_denormals();
        params.abort_callback = Some(is_cancelled);
        params.abort_callback_data = Arc::as_ptr(&cancel).cast_mut().cast::<c_void>();
        let _ = take_error();
        let _chosen = choose(model.backend(), model.has_output());
        // SAFETY: the model is alive and outlives the context (the lifetime in PhantomData), and is
        // not shared between threads; the flag is kept alive in `cancel`.
        let context =
            unsafe { llama_cpp_sys_2::llama_init_from_model(model.raw().as_ptr(), params) };
        let context = NonNull::new(context).ok_or_else(|| compute_failure("no context"))?;
        Ok(Self {
            context,
            cancel,
            vocabulary_tokens: model.vocabulary_tokens(),
            context_tokens,
            batch_tokens,
            used_tokens: 0,
            model: PhantomData,
        })
    }

    /// Most tokens of prompt and response together.
    #[must_use]
    pub fn context_tokens(&self) -> u32 {
        self.context_tokens
    }

    /// Most tokens that [`Self::decode`] takes at once.
    #[must_use]
    pub fn batch_tokens(&self) -> u32 {
        self.batch_tokens
    }

    /// Room left.
    #[must_use]
    pub fn free_tokens(&self) -> u32 {
        self.context_tokens.saturating_sub(self.used_tokens)
    }

    /// Whether somebody asked to stop.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }

    /// Forgets every token.
    pub fn clear(&mut self) {
        // SAFETY: the context is alive; its memory belongs to it.
        unsafe {
            let memory = llama_cpp_sys_2::llama_get_memory(self.context.as_ptr());
            if !memory.is_null() {
                llama_cpp_sys_2::llama_memory_clear(memory, true);
            }
        }
        self.used_tokens = 0;
    }

    /// Computes tokens that follow those before: 1 to [`Self::batch_tokens`].
    ///
    /// # Errors
    /// [`Failure::Compute`] or [`Failure::OutOfMemory`]. The cache must be cleared then.
    pub fn decode(&mut self, tokens: &[i32]) -> Result<DecodeEnd, Failure> {
        let count = u32::try_from(tokens.len()).unwrap_or(u32::MAX);
        if count == 0 || count > self.batch_tokens || count > self.free_tokens() {
            return Err(Failure::Compute {
                why: format!("a step of {count} tokens"),
            });
        }
        if self.is_cancelled() {
            return Ok(DecodeEnd::Cancelled);
        }
        let _ = take_error();
        let mut tokens = tokens.to_vec();
        // SAFETY: `tokens` lives until llama_decode has returned, which does not write to it; the
        // count fits (checked above); positions follow from the cache, outputs are the last token.
        let status = unsafe {
            let batch = llama_cpp_sys_2::llama_batch_get_one(
                tokens.as_mut_ptr(),
                i32::try_from(count).unwrap_or(i32::MAX),
            );
            llama_cpp_sys_2::llama_decode(self.context.as_ptr(), batch)
        };
        match status {
            0 => {
                self.used_tokens += count;
                Ok(DecodeEnd::Done)
            }
            DECODE_ABORTED => Ok(DecodeEnd::Cancelled),
            DECODE_NO_ROOM => Err(compute_failure("the context is full")),
            _ => Err(compute_failure(&format!("llama.cpp's code {status}"))),
        }
    }

    /// Makes the cache that of as many tokens as `position`, for measurements: made of the few
    /// tokens in it, nothing is computed ([`fill`]).
    ///
    /// # Errors
    /// [`Failure::Compute`] without a token in the cache, when there is no room, or for a model
    /// whose cache is of another kind.
    pub fn repeat_to(&mut self, position: u32) -> Result<(), Failure> {
        const SEQUENCE: i32 = 0;
        let raw = self.context.as_ptr();
        let failure = || compute_failure("this model's cache cannot be filled");
        // SAFETY: the context is alive.
        let bytes = unsafe { llama_cpp_sys_2::llama_state_seq_get_size(raw, SEQUENCE) };
        let mut state = vec![0; bytes];
        // SAFETY: as many bytes as it asked for.
        let written = unsafe {
            llama_cpp_sys_2::llama_state_seq_get_data(raw, state.as_mut_ptr(), bytes, SEQUENCE)
        };
        let longer = state
            .get(..written)
            .map(|state| fill::repeated(state, position));
        let Some(Ok(longer)) = longer else {
            return Err(failure());
        };
        // SAFETY: llama.cpp reads these bytes, and checks what they say.
        let read = unsafe {
            llama_cpp_sys_2::llama_state_seq_set_data(raw, longer.as_ptr(), longer.len(), SEQUENCE)
        };
        if read != longer.len() {
            return Err(failure());
        }
        self.used_tokens = position;
        Ok(())
    }

    /// The logits of the last token, in the order of the vocabulary.
    ///
    /// # Errors
    /// When there are none.
    pub fn logits(&self) -> Result<&[f32], Failure> {
        // SAFETY: the context is alive.
        let logits = unsafe { llama_cpp_sys_2::llama_get_logits_ith(self.context.as_ptr(), -1) };
        if logits.is_null() {
            return Err(compute_failure("no logits"));
        }
        // SAFETY: a row of logits has one f32 for each token of the vocabulary, and stays valid and
        // unchanged until the next call that computes, which needs `&mut self`.
        Ok(unsafe { std::slice::from_raw_parts(logits, self.vocabulary_tokens) })
    }

    /// The logits of the last token as candidates for the next. The array's buffer is used again.
    ///
    /// # Errors
    /// When there are none.
    pub fn candidates(&self, into: &mut LlamaTokenDataArray) -> Result<(), Failure> {
        let logits = self.logits()?;
        into.data.clear();
        into.data.extend(
            (0..)
                .zip(logits)
                .map(|(id, &logit)| LlamaTokenData::new(LlamaToken(id), logit, 0.0)),
        );
        into.selected = None;
        into.sorted = false;
        Ok(())
    }
}

impl Drop for Context<'_> {
    fn drop(&mut self) {
        // SAFETY: it came from llama_init_from_model and is freed once.
        unsafe { llama_cpp_sys_2::llama_free(self.context.as_ptr()) };
    }
}

fn compute_failure(otherwise: &str) -> Failure {
    let logged = take_error();
    if is_out_of_memory(&logged) {
        return Failure::OutOfMemory;
    }
    Failure::Compute {
        why: if logged.is_empty() {
            otherwise.to_owned()
        } else {
            logged
        },
    }
}

unsafe extern "C" fn is_cancelled(flag: *mut c_void) -> bool {
    // SAFETY: the pointer is to the CancelFlag that the Context keeps alive.
    unsafe { &*flag.cast::<CancelFlag>() }.is_cancelled()
}
